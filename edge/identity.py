"""What somebody typed, scanned or a worklist told of a patient: checked before it is taken, so that every object made
of it later is a valid one. Pure. A complaint names the field, never its value.
"""

from __future__ import annotations

import math
import re
from datetime import date

from edge.errors import ConfigError
from edge.exam import Exam, Order, Patient

_UID = re.compile(r"^(?=.{1,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+$")
_AGE = re.compile(r"^[0-9]{3}[DWMY]$")
_CODE_STRING = re.compile(r"^[A-Z0-9_ ]{0,16}$")
_SCHEDULED = re.compile(r"^([0-9]{8}([0-9]{6})?)?$")
_LONG, _SHORT = 64, 16


def check(exam: Exam) -> None:
    """Raises ConfigError, naming the field, where the exam could not be written into objects as it is."""
    _check_patient(exam.patient)
    _check_order(exam.order)
    _name("operator", exam.operator)
    _require(bool(_CODE_STRING.match(exam.body_part)), "body_part", "is a term in capitals, as ABDOMEN")


def _check_patient(patient: Patient) -> None:
    _require(bool(patient.name or patient.id), "patient", "has neither name nor id: open an emergency exam instead")
    _name("name", patient.name)
    _text("id", patient.id, _LONG)
    _text("issuer", patient.issuer, _LONG)
    _date("birth_date", patient.birth_date)
    _require(patient.sex in ("", "M", "F", "O"), "sex", "is M, F, O or empty")
    _require(not patient.age or bool(_AGE.match(patient.age)), "age", "is written as 045Y, 006M, 003W or 010D")
    _number("size_m", patient.size_m, 3.0)
    _number("weight_kg", patient.weight_kg, 1000.0)


def _check_order(order: Order) -> None:
    _text("accession", order.accession, _SHORT)
    _require(not order.study_uid or bool(_UID.match(order.study_uid)), "study_uid", "is not a UID")
    _name("referring", order.referring)
    _text("procedure_id", order.procedure_id, _SHORT)
    _text("procedure", order.procedure, _LONG)
    _text("step_id", order.step_id, _SHORT)
    _text("step", order.step, _LONG)
    _text("station", order.station, _SHORT)
    _require(bool(_SCHEDULED.match(order.scheduled)), "scheduled", "is written YYYYMMDD or YYYYMMDDHHMMSS")
    for value, longest in zip(order.procedure_code or (), (_SHORT, _SHORT, _LONG), strict=False):
        _text("procedure_code", value, longest)


def emergency_patient(moment: str, tail: str) -> Patient:
    """A placeholder that nobody takes for a person, unique on this appliance."""
    stamp = re.sub(r"[^0-9]", "", moment)[:14]
    return Patient(name="EMERGENCY^" + stamp, id=f"EMERGENCY-{stamp}-{tail}")


def from_barcode(text: str, pattern: str) -> tuple[Patient, Order]:
    """What a scanned line says, by the configuration's pattern."""
    found = re.fullmatch(pattern, text.strip())
    if found is None:
        raise ConfigError("the barcode is not what [capture] barcode expects")
    told = {key: (value or "").strip() for key, value in found.groupdict().items()}
    patient = {key: value for key, value in told.items() if key in Patient.__struct_fields__}
    order = {key: value for key, value in told.items() if key in Order.__struct_fields__}
    return Patient(**patient), Order(**order)  # type: ignore[arg-type] - only fields that are text may be named


def _name(field: str, value: str) -> None:
    groups = value.split("=")
    _require(len(groups) <= 3, field, 'has more than three groups ("=")')
    for group in groups:
        _text(field, group, _LONG)
        _require(group.count("^") <= 4, field, 'has more than five parts ("^")')


def _text(field: str, value: str, longest: int) -> None:
    _require(len(value) <= longest, field, f"is longer than {longest} characters")
    _require("\\" not in value, field, "holds a backslash")
    _require(value.isprintable(), field, "holds a character that cannot be printed")
    _require(value == value.strip(), field, "begins or ends with a space")


def _date(field: str, value: str) -> None:
    if not value:
        return
    _require(len(value) == 8 and value.isascii() and value.isdigit(), field, "is written YYYYMMDD")
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        raise ConfigError(f"{field} is no day of the calendar") from None


def _number(field: str, value: float | None, most: float) -> None:
    _require(value is None or (math.isfinite(value) and 0 < value < most), field, f"is not between 0 and {most:g}")


def _require(holds: bool, field: str, rule: str) -> None:
    if not holds:
        raise ConfigError(f"{field} {rule}")
