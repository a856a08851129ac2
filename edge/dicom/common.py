"""The modules that every kind of object has: patient, study, series, equipment, image pixel, SOP common."""

from __future__ import annotations

import hashlib
from datetime import datetime

from pydicom.dataset import Dataset

from edge.dicom import uids
from edge.dicom.facts import EMPTY, Attribute, Facts, Module, Visit, code, constant, item
from edge.dicom.private import gaps_in_words
from edge.dicom.storedpixels import bits_stored, mapping
from edge.dicom.texts import date, date_time, decimal, fit, offset, time
from edge.exam import Exam, step_id, step_uid

PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"  # Modality Performed Procedure Step SOP class
_MOST_COMMENT = 4000  # readers show comments in one line; the private block has all of it


def opened(facts: Visit) -> datetime:
    """When the exam was opened, in the time zone of the capture."""
    try:
        moment = datetime.fromisoformat(facts.exam.opened.replace("Z", "+00:00"))
    except ValueError:
        return facts.moment
    return moment.astimezone(facts.moment.tzinfo) if moment.tzinfo else moment


def patient_id(exam: Exam) -> str:
    """Never empty: an archive would put every patient without an id into one jacket."""
    return exam.patient.id or f"UNKNOWN-{short_id(exam)}"


def study_uid(facts: Visit) -> str:
    """The exam's; a worklist's that is no UID at all must not cost a capture."""
    exam = facts.exam
    return fit("UI", exam.study_uid) or uids.derived(facts.station.uid_root, exam.study_uid, exam.uid)


def short_id(exam: Exam) -> str:
    return hashlib.sha256(exam.uid.encode()).hexdigest()[:10].upper()


def request(facts: Visit) -> list[Dataset]:
    order = facts.exam.order
    if not (order.procedure_id or order.step_id):
        return []
    return [
        item(
            RequestedProcedureID=order.procedure_id,
            RequestedProcedureDescription=order.procedure,
            RequestedProcedureCodeSequence=code(*order.procedure_code) if order.procedure_code else None,
            ScheduledProcedureStepID=order.step_id,
            ScheduledProcedureStepDescription=order.step,
        )
    ]


def performed_step(facts: Visit) -> list[Dataset]:
    """The step that the archive is told of (MPPS). Of a provisional exam it is told when the identity is known."""
    if not facts.station.tells_steps or facts.exam.provisional:
        return []
    return [item(ReferencedSOPClassUID=PERFORMED_STEP, ReferencedSOPInstanceUID=step_uid(facts.exam))]


def comments(facts: Facts) -> str:
    """What a reader must know about these pixels and would not see."""
    gaps = gaps_in_words(facts)
    scale = "The scale changes within the clip: it is not calibrated" if facts.look.spacing_varies else ""
    told = [mapping(facts.look), f"Gaps: {gaps}" if gaps else "", scale]
    return ". ".join(text for text in told if text)[:_MOST_COMMENT]


def _animal(facts: Visit, value: object) -> object:
    return value if facts.exam.patient.species == "animal" else None


def _of_animals(keyword: str) -> Attribute[Visit]:
    """What the standard wants said of an animal and nobody tells us."""
    return Attribute(keyword, "2C", "animals: not known, empty", lambda f: _animal(f, EMPTY))


PATIENT: Module[Visit] = Module("Patient", (
    Attribute("PatientName", "2", "worklist, typed, or provisional", lambda f: f.exam.patient.name),
    Attribute("PatientID", "2", "worklist, typed, or provisional; never empty", lambda f: patient_id(f.exam)),
    Attribute("IssuerOfPatientID", "3", "worklist", lambda f: f.exam.patient.issuer),
    Attribute("PatientBirthDate", "2", "worklist or typed", lambda f: f.exam.patient.birth_date),
    Attribute("PatientSex", "2", "worklist or typed", lambda f: f.exam.patient.sex),
    Attribute("PatientSpeciesDescription", "1C", "animals: always Animal", lambda f: _animal(f, "Animal")),
    _of_animals("PatientBreedDescription"),
    _of_animals("PatientBreedCodeSequence"),
    _of_animals("BreedRegistrationSequence"),
    _of_animals("ResponsiblePerson"),
    _of_animals("ResponsibleOrganization"),
))  # fmt: skip

PATIENT_STUDY: Module[Visit] = Module("Patient Study", (
    Attribute("PatientAge", "3", "worklist or typed", lambda f: f.exam.patient.age),
    Attribute("PatientSize", "3", "worklist or typed",
              lambda f: f.exam.patient.size_m and decimal(f.exam.patient.size_m)),
    Attribute("PatientWeight", "3", "worklist or typed",
              lambda f: f.exam.patient.weight_kg and decimal(f.exam.patient.weight_kg)),
    _of_animals("PatientSexNeutered"),
))  # fmt: skip

STUDY: Module[Visit] = Module("General Study", (
    Attribute("StudyInstanceUID", "1", "worklist, or made when the exam was opened", study_uid),
    Attribute("StudyDate", "2", "when the exam was opened", lambda f: date(opened(f))),
    Attribute("StudyTime", "2", "when the exam was opened", lambda f: time(opened(f))),
    Attribute("ReferringPhysicianName", "2", "worklist", lambda f: f.exam.order.referring),
    Attribute("StudyID", "2", "requested procedure's id, or made of the exam's",
              lambda f: f.exam.order.procedure_id or short_id(f.exam)),
    Attribute("AccessionNumber", "2", "worklist or typed", lambda f: f.exam.order.accession),
    Attribute("StudyDescription", "3", "worklist", lambda f: f.exam.order.procedure),
    Attribute("ProcedureCodeSequence", "3", "worklist",
              lambda f: code(*f.exam.order.procedure_code) if f.exam.order.procedure_code else None),
))  # fmt: skip

