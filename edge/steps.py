"""Notices to the archive that an exam has begun or ended: a durable queue of small files, in order.

Written by the capture thread, emptied by the forward process (`mpps`). A notice holds the patient's identity, so its
file is for the owner alone and its name says only its place in the queue.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from edge.errors import ConfigError, OutboxFault
from edge.exam import Exam, step_uid
from edge.exam_book import Image, Vault

WAITS, PARKED, DAMAGED = ".notice", ".parked", ".damaged"
STATES = {"waiting": WAITS, "parked": PARKED, "damaged": DAMAGED}


class Notice(msgspec.Struct, frozen=True):
    """One step of one exam, as it is to be told. It is complete in itself."""

    step_uid: str  # of the performed procedure step: SOP instance UID of the MPPS object
    kind: Literal["begun", "ended"]
    exam: Exam
    completed: bool = False
    ended: str = ""
    images: tuple[Image, ...] = ()


class Waiting(msgspec.Struct, frozen=True):
    """A notice and its place in the queue."""

    name: str
    notice: Notice


class Listed(msgspec.Struct, frozen=True):
    """A notice by its file's name alone."""

    number: int
    kind: str
    state: str


class StepQueue:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    # ------------------------------------------------ live

    def begun(self, exam: Exam) -> None:
        self._put(Notice(step_uid(exam), "begun", exam))

    def ended(self, exam: Exam, images: Sequence[Image], *, completed: bool, ended: datetime) -> None:
        moment = ended.isoformat(timespec="seconds")
        self._put(Notice(step_uid(exam), "ended", exam, completed, moment, tuple(images)))

    def _put(self, notice: Notice) -> None:
        number = 1 + max((int(name[:12]) for name in self._vault.names("[0-9]" * 12 + "-*")), default=0)
        self._vault.write(f"{number:012d}-{notice.kind}{WAITS}", msgspec.json.encode(notice))

    # ------------------------------------------------ forward

    def first(self) -> Waiting | None:
        """The oldest that is not parked. One that does not decode is set aside, and the queue goes on. One that cannot
        be read now (ConfigError: no key at hand; OSError) stays what it is, and those behind it wait: an exam must not
        end at the archive before it began."""
        for name in self._vault.names("*" + WAITS):
            if (notice := self._read(name)) is not None:
                return Waiting(name, notice)
            self._set_aside(name, DAMAGED)
        return None

    def exams(self) -> set[str]:
        """Of which something is yet to be told."""
        return {one.notice.exam.uid for one in self._readable()}

    def done(self, waiting: Waiting) -> None:
        self._vault.remove(waiting.name)

    def park(self, waiting: Waiting) -> None:
        """Refused for good: kept, with whatever else is about the same step."""
        for one in self._readable():
            if one.notice.step_uid == waiting.notice.step_uid:
                self._set_aside(one.name, PARKED)

    def release(self) -> int:
        """Try the parked ones again."""
        parked = self._vault.names("*" + PARKED)
        for name in parked:
            self._vault.rename(name, name.removesuffix(PARKED) + WAITS)
        return len(parked)

    def listed(self) -> list[Listed]:
        """All of them, in their order, without reading any."""
        found: list[Listed] = []
        for state, suffix in STATES.items():
            for name in self._vault.names("[0-9]" * 12 + "-*" + suffix):
                number, _, kind = name.removesuffix(suffix).partition("-")
                found.append(Listed(int(number), kind, state))
        return sorted(found, key=lambda one: one.number)

    def counts(self) -> dict[str, int]:
        """How many wait, are parked, are damaged."""
        return {state: len(self._vault.names("*" + suffix)) for state, suffix in STATES.items()}

    def _readable(self) -> Iterator[Waiting]:
        for name in self._vault.names("*" + WAITS):
            notice = None
            with contextlib.suppress(ConfigError, OSError):
                notice = self._read(name)
            if notice is not None:
                yield Waiting(name, notice)

    def _read(self, name: str) -> Notice | None:
        """None: it is not what was written. Raises OSError, or ConfigError where its key is not at hand."""
        try:
            return msgspec.json.decode(self._vault.read(name), type=Notice)
        except (msgspec.MsgspecError, UnicodeDecodeError, OutboxFault):
            return None

    def _set_aside(self, name: str, suffix: str) -> None:
        with contextlib.suppress(OSError):
            self._vault.rename(name, name.removesuffix(WAITS) + suffix)
