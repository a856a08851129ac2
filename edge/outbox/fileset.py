"""A DICOM file-set with its DICOMDIR, from captures of the outbox to a folder or a stick. Runs in the command.

The files are those of the outbox, byte for byte (unsealed on the way). Everything is written beside its place, read
back and compared; only then is it moved there, the DICOMDIR last.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from edge import durable
from edge.errors import OutboxFault
from edge.outbox.box import Outbox
from edge.outbox.record import Capture, Stored

PIECE = 1 << 20
UNFINISHED = "LIMPID.TMP"
DICOMDIR = "DICOMDIR"
_FOR_THE_DIRECTORY = (
    "SpecificCharacterSet", "PatientName", "PatientID", "StudyDate", "StudyTime", "StudyID", "StudyDescription",
    "StudyInstanceUID", "AccessionNumber", "Modality", "SeriesInstanceUID", "SeriesNumber", "InstanceNumber",
    "SOPClassUID", "SOPInstanceUID",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exported:
    """One object that is on the stick now."""

    capture: str
    object: str
    file: str  # its path in the file-set
    sha256: str


Chosen = list[tuple[Capture, Stored]]
Progress = Callable[[int], None]


def export(box: Outbox, chosen: Chosen, target: Path, progress: Progress = lambda _count: None) -> list[Exported]:
    """Write a file-set into a folder that has none. Raises OutboxFault where it did not come out as it should."""
    work = target / UNFINISHED
    try:
        _prepare(target, chosen)
        durable.remove_tree(work)  # of an export that was cut off
        work.mkdir(parents=True)
        with _staging_in(work):
            exported = _write(box, chosen, work, progress)
        _read_back(work, chosen, exported, progress)
        _move_into_place(work, target)
    except OSError as error:
        durable.remove_tree(work)
        raise OutboxFault(
            f"the export to {target} failed ({error.strerror or error}): nothing was left there"
        ) from error
    except BaseException:
        durable.remove_tree(work)
        raise
    return exported


def _prepare(target: Path, chosen: Chosen) -> None:
    if target.exists() and any(name.name == DICOMDIR or name.name.startswith("PT0") for name in target.iterdir()):
        raise OutboxFault(f"{target} holds a file-set already: choose another folder")
    needed = sum(stored.size for _, stored in chosen) / 1e6
    _, free = durable.room(target)
    if needed > free:
        raise OutboxFault(f"{target} has {free:.0f} MB free, needed are {needed:.0f}")


@contextlib.contextmanager
def _staging_in(folder: Path) -> Generator[None, None, None]:
    """The file-set library keeps drafts in temporary files: on the stick, and not in /tmp, is where they belong."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _write(box: Outbox, chosen: Chosen, work: Path, progress: Progress) -> list[Exported]:
    paths = _write_directory(box, chosen, work)
    exported: list[Exported] = []
    for capture, stored in chosen:
        path = paths[stored.sop_uid]
        with box.read(capture, stored) as source:
            sha256 = _copy(source, path, progress)
        exported.append(Exported(capture.id, stored.name, path.relative_to(work).as_posix(), sha256))
    _sync_all(work)
    return exported


def _write_directory(box: Outbox, chosen: Chosen, work: Path) -> dict[str, Path]:
    """The DICOMDIR, and for each object a file of its head alone. Gives where each of them lies, by its UID."""
    files = FileSet()
    try:
        files.ID = "LIMPID"
        for number, (capture, stored) in enumerate(chosen, start=1):
            with box.read(capture, stored) as source:
                files.add(_directory_facts(source, capture, number))
        files.write(work)
        return {str(instance.SOPInstanceUID): Path(instance.path) for instance in files}
    finally:
        # Its temporary folder has no other way out than the garbage collector's, with a warning.
        files._stage["t"].cleanup()  # pyright: ignore[reportPrivateUsage]


def _directory_facts(source: BinaryIO, capture: Capture, number: int) -> Dataset:
    """What the DICOMDIR says of an object. It must say some things that an emergency's object need not know."""
    whole = dcmread(source, stop_before_pixels=True)
    facts = Dataset()
    facts.file_meta = whole.file_meta
    for keyword in _FOR_THE_DIRECTORY:
        if keyword in whole:
            facts[keyword] = whole[keyword]
    day = "".join(character for character in capture.record.captured[:10] if character.isdigit())
    needed: dict[str, Any] = {
        "PatientID": "UNKNOWN", "StudyDate": day, "StudyTime": "000000", "StudyID": "1",
        "SeriesNumber": number, "InstanceNumber": number,
    }  # fmt: skip
    for keyword, stand_in in needed.items():
        if facts.get(keyword) in (None, ""):
            setattr(facts, keyword, stand_in)
    return facts


def _copy(source: BinaryIO, path: Path, progress: Progress) -> str:
    sha256 = hashlib.sha256()
    with path.open("wb") as file:
        while piece := source.read(PIECE):
            sha256.update(piece)
            file.write(piece)
            progress(len(piece))
        file.flush()
        os.fsync(file.fileno())
    return sha256.hexdigest()


def _sync_all(work: Path) -> None:
    for path in [*work.rglob("*"), work]:
        if path.is_dir():
            durable.sync_folder(path)
    with (work / DICOMDIR).open("rb") as file:
        os.fsync(file.fileno())


def _read_back(work: Path, chosen: Chosen, exported: list[Exported], progress: Progress) -> None:
    for one in exported:
        if _sum_from_disk(work / one.file, progress) != one.sha256:
            raise OutboxFault(f"{one.file} does not read back as it was written: the stick is not to be trusted")
    records = dcmread(work / DICOMDIR).DirectoryRecordSequence
    listed = {(str(one.ReferencedSOPInstanceUIDInFile), "/".join(one.ReferencedFileID))
              for one in records if "ReferencedFileID" in one}  # fmt: skip
    if listed != {(stored.sop_uid, one.file) for (_, stored), one in zip(chosen, exported, strict=True)}:
        raise OutboxFault("the DICOMDIR does not list what was written: the stick is not to be trusted")


def _sum_from_disk(path: Path, progress: Progress) -> str:
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # from the stick, not from memory
        while piece := file.read(PIECE):
            sha256.update(piece)
            progress(len(piece))
    return sha256.hexdigest()


def _move_into_place(work: Path, target: Path) -> None:
    for path in sorted(work.iterdir(), key=lambda path: path.name == DICOMDIR):
        path.rename(target / path.name)
    work.rmdir()
    durable.sync_folder(target)
