"""A worklist (dcmtk's wlmscpfs, or Orthanc's) and somebody to tell of procedure steps. Not a test itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import ModalityPerformedProcedureStep  # type: ignore[attr-defined]

from tests.archives import free_port, is_listening, need, orthanc, process, until

WLMSCPFS = "/usr/bin/wlmscpfs"
WORKLIST_PLUGIN = "/usr/share/orthanc/plugins/libModalityWorklists.so"
WORKLIST_CLASS = "1.2.276.0.7230010.3.1.0.1"


@dataclass(frozen=True)
class Scheduled:
    """One line of the day's list."""

    name: str
    id: str
    birth_date: str
    accession: str
    study_uid: str
    day: str  # YYYYMMDD
    step_id: str = "STEP1"
    modality: str = "US"

    def dataset(self) -> Dataset:
        item, step = Dataset(), Dataset()
        item.SpecificCharacterSet = "ISO_IR 192"
        item.PatientName, item.PatientID, item.PatientBirthDate, item.PatientSex = (
            self.name,
            self.id,
            self.birth_date,
            "F",
        )
        item.AccessionNumber, item.StudyInstanceUID = self.accession, self.study_uid
        item.RequestedProcedureID, item.RequestedProcedureDescription = "PROC1", "Ultrasound of the phantom"
        item.ReferringPhysicianName = "PHANTOM^REFERRER"
        step.Modality, step.ScheduledStationAETitle = self.modality, "LIMPID"
        step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = self.day, "101500"
        step.ScheduledProcedureStepID, step.ScheduledProcedureStepDescription = self.step_id, "Look at it"
        item.ScheduledProcedureStepSequence = [step]
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.file_meta.MediaStorageSOPClassUID = WORKLIST_CLASS
        item.file_meta.MediaStorageSOPInstanceUID = self.study_uid + ".9"
        return item


@contextlib.contextmanager
def worklist(home: Path, items: list[Scheduled], port: int = 0) -> Iterator[int]:
    """Its port."""
    need(WLMSCPFS)
    port, folder = port or free_port(), home / "RIS"
    folder.mkdir(parents=True)
    (folder / "lockfile").touch()
    for number, item in enumerate(items):
        item.dataset().save_as(folder / f"{number}.wl", enforce_file_format=True)
    with process([WLMSCPFS, "-csk", "-dfp", str(home), str(port)], home / "wlm.log"):
        until(lambda: is_listening(port), "the worklist listens")
        yield port


@contextlib.contextmanager
def orthanc_worklist(home: Path, items: list[Scheduled]) -> Iterator[int]:
    """Orthanc's own worklist, by its plugin. Its port."""
    need(WORKLIST_PLUGIN)
    folder = home / "worklists"
    folder.mkdir(parents=True)
    for number, item in enumerate(items):
        item.dataset().save_as(folder / f"{number}.wl", enforce_file_format=True)
    more = {"Plugins": [WORKLIST_PLUGIN], "Worklists": {"Enable": True, "Database": str(folder)}, "DicomAet": "RIS"}
    with orthanc(home / "orthanc", **more) as running:
        yield running.dicom


@dataclass
class StepKeeper:
    """Takes MPPS messages, and may refuse to answer the next few."""

    port: int
    created: list[tuple[str, Dataset]] = field(default_factory=list)
    ended: list[tuple[str, Dataset]] = field(default_factory=list)
    hang_up: int = 0

    def on_create(self, event: Any) -> tuple[int, Dataset | None]:
        uid = str(event.request.AffectedSOPInstanceUID)
        known = [one for one, _ in self.created]
        if uid in known:
            return 0x0111, None
        self.created.append((uid, event.attribute_list))
        self._perhaps_hang_up(event)
        return 0x0000, event.attribute_list

    def on_set(self, event: Any) -> tuple[int, Dataset | None]:
        self.ended.append((str(event.request.RequestedSOPInstanceUID), event.modification_list))
        return 0x0000, event.modification_list

    def _perhaps_hang_up(self, event: Any) -> None:
        if self.hang_up:
            self.hang_up -= 1
            event.assoc.abort()


@contextlib.contextmanager
def step_keeper(port: int | None = None) -> Iterator[StepKeeper]:
    keeper = StepKeeper(port or free_port())
    entity = AE("RIS")
    entity.add_supported_context(ModalityPerformedProcedureStep)
    handlers = [(evt.EVT_N_CREATE, keeper.on_create), (evt.EVT_N_SET, keeper.on_set)]
    server = entity.start_server(("127.0.0.1", keeper.port), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield keeper
    finally:
        server.shutdown()
