"""Reading on from where one was: what a reader of a growing log needs. Owned by the thread that reads."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edge.audit import chain
from edge.audit.chain import FIRST, Line
from edge.audit.log import Audit


class Mark(NamedTuple):
    """A line: how far somebody has read."""

    n: int = 0
    sum: str = FIRST


class Follower:
    """Gives line after line of one log, through all of its files. It finds its place by a line's sum: numbers can be
    tampered with, and must not make it pass over what came after."""

    def __init__(self, audit: Audit, mark: Mark = Mark()) -> None:  # noqa: B008 - it is frozen
        self.audit = audit
        self.mark = mark  # the last line that was given
        self.is_lost = False  # that line is in the log no more: it was cut off or altered, and is read from its start
        self._file: BinaryIO | None = None

    def next(self) -> Line | None:
        """The line after the last one, or None while there is none. One that cannot be read is passed over."""
        if self._file is None:
            self._open()
        while self._file is not None:
            line = self._read_line(self._file)
            if line is None:
                later = self._later(self._file)
                if later is None:
                    return None
                line = self._read_line(self._file)  # the last one, written just before the file was set aside
                if line is None:
                    self._turn_to(later)
                    continue
            entry, total = chain.decoded(line), chain.sum_of(line)
            if entry is not None:
                self.mark = Mark(entry.n, total)
                return Line(entry, total)
        return None

    def rewind(self, mark: Mark) -> None:
        self.close()
        self.mark = mark

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        files = self.audit.files()
        if self.mark.sum != FIRST:
            for path in reversed(files):
                if (file := _opened_after(path, self.mark.sum)) is not None:
                    self._file = file
                    return
            self.is_lost = True
        if files:
            self._take(files[0], None)

    def _read_line(self, file: BinaryIO) -> bytes | None:
        at = file.tell()
        line = file.readline()
        if line.endswith(b"\n"):
            return line[:-1]
        file.seek(at)  # being written, or torn
        return None

    def _later(self, file: BinaryIO) -> Path | None:
        """The file after this one, where there is one."""
        with contextlib.suppress(OSError):
            ours, files = os.fstat(file.fileno()), self.audit.files()
            at = next((n for n, path in enumerate(files) if os.path.samestat(path.stat(), ours)), None)
            if at is None:
                self.close()  # it was taken away: the next look finds the place by its mark
            elif at + 1 < len(files):
                return files[at + 1]
        return None

    def _turn_to(self, path: Path) -> None:
        self._take(path, self._file)

    def _take(self, path: Path, before: BinaryIO | None) -> None:
        """Unless it is another file by now: between the look and the opening a log may be set aside, and its name be
        that of the next. Then the next look tries again."""
        with contextlib.suppress(OSError):
            file = path.open("rb")
            place = self._place(file)
            if place == (0 if before is None else self._place(before) + 1):
                self.close()
                self._file = file
            else:
                file.close()

    def _place(self, file: BinaryIO) -> int:
        """Among all files of the log; -1 where it is taken away."""
        ours = os.fstat(file.fileno())
        return next((n for n, path in enumerate(self.audit.files()) if os.path.samestat(path.stat(), ours)), -1)


def _opened_after(path: Path, total: str) -> BinaryIO | None:
    """The file, at what follows the line with this sum."""
    try:
        file = path.open("rb")
    except OSError:
        return None
    for line in iter(file.readline, b""):
        if line.endswith(b"\n") and chain.sum_of(line[:-1]) == total:
            return file
    file.close()
    return None
