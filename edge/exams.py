"""The desk that opens, closes, discards and corrects exams. Owned by the capture thread; others read `current`.

A picture belongs to the exam that was open when it was taken: what was seen before an exam was opened, or after the
last one was closed, is never stored under the next patient's name.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec

from edge import identity, presets
from edge.config import Config, Preset
from edge.errors import CaptureRefused, ConfigError
from edge.exam import Exam, Order, Patient
from edge.exam_book import Book, Entry, Image, Pages, Progress
from edge.health import Events

PRIVATE = ("patient", "order", "operator", "study_uid", "opened")  # of an exam: who, and what could tell who
SERIES_STEP = 10  # series numbers between two streams of one exam
Changes = msgspec.structs.replace


class Notices(Protocol):
    """Where the archive is told of an exam's progress (MPPS). Raises OSError."""

    def begun(self, exam: Exam) -> None: ...

    def ended(self, exam: Exam, images: Sequence[Image], *, completed: bool, ended: datetime) -> None: ...


@dataclass(frozen=True, slots=True)
class Opening:
    """What an exam is opened with."""

    patient: Patient | None = None
    order: Order | None = None
    from_worklist: bool = False
    details: dict[str, Any] | None = None  # operator, body_part, laterality, implant, priority


@dataclass(frozen=True, slots=True)
class Correction:
    """Work for the stored captures of an exam, after its identity was corrected."""

    exam: Exam
    captures: tuple[str, ...]
    copies: bool  # they may have been sent: corrected copies are made; otherwise they are rewritten and released


