"""What is read from a worklist's answer: texts in the character set it names, and in none."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from edge.exam import Order, Patient
from edge.scheduled import Item
from edge.worklist import _told_apart, items  # pyright: ignore[reportPrivateUsage]

NAMES = ("Müller^Jörg", "Yamada^Tarou=山田^太郎=やまだ^たろう", "PHANTOM^ONE")


def answered(name: str, bytes_as: str, character_set: str = "") -> Dataset:
    """As it comes over the network: the name's bytes in one character set, and another one named, or none."""
    item, step, code = Dataset(), Dataset(), Dataset()
    if character_set:
        item.SpecificCharacterSet = character_set
    written = name if character_set == "ISO_IR 192" else name.encode(bytes_as).decode("latin-1")
    item.PatientName, item.PatientID, item.StudyInstanceUID = written, "PH-0001", "1.2.3"
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "L", written.split("^")[0]
    step.ScheduledProcedureStepDescription = written.split("^")[0]
    item.RequestedProcedureCodeSequence, item.ScheduledProcedureStepSequence = [code], [step]
    content = encode(item, is_implicit_vr=True, is_little_endian=True)
    assert content is not None
    return decode(BytesIO(content), is_implicit_vr=True, is_little_endian=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_in_utf_8_that_does_not_say_so_is_read_as_such(name: str) -> None:
    (item,) = items(answered(name, "utf-8"))
    assert item.patient.name == name
    assert item.order.step == name.split("^")[0]
    assert item.order.procedure_code == ("1", "L", name.split("^")[0])


def test_an_answer_in_latin_1_that_does_not_say_so_stays_readable() -> None:
    (item,) = items(answered("Müller^Jörg", "latin-1"))
    assert item.patient.name == "Müller^Jörg"


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_that_names_its_character_set_is_taken_at_its_word(name: str) -> None:
    (item,) = items(answered(name, "utf-8", "ISO_IR 192"))
    assert item.patient.name == name


def test_latin_1_that_is_named_is_never_taken_for_utf_8() -> None:
    (item,) = items(answered("Ã¼^X", "latin-1", "ISO_IR 100"))
    assert item.patient.name == "Ã¼^X"


def bare(name: str, patient_id: str, **more: str) -> Item:
    """Of a worklist that leaves out the study's UID and numbers the steps of every patient alike."""
    answer, step = Dataset(), Dataset()
    answer.SpecificCharacterSet = "ISO_IR 192"
    answer.PatientName, answer.PatientID, answer.RequestedProcedureID = name, patient_id, "US"
    answer.AccessionNumber = answer.StudyInstanceUID = ""
    step.ScheduledProcedureStepID = "1"
    for keyword, value in more.items():
        setattr(step, keyword, value)
    answer.ScheduledProcedureStepSequence = [step]
    (item,) = items(answer)
    return item


def test_two_patients_never_share_a_key() -> None:
    assert bare("PHANTOM^ONE", "1").key != bare("PHANTOM^TWO", "2").key
    assert bare("PHANTOM^ONE", "").key != bare("PHANTOM^TWO", "").key
    assert bare("PHANTOM^ONE", "1").key == bare("PHANTOM^ONE", "1").key


def test_nor_do_two_steps_of_one_patient() -> None:
    steps = [bare("PHANTOM^ONE", "1", ScheduledStationAETitle=station) for station in ("US1", "US2")]
    assert len({item.key for item in steps}) == 2


def test_what_a_key_does_not_tell_apart_is_left_out_and_that_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    one, two = (Item("k", Patient(name=f"PHANTOM^{name}"), Order()) for name in ("ONE", "TWO"))
    other = Item("other", Patient(name="PHANTOM^THREE"), Order())
    assert _told_apart([one, other, two]) == [other]
    said = capfd.readouterr().err
    assert "2 items left out" in said
    assert "PHANTOM" not in said
    assert _told_apart([one, other, one]) == [one, other], "an item that was told twice is one"
    assert capfd.readouterr().err == ""
