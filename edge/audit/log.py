"""One log: a file that is appended to, and the older files that it grew out of. Any thread of any process may append.

    audit.jsonl                  the current file
    audit-000000000001.jsonl     an older one, named after the number of its first line; the chain goes on in the next

Writers take turns by a lock on the current file. Nothing is ever removed here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge import durable
from edge.audit import chain, seal
from edge.audit.chain import FIRST, Entry, Fault
from edge.signing import Signer

LONGEST_LINE = 64 << 10
LARGEST_FILE = 8 << 20
BLOCK = 64 << 10
MakeFacts = Callable[[int, str], Mapping[str, object]]  # from the line's number and the sum of the one before


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found."""

    entries: int
    head: str  # the sum of the last line
    faults: tuple[str, ...]
    details: tuple[Fault, ...] = ()
    sealed: int | None = None  # up to which line a trusted key vouches for the log; None: that was not asked


class Audit:
    """A log. The object holds nothing open: it may be made as often as one likes."""

    def __init__(
        self, path: Path, wall: Callable[[], datetime], who: str, largest: int = LARGEST_FILE, name: str = ""
    ) -> None:
        self.path = path
        self._wall = wall
        self._who = who
        self._largest = largest
        self.name = name or path.parent.name

    # ------------------------------------------------ writing

    def append(self, did: str, to: str, facts: Mapping[str, object] | None = None) -> None:
        """Durable when it returns. Raises OSError where the disk does."""
        self._append(did, to, lambda _n, _before: facts or {})

    def seal(self, signer: Signer) -> bool:
        """Sign everything so far, unless the last line does that already."""
        n, _, last = self._end()
        if n == 0 or (last is not None and (last.did, last.to) == (seal.SEALED, signer.id)):
            return False
        self._append(seal.SEALED, signer.id, lambda n, before: seal.facts_of(signer, self.name, n, before))
        return True

    def _append(self, did: str, to: str, facts: MakeFacts) -> None:
        with self._current() as fd:
            try:
                self._write(fd, did, to, facts)
            finally:
                fcntl.flock(fd, fcntl.LOCK_UN)
            os.fsync(fd)  # outside the lock: many who wait for the disk wait together

    @contextlib.contextmanager
    def _current(self) -> Generator[int, None, None]:
        """The current file, locked, with room for another line."""
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._belongs_to_its_folder(fd)
                fcntl.flock(fd, fcntl.LOCK_EX)
                if self._is_still_current(fd) and not self._set_aside_if_full(fd):
                    yield fd
                    return
            finally:
                os.close(fd)

    def _is_still_current(self, fd: int) -> bool:
        """Somebody else may have set it aside while we waited for the lock."""
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(fd), self.path.stat())
        return False

    def _set_aside_if_full(self, fd: int) -> bool:
        if os.fstat(fd).st_size < self._largest:
            return False
        first = chain.decoded(os.pread(fd, LONGEST_LINE, 0).split(b"\n", 1)[0])
        number = first.n if first is not None else self._end_of(fd)[0]
        older = self._file_of(number)
        if older.exists():
            return False  # numbers were tampered with: better a long file than one that is overwritten
        os.fsync(fd)
        durable.rename_durably(self.path, older)
        return True

    def _belongs_to_its_folder(self, fd: int) -> None:
        """An operator who is root must not lock the service out of its own log."""
        if os.geteuid() == 0 and os.fstat(fd).st_size == 0:
            owner = self.path.parent.stat()
            os.fchown(fd, owner.st_uid, owner.st_gid)

    def _write(self, fd: int, did: str, to: str, facts: MakeFacts) -> None:
        n, before, _ = self._end(fd)
        torn = self._cut_torn_tail(fd)
        lines = b""
        if torn:
            lines += self._line(n + 1, "mended", "audit", {"torn_bytes": torn}, before)
            n, before = n + 1, chain.sum_of(lines[:-1])
        lines += self._line(n + 1, did, to, facts(n + 1, before), before)
        end = os.lseek(fd, 0, os.SEEK_END)
        try:
            written = 0
            while written < len(lines):
                written += os.write(fd, lines[written:])
        except OSError:
            os.ftruncate(fd, end)  # a full disk: better no line than half of one
            raise

    def _line(self, n: int, did: str, to: str, facts: Mapping[str, object], before: str) -> bytes:
        when = self._wall().isoformat(timespec="milliseconds")
        return chain.encoded(Entry(n, when, self._who, did, to, dict[str, Any](facts), before))

    def _cut_torn_tail(self, fd: int) -> int:
        """A line without its end was cut off by a power cut; nobody was told that it was written."""
        size = os.fstat(fd).st_size
        tail = os.pread(fd, min(size, LONGEST_LINE), max(0, size - LONGEST_LINE))
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        if torn:
            os.ftruncate(fd, size - torn)
        return torn

    # ------------------------------------------------ where it ends

    def end(self) -> tuple[int, str]:
        """The number and the sum of the last line."""
        return self._end()[:2]

    def _end(self, fd: int | None = None) -> tuple[int, str, Entry | None]:
        """Of the current file, or where that has no line yet, of the one before."""
        if fd is not None and (end := self._end_of(fd))[1]:
            return end
        for path in reversed(self.files() if fd is None else self._older()):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                if (end := self._end_of(file.fileno()))[1]:
                    return end
        return 0, FIRST, None

    def _end_of(self, fd: int) -> tuple[int, str, Entry | None]:
        size = os.fstat(fd).st_size
        tail = os.pread(fd, min(size, 2 * LONGEST_LINE), max(0, size - 2 * LONGEST_LINE))
        whole = tail[: tail.rfind(b"\n") + 1].rstrip(b"\n")
        if not whole:
            return 0, "", None
        line = whole[whole.rfind(b"\n") + 1 :]
        entry = chain.decoded(line)  # one that was altered: the chain goes on from it as it is, and `verify` tells
        return entry.n if entry else 0, chain.sum_of(line), entry

    # ------------------------------------------------ reading

    def files(self) -> list[Path]:
        """The oldest first."""
        with contextlib.suppress(PermissionError):  # a folder that is closed to us has no files for us
            return [*self._older(), *([self.path] if self.path.exists() else [])]
        return []

    def is_open_to_us(self) -> bool:
        """Whether its files can be read; one that is not there yet can."""
        try:
            for path in self.files():
                path.open("rb").close()
            return not self.path.parent.exists() or os.access(self.path.parent, os.R_OK | os.X_OK)
        except OSError:
            return False

    def _older(self) -> list[Path]:
        stem, suffix = self.path.stem, self.path.suffix
        return sorted(self.path.parent.glob(f"{stem}-{'[0-9]' * 12}{suffix}"))

    def _file_of(self, first: int) -> Path:
        return self.path.with_name(f"{self.path.stem}-{first:012d}{self.path.suffix}")

    def entries(self) -> Iterator[Entry]:
        """Those that can be read, the oldest first; `verify` says whether all can."""
        return (entry for line in self.lines() if (entry := chain.decoded(line)) is not None)

    def newest_first(self) -> Iterator[Entry]:
        """Likewise, from the end: nobody who wants a page of it reads the whole log."""
        for path in reversed(self.files()):
            with contextlib.suppress(FileNotFoundError):
                yield from (entry for line in _backwards(path) if (entry := chain.decoded(line)) is not None)

    def lines(self) -> Iterator[bytes]:
        """Whole lines, without their ends."""
        for path in self.files():
            try:
                with path.open("rb") as file:
                    yield from (line[:-1] for line in file if line.endswith(b"\n"))
            except FileNotFoundError:
                continue

    # ------------------------------------------------ judging

    def verify(self, public: Ed25519PublicKey | None = None, heads: Iterable[str] = ()) -> Verdict:
        """Is it what was written? `heads`: sums that were noted earlier, and have to be in it still."""
        wanted, count, head, whole = set(heads), 0, FIRST, chain.Whole()
        for line in self.lines():
            one = chain.link(line)
            whole.see(one)
            count, head = count + 1, one.sum
            wanted.discard(one.sum)
        found = [] if whole.is_so else chain.faults([chain.link(line) for line in self.lines()])
        found += [
            Fault("cut", 0, f"{one[:16]}... is no line of the log: the log was cut off, or written anew")
            for one in sorted(wanted)
        ]
        seals = seal.check(self.entries(), self.name, public) if public is not None else None
        found += seals.faults if seals is not None else ()
        words = tuple(fault.words for fault in found)
        return Verdict(count, head, words, tuple(found), seals.up_to if seals is not None else None)


def _backwards(path: Path) -> Iterator[bytes]:
    """The whole lines of a file, the last first."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        rest, is_last = b"", True
        while at > 0:
            start = max(0, at - BLOCK)
            file.seek(start)
            pieces = (file.read(at - start) + rest).split(b"\n")
            at, rest = start, pieces[0]
            for piece in reversed(pieces[1:]):
                if is_last:  # what follows the last end of a line: nothing, or a torn line
                    is_last = False
                    continue
                yield piece
        if not is_last:
            yield rest
