"""Values as their VR allows them, whatever a worklist or a keyboard gave."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import config
from pydicom.valuerep import validate_value

from edge.dicom import Options, make_pair
from edge.dicom.texts import decimal, fit
from edge.exam import Order, Patient
from tests.unit.dicom.scenes import EXAM, STATION, clip, pair, read, still, written

LENGTHS = {"AE": 16, "CS": 16, "SH": 16, "LO": 64, "ST": 1024, "LT": 10_240}


@given(st.sampled_from(["AE", "CS", "SH", "LO", "PN", "ST", "LT", "UT", "DA", "AS", "UI"]), st.text(max_size=300))
def test_whatever_comes_fits(vr: str, text: str) -> None:
    fitted = fit(vr, text)
    assert len(fitted) <= LENGTHS.get(vr, 1 << 20)
    assert fit(vr, fitted) == fitted
    if vr not in ("UT", "AE"):
        validate_value(vr, fitted, config.RAISE)


@pytest.mark.parametrize(
    ("vr", "given_", "fitted"),
    [
        ("LO", "a\\b", "a/b"), ("LO", "x" * 70, "x" * 64), ("SH", "ACC-2026-11-20-000017", "ACC-2026-11-20-0"),
        ("DA", "1970", ""), ("DA", "19701301", ""), ("DA", "19700102", "19700102"), ("AS", "56", ""),
        ("CS", "abdomen", "ABDOMEN"), ("CS", "x+y", ""), ("PN", "A" * 70 + "=B", "A" * 64 + "=B"),
        ("ST", "one\ntwo\\three", "one\ntwo\\three"), ("UI", "1.02", ""), ("LO", "tab\there", "tab here"),
    ],
)  # fmt: skip
def test_examples(vr: str, given_: str, fitted: str) -> None:
    assert fit(vr, given_) == fitted


@given(st.floats(-1e12, 1e12))
def test_decimals_are_short_and_near(value: float) -> None:
    text = decimal(value)
    assert len(text) <= 16
    assert float(text) == pytest.approx(value, rel=1e-8, abs=1e-300)


@pytest.fixture(scope="module")
def strict() -> Iterator[None]:
    """Reading that complains; reading a stored file turns it off for the process, so as not to quote it."""
    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.WARN
    yield
    config.settings.reading_validation_mode = before


@settings(deadline=None, max_examples=25)
@given(st.text(max_size=120), st.text(max_size=120))
def test_any_identity_makes_a_file_that_can_be_read(strict: None, name: str, code: str) -> None:
    """Strict reading: what is stored is legal, whatever was typed."""
    patient = Patient(name=name, id=code, birth_date=code, sex=code[:1], age=code)
    order = Order(accession=code, referring=name, procedure=name, procedure_id=code, step_id=code)
    exam = msgspec.structs.replace(EXAM, patient=patient, order=order, body_part=code)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for made in pair(still("us 1 row"), exam=exam):
            file = pydicom.dcmread(written(made))
            for element in file.iterall():
                assert element.value is not NotImplemented  # converted, and with it checked


@pytest.mark.parametrize(
    ("name", "charset"), [("PHANTOM^ONE", None), ("PHÄNTOM^ÉINS", "ISO_IR 100"), ("Фантом^Один", "ISO_IR 192")]
)
def test_the_smallest_character_set_that_holds_it(name: str, charset: str | None) -> None:
    exam = msgspec.structs.replace(EXAM, patient=Patient(name=name, id="1"))
    file = read(pair(still("us 1 row"), exam=exam)[0])
    assert file.get("SpecificCharacterSet") == charset
    assert str(file.PatientName) == name


@pytest.mark.parametrize("software", ["limpid", "limpid 1"])
def test_no_value_outgrows_its_vr_by_its_padding(software: str, strict: None) -> None:
    """A reader that counts the padding of an element's last value would find it too long."""
    for made in make_pair(clip("us 1 row"), EXAM, replace(STATION, software=software), Options(), (1, 1)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            file = read(made)
            assert len(list(file.iterall())) > 50
            equipment = file.get("ContributingEquipmentSequence")
            assert equipment is None or "ab" * 32 in equipment[0].SoftwareVersions
