"""Check, switch, restart, watch, keep or go back: with processes and a picture that do as they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.clock import SECOND, ManualClock
from edge.errors import ConfigError, LimpidError, SourceUnavailable, UpdateRefused
from edge.update.processes import Stays
from edge.update.settling import Settling, Terms
from edge.update.trial import MOST_STARTS, Trial
from tests.update_bench import Bench, bench_at

WHEN = datetime(2026, 11, 20, 10, 0, tzinfo=timezone.utc)


class Ward:
    """The appliance from outside: what runs is what was current when it was last started again."""

    what = "a test"

    def __init__(self, bench: Bench) -> None:
        self.store = bench.store
        self.runs = bench.store.current
        self.restarts = 0
        self.shown = 100
        self.cannot_restart = False
        self.runs_live = True
        self.answers: Callable[[str], bool] = lambda _version: True
        self.ends: Callable[[str], dict[str, int]] = lambda _version: {}

    def has_live(self) -> bool:
        return self.runs_live

    def restart(self) -> None:
        if self.cannot_restart:
            raise LimpidError("it does not want to")
        self.runs, self.restarts, self.shown = self.store.current, self.restarts + 1, 0

    def stays(self) -> Stays:
        return Stays(self.ends(self.runs))

    def ask(self, do: str, /) -> dict[str, Any]:
        if not self.answers(self.runs):
            raise SourceUnavailable("nobody")
        self.shown += 10
        frames = {"enhanced": {"engine": self.shown}, "original": {}}
        stream = {"frames": frames, "latency_ms": {"p99": 10.0}}
        return {"version": self.runs, "pid": self.restarts, "streams": {"s": stream}}


class Pause(threading.Event):
    """Waiting turns the clock."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self.clock.advance(int((timeout or 0.0) * SECOND))
        return self.is_set()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = bench_at(tmp_path)
    made.stage(made.update("1.0"))
    made.store.switch("1.0", None)
    made.stage(made.update("2.0"))
    return made


@pytest.fixture
def ward(bench: Bench) -> Ward:
    return Ward(bench)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def settling(bench: Bench, ward: Ward, clock: ManualClock) -> Settling:
    return Settling(bench.store, ward, ward, clock, lambda _what: None, Pause(clock))


def switch(bench: Bench, settling: Settling) -> None:
    settling.switch(bench.store.find("2.0"), WHEN, Terms())


def test_a_version_that_holds_is_kept(bench: Bench, ward: Ward, settling: Settling) -> None:
    switch(bench, settling)
    trial = bench.store.trial()
    assert trial is not None
    assert trial.streams["s"].enhanced > 100
    outcome = settling.settle()
    assert (outcome.outcome, outcome.version, ward.restarts) == ("held", "2.0", 1)
    assert outcome.picture_back_s == 0.0
    assert bench.store.trial() is None
    assert bench.store.good == "2.0"


def test_one_that_never_answers_goes_back_and_the_old_one_is_started(
    bench: Bench, ward: Ward, settling: Settling
) -> None:
    ward.answers = lambda version: version != "2.0"
    switch(bench, settling)
    outcome = settling.settle()
    assert (outcome.outcome, outcome.why) == ("back", "not ready in 30 s; nobody")
    assert (bench.store.current, ward.runs, ward.restarts) == ("1.0", "1.0", 2)


def test_one_whose_processes_end_goes_back(bench: Bench, ward: Ward, settling: Settling) -> None:
    ward.ends = lambda version: {"console": 2} if version == "2.0" else {}
    switch(bench, settling)
    assert settling.settle().why == "console ended 2 times by itself"
    assert ward.runs == "1.0"


def test_where_nothing_can_be_started_again_the_link_goes_back_all_the_same(
    bench: Bench, ward: Ward, settling: Settling
) -> None:
    ward.cannot_restart = True
    switch(bench, settling)
    outcome = settling.settle()
    assert outcome.outcome == "back"
    assert "could not be started again: it does not want to" in outcome.why
    assert bench.store.current == "1.0"


def test_an_answer_that_cannot_be_understood_is_none(bench: Bench, ward: Ward, settling: Settling) -> None:
    switch(bench, settling)
    ward.ask = lambda _do: {"streams": 3}  # type: ignore[assignment,method-assign]
    assert settling.settle().why == "not ready in 30 s; its answer cannot be understood"


def test_where_a_live_process_runs_that_cannot_be_asked_nothing_is_switched(
    bench: Bench, ward: Ward, settling: Settling
) -> None:
    ward.answers = lambda _version: False
    with pytest.raises(SourceUnavailable, match=r"2\.0: it could not be watched: .*: nobody"):
        switch(bench, settling)
    assert (bench.store.current, bench.store.trial()) == ("1.0", None)
    assert [entry.did for entry in bench.store.audit.entries()][-1] == "update-refused"


