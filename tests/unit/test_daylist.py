"""The last worklist is kept for a bad day: for its owner alone, for some hours, and it says how old it is."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edge.daylist import FILE, DayList, matching
from edge.exam import Order, Patient
from edge.exam_book import Vault
from edge.outbox.seal import Key
from edge.scheduled import Item

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=timezone(timedelta(hours=1)))
ITEMS = (
    Item("k1", Patient(name="PHANTOM^ONE", id="PH-0001"), Order(accession="A1")),
    Item("k2", Patient(name="PHANTOM^TWO", id="PH-0002"), Order(accession="A2")),
)


@pytest.fixture
def kept(tmp_path: Path) -> DayList:
    days = DayList(Vault(tmp_path), 12)
    days.keep(ITEMS, NOW)
    return days


def test_it_gives_what_was_told_and_how_long_ago(kept: DayList) -> None:
    last = kept.last(NOW + timedelta(hours=2))
    assert last is not None
    assert (last.items, last.age_s, last.asked) == (ITEMS, 7200, "2026-11-20T09:30:00+01:00")


@pytest.mark.parametrize("hours", [12.1, -12.1, 24 * 365 * 10, -24 * 365 * 10])
def test_one_that_is_too_old_or_whose_age_nobody_knows_is_forgotten(
    kept: DayList, tmp_path: Path, hours: float
) -> None:
    assert kept.last(NOW + timedelta(hours=hours)) is None
    assert not (tmp_path / FILE).exists(), "yesterday's names have no business here"


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"asked": "yesterday", "items": []}'])
def test_one_that_cannot_be_read_is_none(kept: DayList, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert kept.last(NOW) is None


def test_it_is_for_its_owner_alone_and_sealed_where_there_is_a_key(tmp_path: Path) -> None:
    sealed = DayList(Vault(tmp_path, Key(b"k" * 32)), 12)
    sealed.keep(ITEMS, NOW)
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    assert b"PHANTOM" not in (tmp_path / FILE).read_bytes()
    last = sealed.last(NOW)
    assert last is not None
    assert last.items == ITEMS
    assert DayList(Vault(tmp_path, Key(b"l" * 32)), 12).last(NOW) is None


def test_a_key_may_be_added_and_without_it_there_is_none(kept: DayList, tmp_path: Path) -> None:
    sealed = DayList(Vault(tmp_path, Key(b"k" * 32)), 12)
    last = sealed.last(NOW)
    assert last is not None
    assert last.items == ITEMS
    sealed.keep(ITEMS, NOW)
    assert kept.last(NOW) is None
    assert (tmp_path / FILE).exists()


def test_where_nothing_is_to_be_kept_nothing_is(tmp_path: Path) -> None:
    days = DayList(Vault(tmp_path), 0)
    days.keep(ITEMS, NOW)
    assert list(tmp_path.iterdir()) == []
    assert days.last(NOW) is None


def test_a_disk_that_refuses_costs_nothing_now(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    days = DayList(Vault(tmp_path / "file" / "exams"), 12)
    days.keep(ITEMS, NOW)
    assert days.last(NOW) is None


def test_a_question_is_answered_as_the_worklist_would() -> None:
    assert matching(ITEMS, "", "") == ITEMS
    assert [item.key for item in matching(ITEMS, "A2", "")] == ["k2"]
    assert [item.key for item in matching(ITEMS, "A2", "PH-0001")] == []
