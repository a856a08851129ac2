"""The exam and the worklist: handed on to the daemon. Here alone a patient passes through, in bodies."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import msgspec

from edge.console.calls import Answer, Asked, Call
from edge.console.errors import Refusal
from edge.console.picture_calls import ask_daemon
from edge.exam import Order, Patient

WORKLIST_PATIENCE_S = 120.0
CORRECTION_PATIENCE_S = 900.0  # every stored object of the exam is written anew
CLOSE_PATIENCE_S = 60.0  # what was being recorded is stored first
LARGEST = 60_000  # what the daemon listens to, less a little
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Short = Annotated[str, msgspec.Meta(max_length=256)]


class Open(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    item: Short = ""
    barcode: Text = ""
    patient: Patient | None = None
    order: Order | None = None
    operator: Short = ""
    body_part: Short = ""
    laterality: Literal["", "L", "R", "B"] = ""
    implant: bool = False
    priority: Literal["routine", "stat"] = "routine"


class Discontinue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    captures_too: bool = False


class Correct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    exam: Short = ""
    item: Short = ""
    barcode: Text = ""
    patient: Patient | None = None
    order: Order | None = None


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accession: Short = ""
    patient_id: Short = ""


def _show(asked: Asked) -> Answer:
    answer = ask_daemon(asked, "exam-show", identity=True)
    uid = (answer.get("exam") or {}).get("uid", "")
    if uid and uid not in asked.session.seen:  # once for each exam: who was told whose it is
        asked.session.seen.add(uid)
        asked.note("identity-shown", uid)
    return answer


def _open(asked: Asked) -> Answer:
    told = _told(asked.body)
    answer = ask_daemon(asked, "exam-open", **told)
    asked.office.pulse.refresh(0.0)
    asked.note("exam-open", answer["exam"], origin=answer["origin"])
    return answer


def _close(asked: Asked) -> Answer:
    answer = ask_daemon(asked, "exam-close", CLOSE_PATIENCE_S)
    asked.office.pulse.refresh(0.0)
    asked.note("exam-close", answer["exam"])
    return answer


def _discard(asked: Asked) -> Answer:
    captures_too = asked.body.captures_too and _may_discard_captures(asked)
    answer = ask_daemon(asked, "exam-discard", CLOSE_PATIENCE_S, captures_too=captures_too)
    asked.office.pulse.refresh(0.0)
    asked.note("exam-discard", str(answer.get("exam", "")), captures_too=captures_too)
    return answer


def _may_discard_captures(asked: Asked) -> bool:
    """Raises Refusal where there are any and this user may not. Where there are none yet the daemon is not told to:
    one that is stored in this very moment is kept."""
    user = asked.session.user
    if user.may("administer"):
        return True
    if (ask_daemon(asked, "exam-show").get("exam") or {}).get("captures"):
        raise Refusal(
            403, "forbidden", f"to discard captures needs the role administer; {user.name} has {user.role}: close it"
        )
    return False


def _correct(asked: Asked) -> Answer:
    answer = ask_daemon(asked, "exam-correct", CORRECTION_PATIENCE_S, **_told(asked.body))
    asked.office.pulse.refresh(0.0)
    asked.note("exam-correct", answer["exam"], captures=answer["captures"])
    return answer


def _worklist(asked: Asked) -> Answer:
    answer = ask_daemon(asked, "exam-worklist", WORKLIST_PATIENCE_S, **_told(asked.body))
    asked.note("worklist", items=len(answer["items"]))
    return answer


def _told(body: msgspec.Struct) -> dict[str, Any]:
    told = {key: value for key, value in msgspec.to_builtins(body).items() if value is not None}
    if len(json.dumps(told)) > LARGEST:
        raise Refusal(422, "invalid", "longer than anything that can be said of a patient")
    return told


CALLS = (
    Call("GET", "/exam", "view", "The open exam, with its patient", _show),
    Call("POST", "/exam", "operate", "Open an exam: worklist item, barcode, typed, or an emergency", _open, body=Open,
         pool="slow"),
    Call("POST", "/exam/close", "operate", "Close the exam", _close, pool="slow"),
    Call("POST", "/exam/discard", "operate", "End the exam as discontinued; with captures, administer alone",
         _discard, body=Discontinue, pool="slow"),
    Call("POST", "/exam/correct", "operate", "Give the open or an earlier exam the right identity", _correct,
         body=Correct, pool="slow"),
    Call("POST", "/worklist", "operate", "What is scheduled", _worklist, body=Question, pool="slow"),
)  # fmt: skip
