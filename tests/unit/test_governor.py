"""The governor alone: no thread, no clock, no pixels."""

from __future__ import annotations

import pytest

from edge.clock import MS, SECOND
from edge.frame import Why
from edge.governor import Governor, Outcome
from edge.heat import Step
from edge.rhythm import Rhythm

PERIOD = 33 * MS
LADDER = ("large", "medium", "small", "classical")
COSTS = {"large": 9 * MS, "medium": 5 * MS, "small": 3 * MS, "classical": 2 * MS}


def governor(costs: dict[str, int] | None = None) -> Governor:
    g = Governor(33 * MS, 100 * MS, LADDER)
    for rung, cost in (costs or COSTS).items():
        g.offer(rung, cost)
    g.admit(0, PERIOD, 0)
    g.open_done()
    return g


def test_the_best_rung_that_fits_is_taken_first() -> None:
    assert governor().settled == "large"
    assert governor({**COSTS, "large": 40 * MS}).settled == "medium"


def test_no_rung_that_fits_is_overload_and_none_at_all_is_said() -> None:
    g = governor(dict.fromkeys(LADDER, 50 * MS))
    assert (g.settled, g.why_original) == (None, Why.OVERLOAD)
    empty = Governor(33 * MS, 100 * MS, LADDER)
    empty.open_done()
    assert (empty.settled, empty.why_original) == (None, Why.NO_ENGINE)


def test_the_deadline_is_before_the_next_frame_is_due() -> None:
    g = governor()
    plan = g.admit(arrived_ns=SECOND, period_ns=20 * MS, now_ns=SECOND)
    assert plan.enhances
    assert SECOND < plan.deadline.at_ns < SECOND + 20 * MS


def test_a_frame_that_waited_too_long_is_not_begun() -> None:
    g = governor()
    plan = g.admit(arrived_ns=SECOND, period_ns=PERIOD, now_ns=SECOND + 31 * MS)
    assert not plan.enhances
    assert plan.why is Why.LATE


def test_one_miss_is_a_stand_in_and_changes_nothing() -> None:
    g = governor()
    assert g.learn(Outcome.LATE, PERIOD, SECOND) is True
    assert g.settled == "large"


def test_two_misses_in_a_row_settle_at_once_on_what_would_hold_if_all_were_as_slow() -> None:
    g = governor()
    g.learn(Outcome.LATE, PERIOD, SECOND)
    assert g.learn(Outcome.LATE, PERIOD, SECOND + PERIOD) is True  # a stand-in: the next one is enhanced
    assert g.settled == "medium"
    g = governor({**COSTS, "medium": 8 * MS})  # large took 33 ms for 9: medium would take 29
    fall(g, SECOND)
    assert g.settled == "small"


def test_two_misses_in_a_row_settle_on_the_original_if_nothing_would_hold() -> None:
    g = governor(dict.fromkeys(LADDER, 9 * MS))
    g.learn(Outcome.LATE, PERIOD, SECOND)
    assert g.learn(Outcome.LATE, PERIOD, SECOND + PERIOD) is False
    assert (g.settled, g.why_original) == (None, Why.OVERLOAD)


def test_two_falls_within_a_second_end_on_the_original() -> None:
    g = governor()
    fall(g, SECOND)
    fall(g, SECOND + 500 * MS)
    assert (g.settled, g.why_original) == (None, Why.OVERLOAD)
    g = governor()
    fall(g, SECOND)
    fall(g, 2 * SECOND + 500 * MS)
    assert g.settled == "small"


def test_three_misses_within_two_seconds_too_but_not_spread_out() -> None:
    g = governor()
    for k in range(6):
        g.learn(Outcome.LATE, PERIOD, k * 3 * SECOND)
        g.learn(Outcome.ON_TIME, 9 * MS, k * 3 * SECOND + PERIOD)
    assert g.settled == "large"
    for k in range(3):
        g.learn(Outcome.LATE, PERIOD, 60 * SECOND + k * 600 * MS)
        if g.settled:
            g.learn(Outcome.ON_TIME, 9 * MS, 60 * SECOND + k * 600 * MS + PERIOD)
    assert g.settled == "medium"


STALLED = 100 * PERIOD


