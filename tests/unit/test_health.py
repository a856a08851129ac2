"""Counters that add up, events that never make anybody wait, and the watchdog that ends what hangs."""

from __future__ import annotations

import io
import json
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS, SECOND, ManualClock
from edge.frame import EngineId, Shown, Treatment, Why, original
from edge.health import RATE_LIMIT, Events, Tally, Vitals, Watchdog, notify, percentiles
from tests.fakes import SHA, frame

FRAME = frame(pixels=np.zeros((4, 4), np.uint8))
PATIENCE_S = 20.0


def enhanced(engine: str) -> Shown:
    return Shown(FRAME, FRAME.pixels, Treatment.ENHANCED, engine=EngineId(engine, SHA, "fake", "int8"))


# ---------------------------------------------------------------- the equation


class Books:
    """What happened, written down a second time and otherwise."""

    def __init__(self) -> None:
        self.tally, self.came, self.out = Tally(), 0, 0

    def came_in(self) -> None:
        self.tally.came += 1
        self.came += 1

    def went(self, how: str) -> None:
        if self.out == self.came:
            return  # nothing waits
        self.out += 1
        if how.startswith("engine"):
            self.tally.showed(enhanced(how))
        elif how in Why.__members__:
            self.tally.showed(original(FRAME, Why[how]))
        else:
            self.tally.dropped[how] += 1


WAYS = st.sampled_from(["", "engine-a", "engine-b", "LATE", "OPERATOR", "superseded", "too-old"])


@given(st.lists(WAYS, max_size=100))
def test_whatever_happens_in_is_enhanced_and_original_and_dropped_and_waiting(steps: list[str]) -> None:
    books = Books()
    for step in steps:
        if step:
            books.went(step)
        else:
            books.came_in()
        facts = books.tally.as_dict()
        by_reason = sum(sum(facts[key].values()) for key in ("enhanced", "original", "dropped"))
        assert facts["in"] == books.came == by_reason + facts["waiting"]
        assert facts["waiting"] == books.came - books.out


def test_what_was_shown_is_counted_by_engine_and_by_reason() -> None:
    tally = Tally()
    tally.came = 4
    for shown in (enhanced("a"), enhanced("a"), original(FRAME, Why.LATE), original(FRAME, Why.NO_REGION)):
        tally.showed(shown)
    facts = tally.as_dict()
    assert facts["enhanced"] == {"a": 2}
    assert facts["original"] == {"late": 1, "no region": 1}


@given(st.lists(st.integers(0, 10**10), max_size=300))
def test_percentiles_rise_and_end_at_the_largest(values: list[int]) -> None:
    found = percentiles(values)
    if not values:
        assert found == {}
        return
    assert list(found) == ["p50", "p90", "p95", "p99", "p99.9", "max"]
    assert list(found.values()) == sorted(found.values())
    assert found["max"] == round(max(values) / 1e6, 3)


# ---------------------------------------------------------------- events


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_events_are_written_as_one_object_a_line_with_their_time() -> None:
    clock, out = ManualClock(), io.StringIO()
    events = Events(clock, out)
    events.start()
    events.emit("frame.late", stream="s", seq=812)
    events.close(PATIENCE_S)
    told = {"event": "frame.late", "severity": "info", "t_ns": clock.now(), "stream": "s", "seq": 812}
    assert lines(out) == [told]


def test_listeners_hear_every_event_on_the_events_thread() -> None:
    heard: list[tuple[str, str]] = []
    events = Events(ManualClock(), io.StringIO())
    events.listen(lambda event: heard.append((event["event"], threading.current_thread().name)))
    events.start()
    events.emit("a")
    events.emit("b")
    events.close(PATIENCE_S)
    assert heard == [("a", "events"), ("b", "events")]


def test_repeats_are_muted_and_counted_and_heard_again_a_second_later() -> None:
    clock, out = ManualClock(), io.StringIO()
    events = Events(clock, out)
    for _ in range(100):
        events.emit("frame.late", stream="s")
    events.emit("frame.late", stream="another")  # has a ration of its own
    clock.advance(SECOND)
    events.emit("frame.late", stream="s")
    events.start()
    events.close(PATIENCE_S)
    assert [line["stream"] for line in lines(out)] == ["s"] * RATE_LIMIT + ["another", "s"]
    assert events.muted["frame.late"] == 100 - RATE_LIMIT


