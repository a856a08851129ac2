"""The ladder of heat alone, and a day of it through a real governor: injected time, no thread, no sensor."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass, field

import pytest

from edge.clock import MS, SECOND
from edge.frame import Why
from edge.governor import Governor, Outcome
from edge.heat import LONGEST_HOLD, HeatLadder, Limits, Step

MINUTE = 60 * SECOND
EVERY = 2 * SECOND
COOL, WARM, HOT, CRITICAL = 40.0, 10.0, 4.0, 0.0


@dataclass
class Trial:
    """A ladder that is read every two seconds."""

    limits: Limits = field(default_factory=Limits)
    now: int = SECOND
    changes: list[tuple[int, Step]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ladder = HeatLadder(self.limits)

    def at(self, margin: float | None, seconds: float, *, throttles: bool = False) -> Step:
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.now += EVERY
            before = self.ladder.step
            if self.ladder.learn(margin, self.now, throttles=throttles) is not before:
                self.changes.append((self.now, self.ladder.step))
        return self.ladder.step


def test_each_step_begins_at_its_distance_from_throttling() -> None:
    for margin, step in ((12.1, Step.NORMAL), (12.0, Step.WARM), (6.0, Step.HOT), (1.0, Step.CRITICAL)):
        assert Trial().at(margin, 6) is step


def test_a_peak_of_one_reading_is_not_heat_but_critical_is_acted_on_at_once() -> None:
    trial = Trial()
    trial.at(COOL, 10)
    assert trial.at(HOT, 2) is Step.NORMAL
    assert trial.at(COOL, 10) is Step.NORMAL
    assert trial.at(CRITICAL, 2) is Step.CRITICAL


def test_the_way_up_goes_one_step_at_a_time_and_each_takes_a_hold() -> None:
    trial = Trial()
    trial.at(CRITICAL, 4)
    begun = trial.now
    trial.at(COOL, 10 * 60)
    ups = trial.changes[1:]
    assert [step for _, step in ups] == [Step.HOT, Step.WARM, Step.NORMAL]
    assert all(
        after - before >= MINUTE for before, after in itertools.pairwise([begun - EVERY, *(at for at, _ in ups)])
    )


def test_just_below_a_limit_nothing_is_gained() -> None:
    trial = Trial()
    trial.at(WARM, 10)
    assert trial.at(12.0 + 3.9, 3600) is Step.WARM
    assert trial.at(12.0 + 4.1, 70) is Step.NORMAL


def test_cool_has_to_be_without_a_break() -> None:
    trial = Trial()
    trial.at(WARM, 10)
    for _ in range(20):
        trial.at(COOL, 50)
        trial.at(14.0, 2)
    assert trial.ladder.step is Step.WARM


def test_a_lost_sensor_holds_what_is_and_does_not_climb() -> None:
    trial = Trial()
    trial.at(HOT, 10)
    assert trial.at(None, 3600) is Step.HOT
    assert trial.at(COOL, 50) is Step.HOT  # the wait begins anew
    assert trial.at(COOL, 20) is Step.WARM


def test_a_lost_sensor_of_a_cool_machine_changes_nothing() -> None:
    assert Trial().at(None, 3600) is Step.NORMAL


def test_throttling_that_no_temperature_foretold_goes_down_to_classical_and_no_further() -> None:
    trial = Trial()
    assert trial.at(COOL, 2, throttles=True) is Step.WARM
    assert trial.at(COOL, 50, throttles=True) is Step.WARM
    assert trial.at(COOL, 20, throttles=True) is Step.HOT
    assert trial.at(COOL, 3600, throttles=True) is Step.HOT


def test_a_step_up_that_does_not_last_makes_the_next_wait_longer_and_a_lasting_one_is_forgiven() -> None:
    trial = Trial()
    waits: list[int] = []
    for _ in range(6):
        trial.at(WARM, 70)
        down = trial.now
        while trial.ladder.step is not Step.NORMAL:
            trial.at(COOL, 2)
        waits.append(trial.now - down)
    assert all(later > earlier * 1.8 for earlier, later in itertools.pairwise(waits[:4]))
    assert max(waits) <= LONGEST_HOLD + 2 * EVERY
    trial.at(COOL, 40 * 60)
    trial.at(WARM, 70)
    assert trial.at(COOL, 64) is Step.NORMAL


def test_right_after_a_step_up_only_critical_goes_down_again() -> None:
    trial = Trial()
    trial.at(WARM, 10)
    trial.at(COOL, 62)
    assert trial.ladder.step is Step.NORMAL
    assert trial.at(HOT, 50) is Step.NORMAL
    assert trial.at(HOT, 20) is Step.HOT
    trial = Trial()
    trial.at(WARM, 10)
    trial.at(COOL, 62)
    assert trial.at(CRITICAL, 2) is Step.CRITICAL


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_readings_no_cycle_is_shorter_than_a_minute(seed: int) -> None:
    rng = random.Random(seed)
    trial = Trial()
    for _ in range(400):
        margin = rng.choice([None, COOL, WARM, HOT, CRITICAL, rng.uniform(-5, 60)])
        trial.at(margin, rng.choice([2, 4, 30, 62, 130]), throttles=rng.random() < 0.1)
    steps = [(SECOND, Step.NORMAL), *trial.changes]
    ups = [at for (_, before), (at, after) in itertools.pairwise(steps) if after < before]
    assert ups
    assert all(later - earlier >= MINUTE for earlier, later in itertools.pairwise(ups))
    for (
        (earlier, _),
        (later, after),
    ) in itertools.pairwise(steps[1:]):
        before = dict(steps)[earlier]
        if after < before or (after is not Step.CRITICAL and earlier in ups):
            assert later - earlier >= MINUTE, "up, or down after up, sooner than a minute"


# ------------------------------------------------ a day: a box whose heat depends on what it computes

LADDER = ("large", "medium", "small", "classical")
COST = {"large": 12 * MS, "medium": 7 * MS, "small": 4 * MS, "classical": 2 * MS}
WATTS = {"large": 18.0, "medium": 13.0, "small": 10.0, "classical": 7.0, "original": 5.0}
THROTTLES_AT = 95.0
PERIOD = 33 * MS
DEGREES_PER_WATT, TIME_CONSTANT_S = 2.4, 240.0  # a small box without a fan


@dataclass
class Box:
    """Heats towards ambient + watts x resistance, slowly; beyond its limit it halves its clock, as chips do."""

    celsius: float = 40.0

    def pass_seconds(self, seconds: float, watts: float, ambient: float) -> None:
        target = ambient + watts * DEGREES_PER_WATT
        self.celsius += (target - self.celsius) * (1 - math.exp(-seconds / TIME_CONSTANT_S))

    @property
    def slowdown(self) -> float:
        return 3.0 if self.celsius >= THROTTLES_AT else 1.0


def ambient_at(hour: float) -> float:
    """A day of a cart: a warm room, an afternoon under a lamp with the vents covered, and twice a real heat-up."""
    day = 38 + 8 * math.sin((hour - 9) / 24 * 2 * math.pi)
    covered = 14 if 13 <= hour < 16 else 0
    blocked = 36 if 17 <= hour < 17.4 or 20 <= hour < 20.2 else 0
    return day + covered + blocked


@dataclass
class Day:
    """A second of frames at a time: the ladder reads the box, the governor plans, and the box answers with its heat."""

    box: Box = field(default_factory=Box)
    changes: list[tuple[int, Step]] = field(default_factory=list)
    rungs: list[tuple[int, str]] = field(default_factory=list)
    misses: int = 0
    throttled_s: int = 0
    hottest: float = 0.0
    hot_frames: int = 0

    def live(self, hours: float, with_ladder: bool = True) -> None:
        ladder, governor = HeatLadder(Limits()), Governor(33 * MS, 100 * MS, LADDER)
        for rung, cost in COST.items():
            governor.offer(rung, cost)
        governor.admit(0, PERIOD, 0)
        governor.open_done()
        for second in range(int(hours * 3600)):
            now = second * SECOND
            if second % 2 == 0 and with_ladder:
                before = ladder.step
                if ladder.learn(THROTTLES_AT - self.box.celsius, now) is not before:
                    self.changes.append((now, ladder.step))
            self._frames(governor, ladder.step, now)
            self.box.pass_seconds(1.0, WATTS[governor.settled or "original"], ambient_at(second / 3600 % 24))
            self.throttled_s += self.box.slowdown > 1
            self.hottest = max(self.hottest, self.box.celsius)

    def _frames(self, governor: Governor, step: Step, now: int) -> None:
        for n in range(3):  # of thirty: what is decided in a second does not hang on the others
            at = now + n * 330 * MS
            governor.limit(step, at)
            plan = governor.admit(at, PERIOD, at)
            self.hot_frames += plan.why is Why.HOT
            if plan.rung is not None:
                cost = int(COST[plan.rung] * self.box.slowdown)
                late = at + cost > plan.deadline.at_ns
                self.misses += late
                governor.learn(Outcome.LATE if late else Outcome.ON_TIME, cost, at + cost)
            probe = governor.probe(at)
            if probe is not None:
                governor.learn_probe(probe, Outcome.ON_TIME, int(COST[probe] * self.box.slowdown), at)
            rung = governor.settled or "original"
            if not self.rungs or self.rungs[-1][1] != rung:
                self.rungs.append((at, rung))


def test_a_day_of_heat_never_oscillates_never_misses_the_deadline_and_ends_where_it_began() -> None:
    day = Day()
    day.live(24)
    ups = [at for (_, before), (at, after) in itertools.pairwise([(0, Step.NORMAL), *day.changes]) if after < before]
    assert {Step.WARM, Step.HOT} <= {step for _, step in day.changes}
    assert ups
    for (earlier, _), (later, after) in itertools.pairwise(day.changes):
        if later in ups or (earlier in ups and after is not Step.CRITICAL):
            assert later - earlier >= MINUTE
    assert all(later - earlier >= MINUTE for earlier, later in itertools.pairwise(ups))
    assert len(day.changes) < 150, "a change every ten minutes on average is start and stop"
    assert day.misses == 0
    assert day.throttled_s == 0
    assert day.rungs[-1][1] == "large"


def test_the_same_day_without_the_ladder_throttles_and_misses() -> None:
    """That the day above can fail: it is the ladder that keeps it cool."""
    day = Day()
    day.live(14.5, with_ladder=False)
    assert day.hottest >= THROTTLES_AT
    assert day.throttled_s > 0
    assert day.misses > 0
