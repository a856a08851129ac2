"""What was stored, where each object stands on its way, and a person's hand in it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

import msgspec

from edge.console.archive import TROUBLES
from edge.console.calls import Answer, Asked, Blob, Call
from edge.console.developing import Window
from edge.console.errors import Refusal
from edge.outbox import Capture, Item

STEPS = ("sent", "asked", "confirmed", "parked")
State = Literal["waiting", "held", "sent", "asked", "confirmed", "parked", "damaged"]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Level = Annotated[float, msgspec.Meta(ge=0, le=65535)]
Names = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=32)]


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    before: Annotated[str, msgspec.Meta(max_length=64)] = ""
    exam: Annotated[str, msgspec.Meta(max_length=64)] = ""
    state: State | None = None


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    width: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    format: Literal["jpeg", "png"] = "jpeg"
    low: Level | None = None
    high: Level | None = None


class Where(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    destinations: Names = ()


class Park(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason
    destinations: Names = ()


class GiveUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


def _list(asked: Asked) -> Answer:
    archive, page = asked.office.archive, asked.query
    captures = archive.captures()
    fitting = [capture for capture in captures if _fits(asked, capture, page)]
    shown = fitting[: page.limit]
    states: Counter[str] = sum((archive.states(capture) for capture in shown), Counter[str]())
    return {
        "captures": [_as_dict(asked, capture) for capture in shown],
        "more": len(fitting) > page.limit,
        "destinations": archive.destinations(*captures),
        "states": dict(states),
        "broken": [{"id": one.id, "reason": one.reason} for one in archive.box.broken()],
    }


def _fits(asked: Asked, capture: Capture, page: Page) -> bool:
    if page.before and capture.id >= page.before:
        return False
    if page.exam and capture.exam_uid != page.exam:
        return False
    if page.state is None:
        return True
    found: set[str] = set(asked.office.archive.states(capture))
    return page.state in found | ({"held"} if capture.held else set()) | ({"damaged"} if capture.damaged else set())


def _as_dict(asked: Asked, capture: Capture) -> dict[str, Any]:
    record, items = capture.record, list(asked.office.archive.items(capture))
    objects = [
        {
            "name": stored.name, "role": stored.role, "sop_uid": stored.sop_uid, "size": stored.size,
            "frames": stored.frames, "sealed": bool(stored.sealed), "damaged": stored.name in capture.damaged,
            "states": {item.destination: item.state for item in items if item.object is stored},
        }
        for stored in capture.objects
    ]  # fmt: skip
    return {
        "id": capture.id, "exam": record.exam_uid, "modality": record.modality, "kind": record.kind,
        "priority": record.priority, "captured": record.captured, "held": capture.held, "objects": objects,
    }  # fmt: skip


def _show(asked: Asked) -> Answer:
    """On the images thread: whose it is stands in the object itself."""
    archive = asked.office.archive
    capture = archive.capture(asked.path["capture"])
    damage = {one.name: archive.box.damage(capture, one) for one in capture.objects if one.name in capture.damaged}
    history = [
        {"when": entry.when, "who": entry.who, "did": entry.did, "facts": entry.facts}
        for entry in archive.box.audit.entries()
        if entry.to == capture.id
    ]
    facts = asked.office.shelf.facts(capture)
    if capture.exam_uid not in asked.session.seen:
        asked.session.seen.add(capture.exam_uid)
        asked.note("identity-shown", capture.exam_uid)
    steps = [_step(asked, item) for item in archive.items(capture)]
    return {**_as_dict(asked, capture), **facts, "steps": steps, "damage": damage, "history": history}


def _step(asked: Asked, item: Item) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if item.state in STEPS:
        facts = msgspec.to_builtins(asked.office.archive.box.facts(item, item.state)) or {}
        facts.pop("served_s", None)
    return {"object": item.object.name, "destination": item.destination, "state": item.state, "facts": facts}


def _thumbnail(asked: Asked) -> Answer:
    capture = asked.office.archive.capture(asked.path["capture"])
    return Blob(asked.office.shelf.thumbnail(capture).data, "image/jpeg")


def _frame(asked: Asked) -> Answer:
    archive, look = asked.office.archive, asked.query
    capture = archive.capture(asked.path["capture"])
    stored, number = archive.object(capture, asked.path["object"]), asked.path["number"]
    if not (number.isascii() and number.isdecimal() and len(number) < 8):
        raise Refusal(422, "invalid", "a frame has a number, from 0")
    image = asked.office.shelf.frame(capture, stored, int(number), look.width, look.format, _window(look))
    return Blob(image.data, f"image/{look.format}")


def _window(look: Look) -> Window | None:
    if (look.low is None) != (look.high is None):
        raise Refusal(422, "invalid", "low and high belong together")
    if look.low is None or look.high is None:
        return None
    if look.high <= look.low:
        raise Refusal(422, "invalid", "high is above low")
    return Window(look.low, look.high)


def _retry(asked: Asked) -> Answer:
    archive = asked.office.archive
    capture = archive.capture(asked.path["capture"])
    done = archive.retry(asked.session.who, capture, asked.body.destinations)
    asked.note("retry", capture.id, retried=done["retried"])
    return done


def _retry_all(asked: Asked) -> Answer:
    archive, again, faults = asked.office.archive, 0, list[str]()
    for capture in archive.captures():
        if capture.damaged or set(archive.states(capture)) & set(TROUBLES):
            done = archive.retry(asked.session.who, capture, (), TROUBLES)
            again += done["retried"]
            faults += [f"{capture.id}: {fault}" for fault in done["faults"]]
    asked.note("retry-all", retried=again)
    return {"retried": again, "faults": faults}


def _park(asked: Asked) -> Answer:
    archive, body = asked.office.archive, asked.body
    capture = archive.capture(asked.path["capture"])
    parked = archive.park(asked.session.who, capture, body.destinations, body.reason)
    asked.note("park", capture.id, parked=parked)
    return {"parked": parked}


def _release(asked: Asked) -> Answer:
    capture = asked.office.archive.capture(asked.path["capture"])
    if capture.held:
        asked.office.archive.by(asked.session.who).release(capture.id)
        asked.note("release", capture.id)
    return {"released": int(capture.held)}


def _discard(asked: Asked) -> Answer:
    capture = asked.office.archive.capture(asked.path["capture"])
    asked.office.archive.by(asked.session.who).discard(capture.id, asked.body.reason)
    asked.note("discard", capture.id)
    return {"discarded": 1}


ONE = "/captures/{capture}"
CALLS = (
    Call("GET", "/captures", "view", "What is in the outbox, the newest first", _list, query=Page),
    Call("POST", "/captures/retry", "operate", "All that is parked or damaged waits again", _retry_all),
    Call("GET", ONE, "view", "One capture: its objects, where they stand and why, its patient, its story", _show,
         pool="images"),
    Call("GET", f"{ONE}/thumbnail", "view", "Its middle frame, small", _thumbnail, pool="images", gives="image/jpeg"),
    Call("GET", f"{ONE}/{{object}}/frames/{{number}}", "view", "One frame of an object", _frame, query=Look,
         pool="images", gives="image/jpeg"),
    Call("POST", f"{ONE}/retry", "operate", "It waits again, unless it is confirmed", _retry, body=Where),
    Call("POST", f"{ONE}/park", "operate", "Keep it from being sent", _park, body=Park),
    Call("POST", f"{ONE}/release", "operate", "Let a held one go as it is", _release),
    Call("POST", f"{ONE}/discard", "administer", "Give it up: removed when the retention time is over", _discard,
         body=GiveUp),
)  # fmt: skip
