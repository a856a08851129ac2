"""What is known of a stream's picture: live, frozen, or standing."""

from __future__ import annotations

import numpy as np

from edge.clock import MS
from edge.console.channel import LONGEST_PERIOD, UNKNOWN_PERIOD, Channel
from edge.frame import Frame, Shown, Treatment, Why
from edge.wire import Flag, Report, decode_shown, encode_notice, encode_shown

PIXELS = np.zeros((64, 64), np.uint8)
PERIOD = 33 * MS


def report(seq: int, at: int, flags: Flag = Flag.LIVE, session: int = 1, *, notice: bool = False) -> Report:
    frame = Frame(PIXELS, "s", seq, at - 5 * MS, at - 4 * MS, session=session)
    shown = Shown(frame, PIXELS, Treatment.ORIGINAL, Why.OPENING)
    if notice:
        return decode_shown([b"", encode_notice(shown, flags, at)])
    return decode_shown([b"", encode_shown(shown, flags, at), PIXELS.data.cast("B")])


def running(frames: int = 40, period: int = PERIOD) -> tuple[Channel, int]:
    channel, now = Channel("s"), 10**9
    for seq in range(1, frames + 1):
        now += period
        channel.hear(report(seq, now), now)
    return channel, now


def test_before_the_first_frame_nothing_is_live_and_nothing_is_due() -> None:
    channel = Channel("s")
    assert (channel.live, channel.due_ns, channel.stood_ns(10**12)) == (False, None, 0)


def test_not_live_is_due_two_periods_after_the_last_frame() -> None:
    channel, now = running()
    assert abs(channel.period_ns - PERIOD) < MS
    assert channel.due_ns is not None
    assert abs(channel.due_ns - now - 2 * PERIOD) < 2 * MS
    assert not channel.look(channel.due_ns - 1)
    assert channel.live
    assert channel.look(channel.due_ns)
    assert not channel.live
    assert channel.stood_ns(now + 500 * MS) == 500 * MS


def test_not_live_is_told_once_and_a_frame_ends_it() -> None:
    channel, now = running()
    assert channel.look(now + 10 * PERIOD)
    assert channel.due_ns is None
    assert not channel.look(now + 20 * PERIOD)
    assert channel.hear(report(99, now + 30 * PERIOD), now + 30 * PERIOD)
    assert channel.live


def test_the_daemons_own_word_counts_at_once() -> None:
    channel, now = running()
    assert channel.hear(report(40, now, Flag(0), notice=True), now + MS)
    assert not channel.live
    assert not channel.hear(report(40, now, Flag(0), notice=True), now + 250 * MS)  # told again: no news


def test_a_frozen_picture_is_live_as_long_as_the_daemon_says_so_four_times_a_second() -> None:
    channel, now = running()
    frozen = Flag.LIVE | Flag.FROZEN
    for _ in range(10):
        now += 250 * MS
        channel.hear(report(40, now, frozen, notice=True), now)
        assert channel.frozen
        assert channel.due_ns is not None
        assert channel.due_ns > now + 250 * MS
    assert channel.look(now + 2 * LONGEST_PERIOD)  # the daemon is gone: then it is not live either
    assert channel.frozen
    assert not channel.live


def test_the_age_of_a_picture_counts_on_from_the_daemons() -> None:
    channel, now = running()
    assert channel.newest is not None
    assert channel.newest.age_ns(now) == 5 * MS
    assert channel.newest.age_ns(now + 70 * MS) == 75 * MS


def test_frames_that_were_not_shown_do_not_make_the_period_longer() -> None:
    channel, now = running()
    channel.hear(report(50, now + 10 * PERIOD), now + 10 * PERIOD)
    assert abs(channel.period_ns - PERIOD) < MS


def test_a_new_sender_says_nothing_about_the_period() -> None:
    channel, now = running()
    channel.hear(report(1, now + 10**9, session=2), now + 10**9)
    assert abs(channel.period_ns - PERIOD) < MS
    assert Channel("s").period_ns == UNKNOWN_PERIOD
