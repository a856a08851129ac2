"""What the panel tells of an outbox: the real one, on the disk."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from edge.config import parse
from edge.panel.tray import Figures, Tray
from tests.outbox_rig import Rig, Wall, dicom, draft

ARCHIVES = """
[destination.pacs.folder]
path = "/mnt"
[destination.teaching]
send = "originals"
[destination.teaching.folder]
path = "/mnt"
"""
ROOM = "watermark_percent = 100\nleast_free_mb = 0"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "outbox")


def look(rig: Rig, more: str = ARCHIVES, *, hours: float = 0.0, room: str = ROOM) -> Figures:
    config = parse(f'[outbox]\nfolder = "{rig.folder}"\nkey_file = "/not/ours/to/read"\n{room}\n{more}')
    wall = Wall()
    wall.now += timedelta(hours=hours)
    return Tray(config, lambda _figures: None, wall).look()


def put(rig: Rig, *, held: bool = False) -> str:
    return rig.box.put(draft(dicom(), dicom("enhanced"), held=held))


def test_before_anything_was_stored_there_is_nothing_and_no_trouble(tmp_path: Path) -> None:
    assert look(Rig(tmp_path / "none")) == Figures(archives=2)


def test_captures_are_on_their_way_until_every_archive_has_confirmed(rig: Rig) -> None:
    put(rig)
    put(rig, held=True)
    found = look(rig)
    assert (found.here, found.on_the_way, found.held, found.archives) == (2, 2, 1, 2)
    for archive, count in (("pacs", 2), ("teaching", 1)):
        for _ in range(count):
            item = rig.box.next(archive)
            assert item is not None
            rig.box.sent(item)
            assert look(rig).on_the_way == 2, "sent is not safe"
            rig.box.confirmed(item)
            if archive == "teaching":
                break
    assert look(rig).on_the_way == 1


def test_what_was_refused_and_what_is_damaged_is_counted(rig: Rig) -> None:
    name = put(rig)
    item = rig.box.next("pacs")
    assert item is not None
    rig.box.parked(item, "refused")
    (rig.folder / "captures" / put(rig) / "capture.json").write_text("{}")
    found = look(rig)
    assert (found.parked, found.damaged) == (1, 1)
    assert name


def test_what_waits_beyond_the_alarm_is_told_by_the_oldest(rig: Rig) -> None:
    put(rig)
    assert look(rig, hours=20).oldest_hours == 0
    assert look(rig, hours=31).oldest_hours == pytest.approx(31, abs=0.1)


def test_a_disk_that_takes_no_more_is_told(rig: Rig) -> None:
    put(rig)
    assert not look(rig).is_full
    assert look(rig, room="least_free_mb = 1000000000").is_full


def test_without_archives_what_is_stored_here_is_counted(rig: Rig) -> None:
    put(rig)
    found = look(rig, "")
    assert (found.here, found.on_the_way, found.archives) == (1, 0, 0)


def test_an_outbox_that_cannot_be_read_is_told_not_taken_for_empty(rig: Rig) -> None:
    put(rig)
    assert look(rig, "[destination.pacs]\nsend = 'both'").readable is False
    (rig.folder / "captures").rename(rig.folder / "away")
    (rig.folder / "captures").write_text("no folder")
    assert look(rig).readable is False
