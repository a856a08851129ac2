"""Copies with a corrected identity: new UIDs, links that still resolve, and a word on what they replace."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from edge.dicom.corrections import corrected
from edge.exam import Exam, Order, Patient, step_uid
from tests.unit.dicom.scenes import EMERGENCY, EXAM, STARTED, STATION, clip, pair, read, still, written

LATER = STARTED + timedelta(hours=2)
RIGHT: Exam = msgspec.structs.replace(EXAM, uid="2.25.9", corrects=EMERGENCY.uid)


def test_the_pair_gets_the_identity_and_keeps_its_pixels_and_links() -> None:
    made = pair(clip("us colour"), exam=EMERGENCY)
    copies = [corrected(written(one), RIGHT, STATION, LATER) for one in made]
    original, enhanced = map(read, copies)
    for copy, one in zip(copies, made, strict=True):
        before, after = written(one).getvalue(), written(copy).getvalue()
        pixels = before[before.index(b"\xe0\x7f\x10\x00OB") :]
        assert after.endswith(pixels)
        assert copy.sop_uid != one.sop_uid
        assert copy.series_uid != one.series_uid
        assert (copy.role, copy.frames, copy.study_uid) == (one.role, one.frames, RIGHT.study_uid)
    assert str(original.PatientName) == "PHANTOM^ONE"
    assert original.PatientBirthDate == "19700102"
    assert original.AccessionNumber == "ACC-1"
    assert original.RequestAttributesSequence[0].ScheduledProcedureStepID == "SPS-1"
    assert enhanced.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert original.ReferencedImageSequence[0].ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
    assert original.ReferencedSeriesSequence[0].SeriesInstanceUID == enhanced.SeriesInstanceUID
    named = enhanced.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0]
    assert named.ReferencedSOPInstanceUID == original.SOPInstanceUID


def test_it_names_what_it_replaces_and_not_whose_it_was_said_to_be() -> None:
    one = pair(still(), exam=EMERGENCY)[0]
    copy = corrected(written(one), RIGHT, STATION, LATER)
    note = read(copy).OriginalAttributesSequence[0]
    old = note.ModifiedAttributesSequence[0]
    assert (old.SOPInstanceUID, old.SeriesInstanceUID) == (one.sop_uid, one.series_uid)
    assert (note.ReasonForTheAttributeModification, note.ModifyingSystem) == ("CORRECT", "limpid-1")
    assert note.AttributeModificationDateTime.startswith("20261120211530")
    assert read(copy).ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0].CodeValue == "109103"
    assert b"EMERGENCY" not in written(copy).getvalue()


def test_what_was_never_sent_is_replaced_without_a_word() -> None:
    copy = corrected(written(pair(still(), exam=EMERGENCY)[0]), RIGHT, STATION, LATER, was_sent=False)
    assert "OriginalAttributesSequence" not in read(copy)


def test_correcting_twice_gives_the_same_uids() -> None:
    one = pair(still(), exam=EMERGENCY)[0]
    first, second = (corrected(written(one), RIGHT, STATION, LATER) for _ in range(2))
    assert (first.sop_uid, first.series_uid) == (second.sop_uid, second.series_uid)


@pytest.mark.parametrize("name", ["Фантом^Один", "PHÄNTOM^ÉINS", "PHANTOM^TWO"])
def test_a_name_in_another_script_is_written_in_its_own_character_set(name: str) -> None:
    latin = msgspec.structs.replace(EMERGENCY, operator="ÜBER^ONE")
    exam = msgspec.structs.replace(RIGHT, patient=Patient(name=name, id="1"), order=Order())
    file = read(corrected(written(pair(still(), exam=latin)[1]), exam, STATION, LATER))
    assert str(file.PatientName) == name
    assert str(file.OperatorsName) == "ÜBER^ONE"
    assert "ProcedureCodeSequence" not in file


def test_the_corrected_object_names_the_step_of_its_own_exam() -> None:
    for made in pair(still(), exam=EMERGENCY):
        copy = read(corrected(written(made), EXAM, STATION, STARTED))
        (step,) = copy.ReferencedPerformedProcedureStepSequence
        assert step.ReferencedSOPInstanceUID == step_uid(EXAM)