SERIES: Module[Facts] = Module("General Series", (
    Attribute("Modality", "1", "US, XA, RF or OT, by the kind of object", lambda f: f.modality),
    Attribute("SeriesInstanceUID", "1", "derived from study, number, modality and role", lambda f: f.own.series_uid),
    Attribute("SeriesNumber", "2", "the series base; enhanced series follow their original", lambda f: f.series_number),
    Attribute("SeriesDescription", "3", "Original or Enhanced, with the body part",
              lambda f: f"{f.role.capitalize()} {f.exam.body_part.lower()}"),
    Attribute("SeriesDate", "3", "when the exam was opened", lambda f: date(opened(f))),
    Attribute("SeriesTime", "3", "when the exam was opened", lambda f: time(opened(f))),
    Attribute("OperatorsName", "3", "as given with the exam", lambda f: f.exam.operator),
    Attribute("BodyPartExamined", "3", "exam", lambda f: f.exam.body_part),
))  # fmt: skip

REQUEST: Module[Visit] = Module("General Series (request)", (
    Attribute("RequestAttributesSequence", "3", "worklist", request),
))  # fmt: skip

STEP: Module[Visit] = Module("General Series (performed step)", (
    Attribute("ReferencedPerformedProcedureStepSequence", "3", "the step told by MPPS, where [mpps] is configured",
              performed_step),
    Attribute("PerformedProcedureStepID", "3", "likewise", lambda f: step_id(f.exam) if performed_step(f) else None),
    Attribute("PerformedProcedureStepStartDate", "3", "likewise; when the exam was opened",
              lambda f: date(opened(f)) if performed_step(f) else None),
    Attribute("PerformedProcedureStepStartTime", "3", "likewise",
              lambda f: time(opened(f)) if performed_step(f) else None),
))  # fmt: skip

EQUIPMENT: Module[Facts] = Module("General Equipment", (
    Attribute("Manufacturer", "2", "configuration", lambda f: f.station.manufacturer),
    Attribute("InstitutionName", "3", "configuration", lambda f: f.station.institution),
    Attribute("InstitutionalDepartmentName", "3", "configuration", lambda f: f.station.department),
    Attribute("StationName", "3", "configuration", lambda f: f.station.name),
    Attribute("ManufacturerModelName", "3", "configuration", lambda f: f.station.model),
    Attribute("DeviceSerialNumber", "3", "configuration", lambda f: f.station.serial),
    Attribute("SoftwareVersions", "3", "name and version of this software", lambda f: f.software),
))  # fmt: skip

IMAGE: Module[Facts] = Module("General Image", (
    Attribute("InstanceNumber", "2", "counted in the series", lambda f: f.instance_number),
    Attribute("PatientOrientation", "2", "not known: empty", lambda _: None),
    Attribute("ContentDate", "2", "capture of the first frame", lambda f: date(f.moment)),
    Attribute("ContentTime", "2", "capture of the first frame", lambda f: time(f.moment)),
    Attribute("AcquisitionDateTime", "3", "capture of the first frame, with its offset", lambda f: date_time(f.moment)),
    Attribute("ImageLaterality", "3", "exam; empty where it says none", lambda f: f.exam.laterality or EMPTY),
    Attribute("ImageComments", "3", "levels mapped, gaps, a changing scale; absent: none of these", comments),
    constant("BurnedInAnnotation", "3", "YES"),
    Attribute("LossyImageCompression", "3", "01 if the scanner's own stream was lossy; never reset",
              lambda f: "01" if f.take.lossy else "00"),
    Attribute("LossyImageCompressionRatio", "3", "as the scanner says",
              lambda f: decimal(f.take.lossy_ratio) if f.take.lossy and f.take.lossy_ratio else None),
    Attribute("LossyImageCompressionMethod", "3", "as the scanner says",
              lambda f: f.take.lossy_method if f.take.lossy else None),
))  # fmt: skip

PIXEL: Module[Facts] = Module("Image Pixel", (
    Attribute("SamplesPerPixel", "1", "1 grey, 3 colour", lambda f: f.look.format.channels),
    Attribute("PhotometricInterpretation", "1", "MONOCHROME2, or RGB",
              lambda f: "RGB" if f.look.is_colour else "MONOCHROME2"),
    Attribute("PlanarConfiguration", "1C", "0 with colour", lambda f: 0 if f.look.is_colour else None),
    Attribute("Rows", "1", "frame", lambda f: f.look.rows),
    Attribute("Columns", "1", "frame", lambda f: f.look.columns),
    Attribute("BitsAllocated", "1", "8 or 16", lambda f: 8 if bits_stored(f.look) == 8 else 16),
    Attribute("BitsStored", "1", "8; fluoroscopy of more also 10, 12 or 16", lambda f: bits_stored(f.look)),
    Attribute("HighBit", "1", "bits stored less one", lambda f: bits_stored(f.look) - 1),
    constant("PixelRepresentation", "1", 0),
))  # fmt: skip

SOP_COMMON: Module[Facts] = Module("SOP Common", (
    Attribute("SOPClassUID", "1", "by the kind of object", lambda f: f.own.sop_class),
    Attribute("SOPInstanceUID", "1", "a fresh one for each object", lambda f: f.own.sop_uid),
    Attribute("InstanceCreationDate", "3", "capture of the first frame", lambda f: date(f.moment)),
    Attribute("InstanceCreationTime", "3", "capture of the first frame", lambda f: time(f.moment)),
    Attribute("TimezoneOffsetFromUTC", "3", "of the capture", lambda f: offset(f.moment)),
))  # fmt: skip
