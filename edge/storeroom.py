"""The outbox as the live process uses it: captures go in, the darkroom is told, corrections are handed on.

Used by the capture thread. The outbox is taken possession of when there is something to put or to take up again, not
before: a daemon that only shows pictures needs no disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from edge.config import Config
from edge.darkroom import Correct, Develop, Outcome
from edge.errors import CaptureRefused, ConfigError, OutboxFault
from edge.exams import Correction, Exams
from edge.hatch import Hatch
from edge.health import Events
from edge.outbox import Draft, Outbox


class Storeroom:
    def __init__(self, config: Config, outbox: Outbox, hatch: Hatch, events: Events) -> None:
        self._compresses = config.capture.compression != "none"
        self._outbox = outbox
        self._hatch = hatch
        self._events = events
        self._owned = False

    def put(self, draft: Draft) -> str:
        self._own()
        return self._outbox.put(draft)

    def check_room(self) -> None:
        self._own()
        self._outbox.check_room()

    def develop(self, capture: str, *, provisional: bool) -> None:
        if self._compresses:
            self._hatch.hand_in(Develop(capture, provisional))

    def correct(self, correction: Correction) -> Future[Outcome]:
        return self._hatch.hand_in(Correct(correction.exam, correction.captures, correction.copies))

    def discard(self, captures: Sequence[str], reason: str) -> list[str]:
        """Set apart, not sent from now on. Gives those that could not be."""
        kept: list[str] = []
        for capture in captures:
            try:
                self._outbox.discard(capture, reason)
            except (OSError, OutboxFault):
                kept.append(capture)
        return kept

    def take_up(self, exams: Exams) -> None:
        """After a power cut: what was not developed yet is, and what the archive may have now is let go."""
        if not self._outbox.folder.is_dir():
            return
        try:
            self._own()
            held = [capture for capture in self._outbox.captures() if capture.held]
        except (CaptureRefused, OSError) as error:
            self._events.emit("outbox.unavailable", reason=str(error))
            return
        for capture in held:
            entry = exams.entry(capture.exam_uid)
            if entry is not None and not entry.correcting:
                self._hatch.hand_in(Develop(capture.id, entry.exam.provisional))

    def _own(self) -> None:
        if self._owned:
            return
        try:
            swept = self._outbox.own_putting()
        except (ConfigError, OSError) as error:
            raise CaptureRefused(f"not stored: {error}") from error
        self._owned = True
        if swept:
            self._events.emit("outbox.swept", unfinished=swept)
