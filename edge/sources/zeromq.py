"""Frames pushed by a scanner over ZeroMQ: the appliance's front door. Read by the live thread.

A PULL socket is bound and drained between two pictures, so that old frames never queue before new ones; what is not
the newest of its stream is dropped by the intake, and counted. While a picture is computed a few messages wait here.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

import msgspec
import zmq

from edge import wire
from edge.access.doors import Door, Watch
from edge.access.register import FRAMES
from edge.clock import SECOND, Clock
from edge.errors import BadFrame
from edge.frame import Frame
from edge.wire import FrameHeader, SenderClock

LARGEST_MESSAGE = wire.MAX_STRIDE * wire.MAX_SIDE
BUFFER_BYTES = 4 << 20  # the kernel's default makes a frame wait for several round trips
PLAUSIBLE_AGE = 10 * SECOND
REMEMBERED_SENDERS = 64
DRIFT = 5000  # one part in: 200 ppm
Sender = tuple[str, int]  # stream and session
T = TypeVar("T")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bind: str = "tcp://127.0.0.1:5570"
    hwm: int = 8  # messages that wait here while a picture is computed; beyond, they wait at the sender


def open_source(options: Options, clock: Clock) -> ZeroMqSource:
    return ZeroMqSource(options, clock, zmq.Context.instance())


class ZeroMqSource:
    def __init__(
        self,
        options: Options,
        clock: Clock,
        context: zmq.Context[zmq.Socket[bytes]],
        guard: Watch | None = None,
    ) -> None:
        self._clock = clock
        self._captured = CaptureTimes(time.time_ns)
        self._door = Door(lambda: _socket(context, options), options.bind, FRAMES, "[source.zeromq] bind", guard)

    @property
    def ended(self) -> bool:
        return False

    def next(self, timeout_s: float) -> Frame | None:
        self._door.mind()
        if not self._ready(timeout_s):
            return None
        try:
            first = self._door.socket.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:  # what was ready is gone: its connection ended, or it was no message but ZeroMQ's own
            return None
        received_ns = self._clock.now()
        payload = self._payload(first)
        header = wire.decode_header(first.bytes)
        if not self._door.admits_to(first, header.stream):
            raise BadFrame("not-its-stream", "its sender was enrolled for other streams")
        captured_ns = self._captured.of(header, received_ns)
        return wire.frame_of(header, payload.buffer, captured_ns, received_ns)

    def _ready(self, timeout_s: float) -> bool:
        if timeout_s > 0:
            return bool(self._door.socket.poll(max(1, int(timeout_s * 1000))))
        return bool(int(self._door.socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)  # a fraction of what poll(0) costs

    def _payload(self, first: zmq.Frame) -> zmq.Frame:
        """The second part; whatever follows it is read away, one part at a time, and refused."""
        if not first.more:
            raise BadFrame("malformed", "1 part, not 2")
        payload = part = self._door.socket.recv(zmq.NOBLOCK, copy=False)
        count = 2
        while part.more:
            part = self._door.socket.recv(zmq.NOBLOCK, copy=False)
            count += 1
        if count > 2:
            raise BadFrame("malformed", f"{count} parts, not 2")
        return payload

    def close(self) -> None:
        self._door.close()


def _socket(context: zmq.Context[zmq.Socket[bytes]], options: Options) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.PULL)
    socket.setsockopt(zmq.RCVHWM, options.hwm)
    socket.setsockopt(zmq.RCVBUF, BUFFER_BYTES)
    socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    return socket


class CaptureTimes:
    """A sender's capture times on this machine's monotonic clock. A time that cannot be true is not believed."""

    def __init__(self, unix_now: Callable[[], int]) -> None:
        self._unix_now = unix_now
        self._smallest_delay: OrderedDict[Sender, tuple[int, int]] = OrderedDict()  # and when it was so
        self._believed: OrderedDict[Sender, int] = OrderedDict()

    def of(self, header: FrameHeader, received_ns: int) -> int:
        if header.clock is SenderClock.OWN:
            return self._on_own_clock(header, received_ns)
        now = received_ns if header.clock is SenderClock.MONOTONIC else self._unix_now()
        age, sender = now - header.stamped_ns, (header.stream, header.session)
        if 0 <= age < PLAUSIBLE_AGE:
            self._remember(self._believed, sender, received_ns)
            return received_ns - age
        if age >= PLAUSIBLE_AGE and sender in self._believed:
            return received_ns - age  # it has told the truth before: this one is really that old
        return self._on_own_clock(header, received_ns)

    def _on_own_clock(self, header: FrameHeader, received_ns: int) -> int:
        """Only differences mean anything: the fastest frame so far is taken to have come at once, and a frame that
        took longer than that one is older by the difference. So lag that grows on the way is seen."""
        sender = (header.stream, header.session)
        delay = received_ns - header.stamped_ns
        smallest, at_ns = self._smallest_delay.get(sender, (delay, received_ns))
        # Two clocks drift apart: what was swift is let grow, faster than clocks drift, slower than lag does.
        smallest = min(delay, smallest + (received_ns - at_ns) // DRIFT)
        if delay - smallest > PLAUSIBLE_AGE:  # the sender's clock has jumped: begin again
            smallest = delay
        self._remember(self._smallest_delay, sender, (smallest, received_ns))
        return received_ns - (delay - smallest)

    @staticmethod
    def _remember(table: OrderedDict[Sender, T], sender: Sender, value: T) -> None:
        table[sender] = value
        table.move_to_end(sender)
        while len(table) > REMEMBERED_SENDERS:
            table.popitem(last=False)
