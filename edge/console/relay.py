"""Pictures from the daemon: one subscription for all clients. Runs on the relay thread of the console.

Only what somebody looks at is asked for: the original, and the change map, cost the daemon something.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable

import zmq

from edge import wire
from edge.access.curve import ClientKey
from edge.client import connect
from edge.errors import BadFrame
from edge.wire import Report

HWM = 4
POLL_MS = 500
BUFFER_BYTES = 4 << 20
Hear = Callable[[Report, int], None]  # what came, and when: monotonic nanoseconds


class Relay:
    def __init__(self, address: str, hear: Hear, key: ClientKey | None = None) -> None:
        self._address = address
        self._hear = hear
        self._key = key
        self._wanted: frozenset[bytes] = frozenset()  # replaced whole, by any thread
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.refused = 0  # messages that could not be read

    def want(self, topics: frozenset[bytes]) -> None:
        """From any thread: these and no others."""
        self._wanted = topics
        with contextlib.suppress(OSError):  # a full pipe wakes already
            os.write(self._waker, b"!")

    def run(self, stop: threading.Event) -> None:
        sock = self._open()
        poller = zmq.Poller()
        poller.register(sock, zmq.POLLIN)
        poller.register(self._wake, zmq.POLLIN)
        has: frozenset[bytes] = frozenset()
        try:
            while not stop.is_set():
                ready = dict(poller.poll(POLL_MS))
                if self._wake in ready:
                    os.read(self._wake, 4096)
                has = self._subscribe(sock, has)
                self._take_all(sock)
        finally:
            sock.close()

    def _open(self) -> zmq.Socket[bytes]:
        sock: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RCVHWM, HWM)
        sock.setsockopt(zmq.RCVBUF, BUFFER_BYTES)
        sock.setsockopt(zmq.RECONNECT_IVL, 100)
        sock.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        connect(sock, self._address, self._key)
        return sock

    def _subscribe(self, sock: zmq.Socket[bytes], has: frozenset[bytes]) -> frozenset[bytes]:
        wanted = self._wanted
        for topic in wanted - has:  # first what is new, so that no picture is missed between the two
            sock.subscribe(topic)
        for topic in has - wanted:
            sock.unsubscribe(topic)
        return wanted

    def _take_all(self, sock: zmq.Socket[bytes]) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                parts = sock.recv_multipart(zmq.NOBLOCK, copy=False)
                at = time.monotonic_ns()
                try:
                    report = wire.decode_shown([part.buffer for part in parts])
                except BadFrame:
                    self.refused += 1
                    continue
                self._hear(report, at)
