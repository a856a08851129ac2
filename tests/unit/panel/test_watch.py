"""Live or not, and how old: on a clock that is turned by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge.clock import MS, SECOND
from edge.panel.watch import PERIODS, SILENCE, TO_DRAW, Dater, Liveness, Watch
from edge.wire import Flag
from tests.unit.panel.scenes import PERIOD, notice, report

SMALL = np.zeros((64, 64), np.uint8)


def watched(count: int, *, local: bool = True, delay: int = MS) -> tuple[Watch, int]:
    """A watch that has seen a steady stream, and when the last picture left the daemon."""
    watch, dater = Watch(), Dater(local=local)
    left = 50 * SECOND
    for seq in range(count):
        left = 50 * SECOND + seq * PERIOD
        watch.picture(dater.date(report(seq, left, original=SMALL), left + delay))
    return watch, left


def test_before_the_first_picture_it_waits() -> None:
    assert Watch().liveness(SECOND) is Liveness.WAITING
    assert not Watch().answers(SECOND)


@pytest.mark.parametrize("local", [True, False])
def test_a_stopped_picture_is_not_live_within_two_frame_periods_whoever_says_so(local: bool) -> None:
    watch, left = watched(30, local=local)
    assert watch.liveness(left + PERIOD + 20 * MS) is Liveness.LIVE
    assert watch.liveness(left + PERIODS * PERIOD) is Liveness.NOT_LIVE
    assert watch.due_ns(left + PERIOD) <= left + PERIODS * PERIOD - TO_DRAW + MS  # type: ignore[operator]


def test_a_picture_that_took_all_its_time_is_no_false_alarm() -> None:
    """One after 7 ms, the next at its deadline, a whole period after it came."""
    watch, left = watched(30)
    assert watch.liveness(left + 2 * PERIOD - 7 * MS) is Liveness.LIVE


def test_a_notice_is_believed_at_once_and_the_next_picture_as_well() -> None:
    watch, left = watched(30)
    dater = Dater(local=True)
    told = dater.date(notice(report(30, left, original=SMALL), left + 10 * MS, Flag(0)), left + 10 * MS)
    watch.notice(told)
    assert watch.liveness(left + 11 * MS) is Liveness.NOT_LIVE
    assert watch.is_silent
    watch.picture(dater.date(report(31, left + 20 * MS, original=SMALL), left + 21 * MS))
    assert watch.liveness(left + 22 * MS) is Liveness.LIVE


def test_a_daemon_that_says_nothing_at_all_is_told_from_a_scanner_that_is_silent() -> None:
    watch, left = watched(30)
    dater, last = Dater(local=True), report(30, left, original=SMALL)
    for k in range(1, 9):
        at = left + k * 250 * MS
        watch.notice(dater.date(notice(last, at, Flag(0)), at))
        assert watch.answers(at + 200 * MS)
    assert not watch.answers(at + SILENCE)


def test_a_picture_that_waited_in_a_socket_while_we_slept_does_not_look_young() -> None:
    watch, left = watched(30)
    late = Dater(local=True).date(report(31, left + PERIOD, original=SMALL), left + 5 * SECOND)
    watch.picture(late)
    assert late.age_ns(left + 5 * SECOND) == 5 * SECOND - PERIOD + 12 * MS
    assert watch.liveness(left + 5 * SECOND) is Liveness.NOT_LIVE


def test_elsewhere_only_growth_of_the_delay_counts() -> None:
    """The daemon's clock is hours off; the way takes 20 ms, and once 320."""
    dater, hours = Dater(local=False), 3600 * SECOND
    for seq in range(20):
        at = 50 * SECOND + seq * PERIOD
        seen = dater.date(report(seq, at + hours, original=SMALL), at + 20 * MS)
        assert seen.age_ns(at + 20 * MS) == pytest.approx(12 * MS, abs=MS)
    at += PERIOD
    seen = dater.date(report(20, at + hours, original=SMALL), at + 320 * MS)
    assert seen.age_ns(at + 320 * MS) == pytest.approx(312 * MS, abs=6 * MS)


def test_notices_do_not_count_as_frames_for_the_rhythm() -> None:
    dater = Dater(local=True)
    for seq in range(10):
        at = 50 * SECOND + seq * PERIOD
        dater.date(report(seq, at, original=SMALL), at)
        seen = dater.date(notice(report(seq, at, original=SMALL), at + MS, Flag.FROZEN), at + MS)
    assert seen.period_ns == pytest.approx(PERIOD, abs=MS)
