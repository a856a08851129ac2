"""Pictures over ZeroMQ: an XPUB socket that any number of displays subscribe to. Fed by the live thread.

Nothing is made or sent that nobody has subscribed to. A subscriber that stops reading loses pictures, never time:
beyond a few messages its own are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import zmq

from edge import fidelity, wire
from edge.access.doors import Door, Watch
from edge.access.register import PICTURES
from edge.frame import Shown, Treatment
from edge.wire import Flag, Topic

BUFFER_BYTES = 4 << 20
LARGEST_MESSAGE = 1024  # subscriptions and handshakes are all we ever read


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    bind: str = "tcp://127.0.0.1:5571"
    hwm: int = 4


def open_display(options: Options) -> Publisher:
    return Publisher(options, zmq.Context.instance())


class Publisher:
    def __init__(self, options: Options, context: zmq.Context[zmq.Socket[bytes]], guard: Watch | None = None) -> None:
        self._wanted: set[bytes] = set()
        self._names: dict[str, tuple[tuple[Topic, bytes], ...]] = {}  # per stream: the topics somebody wants
        self._door = Door(lambda: _socket(context, options), options.bind, PICTURES, "[sockets] pictures", guard)

    def show(self, shown: Shown, flags: Flag, now_ns: int) -> None:
        if not self._wanted:
            self._hear_subscriptions()
        for topic, name in self._wanted_of(shown.frame.stream):
            more, pictures = _pictures(topic, shown)
            self._send([name, wire.encode_shown(shown, flags | more if more else flags, now_ns), *pictures])
        self._hear_subscriptions()  # whoever joins others waits for the next picture, so that theirs does not wait

    def notice(self, last: Shown, flags: Flag, now_ns: int) -> None:
        self._hear_subscriptions()
        header = wire.encode_notice(last, flags, now_ns)
        for _, name in self._wanted_of(last.frame.stream):
            self._send([name, header])

    def tend(self) -> None:
        self._hear_subscriptions()

    def _send(self, parts: Sequence[bytes | memoryview]) -> None:
        # pyzmq's zero-copy path costs more than copying a picture of this size (0.27 ms at 640x480 here).
        self._door.socket.send_multipart(parts, copy=True)

    def _wanted_of(self, stream: str) -> tuple[tuple[Topic, bytes], ...]:
        names = self._names.get(stream)
        if names is None:
            every = [(topic, topic.of(stream)) for topic in Topic]
            names = tuple((topic, name) for topic, name in every if name.startswith(tuple(self._wanted)))
            self._names[stream] = names
        return names

    def _hear_subscriptions(self) -> None:
        if self._door.mind():  # whoever may come back asks anew
            self._wanted.clear()
            self._names.clear()
        socket = self._door.socket
        while int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            try:
                message = socket.recv(zmq.NOBLOCK)
            except zmq.Again:  # whoever asked has gone
                return
            if message[:1] == b"\1":
                self._wanted.add(message[1:])
                self._names.clear()
            elif message[:1] == b"\0":
                self._wanted.discard(message[1:])
                self._names.clear()

    def close(self) -> None:
        self._door.close()


def _socket(context: zmq.Context[zmq.Socket[bytes]], options: Options) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.XPUB)
    socket.setsockopt(zmq.SNDHWM, options.hwm)
    socket.setsockopt(zmq.SNDBUF, BUFFER_BYTES)
    socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    return socket


def _pictures(topic: Topic, shown: Shown) -> tuple[Flag, list[memoryview]]:
    pictures = [_bytes(shown.pixels)]
    flags = Flag(0)
    if topic is not Topic.PICTURE:
        flags |= Flag.HAS_ORIGINAL
        pictures.append(_bytes(shown.frame.pixels))
    if topic is Topic.FULL:
        flags |= Flag.HAS_CHANGE
        altered = shown.treatment is Treatment.ENHANCED
        unchanged = np.full(shown.pixels.shape[:2], 128, np.uint8)
        pictures.append(_bytes(fidelity.change_map(shown.frame, shown.pixels) if altered else unchanged))
    return flags, pictures


def _bytes(pixels: np.ndarray) -> memoryview:
    return np.ascontiguousarray(pixels).data.cast("B")
