"""Who and what a capture is of: plain facts, from the worklist, from the keyboard, or provisional in an emergency.

Nothing here goes into a log, an event or a metric: those name an exam by its `uid` alone.
"""

from __future__ import annotations

import uuid
from typing import Literal

import msgspec


class Patient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As DICOM writes them: names "FAMILY^GIVEN", dates YYYYMMDD, sex M, F, O or empty."""

    name: str = ""
    id: str = ""
    issuer: str = ""  # of the id
    birth_date: str = ""
    sex: str = ""
    age: str = ""  # as 045Y
    size_m: float | None = None
    weight_kg: float | None = None
    species: Literal["", "human", "animal"] = ""


class Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was asked for, as the worklist says it."""

    accession: str = ""
    study_uid: str = ""
    referring: str = ""
    procedure_id: str = ""
    procedure: str = ""  # its description
    procedure_code: tuple[str, str, str] | None = None  # value, scheme, meaning
    step_id: str = ""
    step: str = ""
    station: str = ""
    scheduled: str = ""  # YYYYMMDDHHMMSS, as told


class Exam(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One visit to the device. Its study keeps one UID from the first capture on."""

    uid: str  # of this exam on this device; carries nothing about the patient
    study_uid: str
    opened: str  # local time with its offset, ISO 8601
    patient: Patient = Patient()
    order: Order = Order()
    origin: Literal["worklist", "typed", "emergency"] = "emergency"
    provisional: bool = False  # the identity is a placeholder, and must be corrected before anything is sent
    operator: str = ""
    body_part: str = ""  # a defined term, as ABDOMEN
    laterality: Literal["", "L", "R", "B"] = ""
    implant: bool = False
    priority: Literal["routine", "stat"] = "routine"
    preset: str = ""  # the rule of the configuration that chose the engine and its strength
    corrects: str = ""  # the uid of the exam that this one corrects


def step_uid(exam: Exam) -> str:
    """Of its performed procedure step. Always the same for one exam: a notice sent twice is about one step, and the
    objects name the step that the archive was told of."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, exam.study_uid + '/' + exam.uid).int}"


def step_id(exam: Exam) -> str:
    return exam.uid[:16]