def fall(g: Governor, at: int, cost: int = PERIOD) -> None:
    g.learn(Outcome.LATE, cost, at)
    g.learn(Outcome.LATE, cost, at + PERIOD)


def probe_until(g: Governor, start: int, costs: dict[str, int], seconds: float) -> int | None:
    """Frames pass; each probe takes what `costs` says. The time of the first lift, if any."""
    now = start
    while now < start + seconds * SECOND:
        now += PERIOD
        rung = g.probe(now)
        if rung is not None:
            g.learn_probe(rung, Outcome.ON_TIME, costs[rung], now + costs[rung])
            if g.settled is not None:
                return now
    return None


def test_the_way_back_is_measured_and_never_within_a_second_of_the_fall() -> None:
    g = governor()
    fall(g, SECOND, STALLED)
    lifted = probe_until(g, SECOND, COSTS, 5)
    assert lifted is not None
    assert SECOND <= lifted - (SECOND + PERIOD) <= 2 * SECOND
    assert g.settled == "large"


def test_probes_settle_on_the_rung_that_holds() -> None:
    g = governor()
    fall(g, SECOND, STALLED)
    slow = {**COSTS, "large": 60 * MS, "medium": 40 * MS}
    assert probe_until(g, SECOND, slow, 5) is not None
    assert g.settled == "small"


def test_a_rung_that_fails_soon_after_its_lift_must_show_more_next_time() -> None:
    g = governor()
    lifts: list[int] = []
    now = SECOND
    for _ in range(4):
        fall(g, now, STALLED)
        lifted = probe_until(g, now, {**COSTS, "medium": 90 * MS, "small": 90 * MS, "classical": 90 * MS}, 20)
        assert lifted is not None
        lifts.append(lifted - now)
        now = lifted + PERIOD
    assert lifts == sorted(lifts)
    assert lifts[-1] > lifts[0]


FAST = 5 * MS


def _overloaded_by_a_fast_sender() -> tuple[Governor, int]:
    """Frames come at 200 a second; large looks good in probes and falls each time it is shown, five times."""
    g = governor()
    now = SECOND
    for _ in range(5):
        g.admit(now, FAST, now)
        fall(g, now, STALLED)
        while g.settled is None:
            now += FAST
            g.admit(now, FAST, now)
            if g.probe(now) == "large":
                g.learn_probe("large", Outcome.ON_TIME, COSTS["large"], now)
    fall(g, now, STALLED)
    return g, now


def _seconds_until_large_is_back(g: Governor, now: int, periods: list[int]) -> float:
    """Frames come in these intervals, over and over; every probe fits."""
    began = now
    for k in range(10_000):
        now += periods[k % len(periods)]
        g.admit(now, periods[k % len(periods)], now)
        rung = g.probe(now)
        if rung is not None:
            g.learn_probe(rung, Outcome.ON_TIME, COSTS[rung], now)
        if g.settled == "large":
            return (now - began) / SECOND
    raise AssertionError("large did not come back")


def test_once_frames_come_slower_again_the_falls_in_between_are_forgiven() -> None:
    overloaded, now = _overloaded_by_a_fast_sender()
    assert _seconds_until_large_is_back(overloaded, now, [PERIOD]) <= 1.2  # the second between two changes, a probe
    overloaded, now = _overloaded_by_a_fast_sender()
    still = _seconds_until_large_is_back(overloaded, now, [FAST])
    assert still > 2.0, "while frames go on coming fast, a rung that fell five times is not trusted"


def test_an_uneven_rhythm_is_no_relief() -> None:
    overloaded, now = _overloaded_by_a_fast_sender()
    assert _seconds_until_large_is_back(overloaded, now, [FAST, PERIOD]) > 1.6


def test_creeping_slowness_steps_down_before_frames_are_missed() -> None:
    g = governor()
    now = 10 * SECOND
    for _ in range(60):
        now += PERIOD
        g.learn(Outcome.ON_TIME, 30 * MS, now)
    # Large has gone from 9 to 30 ms: what is 3.3 times slower still fits from medium on.
    assert g.settled == "medium"