class Exams:
    def __init__(
        self,
        book: Book,
        config: Config,
        wall: Callable[[], datetime],
        events: Events,
        apply: Callable[[Preset | None], None] = lambda _preset: None,
        notices: Notices | None = None,
    ) -> None:
        self._book = book
        self._config = config
        self._wall = wall
        self._events = events
        self._apply = apply  # the preset, to the live picture
        self._notices = notices
        self._unwritten = False
        self._pages = book.read()
        self.since_ns = 0  # pictures taken before this moment are another exam's, or nobody's
        self._resume()

    # ------------------------------------------------ what is so

    @property
    def current(self) -> Exam | None:
        entry = self._pages.entries.get(self._pages.current)
        return entry.exam if entry is not None else None

    def entry(self, uid: str) -> Entry | None:
        return self._pages.entries.get(uid)

    def is_superseded(self, uid: str) -> bool:
        """Another exam took its place: the book calls it discarded, but what it holds was copied."""
        return any(entry.replaces == uid for entry in self._pages.entries.values())

    def show(self, *, identity: bool) -> dict[str, Any]:
        """The patient only where that was asked for. From any thread."""
        pages = self._pages
        entry = pages.entries.get(pages.current)
        waiting = [uid for uid, one in pages.entries.items() if one.exam.provisional and uid != pages.current]
        facts: dict[str, Any] = {"exam": None, "uncorrected": waiting, "recorded": not self._unwritten}
        if entry is not None:
            exam: dict[str, Any] = msgspec.to_builtins(entry.exam)
            told = exam if identity else {key: value for key, value in exam.items() if key not in PRIVATE}
            facts["exam"] = {**told, "captures": list(entry.captures), "correcting": entry.correcting}
        return facts

    def unfinished(self) -> list[Correction]:
        """Corrections that a power cut interrupted: they are done again, which does no harm."""
        return [self._correction(entry) for entry in self._pages.entries.values() if entry.correcting]

    # ------------------------------------------------ what is done

    def open(self, opening: Opening, now_ns: int) -> Exam:
        if (current := self.current) is not None:
            hint = "correct it, or close it first" if current.provisional else "close it first"
            raise ConfigError(f"exam {current.uid} is open: {hint}")
        exam = self._new_exam(opening)
        identity.check(exam)
        rule = presets.choose(self._config.preset, exam)
        exam = Changes(exam, preset=rule.name if rule is not None else "")
        self._write(self._pages.with_entry(Entry(exam, touched=self._now()), current=exam.uid))
        if opening.patient is not None:
            self.since_ns = now_ns
        self._apply(rule)
        self._events.emit("exam.opened", exam=exam.uid, origin=exam.origin, preset=exam.preset)
        if not exam.provisional:
            self._notify(lambda notices: notices.begun(exam))
        return exam

    def emergency(self, now_ns: int) -> Exam:
        """Somebody pressed capture and no exam is open: nobody may have to type first."""
        return self.open(Opening(), now_ns)

    def close(self, now_ns: int) -> Exam:
        return self._end("closed", now_ns)

    def discard(self, now_ns: int, *, captures_too: bool) -> Entry:
        entry = self._open_entry()
        if entry.captures and not captures_too:
            raise ConfigError(
                f"the exam has {len(entry.captures)} captures: close it, or discard it with its captures,"
                " which then stay in the outbox and are not sent"
            )
        self._end("discarded", now_ns)
        return entry

    def correct(self, uid: str, patient: Patient, order: Order | None, *, from_worklist: bool) -> Correction:
        """The identity from now on. What is stored already follows, by whoever carries out the correction."""
        uid = uid or self._pages.current
        entry = self._pages.entries.get(uid)
        if entry is None:
            raise ConfigError(f"no exam {uid}" if uid else "no exam is open: name the one to correct")
        if entry.correcting:
            raise ConfigError("the last correction of this exam is still being carried out")
        before = entry.exam
        fresh = Changes(
            before,
            patient=patient,
            order=order or Order(),
            origin="worklist" if from_worklist else "typed",
            provisional=False,
        )
        identity.check(fresh)
        if before.provisional:
            return self._settle_identity(entry, fresh)
        return self._supersede(entry, fresh)

    def corrected(self, uid: str, images: Sequence[Image] = ()) -> None:
        """Every stored object has followed: `images` are what they are now, or the copies that were made of them."""
        entry = self._pages.entries[uid]
        changed = tuple(dict.fromkeys(image.capture for image in images))
        done = Changes(
            entry,
            correcting=False,
            captures=(*(one for one in changed if one not in entry.captures), *entry.captures),
            images=(*images, *(image for image in entry.images if image.capture not in changed)),
        )
        self._write_or_later(self._pages.with_entry(done))
        self._events.emit("exam.corrected", exam=uid, captures=len(done.captures))
        if done.progress != "open":
            self._tell_end(done)

    def number(self, stream: str) -> tuple[int, int]:
        """Series base and instance number of the next capture."""
        entry = self._open_entry()
        place = entry.streams.index(stream) if stream in entry.streams else len(entry.streams)
        return 1 + SERIES_STEP * place, entry.taken + 1

    def stored(self, stream: str, images: Sequence[Image]) -> None:
        """A capture of the open exam is durable. The listing of the outbox is the truth; this only follows it."""
        entry = self._open_entry()
        entry = Changes(
            entry,
            touched=self._now(),
            taken=entry.taken + 1,
            streams=entry.streams if stream in entry.streams else (*entry.streams, stream),
            captures=(*entry.captures, *dict.fromkeys(image.capture for image in images)),
            images=(*entry.images, *images),
        )
        self._write_or_later(self._pages.with_entry(entry))

    def touch(self) -> None:
        """A clip or burst has begun: the exam is in use. Written down with whatever is written next."""
        self._pages = self._pages.with_entry(Changes(self._open_entry(), touched=self._now()))

    def tend(self, now_ns: int, may_end: Callable[[], bool] = lambda: True) -> None:
        """Now and then: write what could not be written, close what was forgotten, unless `may_end` says not now."""
        if self._unwritten:
            self._write_or_later(self._pages)
        entry = self._pages.entries.get(self._pages.current)
        if entry is not None and self._is_forgotten(entry) and may_end():
            self._events.emit("exam.closed-idle", exam=entry.exam.uid)
            self._end("closed", now_ns)

    # ------------------------------------------------ how

    def _resume(self) -> None:
        """A power cut does not end an exam; a night does."""
        entry = self._pages.entries.get(self._pages.current)
        if entry is None:
            return
        self._events.emit("exam.resumed", exam=entry.exam.uid)
        self._apply(next((rule for rule in self._config.preset if rule.name == entry.exam.preset), None))

    def _new_exam(self, opening: Opening) -> Exam:
        moment, uid = self._now(), uuid.uuid4().hex[:12]
        emergency = opening.patient is None
        order = opening.order or Order()
        return Exam(
            uid=uid,
            study_uid=order.study_uid or self._new_uid(),
            opened=moment,
            patient=opening.patient or identity.emergency_patient(moment, uid[:4]),
            order=order,
            origin="emergency" if emergency else "worklist" if opening.from_worklist else "typed",
            provisional=emergency,
            **(opening.details or {}),
        )

    def _new_uid(self) -> str:
        return f"{self._config.station.uid_root}.{uuid.uuid4().int}"

    def _settle_identity(self, entry: Entry, fresh: Exam) -> Correction:
        """Nothing of a provisional exam was sent: it simply becomes the right one."""
        fresh = Changes(fresh, study_uid=fresh.order.study_uid or fresh.study_uid)
        rule = presets.choose(self._config.preset, fresh)
        is_open = fresh.uid == self._pages.current
        if is_open:
            fresh = Changes(fresh, preset=rule.name if rule is not None else "")
        settled = Changes(entry, exam=fresh, correcting=bool(entry.captures), touched=self._now())
        self._write(self._pages.with_entry(settled))
        if is_open:
            self._apply(rule)
        self._notify(lambda notices: notices.begun(fresh))
        return self._correction(settled)

    def _supersede(self, entry: Entry, fresh: Exam) -> Correction:
        """Some of it may have been sent: the right exam is a new one, in a study of its own, that names the old one."""
        fresh = Changes(
            fresh,
            uid=uuid.uuid4().hex[:12],
            study_uid=fresh.order.study_uid or self._new_uid(),
            corrects=entry.exam.uid,
        )
        was_open = entry.exam.uid == self._pages.current
        successor = Entry(
            fresh,
            progress=entry.progress,
            touched=self._now(),
            taken=entry.taken,
            streams=entry.streams,
            correcting=bool(entry.captures),
            replaces=entry.exam.uid,
        )
        pages = self._pages.with_entry(Changes(entry, progress="discarded"))
        self._write(pages.with_entry(successor, current=fresh.uid if was_open else None))
        if was_open:
            self._notify(lambda notices: notices.ended(entry.exam, entry.images, completed=False, ended=self._wall()))
        self._notify(lambda notices: notices.begun(fresh))
        return self._correction(successor)

    def _correction(self, entry: Entry) -> Correction:
        if not entry.replaces:
            return Correction(entry.exam, entry.captures, copies=False)
        replaced = self._pages.entries.get(entry.replaces)
        return Correction(entry.exam, replaced.captures if replaced is not None else (), copies=True)

    def _end(self, progress: Progress, now_ns: int) -> Exam:
        """Takes effect whatever the disk says: the next patient must not be mixed with this one."""
        entry = Changes(self._open_entry(), progress=progress, touched=self._now())
        self.since_ns = now_ns
        self._write_or_later(self._pages.with_entry(entry, current=""))
        self._apply(None)
        self._events.emit(
            "exam.closed" if progress == "closed" else "exam.discarded",
            exam=entry.exam.uid,
            captures=len(entry.captures),
        )
        if not entry.exam.provisional and not entry.correcting:
            self._tell_end(entry)
        return entry.exam

    def _tell_end(self, entry: Entry) -> None:
        completed = entry.progress == "closed" and bool(entry.images)
        self._notify(lambda notices: notices.ended(entry.exam, entry.images, completed=completed, ended=self._wall()))

    def _notify(self, tell: Callable[[Notices], None]) -> None:
        if self._notices is None:
            return
        try:
            tell(self._notices)
        except OSError as error:
            self._events.emit("mpps.not-queued", reason=error.strerror or type(error).__name__)

    def _open_entry(self) -> Entry:
        entry = self._pages.entries.get(self._pages.current)
        if entry is None:
            raise ConfigError("no exam is open")
        return entry

    def _is_forgotten(self, entry: Entry) -> bool:
        """By the wall clock, in either direction: after a jump nobody knows how long ago it was."""
        limit = self._config.capture.exam_idle_minutes * 60
        idle = self._wall() - datetime.fromisoformat(entry.touched)
        return limit > 0 and abs(idle.total_seconds()) > limit

    def _write(self, pages: Pages) -> None:
        try:
            self._book.write(pages)
        except OSError as error:
            raise CaptureRefused(f"the exam cannot be recorded: {error.strerror or type(error).__name__}") from error
        self._pages, self._unwritten = pages, False

    def _write_or_later(self, pages: Pages) -> None:
        self._pages = pages
        try:
            self._book.write(pages)
        except OSError as error:
            if not self._unwritten:
                self._events.emit("exam.not-recorded", reason=error.strerror or type(error).__name__)
            self._unwritten = True
        else:
            self._unwritten = False

    def _now(self) -> str:
        return self._wall().isoformat(timespec="milliseconds")
