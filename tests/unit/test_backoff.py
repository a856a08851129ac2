from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.backoff import FIRST, LONGEST, wait_ns


def test_no_failure_no_wait() -> None:
    assert wait_ns(0, 1.0) == 0


def test_each_failure_doubles_the_wait_up_to_the_longest() -> None:
    waits = [wait_ns(failures, 1.0) for failures in range(1, 12)]
    assert waits[0] == FIRST
    assert waits[1] == 2 * FIRST
    assert waits[-1] == LONGEST
    assert waits == sorted(waits)


@given(failures=st.integers(1, 10**9), chance=st.floats(0, 1))
def test_it_never_stops_and_chance_takes_at_most_half(failures: int, chance: float) -> None:
    most = wait_ns(failures, 1.0)
    assert most / 2 <= wait_ns(failures, chance) <= most <= LONGEST


def test_a_week_away_costs_some_thousand_tries() -> None:
    gone, tries = 0, 0
    while gone < 7 * 24 * 3600 * 10**9:
        tries += 1
        gone += wait_ns(tries, 0.5)
    assert 2000 < tries < 4100
