"""A process's own report: whole or absent, who is up, and how often it was started."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from edge.clock import SECOND, ManualClock
from edge.dispatches import Dispatches
from edge.errors import ConfigError
from edge.health import Events
from edge.process_report import LAST_EVENTS, STALE, Own, Reporter, as_facts, read, read_all


def reporter(folder: Path, clock: ManualClock, name: str = "forward", **figures: object) -> Reporter:
    return Reporter(folder, Own(name, lambda: dict(figures)), clock, Events(clock, io.StringIO()))


def test_what_a_process_is_and_knows(tmp_path: Path) -> None:
    clock = ManualClock()
    reporter(tmp_path / "new", clock, waiting=7).write()
    report = read_all(tmp_path / "new")["forward"]
    assert (report.pid, report.starts, report.figures) == (os.getpid(), 1, {"waiting": 7})
    assert report.rss_bytes > 1e6
    assert report.descriptors > 0
    assert as_facts(report, clock.now())["up"] is True
    assert ((tmp_path / "new") / "forward.json").stat().st_mode & 0o077 == 0


def test_a_process_that_has_not_reported_or_has_ended_is_not_up(tmp_path: Path) -> None:
    clock = ManualClock()
    one = reporter(tmp_path, clock)
    one.write()
    report = read(tmp_path / "forward.json")
    assert report is not None
    assert not report.is_up(clock.now() + STALE)
    assert not report.is_up(clock.now() - SECOND), "of another boot, whose clock went further"
    one.write(ended=True)
    report = read(tmp_path / "forward.json")
    assert report is not None
    assert not report.is_up(clock.now())
    assert "uptime_s" not in as_facts(report, clock.now())


def test_starts_are_counted_since_the_machine_was_started(tmp_path: Path) -> None:
    clock = ManualClock()
    for _ in range(3):
        reporter(tmp_path, clock).write()
    path = tmp_path / "forward.json"
    assert read_all(tmp_path)["forward"].starts == 3
    report = read(path)
    assert report is not None
    path.write_bytes(path.read_bytes().replace(report.boot.encode(), b"another-boot"))
    reporter(tmp_path, clock).write()
    assert read_all(tmp_path)["forward"].starts == 1


def test_it_reports_to_its_end(tmp_path: Path) -> None:
    stop, clock = threading.Event(), ManualClock()
    thread = threading.Thread(target=reporter(tmp_path, clock).run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(20)
    report = read(tmp_path / "forward.json")
    assert report is not None
    assert report.ended


def test_the_last_events_are_in_it(tmp_path: Path) -> None:
    clock = ManualClock()
    events = Events(clock, io.StringIO())
    one = Reporter(tmp_path, Own("live"), clock, events)
    events.start()
    for n in range(LAST_EVENTS + 5):
        events.emit(f"event.{'abcdefghij'[n % 10]}", stream=str(n))
    events.close(20)
    one.write()
    told = read_all(tmp_path)["live"].events
    assert len(told) == LAST_EVENTS
    assert told[-1]["stream"] == str(LAST_EVENTS + 4)


def test_figures_that_cannot_be_had_are_left_out(tmp_path: Path) -> None:
    def fails() -> dict[str, object]:
        raise ConfigError("no outbox")

    clock = ManualClock()
    Reporter(tmp_path, Own("live", fails), clock, Events(clock, io.StringIO())).write()
    assert read_all(tmp_path)["live"].figures == {}


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "processes").write_text("a file")
    clock, out = ManualClock(), io.StringIO()
    events = Events(clock, out)
    one = Reporter(tmp_path / "processes", Own("live"), clock, events)
    events.start()
    one.write()
    one.write()
    events.close(20)
    assert out.getvalue().count("report.not-written") == 1


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"process": 3}', b"\xff\xfe"])
def test_what_is_no_report_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "live.json").write_bytes(content)
    assert read_all(tmp_path) == {}


def test_a_report_in_anothers_name_is_not_taken(tmp_path: Path) -> None:
    reporter(tmp_path, ManualClock()).write()
    (tmp_path / "forward.json").rename(tmp_path / "live.json")
    assert read_all(tmp_path) == {}


def test_what_became_of_objects_by_destination_and_the_kind_of_the_last_error() -> None:
    clock = ManualClock()
    dispatches = Dispatches(clock)
    for event in ("object.sent", "object.sent", "object.confirmed", "stream.opened"):
        dispatches.hear({"event": event, "destination": "pacs"})
    dispatches.hear(
        {"event": "object.later", "destination": "pacs", "kind": "SinkUnavailable", "reason": "WEISS^A said no"}
    )
    dispatches.hear({"event": "live.ready"})
    clock.advance(3 * SECOND)
    told = dispatches.figures("pacs")
    assert (told["sent"], told["confirmed"], told["later"], told["parked"]) == (2, 1, 1, 0)
    assert (told["last_error"], told["last_error_age_s"]) == ("SinkUnavailable", 3.0)
    assert "WEISS" not in str(told)
    assert dispatches.figures("elsewhere")["sent"] == 0