def test_a_faulty_engine_is_left_like_a_slow_one() -> None:
    g = governor()
    g.learn(Outcome.FAULT, 0, SECOND)
    g.learn(Outcome.FAULT, 0, SECOND + PERIOD)
    assert (g.settled, g.why_original) == (None, Why.FAULT)
    g.learn_probe("large", Outcome.FAULT, 0, 3 * SECOND)
    g.learn_probe("medium", Outcome.ON_TIME, 5 * MS, 3 * SECOND)
    g.learn_probe("medium", Outcome.ON_TIME, 5 * MS, 3 * SECOND)
    assert g.settled == "medium"


@pytest.mark.parametrize("fps", [5, 30, 60, 200])
def test_rhythm_is_the_median_within_what_a_display_can_show(fps: int) -> None:
    rhythm = Rhythm()
    for k in range(20):
        rhythm.beat(k * SECOND // fps + (7 * MS if k == 11 else 0))
    assert rhythm.period_ns == pytest.approx(max(SECOND // fps, SECOND // 60), rel=0.01)


# ------------------------------------------------ heat


def test_warm_is_one_rung_lower_hot_is_classical_and_critical_the_original() -> None:
    g = governor()
    for n, (step, rung) in enumerate(
        ((Step.WARM, "medium"), (Step.HOT, "classical"), (Step.CRITICAL, None)), start=1
    ):  # fmt: skip
        g.limit(step, n * 2 * SECOND)
        assert g.settled == rung
    assert g.admit(9 * SECOND, PERIOD, 9 * SECOND).why is Why.HOT


def test_warm_counts_from_the_rung_that_was_in_force() -> None:
    g = governor({**COSTS, "large": 40 * MS})
    assert g.settled == "medium"
    g.limit(Step.WARM, 2 * SECOND)
    assert g.settled == "small"


def test_above_the_ceiling_nothing_is_measured_and_nothing_lifted() -> None:
    g = governor()
    g.limit(Step.WARM, 2 * SECOND)
    assert probe_until(g, 2 * SECOND, COSTS, 10) is None
    g.limit(Step.CRITICAL, 20 * SECOND)
    assert probe_until(g, 20 * SECOND, COSTS, 10) is None


def test_once_cool_again_a_rung_comes_back_as_after_any_fall_measured_first() -> None:
    g = governor()
    g.limit(Step.CRITICAL, 2 * SECOND)
    g.limit(Step.HOT, 90 * SECOND)
    assert g.settled is None
    assert probe_until(g, 90 * SECOND, COSTS, 5) is not None
    assert g.settled == "classical"


def test_cool_again_but_too_slow_is_overload_not_heat() -> None:
    g = governor()
    g.limit(Step.CRITICAL, 2 * SECOND)
    g.limit(Step.NORMAL, 90 * SECOND)
    assert probe_until(g, 90 * SECOND, dict.fromkeys(LADDER, 90 * MS), 3) is None
    assert g.why_original is Why.OVERLOAD


def test_heat_too_waits_for_the_second_between_two_changes() -> None:
    g = governor()
    fall(g, SECOND, STALLED)
    lifted = probe_until(g, SECOND, COSTS, 5)
    assert lifted is not None
    g.limit(Step.WARM, lifted + 100 * MS)
    assert g.settled == "large"
    g.limit(Step.WARM, lifted + SECOND + 100 * MS)
    assert g.settled == "medium"


def test_an_engine_that_opens_while_it_is_hot_opens_under_the_ceiling() -> None:
    g = governor()
    g.limit(Step.HOT, 2 * SECOND)
    g.withdraw_all()
    for rung, cost in COSTS.items():
        g.offer(rung, cost)
    g.open_done()
    assert g.settled == "classical"
    g.limit(Step.CRITICAL, 4 * SECOND)
    g.withdraw_all()
    g.offer("large", 9 * MS)
    g.open_done()
    assert (g.settled, g.why_original) == (None, Why.HOT)


def test_without_classical_in_the_ladder_hot_leaves_the_original() -> None:
    g = Governor(33 * MS, 100 * MS, ("large", "small"))
    for rung in ("large", "small"):
        g.offer(rung, COSTS[rung])
    g.admit(0, PERIOD, 0)
    g.open_done()
    g.limit(Step.HOT, 2 * SECOND)
    assert (g.settled, g.why_original) == (None, Why.HOT)