def test_one_that_answers_late_is_waited_for(bench: Bench, ward: Ward, settling: Settling, clock: ManualClock) -> None:
    ready_ns = clock.now() + 5 * SECOND
    ward.answers = lambda _version: clock.now() >= ready_ns
    switch(bench, settling)
    assert bench.store.current == "2.0"


def test_where_no_live_process_runs_nobody_has_to_answer(bench: Bench, ward: Ward, settling: Settling) -> None:
    """An update may be what mends one that ends again and again."""
    ward.runs_live, ward.answers = False, lambda version: version == "2.0"
    switch(bench, settling)
    ward.runs_live = True
    assert settling.settle().outcome == "held"


def test_who_follows_a_trial_that_another_process_watches_hears_how_it_ended(bench: Bench, settling: Settling) -> None:
    switch(bench, settling)
    bench.store.roll_back("it is slow", {})
    outcome = settling.follow("2.0", "1.0")
    assert (outcome.outcome, outcome.version, outcome.why) == ("back", "1.0", "it is slow")


def test_who_follows_may_end_while_the_trial_goes_on(bench: Bench, ward: Ward, clock: ManualClock) -> None:
    pause = Pause(clock)
    following = Settling(bench.store, ward, ward, clock, lambda _what: None, pause)
    switch(bench, following)
    pause.set()
    assert following.follow("2.0", "1.0").outcome == "interrupted"
    assert bench.store.trial() is not None


def test_who_is_interrupted_leaves_the_trial_to_the_next(bench: Bench, ward: Ward, clock: ManualClock) -> None:
    stopped = Pause(clock)
    stopped.set()
    first = Settling(bench.store, ward, ward, clock, lambda _what: None, stopped)
    switch(bench, first)
    assert first.settle().outcome == "interrupted"
    trial = bench.store.trial()
    assert trial is not None
    assert (trial.starts, trial.restarted) == (1, True)
    next_one = Settling(bench.store, ward, ward, clock, lambda _what: None, Pause(clock))
    assert next_one.settle().outcome == "held"
    assert ward.restarts == 1  # they ran already


def test_a_trial_begun_too_often_goes_back_before_anything_is_started(
    bench: Bench, ward: Ward, settling: Settling
) -> None:
    switch(bench, settling)
    trial = bench.store.trial()
    assert trial is not None
    bench.store.write_trial(msgspec.structs.replace(trial, starts=MOST_STARTS))
    current_when_decided: list[str] = []
    outcome = settling.settle(lambda: current_when_decided.append(bench.store.current))
    assert (outcome.outcome, current_when_decided) == ("back", ["1.0"])


def test_without_a_trial_there_is_nothing_to_do(settling: Settling, ward: Ward) -> None:
    decided: list[bool] = []
    assert settling.settle(lambda: decided.append(True)).outcome == "nothing"
    assert decided == [True]
    assert ward.restarts == 0


def test_two_do_not_watch_at_once(bench: Bench, ward: Ward, settling: Settling) -> None:
    switch(bench, settling)
    other = Settling(bench.store, ward, ward, ManualClock(), lambda _what: None, threading.Event())
    inside: list[str] = []
    assert settling.settle(lambda: inside.append(other.settle().outcome)).outcome == "held"
    assert inside == ["watched"]


def test_by_hand_during_a_trial_it_is_over(bench: Bench, ward: Ward, settling: Settling) -> None:
    switch(bench, settling)
    assert settling.roll_back("by hand").version == "1.0"
    assert settling.settle().outcome == "nothing"


def test_a_second_switch_waits_for_the_first_one(bench: Bench, settling: Settling) -> None:
    switch(bench, settling)
    bench.stage(bench.update("3.0"))
    with pytest.raises(ConfigError, match="still on trial"):
        settling.switch(bench.store.find("3.0"), WHEN, Terms())


def test_what_is_altered_on_the_disk_is_refused_and_told(bench: Bench, settling: Settling, ward: Ward) -> None:
    version = bench.store.find("2.0")
    (version.home / "venv/0.py").write_text("altered")
    with pytest.raises(UpdateRefused, match=r"2\.0: venv/0\.py is not what was installed"):
        settling.check(version, None)
    assert bench.store.current == "1.0"
    assert [entry.did for entry in bench.store.audit.entries()][-1] == "update-refused"


def test_a_trial_says_for_how_long() -> None:
    assert Trial("2", "1", "").length_s == Terms().length_s
