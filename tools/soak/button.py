"""Captures in turn, each on a thread of its own, and what became of them: acknowledged, and in the archive, or not."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from edge.client import Control
from edge.errors import LimpidError
from edge.outbox import Outbox

PATIENCE_S = 120.0
PATIENT = {"name": "PHANTOM^SOAK", "id": "SOAK-1"}


@dataclass(slots=True)
class Press:
    """One press of the button."""

    kind: str
    at_s: float
    step: str = ""  # what heat allowed then
    acknowledged_ms: float | None = None
    frames: int = 0
    captures: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()  # their SOP instance UIDs
    refused: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Button:
    control: str
    outbox: Outbox
    clip_s: float
    back_s: float
    presses: list[Press] = field(default_factory=list[Press])  # each written by its own thread until it is joined
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def press(self, at_s: float, step: str) -> None:
        kind = ("still", "back", "clip")[len(self.presses) % 3]
        press = Press(kind, round(at_s, 1), step)
        self.presses.append(press)
        thread = threading.Thread(target=self._press, args=(press,), daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _press(self, press: Press) -> None:
        try:
            answer, press.acknowledged_ms = self._answered(press.kind)
            press.frames = int(answer["frames"])
            press.captures = tuple(answer["captures"])
            press.objects = tuple(
                str(stored.sop_uid) for name in press.captures for stored in self.outbox.capture(name).objects
            )
        except LimpidError as error:
            press.refused = str(error) or type(error).__name__

    def _answered(self, kind: str) -> tuple[dict[str, Any], float]:
        control = Control(self.control, PATIENCE_S)
        if kind == "clip":
            control.ask("capture-clip-start")
            time.sleep(self.clip_s)
        asked = time.monotonic()
        if kind == "still":
            answer = control.ask("capture-still")
        elif kind == "back":
            answer = control.ask("capture-back", seconds=self.back_s)
        else:
            answer = control.ask("capture-clip-stop")
        return answer, round(1000 * (time.monotonic() - asked), 1)

    def open_exam(self) -> None:
        Control(self.control, PATIENCE_S).ask("exam-open", patient=PATIENT)

    def join(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    @property
    def acknowledged(self) -> list[Press]:
        return [press for press in self.presses if press.objects]

    @property
    def unanswered(self) -> list[Press]:
        return [press for press in self.presses if not press.objects and not press.refused]
