"""`limpid capture`: the button, from a terminal."""

from __future__ import annotations

import json
import threading
from typing import Any

from edge.client import Control
from edge.commands.here import key_to
from edge.errors import ConfigError

PATIENCE_S = 60.0  # a slow disk; the daemon itself says no long before
LONGEST_S = 600.0


def run(control: str, do: str, stream: str | None, more: dict[str, Any], *, as_json: bool) -> None:
    show(ask(control, do, stream, more), as_json=as_json)


def ask(control: str, do: str, stream: str | None, more: dict[str, Any]) -> dict[str, Any]:
    where = {} if stream is None else {"stream": stream}
    patience_s = PATIENCE_S + more.get("count", 0) * more.get("every_ms", 0.0) / 1000
    return Control(control, timeout_s=patience_s, key=key_to(control)).ask(do, **where, **more)


def at(angles: tuple[float, float] | None) -> dict[str, Any]:
    return {} if angles is None else {"angles": angles}


def clip(
    control: str, what: str, stream: str | None, angles: tuple[float, float] | None = None, *, as_json: bool
) -> None:
    if what == "stop" and angles:
        raise ConfigError("the angles belong to the start of a clip")
    if what in ("start", "stop"):
        run(control, f"capture-clip-{what}", stream, at(angles), as_json=as_json)
        return
    seconds = _seconds(what)
    started = ask(control, "capture-clip-start", stream, at(angles))
    threading.Event().wait(seconds)
    run(control, "capture-clip-stop", started["stream"], {}, as_json=as_json)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= LONGEST_S:
        raise ConfigError(f'"{text}" is neither start, stop, nor a number of seconds up to {LONGEST_S:g}')
    return seconds


def show(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer))
        return
    if answer.get("recording"):
        print(
            f"recording {answer['stream']}, {answer['longest_s']:g} s at most; end it with `limpid capture clip stop`"
        )
    else:
        held = ", held until the identity is corrected" if answer["held"] else ""
        length = f" ({answer['seconds']:.1f} s)" if answer["frames"] > 1 else ""
        print(f"stored: {answer['frames']} frames{length} of {answer['stream']}{held}")
        for capture in answer["captures"]:
            print(f"  {capture}")
        for notice in answer["notices"]:
            print(f"  note: {notice}")
    if answer["opened_exam"]:
        print(f"  no exam was open: emergency exam {answer['exam']} was opened")
