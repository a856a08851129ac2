"""What became of objects at each destination since this process began, counted from its events. No patient data.

Heard on the events thread; read by the report thread.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from edge.clock import SECOND, Clock
from edge.health import Event

COUNTED = ("sent", "confirmed", "later", "lost", "parked", "damaged")
TROUBLES = ("object.later", "object.lost", "object.parked", "object.damaged", "commitment.later")


class Dispatches:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[str, Counter[str]] = {}
        self._errors: dict[str, tuple[str, int]] = {}  # the last one's kind, and when

    def hear(self, event: Event) -> None:
        name, destination = str(event["event"]), event.get("destination")
        if not isinstance(destination, str):
            return
        what = name.removeprefix("object.")
        with self._lock:
            if name.startswith("object.") and what in COUNTED:
                self._counts.setdefault(destination, Counter())[what] += 1
            if name in TROUBLES:  # the reason itself may quote an archive's words: its kind is enough
                self._errors[destination] = str(event.get("kind", what)), self._clock.now()

    def figures(self, destination: str) -> dict[str, Any]:
        with self._lock:
            counts, error = dict(self._counts.get(destination, {})), self._errors.get(destination)
        told: dict[str, Any] = {what: counts.get(what, 0) for what in COUNTED}
        if error is not None:
            told["last_error"] = error[0]
            told["last_error_age_s"] = round((self._clock.now() - error[1]) / SECOND, 1)
        return told
