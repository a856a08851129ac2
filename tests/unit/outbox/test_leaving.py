"""A capture leaves when it may, and no earlier: confirmed everywhere and kept for its time, or given up by a person."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from edge.errors import CaptureRefused, ConfigError
from edge.outbox import Outbox
from edge.outbox.markers import read_facts
from tests.outbox_rig import ROOMY, Rig, Thing, draft, finish, next_item, pair


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "outbox")


def test_retry_leaves_alone_what_is_confirmed(rig: Rig):
    rig.box.put(draft(Thing(b"x" * 64)))
    finish(rig)
    (item,) = rig.box.items("pacs", "confirmed")
    rig.box.retry(item)
    assert rig.box.next("pacs") is None


def test_nothing_leaves_before_it_is_confirmed_everywhere_and_its_time_is_over(tmp_path: Path):
    rig = Rig(tmp_path, destinations=("pacs", "second"))
    name = rig.box.put(draft(*pair()))
    rig.hours_pass(1000)
    finish(rig, "pacs")
    rig.hours_pass(1000)
    assert rig.box.remove_confirmed() == []
    finish(rig, "second")
    rig.hours_pass(71)
    assert rig.box.remove_confirmed() == []
    rig.hours_pass(1.1)
    assert rig.box.remove_confirmed() == [name]
    assert rig.everything_on_disk() == set()


def test_a_parked_object_keeps_its_capture(rig: Rig):
    rig.box.put(draft(*pair()))
    rig.box.parked(next_item(rig), "refused")
    finish(rig)
    rig.hours_pass(10_000)
    assert rig.box.remove_confirmed() == []


def test_with_no_destination_nothing_leaves(tmp_path: Path):
    rig = Rig(tmp_path, destinations=())
    rig.box.put(draft(*pair()))
    rig.hours_pass(10_000)
    assert rig.box.remove_confirmed() == []


@pytest.mark.parametrize("years", [-10, 10])
def test_a_clock_that_jumps_ten_years_removes_nothing_early_and_stalls_nothing(rig: Rig, years: int):
    rig.box.put(draft(*pair()))
    finish(rig)
    rig.wall.now += timedelta(days=365 * years)
    later = rig.box.put(draft(*pair(2)))
    finish(rig)
    rig.hours_pass(71)
    assert rig.box.remove_confirmed() == []
    rig.wall.now -= timedelta(days=365 * years)
    assert rig.box.remove_confirmed() == []
    rig.hours_pass(1.1)
    assert len(rig.box.remove_confirmed()) == 2
    assert later not in {capture.id for capture in rig.box.captures()}


def test_time_is_counted_through_restarts_and_a_power_cut_loses_a_minute_at_most(rig: Rig):
    name = rig.box.put(draft(*pair()))
    finish(rig)
    for _ in range(8):
        rig.hours_pass(9)
        assert rig.box.remove_confirmed() in ([], [name])
        rig.restart()
    rig.hours_pass(8 / 60)
    rig.box.remove_confirmed()
    assert rig.box.captures() == []


@pytest.mark.parametrize("lost", ["the count", "the marker's content"])
def test_where_the_count_is_lost_the_time_starts_again(rig: Rig, lost: str):
    rig.hours_pass(500)
    rig.box.remove_confirmed()
    name = rig.box.put(draft(*pair()))
    finish(rig)
    rig.box.remove_confirmed()
    rig.box.close()
    if lost == "the count":
        (rig.folder / "served.json").unlink()
    else:
        next((rig.captures_folder() / name).glob("*.confirmed")).write_bytes(b"")
    rig.restart()
    assert rig.box.remove_confirmed() == []
    rig.hours_pass(71)
    assert rig.box.remove_confirmed() == []
    rig.hours_pass(1.1)
    assert rig.box.remove_confirmed() == [name]


def test_a_discarded_capture_is_set_apart_and_removed_in_its_time(rig: Rig):
    name = rig.box.put(draft(*pair()))
    rig.box.discard(name, "wrong probe")
    assert rig.box.next("pacs") is None
    assert (rig.folder / "discarded" / name / "1-original.dcm").exists()
    rig.hours_pass(71)
    assert rig.box.remove_confirmed() == []
    rig.hours_pass(2)
    assert rig.box.remove_confirmed() == [name]
    assert not list((rig.folder / "discarded").iterdir())


def hours_of_running(box: Outbox, rig: Rig, hours: float) -> list[str]:
    """The forwarder keeps house meanwhile. Gives what it removed."""
    removed: list[str] = []
    for _ in range(int(hours)):
        rig.hours_pass(1)
        removed += box.remove_confirmed()
    return removed


@pytest.mark.parametrize("count", ["kept", "never kept", "torn"])
def test_what_another_process_discards_is_kept_for_its_time_as_well(tmp_path: Path, count: str):
    rig = Rig(tmp_path / "outbox")  # the forwarder
    live = Outbox(rig.folder, ROOMY, rig.wall, rig.clock, who="live")  # made once, at its start
    hours_of_running(rig.box, rig, 500)
    if count == "never kept":
        (rig.folder / "served.json").unlink()
    elif count == "torn":
        (rig.folder / "served.json").write_bytes(b'{"serv')
    name = live.put(draft(*pair()))
    live.discard(name, "wrong probe")
    assert rig.box.remove_confirmed() == []
    assert hours_of_running(rig.box, rig, 71) == []
    facts = read_facts(rig.folder / "discarded" / name / "discarded.json")
    assert facts is not None
    assert (facts.by, facts.reason) == ("live", "wrong probe")
    assert hours_of_running(rig.box, rig, 2) == [name]


def test_a_removal_that_a_power_cut_ended_is_finished(rig: Rig):
    name = rig.box.put(draft(*pair()))
    folder = rig.captures_folder() / name
    folder.rename(folder.with_name(name + ".gone"))
    rig.restart()
    assert rig.everything_on_disk() == set()


def test_half_written_captures_are_never_listed_and_swept_by_the_next_owner(rig: Rig):
    whole = rig.box.put(draft(*pair()))
    rig.box.close()
    folder = rig.captures_folder() / whole
    half = folder.with_name("20261120T191530.000001-abcdef.tmp")
    half.mkdir()
    (half / "1-original.dcm").write_bytes(b"half of")
    box = Outbox(rig.folder, ROOMY)
    assert [capture.id for capture in box.captures()] == [whole]
    assert box.own_putting() == 1
    assert not half.exists()
    box.close()


def test_what_another_process_is_writing_is_not_swept(rig: Rig):
    from edge.outbox.spool import locked

    half = rig.captures_folder() / "20261120T191530.000001-abcdef.tmp"
    half.mkdir(parents=True)
    with locked(half):
        rig.restart()
        assert half.exists()


@pytest.mark.parametrize("part", ["putting", "sending"])
def test_there_is_one_owner_of_each_part(rig: Rig, part: str):
    second = Outbox(rig.folder, ROOMY)
    with pytest.raises(ConfigError, match="another process"):
        getattr(second, f"own_{part}")()
    rig.box.close()
    getattr(second, f"own_{part}")()
    second.close()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), OSError(30, "Read-only file system"), ValueError("?")]
)
@pytest.mark.parametrize(("step", "calls_of_it"), [("create", 3), ("sync_folder", 2), ("write_all", 3)])
def test_a_put_that_fails_leaves_nothing_behind(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str, calls_of_it: int, error: Exception
):
    from edge import durable

    real, calls, counting = getattr(durable, step), 0, threading.Lock()

    def fails_at_last(*arguments: object) -> object:
        nonlocal calls
        with counting:  # the objects of a pair are written by a thread each
            calls += 1
            mine = calls
        if mine == wanted:
            raise error
        return real(*arguments)

    durable.make_folder(rig.captures_folder())
    for wanted in range(1, calls_of_it + 1):
        calls = 0
        with monkeypatch.context() as patched:
            patched.setattr(durable, step, fails_at_last)
            expected = CaptureRefused if isinstance(error, OSError) else ValueError
            with pytest.raises(expected):
                rig.box.put(draft(*pair()))
        assert calls >= wanted
        assert rig.everything_on_disk() == set()
        assert rig.box.captures() == []


def test_the_audit_log_tells_the_whole_story_and_names_no_patient(rig: Rig):
    name = rig.box.put(draft(*pair()))
    finish(rig)
    rig.hours_pass(73)
    rig.box.remove_confirmed()
    did = [(entry.did, entry.facts.get("object")) for entry in rig.box.audit.entries() if entry.to == name]
    steps = [(step, one) for one in ("1-original.dcm", "2-enhanced.dcm") for step in ("sent", "asked", "confirmed")]
    assert did == [("stored", None), *steps, ("removed", None)]
    assert rig.box.audit.verify().faults == ()
