"""Time as it is injected: never backwards, and a deadline's remainder never below nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS, SECOND, Deadline, ManualClock, MonotonicClock

MOMENTS = st.integers(min_value=0, max_value=10**18)


def test_the_machines_clock_never_goes_backwards() -> None:
    clock = MonotonicClock()
    times = [clock.now() for _ in range(1000)]
    assert times == sorted(times)


def test_a_manual_clock_stands_still_until_it_is_advanced() -> None:
    clock = ManualClock()
    before = clock.now()
    assert clock.now() == before
    clock.advance(3 * MS)
    assert clock.now() - before == 3 * MS


@given(at=MOMENTS, now=MOMENTS)
def test_a_deadline_has_time_left_exactly_until_it_has_passed(at: int, now: int) -> None:
    deadline = Deadline(at)
    assert deadline.remaining(now) >= 0
    assert deadline.passed(now) == (deadline.remaining(now) == 0)
    if not deadline.passed(now):
        assert now + deadline.remaining(now) == at


def test_a_second_is_a_thousand_milliseconds() -> None:
    assert SECOND == 1000 * MS
