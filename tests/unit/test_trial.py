"""When an engine that was just activated has to go back. Figures in, a verdict out."""

from __future__ import annotations

import pytest

from edge.clock import MS, SECOND
from edge.trial import LENGTH, Count, Figures, counted, judge, judge_opening

USUAL = Figures(Count(by_engine=590, enhanced=600, late=4), 12 * MS)
LONG, SHORT = LENGTH, 5 * SECOND


def after(p99_ms: float | None = 12.0, **counts: int) -> Figures:
    facts = {"by_engine": 590, "enhanced": 600, "late": 4, **counts}
    return Figures(Count(**facts), None if p99_ms is None else int(p99_ms * MS))


def test_one_that_does_as_the_one_before_did_is_watched_for_a_while_and_then_holds() -> None:
    assert judge(USUAL, after(), SHORT).outcome == "watch"
    assert judge(USUAL, after(), LONG).outcome == "held"


def test_time_without_frames_proves_nothing() -> None:
    assert judge(USUAL, Figures(Count()), 10 * LONG).outcome == "watch"
    assert judge(USUAL, after(None, by_engine=20, enhanced=20, late=0), 10 * LONG).outcome == "watch"


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (after(None, by_engine=40, enhanced=40, late=0, faults=3), "3 of 43 frames without a usable result"),
        (after(None, by_engine=90, enhanced=90, late=10), "10.0 % of 100 frames late, 0.7 % before"),
        (after(None, by_engine=5), "it treated 0.8 % of 604 frames, the one before 97.7 %"),
        (after(21.0), "p99 21.0 ms from frame to picture, 12.0 ms before"),
    ],
)
def test_one_that_does_worse_goes_back_and_says_by_what(figures: Figures, words: str) -> None:
    verdict = judge(USUAL, figures, SHORT)
    assert verdict.outcome == "back"
    assert words in verdict.why


@pytest.mark.parametrize(
    "figures",
    [
        after(None, by_engine=40, enhanced=40, late=0, faults=2),  # two may be chance
        after(None, by_engine=30, enhanced=30, late=30),  # too few frames to say
        after(19.9),  # a tail has its own weather
        after(40.0, by_engine=200, enhanced=200, late=0),  # and is not known from few frames
    ],
)
def test_what_may_be_chance_is_watched_on(figures: Figures) -> None:
    assert judge(USUAL, figures, SHORT).outcome == "watch"


def test_what_was_bad_before_is_not_the_new_ones_fault() -> None:
    busy = Figures(Count(by_engine=100, enhanced=100, late=400, faults=60), 80 * MS)
    same = Figures(Count(by_engine=100, enhanced=100, late=410, faults=61), 90 * MS)
    assert judge(busy, same, LONG).outcome == "held"


def test_without_a_before_only_what_is_wrong_in_itself_counts() -> None:
    assert judge(None, after(500.0, by_engine=0), SHORT).outcome == "watch"
    assert judge(None, after(None, faults=30), SHORT).outcome == "back"
    assert judge(None, after(None, late=300), SHORT).outcome == "back"


def test_one_over_the_deadline_is_never_shown_unless_that_is_nothing_new() -> None:
    deadline = 33 * MS
    assert (
        judge_opening(9 * MS, 34 * MS, deadline).why
        == "it takes 34.0 ms a frame here, 9.0 ms before; the deadline is 33 ms"
    )
    assert judge_opening(None, 34 * MS, deadline).outcome == "back"
    assert judge_opening(40 * MS, 60 * MS, deadline).outcome == "watch"
    assert judge_opening(9 * MS, 30 * MS, deadline).outcome == "watch"


def test_only_frames_that_were_to_be_enhanced_are_counted() -> None:
    enhanced = {"new": 70, "other": 20}
    original = {"late": 3, "busy": 2, "overload": 1, "fault": 4, "not finite": 5, "fidelity": 6, "operator": 99,
                "opening": 99, "strength zero": 99, "no region": 99}  # fmt: skip
    count = counted("new", enhanced, original)
    assert (count.by_engine, count.enhanced, count.late, count.faults, count.frames) == (70, 90, 6, 15, 111)
    assert count.since(Count(10, 20, 1, 5)) == Count(60, 70, 5, 10)
