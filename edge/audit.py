"""Who did what to which object: append-only, durable, each line chained to the one before. No patient data.

One JSON object a line:

    {"n": 17, "when": "2026-11-20T19:15:30+00:00", "who": "forward", "did": "sent", "to": "20261120T...-4f2a91",
     "facts": {"object": "1-original.dcm", "destination": "pacs"}, "before": "<SHA-256 of the line before>"}

A line that was changed, taken out or put in breaks the chain. The last one has nothing after it yet: whoever wants to
see that it was changed, or that lines were cut off at the end, keeps its sum (`limpid outbox verify`) elsewhere.
Any thread of any process may append; they take turns by a lock on the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

FIRST = "0" * 64
LONGEST_LINE = 64 << 10


class Entry(msgspec.Struct, frozen=True):
    n: int
    when: str
    who: str
    did: str
    to: str  # a capture's id, or another thing's name
    facts: dict[str, Any]
    before: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found."""

    entries: int
    head: str  # the sum of the last line
    faults: tuple[str, ...]


class Audit:
    """The log in one file."""

    def __init__(self, path: Path, wall: Callable[[], datetime], who: str) -> None:
        self._path = path
        self._wall = wall
        self._who = who

    def append(self, did: str, to: str, facts: Mapping[str, object] | None = None) -> None:
        """Durable when it returns. Raises OSError where the disk does."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._belongs_to_its_folder(fd)
            fcntl.flock(fd, fcntl.LOCK_EX)
            try:
                self._write(fd, did, to, dict(facts or {}))
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)
            os.fsync(fd)  # outside the lock: many who wait for the disk wait together
        finally:
            os.close(fd)

    def _belongs_to_its_folder(self, fd: int) -> None:
        """An operator who is root must not lock the service out of its own log."""
        if os.geteuid() == 0 and os.fstat(fd).st_size == 0:
            owner = self._path.parent.stat()
            os.fchown(fd, owner.st_uid, owner.st_gid)

    def _write(self, fd: int, did: str, to: str, facts: dict[str, Any]) -> None:
        n, before = self._last(fd)
        torn = self._cut_torn_tail(fd)
        lines = b""
        if torn:
            lines += self._line(n + 1, "mended", "audit", {"torn_bytes": torn}, before)
            n, before = n + 1, _sum(lines[:-1])
        lines += self._line(n + 1, did, to, facts, before)
        end = os.lseek(fd, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(lines):
                written += os.write(fd, lines[written:])
        except OSError:
            os.ftruncate(fd, end)  # a full disk: better no line than half of one
            raise

    def _line(self, n: int, did: str, to: str, facts: dict[str, Any], before: str) -> bytes:
        when = self._wall().isoformat(timespec="milliseconds")
        return msgspec.json.encode(Entry(n, when, self._who, did, to, facts, before)) + b"\n"

    def _last(self, fd: int) -> tuple[int, str]:
        """The number and the sum of the last whole line."""
        size = os.fstat(fd).st_size
        tail = os.pread(fd, min(size, 2 * LONGEST_LINE), max(0, size - 2 * LONGEST_LINE))
        whole = tail[: tail.rfind(b"\n") + 1].rstrip(b"\n")
        if not whole:
            return 0, FIRST
        line = whole[whole.rfind(b"\n") + 1 :]
        try:
            return msgspec.json.decode(line, type=Entry).n, _sum(line)
        except msgspec.MsgspecError:
            return 0, _sum(line)  # altered: the chain goes on from it as it is, and `verify` tells

    def _cut_torn_tail(self, fd: int) -> int:
        """A line without its end was cut off by a power cut; nobody was told that it was written."""
        size = os.fstat(fd).st_size
        tail = os.pread(fd, min(size, LONGEST_LINE), max(0, size - LONGEST_LINE))
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn:
            os.ftruncate(fd, size - torn)
        return torn

    def entries(self) -> Iterator[Entry]:
        """Those that can be read; `verify` says whether all can."""
        for line in self._lines():
            try:
                yield msgspec.json.decode(line, type=Entry)
            except msgspec.MsgspecError:
                continue

    def verify(self) -> Verdict:
        faults: list[str] = []
        n, head = 0, FIRST
        for number, line in enumerate(self._lines(), start=1):
            faults += _faults_of(line, number, n, head)
            n, head = number, _sum(line)
        return Verdict(n, head, tuple(faults))

    def _lines(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                yield from (line[:-1] for line in file if line.endswith(b"\n"))
        except FileNotFoundError:
            return


def _faults_of(line: bytes, number: int, last: int, head: str) -> Iterator[str]:
    try:
        entry = msgspec.json.decode(line, type=Entry)
    except msgspec.MsgspecError:
        yield f"line {number} cannot be read"
        return
    if entry.before != head:
        yield f"line {number} does not follow the one before: one of the two was altered, or some between are missing"
    if entry.n != last + 1:
        yield f"line {number} says that it is number {entry.n}"


def _sum(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
