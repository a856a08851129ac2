"""Which rule an exam gets: pure, so every condition is tried alone, unknown facts included."""

from __future__ import annotations

import pytest

from edge.config import Preset, parse
from edge.errors import ConfigError
from edge.exam import Exam, Order, Patient
from edge.presets import age_years, choose, fits

DAY = "2026-11-20T09:30:00+00:00"


def exam(**more: object) -> Exam:
    return Exam("e", "2.25.1", DAY, **more)  # type: ignore[arg-type]


def born(birth_date: str, **more: object) -> Exam:
    return exam(patient=Patient(id="1", birth_date=birth_date, **more))  # type: ignore[arg-type]


def rules(text: str) -> tuple[Preset, ...]:
    return parse(text).preset


def test_the_first_rule_that_fits_is_taken() -> None:
    found = rules(
        '[[preset]]\nname = "small child"\nage_years = [0, 6]\nstrength_percent = 40\n'
        '[[preset]]\nname = "any child"\nage_years = [0, 18]\n'
        '[[preset]]\nname = "everybody"\n'
    )
    assert choose(found, born("20230101")).name == "small child"  # type: ignore[union-attr]
    assert choose(found, born("20120101")).name == "any child"  # type: ignore[union-attr]
    assert choose(found, born("19500101")).name == "everybody"  # type: ignore[union-attr]
    assert choose(found[:2], born("19500101")) is None


@pytest.mark.parametrize(
    ("condition", "fitting", "other"),
    [
        ({"body_part": ("HEART",)}, exam(body_part="HEART"), exam(body_part="ABDOMEN")),
        ({"procedure": ("ECHO",)}, exam(order=Order(procedure_code=("ECHO", "99X", "Echo"))), exam()),
        ({"implant": True}, exam(implant=True), exam()),
        ({"implant": False}, exam(), exam(implant=True)),
        ({"weight_kg": (0, 10)}, born("", weight_kg=9.9), born("", weight_kg=10.0)),
        ({"size_m": (1.9, 2.5)}, born("", size_m=1.9), born("", size_m=1.89)),
        ({"age_years": (18, 200)}, born("20081120"), born("20081121")),
    ],
)
def test_each_condition_holds_or_does_not(condition: dict[str, object], fitting: Exam, other: Exam) -> None:
    rule = Preset("r", **condition)  # type: ignore[arg-type]
    assert fits(rule, fitting)
    assert not fits(rule, other)


@pytest.mark.parametrize("condition", [{"age_years": (0, 200)}, {"weight_kg": (0, 500)}, {"size_m": (0, 3)}])
def test_what_is_not_known_fits_no_interval(condition: dict[str, object]) -> None:
    assert not fits(Preset("r", **condition), exam())  # type: ignore[arg-type]


def test_all_conditions_must_hold_together() -> None:
    rule = Preset("r", body_part=("HEART",), implant=True)
    assert fits(rule, exam(body_part="HEART", implant=True))
    assert not fits(rule, exam(body_part="HEART"))
    assert not fits(rule, exam(implant=True))


@pytest.mark.parametrize(
    ("patient", "years"),
    [
        (Patient(birth_date="20251120"), 1.0), (Patient(birth_date="20251121"), 0.99),
        (Patient(birth_date="20080229"), 18.7), (Patient(age="045Y"), 45.0), (Patient(age="006M"), 0.5),
        (Patient(age="052W"), 1.0), (Patient(age="010D"), 0.03),
    ],
)  # fmt: skip
def test_age_comes_from_the_birth_date_or_as_it_was_told(patient: Patient, years: float) -> None:
    assert age_years(exam(patient=patient)) == pytest.approx(years, abs=0.05)


def test_a_birthday_in_the_future_is_no_age() -> None:
    assert age_years(born("20300101")) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[preset]]\nname = ""', "a name of its own"),
        ('[[preset]]\nname = "a"\n[[preset]]\nname = "a"', '"a": every rule needs a name'),
        ('[[preset]]\nname = "a"\nage_years = [6, 6]', "age_years goes from 6 up to 6"),
        ('[[preset]]\nname = "a"\nstrength_percent = 101', "preset"),
        ('[[preset]]\nname = "a"\nbody = ["HEART"]', "body"),
    ],
)
def test_a_rule_that_cannot_be_meant_stops_the_start(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(text)
