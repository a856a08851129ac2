"""The page is what the tables say, and what the tables say is what is written."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, tag_for_keyword
from pydicom.uid import UID_dictionary

from edge.config import parse
from edge.dicom import conformance, private, profile, services
from edge.dicom.conformance import _THEN, _statuses  # pyright: ignore[reportPrivateUsage]
from edge.dicom.kinds import KINDS
from edge.errors import SinkRejected, SinkUnavailable
from edge.mpps import begun, ended
from edge.sinks._status import receipt
from edge.steps import Notice
from edge.worklist import question
from tests.unit.dicom.scenes import EXAM, LOOKS, clip, pair, read, still

PAGE = Path(__file__).parents[3] / "docs" / "dicom-conformance.md"
ELSEWHERE = {"SpecificCharacterSet", "PixelData", "PrivateDataElementCharacteristicsSequence"}


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == conformance.statement(), "run: python -m edge.dicom.conformance"


@pytest.mark.parametrize("look", list(LOOKS))
def test_nothing_is_written_that_the_page_does_not_list(look: str) -> None:
    for made in [*pair(still(look)), *pair(clip(look, gap_at=3), lossy=True)]:
        kind = next(one for one in KINDS if one.sop_class == made.sop_class and one.is_clip == (made.frames > 1))
        listed = {attribute.keyword for module in kind.modules for attribute in module.attributes}
        file = read(made)
        assert {one.keyword for one in file if not one.tag.is_private} - ELSEWHERE <= listed
        assert {one.tag for one in file if one.tag.is_private and not one.tag.is_private_creator} <= set(private.ALL)


def test_required_attributes_are_there_in_every_kind() -> None:
    for look in LOOKS:
        for made in pair(clip(look)):
            kind = next(one for one in KINDS if one.sop_class == made.sop_class and one.is_clip)
            file = read(made)
            assert [
                a.keyword for m in kind.modules for a in m.attributes if a.type in "12" and a.keyword not in file
            ] == []


def test_names_in_the_tables_are_the_standards() -> None:
    for kind in KINDS:
        assert UID_dictionary[kind.sop_class][0] == kind.name
    for service in services.SERVICES:
        assert all(uid in UID_dictionary for _, uid in service.sop_classes)
    keys = (*services.WORKLIST_MATCHED, *services.WORKLIST_RETURNED, *services.PERFORMED_STEP_CREATED,
            *services.PERFORMED_STEP_ENDED, *(part for key in profile.ACTIONS for part in (key,)))  # fmt: skip
    for key in keys:
        for part in key.split("."):
            assert dictionary_has_tag(tag_for_keyword(part) or 0), part


def test_the_private_dictionary_is_sound() -> None:
    numbers = [element.number for element in private.DICTIONARY]
    assert len(set(numbers)) == len(numbers)
    assert all(0 < number < 0x100 for number in numbers)
    assert private.GROUP % 2 == 1
    assert all(len(element.vr) == 2 for element in private.DICTIONARY)


def test_messages_hold_what_the_tables_say_and_nothing_else() -> None:
    step = "ScheduledProcedureStepSequence"
    query = question(parse('[worklist]\nhost = "127.0.0.1"').worklist, date(2026, 11, 20))
    inside = {f"{step}.{one.keyword}" for one in query[step].value[0]}
    assert _keywords(query) - {step} | inside == {*services.WORKLIST_MATCHED, *services.WORKLIST_RETURNED}
    assert _keywords(begun(EXAM, parse(""))) == set(services.PERFORMED_STEP_CREATED)
    notice = Notice("2.25.1", "ended", EXAM, completed=True, ended="2026-11-20T10:05:09+01:00")
    assert _keywords(ended(notice)) == set(services.PERFORMED_STEP_ENDED)


def _keywords(message: Dataset) -> set[str]:
    return {element.keyword for element in message} - {"SpecificCharacterSet"}


def test_statuses_are_told_as_they_are_taken() -> None:
    rows = _statuses()
    single = {row[0]: row[2] for row in rows if len(row[0]) == 4}
    ranges = [(row[0][:4], row[0][-4:], row[2]) for row in rows if " to " in row[0]]
    for code in range(0x10000):
        name = f"{code:04X}"
        told = single.get(name) or next((then for first, last, then in ranges if first <= name <= last), rows[-1][2])
        assert told == _taken(code) or code in (services.SUCCESS, services.DUPLICATE), name


def _taken(code: int) -> str:
    try:
        receipt(code)
    except SinkRejected:
        return _THEN["for good"]
    except SinkUnavailable:
        return _THEN["passing"]
    return _THEN["warning"]
