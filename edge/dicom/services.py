"""What goes over the network, as tables: the sinks, the worklist and the conformance statement share them.

Nothing here opens a connection. SOP classes and transfer syntaxes of storage come from `kinds` and `encoding`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge.dicom.encoding import PLAIN, SYNTAXES
from edge.dicom.kinds import KINDS

IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
PLAIN_SYNTAXES = (PLAIN.uid, IMPLICIT_LITTLE_ENDIAN)
SMALL_SYNTAXES = (IMPLICIT_LITTLE_ENDIAN,)  # of echo and commitment on our own associations: every peer has it

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT_PUSH = "1.2.840.10008.1.20.1"
COMMITMENT_PUSH_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known instance that N-ACTION names
WORKLIST = "1.2.840.10008.5.1.4.31"
PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"

STORAGE_CLASSES = {kind.sop_class: kind.name for kind in KINDS}
_STORED = tuple((name, uid) for uid, name in STORAGE_CLASSES.items())
STORAGE_SYNTAXES = (*(syntax.uid for syntax in SYNTAXES), IMPLICIT_LITTLE_ENDIAN)

# What a status of C-STORE means; a failure reason of STOW-RS or of a commitment is one of the same numbers.
SUCCESS, DUPLICATE = 0x0000, 0x0111
WARNINGS = {
    0x0001: "stored, with a warning",
    0x0107: "stored, but some attributes were not understood",
    0x0116: "stored, but an attribute's value was out of range",
    0xB000: "stored, with some data elements changed",
    0xB006: "stored, with some elements discarded",
    0xB007: "stored, though the data set does not match its SOP class",
}
FOR_GOOD = {
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    DUPLICATE: "it says that it has this instance already",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance do not fit",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
}
PASSING = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0124: "not authorised",
    0x0131: "it knows this instance under another SOP class",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
}
RANGES = (  # first, last, meaning, what follows; an entry of the tables above goes before
    (0xA700, 0xA7FF, "out of resources", "passing"),
    (0xA900, 0xA9FF, "data set does not match its SOP class", "for good"),
    (0xB000, 0xBFFF, "stored, with a warning", "warning"),
    (0xC000, 0xCFFF, "cannot understand the object", "for good"),
)

# The worklist query: what is matched, and what is asked for besides. Dotted names lie in a sequence.
_STEP = "ScheduledProcedureStepSequence"
WORKLIST_MATCHED = (
    "PatientName", "PatientID", "AccessionNumber", "RequestedProcedureID", f"{_STEP}.ScheduledStationAETitle",
    f"{_STEP}.ScheduledProcedureStepStartDate", f"{_STEP}.Modality",
)  # fmt: skip
WORKLIST_RETURNED = (
    "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "StudyInstanceUID", "ReferringPhysicianName", "RequestedProcedureDescription", "RequestedProcedureCodeSequence",
    f"{_STEP}.ScheduledProcedureStepStartTime", f"{_STEP}.ScheduledProcedureStepID",
    f"{_STEP}.ScheduledProcedureStepDescription",
)  # fmt: skip

# MPPS: what is written when a step begins (N-CREATE) and when it ends (N-SET).
PERFORMED_STEP_CREATED = (
    "ScheduledStepAttributesSequence", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "ReferencedPatientSequence", "PerformedProcedureStepID", "PerformedStationAETitle", "PerformedStationName",
    "PerformedLocation", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    "PerformedProcedureStepStatus", "PerformedProcedureStepDescription", "PerformedProcedureTypeDescription",
    "ProcedureCodeSequence", "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "Modality", "StudyID",
    "PerformedProtocolCodeSequence", "PerformedSeriesSequence",
)  # fmt: skip
PERFORMED_STEP_ENDED = (
    "PerformedProcedureStepStatus", "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime",
    "PerformedSeriesSequence",
)  # fmt: skip


@dataclass(frozen=True)
class Service:
    name: str
    role: Literal["SCU", "SCP", "user agent"]
    sop_classes: tuple[tuple[str, str], ...]  # name, UID
    syntaxes: tuple[str, ...]  # offered or accepted, best first
    behaviour: str


SERVICES = (
    Service(
        "Verification", "SCU", (("Verification", VERIFICATION),), SMALL_SYNTAXES,
        "C-ECHO on request of the operator.",
    ),
    Service(
        "Storage", "SCU", _STORED, STORAGE_SYNTAXES,
        "C-STORE on 1 to 4 associations, one operation at a time on each; never asynchronous. Each SOP class is "
        "proposed in every syntax of the list, in a presentation context each; an object goes in the syntax it is "
        "stored in, and where the peer takes only plain ones it is decoded as it is sent. Statuses: see the table "
        "below. No answer is tried again, for ever, with the same UID.",
    ),
    Service(
        "Storage Commitment", "SCU", (("Storage Commitment Push Model", COMMITMENT_PUSH),), SMALL_SYNTAXES,
        "N-ACTION after storage, and after the notices of the exam (MPPS) that wait, as long as the peer can be told; "
        "the transaction UID survives a restart. An answer that does not come in time is asked "
        "for again. A stored object is deleted only when its commitment has arrived and its retention time has passed.",
    ),
    Service(
        "Storage Commitment (the archive's answer)", "SCP",
        (("Storage Commitment Push Model", COMMITMENT_PUSH), ("Verification", VERIFICATION)), PLAIN_SYNTAXES,
        "N-EVENT-REPORT on the same association, or on a new one that the archive opens (role reversed: the archive is "
        "the SCP of the class and proposes so).",
    ),
    Service(
        "Modality Worklist", "SCU", (("Modality Worklist Information Model - FIND", WORKLIST),), PLAIN_SYNTAXES,
        "C-FIND on request of the user.",
    ),
    Service(
        "Modality Performed Procedure Step", "SCU", (("Modality Performed Procedure Step", PERFORMED_STEP),),
        PLAIN_SYNTAXES,
        "N-CREATE (IN PROGRESS) when an exam is opened, of an emergency when its identity is known; N-SET (COMPLETED "
        "or DISCONTINUED) when it is closed. Both wait in a queue on disk while the peer is away.",
    ),
    Service(
        "STOW-RS (Store Instances, PS3.18 10.5)", "user agent",
        _STORED, STORAGE_SYNTAXES,
        "POST multipart/related; type=application/dicom over HTTP/1.1 and TLS, bearer token. The response's Failed SOP "
        "Sequence is read object by object. Commitment is by reading the object back and comparing every byte, or its "
        "metadata (QIDO-RS, then WADO-RS), as configured.",
    ),
)  # fmt: skip