def test_a_writer_that_hangs_makes_nobody_wait_and_what_is_lost_is_counted() -> None:
    """Nothing is written at all: the thread is not even started."""
    events = Events(ManualClock(), io.StringIO())
    for k in range(5000):
        events.emit(f"event-{k}")
    assert events.lost == 5000 - 1000
    events.close(0.01)  # does not wait for room either


def test_what_is_remembered_of_events_stays_bounded() -> None:
    events = Events(ManualClock(), io.StringIO())
    for k in range(5000):
        events.emit("x", stream=f"stream-{k}")
    assert len(events._recent) <= 1001


def test_a_closed_terminal_costs_nothing_but_its_lines() -> None:
    out = io.StringIO()
    out.close()
    heard: list[str] = []
    events = Events(ManualClock(), out)
    events.listen(lambda event: heard.append(event["event"]))
    events.start()
    events.emit("a")
    events.emit("b")
    events.close(PATIENCE_S)
    assert heard == ["a", "b"]


def test_a_full_disk_costs_nothing_but_its_lines() -> None:
    heard: list[str] = []
    with Path("/dev/full").open("w") as full:
        events = Events(ManualClock(), full)
        events.listen(lambda event: heard.append(event["event"]))
        events.start()
        events.emit("a")
        events.emit("b")
        events.close(PATIENCE_S)
        assert heard == ["a", "b"]
        with pytest.raises(OSError, match="No space left"):
            full.close()


# ---------------------------------------------------------------- vitals and the watchdog


def watchdog(clock: ManualClock) -> tuple[Vitals, Watchdog, list[int], io.StringIO]:
    vitals, ends, out = Vitals(clock), list[int](), io.StringIO()
    events = Events(clock, out)
    events.start()
    return vitals, Watchdog(vitals, SECOND, events, ends.append), ends, out


def test_while_the_live_thread_moves_nothing_is_ended() -> None:
    clock = ManualClock()
    vitals, dog, ends, _ = watchdog(clock)
    for _ in range(50):
        clock.advance(SECOND)
        vitals.beat()
        assert dog.check()
    assert ends == []


def test_a_live_thread_that_hangs_ends_the_process_and_says_so_first() -> None:
    clock = ManualClock()
    _, dog, ends, out = watchdog(clock)
    clock.advance(SECOND)
    assert dog.check()
    clock.advance(500 * MS)
    assert not dog.check()
    assert ends == [Watchdog.EXIT_CODE]
    assert [line["event"] for line in lines(out)] == ["watchdog.restart"]
    assert "live thread has not moved for 1.5 s" in lines(out)[0]["trouble"]


def test_an_engine_that_hangs_ends_the_process_although_the_live_thread_moves() -> None:
    clock = ManualClock()
    vitals, dog, ends, out = watchdog(clock)
    vitals.engine_since_ns = clock.now()
    clock.advance(2 * SECOND)
    vitals.beat()
    assert not dog.check()
    assert ends == [Watchdog.EXIT_CODE]
    assert "an engine" in lines(out)[0]["trouble"]


def test_an_engine_that_has_finished_is_no_trouble() -> None:
    clock = ManualClock()
    vitals, dog, ends, _ = watchdog(clock)
    vitals.engine_since_ns = clock.now()
    clock.advance(2 * SECOND)
    vitals.beat()
    vitals.engine_since_ns = None
    assert dog.check()
    assert ends == []


def test_the_watchdogs_own_thread_ends_what_hangs() -> None:
    clock, ended = ManualClock(), threading.Event()
    dog = Watchdog(Vitals(clock), SECOND // 10, Events(clock, io.StringIO()), lambda _status: ended.set())
    clock.advance(SECOND)
    dog.start()
    assert ended.wait(PATIENCE_S)
    dog.close()


# ---------------------------------------------------------------- systemd


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_systemd_is_told(systemd: socket.socket) -> None:
    notify("READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_systemds_watchdog_is_fed_from_the_live_threads_progress_alone(systemd: socket.socket) -> None:
    clock = ManualClock()
    _, dog, _, _ = watchdog(clock)
    dog.check()
    assert systemd.recv(100) == b"WATCHDOG=1"
    clock.advance(2 * SECOND)
    dog.check()
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)


def test_an_abstract_socket_is_told_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = f"limpid-test-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0" + name)
        sock.settimeout(PATIENCE_S)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify("STOPPING=1")
        assert sock.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_where_nobody_listens_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
