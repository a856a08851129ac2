"""The picture's controls and the capture button: handed on to the daemon, which knows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from edge.access.homes import own_key
from edge.client import Control, reachable
from edge.console.calls import Answer, Asked, Call
from edge.console.errors import Refusal
from edge.errors import SourceUnavailable
from edge.requests import Angles, Seconds, StreamName

PATIENCE_S = 5.0
CAPTURE_PATIENCE_S = 60.0  # a slow disk; the daemon itself says no long before


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stream: StreamName | None = None
    strength_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    view: Literal["enhanced", "original"] | None = None
    engine: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    frozen: bool | None = None


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stream: StreamName | None = None


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stream: StreamName | None = None
    angles: Angles | None = None


class Back(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stream: StreamName | None = None
    angles: Angles | None = None
    seconds: Seconds = 10.0


class Burst(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stream: StreamName | None = None
    angles: Angles | None = None
    count: Annotated[int, msgspec.Meta(ge=2, le=50)] = 5
    every_ms: Annotated[float, msgspec.Meta(ge=0, le=5000)] = 200.0


def ask_daemon(asked: Asked, do: str, patience_s: float = PATIENCE_S, **more: Any) -> dict[str, Any]:
    """Its answer; who is not there is not waited for longer than it takes to know that."""
    office = asked.office
    if not office.pulse.refresh(2.0).answers:
        raise SourceUnavailable(office.pulse.beat.error)
    told = {key: value for key, value in more.items() if value is not None}
    address = office.config.sockets.control
    return Control(reachable(address), patience_s, own_key(office.config, address)).ask(do, **told)


def _picture(asked: Asked) -> Answer:
    body: Picture = asked.body
    settings: dict[str, Any] = {"strength_percent": body.strength_percent, "view": body.view, "engine": body.engine}
    settings = {key: value for key, value in settings.items() if value is not None}
    if not settings and body.frozen is None:
        raise Refusal(422, "invalid", "nothing to change: strength_percent, view, engine or frozen")
    if settings:
        ask_daemon(asked, "set", stream=body.stream, **settings)
    if body.frozen is not None:
        ask_daemon(asked, "freeze" if body.frozen else "unfreeze", stream=body.stream)
        settings["frozen"] = body.frozen
    asked.office.pulse.refresh(0.0)
    asked.note("picture", body.stream or "", **settings)
    return {"ok": True}


def _capture(asked: Asked, do: str, **more: Any) -> Answer:
    waits_s = more.get("count", 0) * more.get("every_ms", 0.0) / 1000
    answer = ask_daemon(asked, do, CAPTURE_PATIENCE_S + waits_s, **more)
    captures: list[str] = answer.get("captures", [])
    asked.office.pulse.refresh(0.0)
    asked.note(do, captures[0] if captures else str(answer.get("stream", "")), captures=captures)
    return answer


def _still(asked: Asked) -> Answer:
    return _capture(asked, "capture-still", stream=asked.body.stream, angles=asked.body.angles)


def _back(asked: Asked) -> Answer:
    return _capture(
        asked, "capture-back", stream=asked.body.stream, angles=asked.body.angles, seconds=asked.body.seconds
    )


def _burst(asked: Asked) -> Answer:
    body: Burst = asked.body
    return _capture(
        asked, "capture-burst", stream=body.stream, angles=body.angles, count=body.count, every_ms=body.every_ms
    )


def _clip_start(asked: Asked) -> Answer:
    return _capture(asked, "capture-clip-start", stream=asked.body.stream, angles=asked.body.angles)


def _clip_stop(asked: Asked) -> Answer:
    return _capture(asked, "capture-clip-stop", stream=asked.body.stream)


CALLS = (
    Call(
        "POST", "/picture", "operate", "Strength, enhanced or original, engine family, freeze", _picture, body=Picture
    ),
    Call("POST", "/capture/still", "operate", "Store the picture that is shown", _still, body=Capture, pool="slow"),
    Call("POST", "/capture/back", "operate", "Store the last seconds", _back, body=Back, pool="slow"),
    Call("POST", "/capture/burst", "operate", "Store the next pictures, each a still", _burst, body=Burst, pool="slow"),
    Call("POST", "/capture/clip/start", "operate", "Record from now on", _clip_start, body=Capture, pool="slow"),
    Call("POST", "/capture/clip/stop", "operate", "Store what was recorded", _clip_stop, body=Which, pool="slow"),
)
