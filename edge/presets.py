"""Which engine, and how strong, for this exam: rules of the configuration, first match wins. Pure.

A condition on something that is not known (no birth date, no weight) does not hold: a rule for children is never
applied to somebody of unknown age.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from edge.config import Interval, Preset
from edge.exam import Exam

_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}


def choose(rules: Sequence[Preset], exam: Exam) -> Preset | None:
    """The first rule whose conditions all hold, or None: then the configuration's own choice stands."""
    return next((rule for rule in rules if fits(rule, exam)), None)


def fits(rule: Preset, exam: Exam) -> bool:
    return all(holds(rule, exam) for holds in _CONDITIONS)


def age_years(exam: Exam) -> float | None:
    """At the day of the exam: from the birth date, or from the age the worklist tells; None where neither is known."""
    patient = exam.patient
    opened = date.fromisoformat(exam.opened[:10])
    if len(patient.birth_date) == 8:
        born = date(int(patient.birth_date[:4]), int(patient.birth_date[4:6]), int(patient.birth_date[6:]))
        return _years_between(born, opened) if born <= opened else None
    if len(patient.age) == 4:
        return int(patient.age[:3]) * _YEARS[patient.age[3]]
    return None


def _years_between(born: date, day: date) -> float:
    """Whole years turn on the birthday itself, which an average length of the year would miss by a day."""
    had_birthday = (day.month, day.day) >= (born.month, born.day)
    whole = day.year - born.year - (0 if had_birthday else 1)
    last_birthday = _birthday(born, day.year if had_birthday else day.year - 1)
    return whole + min((day - last_birthday).days / 366, 0.999)


def _birthday(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:  # the 29th of February
        return date(year, 3, 1)


def _within(interval: Interval | None, value: float | None) -> bool:
    return interval is None or (value is not None and interval[0] <= value < interval[1])


def _procedure(exam: Exam) -> str:
    return exam.order.procedure_code[0] if exam.order.procedure_code else ""


_CONDITIONS: tuple[Callable[[Preset, Exam], bool], ...] = (
    lambda rule, exam: not rule.body_part or exam.body_part in rule.body_part,
    lambda rule, exam: not rule.procedure or _procedure(exam) in rule.procedure,
    lambda rule, exam: _within(rule.age_years, age_years(exam)),
    lambda rule, exam: _within(rule.weight_kg, exam.patient.weight_kg),
    lambda rule, exam: _within(rule.size_m, exam.patient.size_m),
    lambda rule, exam: rule.implant is None or exam.implant == rule.implant,
)
