"""An outbox on a manual clock, and small objects to put into it. Not a test itself."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import BinaryIO, Literal

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage, generate_uid

from edge.clock import SECOND, ManualClock
from edge.outbox import Draft, Item, Outbox, Settings

HOUR = 3600
ROOMY = Settings(watermark_percent=100, least_free_mb=0)


def memory_disk() -> Path | None:
    """A folder in memory, where there is such a place: for tests that write so much that a slow disk would tell."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else None


@dataclass
class Wall:
    """A wall clock that goes where it is put."""

    now: datetime = datetime(2026, 11, 20, 19, 15, 30, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        self.now += timedelta(microseconds=1)
        return self.now


@dataclass(frozen=True)
class Thing:
    """Ready to be written, as `edge.dicom` would make it; what is in it does not matter to most tests."""

    content: bytes = field(repr=False)
    role: str = "original"
    sop_uid: str = field(default_factory=generate_uid)
    sop_class: str = UltrasoundImageStorage
    series_uid: str = "2.25.1"
    study_uid: str = "2.25.2"
    transfer_syntax: str = ExplicitVRLittleEndian
    modality: str = "US"
    frames: int = 1

    def write(self, to: BinaryIO) -> None:
        middle = len(self.content) // 2
        to.write(self.content[:middle])
        assert to.tell() == middle
        to.write(self.content[middle:])


class Failing(Thing):
    """The disk refuses halfway through."""

    def write(self, to: BinaryIO) -> None:
        to.write(self.content)
        raise OSError(5, "Input/output error")


def content(seed: object, size: int) -> bytes:
    """The same for the same seed, whoever asks."""
    return hashlib.shake_128(repr(seed).encode()).digest(size)


def draft(*objects: Thing, priority: Literal["routine", "stat"] = "routine", held: bool = False) -> Draft:
    return Draft("2.25.9", "US", priority, "still", "2026-11-20T20:15:30+01:00", held, objects)


def pair(seed: object = 0, size: int = 3000) -> list[Thing]:
    return [Thing(content((seed, role), size), role) for role in ("original", "enhanced")]


def dicom(role: str = "original", patient: str = "PHANTOM^ONE", **more: str) -> Thing:
    """A small object that DICOM programs can read."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UltrasoundImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    facts = Dataset()
    facts.file_meta = meta
    facts.SOPClassUID, facts.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    facts.StudyInstanceUID, facts.SeriesInstanceUID = "2.25.2", f"2.25.{1 + (role == 'enhanced')}"
    facts.PatientName, facts.PatientID, facts.Modality = patient, "PH-001", "US"
    facts.StudyDate, facts.StudyTime, facts.StudyID = "20261120", "201530", "1"
    facts.SeriesNumber, facts.InstanceNumber = 1 + (role == "enhanced"), 1
    facts.Rows = facts.Columns = 16
    facts.BitsAllocated = facts.BitsStored = 8
    facts.HighBit, facts.PixelRepresentation, facts.SamplesPerPixel = 7, 0, 1
    facts.PhotometricInterpretation, facts.PixelData = "MONOCHROME2", content(role, 256)
    for keyword, value in more.items():
        setattr(facts, keyword, value)
    file = io.BytesIO()
    facts.save_as(file, enforce_file_format=True)
    return Thing(file.getvalue(), role, meta.MediaStorageSOPInstanceUID, series_uid=facts.SeriesInstanceUID)


class Rig:
    """One outbox, as the live process and the forwarder see it, through any number of restarts."""

    def __init__(self, folder: Path, settings: Settings = ROOMY, destinations: Sequence[str] = ("pacs",)) -> None:
        self.folder = folder
        self.settings = settings
        self.destinations = destinations
        self.clock, self.wall = ManualClock(), Wall()
        self.box = self._open()

    def _open(self) -> Outbox:
        box = Outbox(self.folder, self.settings, self.wall, self.clock, who="test")
        box.own_putting()
        box.own_sending()
        for destination in self.destinations:
            box.serve(destination)
        return box

    def restart(self) -> None:
        self.box.close()
        self.box = self._open()

    def hours_pass(self, hours: float) -> None:
        self.clock.advance(int(hours * HOUR * SECOND))

    def captures_folder(self) -> Path:
        return self.folder / "captures"

    def everything_on_disk(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.captures_folder().rglob("*")}


def next_item(rig: Rig, destination: str = "pacs") -> Item:
    item = rig.box.next(destination)
    assert item is not None
    return item


def finish(rig: Rig, destination: str = "pacs") -> None:
    """Everything that waits is sent, asked for and confirmed."""
    while (item := rig.box.next(destination)) is not None:
        rig.box.sent(item)
        rig.box.asked([item], "2.25.77")
        rig.box.confirmed(item)
