"""Copies for an identity that was corrected: new UIDs, the new identity, and a reference to what they replace.

UIDs are derived from the old one and the new exam, so that the two objects of a pair, corrected one after the other,
still point at each other, and correcting twice gives the same copy.
"""

from __future__ import annotations

from datetime import datetime
from typing import BinaryIO

from pydicom.dataset import Dataset

from edge.dicom import common, uids
from edge.dicom.facts import SOFTWARE, Module, Visit, code, fill, item, put
from edge.dicom.part10 import Made, made_of
from edge.dicom.stored import Stored
from edge.dicom.take import Station
from edge.dicom.texts import date_time
from edge.exam import Exam

IDENTITY: tuple[Module[Visit], ...] = (common.PATIENT, common.PATIENT_STUDY, common.STUDY, common.REQUEST, common.STEP)
MODIFYING_EQUIPMENT = code("109103", "DCM", "Modifying Equipment")
_REFERENCES = ("SourceImageSequence", "ReferencedImageSequence", "ReferencedSeriesSequence")


def corrected(stream: BinaryIO, exam: Exam, station: Station, at: datetime, *, was_sent: bool = True) -> Made:
    """A copy under the exam's identity, to be written while the stream is open; the pixels stay byte for byte.

    `at` is the wall time of the correction. An object that never left the appliance (`was_sent` false) is replaced
    without a reference: the archive would look for something that it never had.
    """
    stored = Stored(stream)
    elements = stored.elements
    replaced = _address(elements)
    for module in IDENTITY:
        for attribute in module.attributes:
            elements.pop(attribute.keyword, None)
    fill(elements, IDENTITY, Visit(exam, station, at))
    _new_uids(elements, exam, station)
    if was_sent:
        _say_what_it_replaces(elements, replaced, station, at)
    return made_of(elements, stored.syntax_uid, stored.copy_pixels)


def _address(elements: Dataset) -> Dataset:
    """What is told about the object replaced: where it is, not whose it was said to be."""
    return item(
        StudyInstanceUID=str(elements.StudyInstanceUID),
        SeriesInstanceUID=str(elements.SeriesInstanceUID),
        SOPClassUID=str(elements.SOPClassUID),
        SOPInstanceUID=str(elements.SOPInstanceUID),
    )


def _new_uids(elements: Dataset, exam: Exam, station: Station) -> None:
    def new(uid: object) -> str:
        return uids.derived(station.uid_root, str(uid), exam.uid)

    def follow(items: list[Dataset]) -> None:
        for one in items:
            for keyword in ("ReferencedSOPInstanceUID", "SeriesInstanceUID"):
                if keyword in one:
                    one[keyword].value = new(one[keyword].value)
            follow(list(one.get("ReferencedInstanceSequence") or []))

    elements.SOPInstanceUID = new(elements.SOPInstanceUID)
    elements.SeriesInstanceUID = new(elements.SeriesInstanceUID)
    for keyword in _REFERENCES:
        follow(list(elements.get(keyword) or []))


def _say_what_it_replaces(elements: Dataset, replaced: Dataset, station: Station, at: datetime) -> None:
    software = station.software or SOFTWARE
    put(elements, "OriginalAttributesSequence", [item(
        ModifiedAttributesSequence=[replaced],
        AttributeModificationDateTime=date_time(at),
        ModifyingSystem=station.name or software,
        ReasonForTheAttributeModification="CORRECT",
    )])  # fmt: skip
    put(elements["OriginalAttributesSequence"].value[0], "SourceOfPreviousValues", None, "2")
    equipment = item(
        PurposeOfReferenceCodeSequence=MODIFYING_EQUIPMENT, Manufacturer=station.manufacturer, StationName=station.name,
        ManufacturerModelName=station.model, DeviceSerialNumber=station.serial, SoftwareVersions=software,
        ContributionDateTime=date_time(at), ContributionDescription="Identity corrected after the object was sent",
    )  # fmt: skip
    put(elements, "ContributingEquipmentSequence",
        [*(elements.get("ContributingEquipmentSequence") or []), equipment])  # fmt: skip
