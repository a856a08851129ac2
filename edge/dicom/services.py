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

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT_PUSH = "1.2.840.10008.1.20.1"
COMMITMENT_PUSH_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known instance that N-ACTION names
WORKLIST = "1.2.840.10008.5.1.4.31"
PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"

STORAGE_CLASSES = {kind.sop_class: kind.name for kind in KINDS}
_STORED = tuple((name, uid) for uid, name in STORAGE_CLASSES.items())
STORAGE_SYNTAXES = tuple(syntax.uid for syntax in SYNTAXES)

# The worklist query: what is matched, and what is asked for besides. Dotted names lie in a sequence.
_STEP = "ScheduledProcedureStepSequence"
WORKLIST_MATCHED = (
    "PatientName", "PatientID", "AccessionNumber", "RequestedProcedureID", f"{_STEP}.ScheduledStationAETitle",
    f"{_STEP}.ScheduledProcedureStepStartDate", f"{_STEP}.Modality",
)  # fmt: skip
WORKLIST_RETURNED = (
    "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientSize", "PatientWeight", "StudyInstanceUID",
    "ReferringPhysicianName", "RequestedProcedureDescription", "RequestedProcedureCodeSequence",
    f"{_STEP}.ScheduledProcedureStepStartTime", f"{_STEP}.ScheduledProcedureStepID",
    f"{_STEP}.ScheduledProcedureStepDescription", f"{_STEP}.ScheduledStationName",
)  # fmt: skip

# MPPS: what is written when a step begins (N-CREATE) and when it ends (N-SET).
PERFORMED_STEP_CREATED = (
    "ScheduledStepAttributesSequence", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "PerformedProcedureStepID", "PerformedStationAETitle", "PerformedStationName", "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime", "PerformedProcedureStepStatus", "Modality", "PerformedSeriesSequence",
)  # fmt: skip
PERFORMED_STEP_ENDED = (
    "PerformedProcedureStepStatus", "PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime",
    "PerformedSeriesSequence", "PerformedProcedureStepDiscontinuationReasonCodeSequence",
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
        "Verification", "SCU", (("Verification", VERIFICATION),), PLAIN_SYNTAXES,
        "C-ECHO on request of the operator.",
    ),
    Service(
        "Storage", "SCU", _STORED, STORAGE_SYNTAXES,
        "C-STORE on 1 to 4 associations. Each object is offered in the syntax it is stored in and in Explicit VR "
        "Little Endian; where the peer takes only the latter, the object is decoded as it is sent. Status 0000 is "
        "success; a warning (Bxxx) is success that stays visible; A7xx and no answer are tried again, for ever, with "
        "the same UID; any other failure parks the object with its reason.",
    ),
    Service(
        "Storage Commitment", "SCU", (("Storage Commitment Push Model", COMMITMENT_PUSH),), PLAIN_SYNTAXES,
        "N-ACTION after storage; the transaction UID survives a restart. An answer that does not come in time is asked "
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
        "N-CREATE (IN PROGRESS) at the first capture of an exam, N-SET (COMPLETED or DISCONTINUED) when it is closed; "
        "both wait in a queue on disk while the peer is away.",
    ),
    Service(
        "STOW-RS (Store Instances, PS3.18 10.5)", "user agent",
        _STORED, STORAGE_SYNTAXES,
        "POST multipart/related; type=application/dicom over HTTP/1.1 and TLS, bearer token. The response's Failed SOP "
        "Sequence is read object by object. Commitment is by reading the object's metadata back.",
    ),
)  # fmt: skip
