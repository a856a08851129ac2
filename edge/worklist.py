"""Patients and orders of the day, from a Modality Worklist (C-FIND).

Runs in a short-lived child of the live process: a worklist that hangs, or a long answer, costs the picture nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, cast

import msgspec
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined] # pyright: ignore

from edge.child import give_way, say_little
from edge.config import Config, Worklist
from edge.errors import ConfigError, LimpidError, SinkUnavailable
from edge.exam import Order, Patient
from edge.scheduled import Item, Question, Reply
from edge.scu import associated

PENDING = (0xFF00, 0xFF01)
SUCCESS, CANCELLED = 0x0000, 0xFE00
_TEXTS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "AccessionNumber", "StudyInstanceUID", "ReferringPhysicianName", "RequestedProcedureID",
    "RequestedProcedureDescription",
)  # fmt: skip
_CODE = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
_WRITTEN = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")  # what a character set is for
_FREE_TEXT = 64  # descriptions are cut to what an object can hold; identities never are


def ask(config: Config, today: date, accession: str = "", patient_id: str = "") -> list[Item]:
    """In the order of their schedule. Raises SinkUnavailable where the worklist does not answer as it should."""
    worklist = config.worklist
    if not worklist.host:
        raise ConfigError("no worklist is configured: see [worklist]")
    query = question(worklist, today, accession, patient_id)
    calling = worklist.calling or config.station.ae_title
    with associated(worklist, calling, ModalityWorklistInformationFind) as assoc:
        found: list[Item] = []
        for status, answer in assoc.send_c_find(query, ModalityWorklistInformationFind):
            _check(status)
            if answer is not None and len(found) < worklist.most:
                found += items(answer)
    return sorted(_told_apart(found), key=lambda item: (item.order.scheduled, item.key))


def _told_apart(found: Sequence[Item]) -> list[Item]:
    """Each item once. Two that differ under one key are both left out, and that is said: whoever names the one must not
    get the other."""
    by_key: dict[str, set[Item]] = defaultdict(set)
    for item in found:
        by_key[item.key].add(item)
    ambiguous = sum(len(items) for items in by_key.values() if len(items) > 1)
    if ambiguous:
        print(f"worklist: {ambiguous} items left out: their keys do not tell them apart", file=sys.stderr)
    return [item for items in by_key.values() if len(items) == 1 for item in items]


def question(worklist: Worklist, today: date, accession: str = "", patient_id: str = "") -> Dataset:
    """What we want to know, and of which steps."""
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _TEXTS:
        setattr(query, keyword, None if keyword in ("PatientSize", "PatientWeight") else "")
    query.AccessionNumber, query.PatientID = accession, patient_id
    query.RequestedProcedureCodeSequence = [_codes()]
    step = Dataset()
    first, last = today - timedelta(worklist.days_back), today + timedelta(worklist.days_ahead)
    step.ScheduledProcedureStepStartDate = "" if accession or patient_id else f"{first:%Y%m%d}-{last:%Y%m%d}"
    step.ScheduledProcedureStepStartTime = ""
    step.Modality, step.ScheduledStationAETitle = worklist.modality, worklist.station
    step.ScheduledProcedureStepID = step.ScheduledProcedureStepDescription = ""
    query.ScheduledProcedureStepSequence = [step]
    return query


def items(answer: Dataset) -> list[Item]:
    """One for each scheduled step in an answer; what is missing stays empty."""
    if not answer.get("SpecificCharacterSet"):
        answer.walk(_from_utf8)
    patient = Patient(
        name=_text(answer, "PatientName"),
        id=_text(answer, "PatientID"),
        issuer=_text(answer, "IssuerOfPatientID"),
        birth_date=_text(answer, "PatientBirthDate"),
        sex=_one_of(_text(answer, "PatientSex"), "MFO"),
        age=_text(answer, "PatientAge"),
        size_m=_number(answer, "PatientSize"),
        weight_kg=_number(answer, "PatientWeight"),
    )
    orders = [_order(answer, step) for step in _steps(answer)]
    return [Item(_key(patient, order), patient, order) for order in orders]


def _from_utf8(_dataset: Dataset, element: DataElement) -> None:
    """Of an answer that names no character set. It may hold ASCII alone then; what goes beyond is UTF-8 in practice,
    and was read as Latin-1. What cannot be UTF-8 stays Latin-1."""
    if element.VR not in _WRITTEN or element.VM != 1:
        return
    with contextlib.suppress(UnicodeError):
        element.value = str(element.value).encode("latin-1").decode("utf-8")


def _order(answer: Dataset, step: Dataset) -> Order:
    day, time = _text(step, "ScheduledProcedureStepStartDate"), _text(step, "ScheduledProcedureStepStartTime")
    return Order(
        accession=_text(answer, "AccessionNumber"),
        study_uid=_text(answer, "StudyInstanceUID"),
        referring=_text(answer, "ReferringPhysicianName"),
        procedure_id=_text(answer, "RequestedProcedureID"),
        procedure=_text(answer, "RequestedProcedureDescription")[:_FREE_TEXT].strip(),
        procedure_code=_code(answer),
        step_id=_text(step, "ScheduledProcedureStepID"),
        step=_text(step, "ScheduledProcedureStepDescription")[:_FREE_TEXT].strip(),
        station=_text(step, "ScheduledStationAETitle"),
        scheduled=day + time.split(".")[0].ljust(6, "0")[:6] if len(day) == 8 else "",
    )


def _steps(answer: Dataset) -> list[Dataset]:
    return list(cast("list[Dataset]", answer.get("ScheduledProcedureStepSequence") or [])) or [Dataset()]


def _code(answer: Dataset) -> tuple[str, str, str] | None:
    codes = cast("list[Dataset]", answer.get("RequestedProcedureCodeSequence") or [])
    if not codes or not _text(codes[0], "CodeValue"):
        return None
    value, scheme, meaning = (_text(codes[0], keyword) for keyword in _CODE)
    return value, scheme, meaning


def _codes() -> Dataset:
    code = Dataset()
    for keyword in _CODE:
        setattr(code, keyword, "")
    return code


def _key(patient: Patient, order: Order) -> str:
    """The same item has the same key in every answer. Drawn from all that was told: there are worklists that leave out
    the study's UID, or number the steps of every patient alike. An item that was changed since has another key, so
    that it is asked for again rather than opened as something else."""
    return hashlib.sha256(msgspec.json.encode((patient, order))).hexdigest()[:10]


def _text(dataset: Dataset, keyword: str) -> str:
    value: Any = dataset.get(keyword)
    return "" if value is None else str(value).strip()


def _one_of(value: str, known: str) -> str:
    return value if value and value in known else ""


def _number(dataset: Dataset, keyword: str) -> float | None:
    try:
        value = float(_text(dataset, keyword))
    except ValueError:
        return None
    return value if value > 0 else None


def _check(status: Dataset) -> None:
    if "Status" not in status:
        raise SinkUnavailable("the worklist did not answer in time, or broke off")
    if status.Status not in (*PENDING, SUCCESS, CANCELLED):
        raise SinkUnavailable(f"the worklist refused the question (0x{status.Status:04X})")


def main() -> None:
    """One question on stdin, one reply on stdout: what the live process starts."""
    sys.excepthook = say_little
    give_way()
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    today = date.fromisoformat(question.today)
    try:
        reply = Reply(items=tuple(ask(question.config, today, question.accession, question.patient_id)))
    except LimpidError as error:
        reply = Reply(error=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(reply))


if __name__ == "__main__":
    main()
