"""Objects into their files: written, summed and flushed. Called by the one who puts or replaces a capture.

The objects of a capture are written at the same time, a thread each: a clip's two files of a hundred megabytes take no
longer than one, as writing, summing and flushing let go of the interpreter. What is written is sent on to the disk at
once, so that the flush at the end has little left to wait for. The threads inherit the caller's priority.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from edge import durable
from edge.outbox.record import Stored, Writable
from edge.outbox.seal import Key, Sealer

BUFFER = 1 << 20  # frames are gathered: each write and each sum asks for the interpreter, which live needs too
AHEAD = 4 << 20  # bytes after which the disk is told to begin
MOST_AT_ONCE = 4
_FACTS = ("role", "sop_class", "sop_uid", "series_uid", "study_uid", "transfer_syntax", "modality")


def write_objects(folder: Path, names: Sequence[str], objects: Sequence[Writable], key: Key | None) -> list[Stored]:
    """All of them, durable but for the folder's own entry; the first trouble is raised when all have ended."""
    with ThreadPoolExecutor(min(len(objects), MOST_AT_ONCE), "write") as threads:
        writing = [
            threads.submit(_write_object, folder, name, made, key) for name, made in zip(names, objects, strict=True)
        ]
    return [one.result() for one in writing]


def write_file(path: Path, content: bytes) -> None:
    fd = durable.create(path)
    try:
        durable.write_all(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_object(folder: Path, name: str, made: Writable, key: Key | None) -> Stored:
    path = folder / (f"{name}.sealed" if key else name)
    file = _Sum(durable.create(path))
    try:
        raw = Sealer(key, file.write) if key else _Plain(file)
        with contextlib.closing(io.BufferedWriter(raw, BUFFER)) as to:
            try:
                made.write(cast("BinaryIO", to))
                to.flush()
                size = raw.tell()
                raw.finish()
                os.fsync(file.fd)
            finally:
                file.given_up = True
    finally:
        os.close(file.fd)
    # What is handed over may be of a library's own kind of string; a record holds plain ones.
    facts = {name: str(getattr(made, name)) for name in _FACTS}
    sha256, sealed = file.sha256.hexdigest(), key.id if key else ""
    return Stored(
        name=name, frames=int(made.frames), size=size, stored_size=file.size, sha256=sha256, sealed=sealed, **facts
    )


@dataclass
class _Sum:
    """Counts and sums what reaches the file."""

    fd: int
    size: int = 0
    given_up: bool = False  # the file is closed: what a buffer above still holds goes nowhere

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self._begun = 0

    def write(self, data: bytes) -> None:
        if self.given_up:
            return
        durable.write_all(self.fd, data)
        self.sha256.update(data)
        self.size += len(data)
        if self.size - self._begun >= AHEAD:
            durable.begin_flush(self.fd, self._begun, self.size - self._begun)
            self._begun = self.size


class _Plain(io.RawIOBase):
    """As `Sealer`, without the seal."""

    def __init__(self, file: _Sum) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.size

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self._file.write(cast("bytes", view))
        return len(view)

    def finish(self) -> None: ...
