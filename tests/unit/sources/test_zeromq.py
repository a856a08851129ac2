"""The front door: messages to frames, and senders' times to ours. Real sockets, inproc."""

from __future__ import annotations

import numpy as np
import pytest
import zmq

from edge import wire
from edge.clock import MS, SECOND, ManualClock
from edge.errors import BadFrame, ConfigError
from edge.frame import Frame
from edge.sources.zeromq import CaptureTimes, Options, ZeroMqSource
from edge.wire import FrameHeader, SenderClock

HOUR = 3600 * SECOND


def header(stamped_ns: int, clock: SenderClock, session: int = 1) -> FrameHeader:
    picture = Frame(np.zeros((64, 64), np.uint8), "s", 1, 0, 0, session=session, stamped_ns=stamped_ns)
    return wire.decode_header(bytes(wire.encode_frame(picture, clock)[0]))


def age_ms(times: CaptureTimes, stamped_ns: int, received_ns: int, clock: SenderClock) -> float:
    return (received_ns - times.of(header(stamped_ns, clock), received_ns)) / MS


def test_a_stamp_of_this_hosts_clock_is_taken_as_it_is() -> None:
    assert age_ms(CaptureTimes(lambda: 0), SECOND, SECOND + 7 * MS, SenderClock.MONOTONIC) == 7


def test_a_stamp_of_a_synchronised_clock_gives_the_age() -> None:
    times = CaptureTimes(lambda: 1_700_000_000 * SECOND + 9 * MS)
    assert age_ms(times, 1_700_000_000 * SECOND, 5 * SECOND, SenderClock.UNIX) == 9


@pytest.mark.parametrize("clock", [SenderClock.MONOTONIC, SenderClock.UNIX])
def test_a_sender_that_told_the_truth_is_believed_when_a_frame_is_very_old(clock: SenderClock) -> None:
    times = CaptureTimes(lambda: 60 * SECOND)
    assert age_ms(times, 60 * SECOND - MS, 60 * SECOND, clock) == 1
    assert age_ms(times, 30 * SECOND, 60 * SECOND, clock) == 30_000


def test_a_time_that_cannot_be_true_counts_from_arrival() -> None:
    assert age_ms(CaptureTimes(lambda: 0), 99 * SECOND, SECOND, SenderClock.MONOTONIC) == 0


def test_lag_that_grows_on_the_way_is_seen_on_a_senders_own_clock() -> None:
    times = CaptureTimes(lambda: 0)
    ages = [age_ms(times, k * 33 * MS, 5 * SECOND + k * 35 * MS, SenderClock.OWN) for k in range(100)]
    assert ages[0] == 0
    assert 190 < ages[-1] < 200


def test_two_clocks_that_drift_apart_do_not_make_frames_old() -> None:
    times, slow = CaptureTimes(lambda: 0), 100e-6
    step = SECOND
    ages = [age_ms(times, int(k * step * (1 - slow)), HOUR + k * step, SenderClock.OWN) for k in range(3 * 3600)]
    assert max(ages) < 5


def source() -> tuple[ZeroMqSource, zmq.Socket[bytes], ManualClock]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    clock = ManualClock()
    made = ZeroMqSource(Options(bind="inproc://test-zeromq"), clock, context)
    push = context.socket(zmq.PUSH)
    push.setsockopt(zmq.LINGER, 0)
    push.connect("inproc://test-zeromq")
    return made, push, clock


def test_frames_come_in_order_and_rubbish_between_them_is_refused_alone() -> None:
    made, push, clock = source()
    try:
        good = wire.encode_frame(Frame(np.full((64, 64), 7, np.uint8), "s", 1, 0, 0, stamped_ns=clock.now()))
        for message in (good, [b"one"], [b"a", b"b"], [b"x"] * 5, good):
            push.send_multipart(message)
        first = made.next(1.0)
        assert first is not None
        assert (first.pixels == 7).all()
        assert not first.pixels.flags.writeable
        for _ in range(3):
            with pytest.raises(BadFrame):
                made.next(1.0)
        assert made.next(1.0) is not None
        assert made.next(0.0) is None
    finally:
        push.close()
        made.close()


def test_an_address_that_cannot_be_bound_names_its_key() -> None:
    with pytest.raises(ConfigError, match=r"source\.zeromq"):
        ZeroMqSource(Options(bind="tcp://256.0.0.1:1"), ManualClock(), zmq.Context.instance())
