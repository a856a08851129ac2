"""A folder: a USB disk, a network share. Durable copies that never overwrite anything, confirmed by reading back.

One file an object: PATH/<capture>/<object>. Neither name says anything about the patient.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from edge.errors import ConfigError, SinkRejected, SinkUnavailable
from edge.sinks import Answer, Parcel, Receipt, Sink

BLOCK = 1 << 20


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    mounted: bool = False  # only while something is mounted there: never write to the bare mount point


def open_sink(name: str, options: Options) -> Sink:
    if not Path(options.path).is_absolute():
        raise ConfigError(f'[destination.{name}.folder] path "{options.path}" is not absolute')
    return FolderSink(options)


class FolderSink:
    lanes = 1
    confirms = True

    def __init__(self, options: Options) -> None:
        self._root = Path(options.path)
        self._mounted = options.mounted
        self._answers: list[Answer] = []

    def send(self, parcel: Parcel) -> Receipt:
        self._see_root()
        target = self._target(parcel)
        with _as_unavailable():
            if target.exists():
                return self._already(parcel, target)
            target.parent.mkdir(exist_ok=True)
            unfinished = target.with_name(f".{target.name}.tmp")
            with parcel.open() as stream, unfinished.open("wb") as file:
                _copy(stream, file)
            unfinished.rename(target)  # this sink is the only writer; a share may know no links
            _sync_folder(target.parent)
            _sync_folder(self._root)
        return Receipt()

    def ask(self, transaction: str, parcels: Sequence[Parcel]) -> None:
        self._see_root()
        for parcel in parcels:
            self._answers.append(Answer(transaction, {parcel.sop_uid: self._holds(parcel)}))

    def answers(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def check(self) -> str:
        self._see_root()
        if not os.access(self._root, os.W_OK):
            raise SinkUnavailable(f"{self._root} cannot be written")
        return f"{self._root} can be written"

    def rest(self) -> None: ...

    def close(self) -> None: ...

    def _target(self, parcel: Parcel) -> Path:
        return self._root / Path(parcel.capture).name / f"{Path(parcel.object).name.removesuffix('.sealed')}"

    def _see_root(self) -> None:
        if not self._root.is_dir() or (self._mounted and not self._root.is_mount()):
            raise SinkUnavailable(f"{self._root} is not there")

    def _already(self, parcel: Parcel, target: Path) -> Receipt:
        if _same(parcel, target):
            return Receipt("it was there already")
        raise SinkRejected("another file of this name is there already")

    def _holds(self, parcel: Parcel) -> bool | str:
        target = self._target(parcel)
        with _as_unavailable():
            if not target.exists():
                return "it is not there"
            return True if _same(parcel, target) else "what is there is not what was written"


@contextlib.contextmanager
def _as_unavailable() -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise SinkUnavailable(f"the folder cannot be used: {error.strerror}") from error


def _copy(stream: BinaryIO, file: BinaryIO) -> None:
    while block := stream.read(BLOCK):
        file.write(block)
    file.flush()
    os.fsync(file.fileno())


def _same(parcel: Parcel, path: Path) -> bool:
    """Compare with what lies on the disk, not with what the system remembers of it."""
    with parcel.open() as ours, path.open("rb") as theirs:
        with contextlib.suppress(OSError, AttributeError):
            os.posix_fadvise(theirs.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while block := ours.read(BLOCK):
            if theirs.read(len(block)) != block:
                return False
        return theirs.read(1) == b""


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some shares cannot
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
