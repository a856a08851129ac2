"""The outbox as the live process uses it: captures go in, the darkroom is told, corrections are handed on.

Used by the capture thread. The outbox is taken possession of when there is something to put or to take up again, not
before: a daemon that only shows pictures needs no disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from edge.config import Config
from edge.darkroom import Correct, Develop, Outcome, images_of
from edge.errors import CaptureRefused, ConfigError, OutboxFault
from edge.exam_book import Entry
from edge.exams import Correction, Exams
from edge.hatch import Hatch
from edge.health import Events
from edge.outbox import Capture, Draft, Outbox

DISCARDED = "the exam was discarded"


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

    def correct(self, correction: Correction, after_s: float = 0.0) -> Future[Outcome]:
        return self._hatch.hand_in(Correct(correction.exam, correction.captures, correction.copies), after_s)

    def with_unlisted(self, correction: Correction) -> Correction:
        """And what a power cut kept out of the book: the listing of the outbox is the truth."""
        whose = correction.exam.corrects if correction.copies else correction.exam.uid
        try:
            stored = self._outbox.captures()
        except OSError:
            return correction
        unlisted = [one.id for one in stored if one.exam_uid == whose and one.id not in correction.captures]
        return replace(correction, captures=(*correction.captures, *unlisted))

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
        """After a power cut: the outbox and the book are brought together, and what was begun is finished."""
        if not self._outbox.folder.is_dir():
            return
        try:
            self._own()
            stored = self._outbox.captures()
        except (CaptureRefused, OSError) as error:
            self._events.emit("outbox.unavailable", reason=str(error))
            return
        for capture in stored:
            entry = exams.entry(capture.exam_uid)
            if entry is None or exams.is_superseded(capture.exam_uid):
                continue  # nobody's; or its correction makes copies of it
            if entry.progress == "discarded":
                self.discard([capture.id], DISCARDED)
            else:
                self._take_up(capture, entry, exams)

    def _take_up(self, capture: Capture, entry: Entry, exams: Exams) -> None:
        unlisted = capture.id not in entry.captures
        is_open = exams.current is not None and exams.current.uid == entry.exam.uid
        if unlisted and is_open:
            # Its stream is not known any more; a place too many only leaves out some series numbers.
            exams.stored(entry.streams[-1] if entry.streams else "", images_of(capture))
        is_successor = bool(entry.replaces)  # what is stored under it carries its identity, whatever is being corrected
        if not capture.held or (entry.correcting and not is_successor):
            return
        if unlisted and not is_open and not entry.exam.provisional:
            # A correction may not have known of it, so what it says is in doubt: the identity is written once more.
            self._hatch.hand_in(Develop(capture.id, provisional=True))
            self._hatch.hand_in(Correct(entry.exam, (capture.id,), copies=False))
            return
        # One that a correction had to leave behind is held, too: none goes unless it can be read.
        self._hatch.hand_in(Develop(capture.id, entry.exam.provisional, plain=is_successor))

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
