"""Our own ends of the daemon's sockets: what `limpid send`, `watch`, `record`, `demo` and `bench` speak through.

Integrators have their own clients in `tools/clients/`; these share the daemon's decoder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import zmq

from edge import wire
from edge.errors import ConfigError, SourceUnavailable
from edge.frame import Frame
from edge.wire import Report, SenderClock, Topic

BUFFER_BYTES = 4 << 20


def _socket(kind: int, hwm: int) -> zmq.Socket[bytes]:
    sock: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    sock.setsockopt(zmq.LINGER, 0)
    sock.setsockopt(zmq.SNDHWM, hwm)
    sock.setsockopt(zmq.RCVHWM, hwm)
    sock.setsockopt(zmq.SNDBUF, BUFFER_BYTES)
    sock.setsockopt(zmq.RCVBUF, BUFFER_BYTES)
    return sock


def _connect(sock: zmq.Socket[bytes], address: str) -> None:
    try:
        sock.connect(address)
    except zmq.ZMQError as error:
        sock.close()
        raise ConfigError(f'"{address}" is not an address to connect to: {error}') from error


class Pusher:
    """Hands frames to a daemon without ever waiting for it: what cannot go now is counted, as a scanner would."""

    def __init__(self, address: str, hwm: int = 2) -> None:
        self._socket = _socket(zmq.PUSH, hwm)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a daemon that is not there
        _connect(self._socket, address)
        self.sent = 0
        self.refused = 0

    def push(self, frame: Frame) -> bool:
        return self.push_parts(wire.encode_frame(frame, SenderClock.MONOTONIC))

    def push_parts(self, parts: Sequence[bytes | memoryview]) -> bool:
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK, copy=True)
        except zmq.Again:
            self.refused += 1
            return False
        self.sent += 1
        return True

    def wait_for_daemon(self, timeout_s: float) -> bool:
        return bool(self._socket.poll(int(timeout_s * 1000), zmq.POLLOUT))

    def close(self, linger_s: float = 1.0) -> None:
        self._socket.close(linger=int(linger_s * 1000))


class Viewer:
    """A subscriber to pictures, with what it asks for beside them."""

    def __init__(self, address: str, stream: str = "", topic: Topic = Topic.PICTURE, hwm: int = 4) -> None:
        self._socket = _socket(zmq.SUB, hwm)
        prefix = topic.of(stream) if stream else f"{topic.value}/".encode()
        self._socket.subscribe(prefix)
        _connect(self._socket, address)

    def next(self, timeout_s: float) -> Report | None:
        """The next picture or notice, or None when none came in time. Raises BadFrame."""
        parts = self.receive(timeout_s)
        return None if parts is None else wire.decode_shown([part.buffer for part in parts])

    def receive(self, timeout_s: float) -> list[zmq.Frame] | None:
        """The next message as it came."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return None
        return self._socket.recv_multipart(copy=False)

    def close(self) -> None:
        self._socket.close()


class Control:
    """Asks the control socket; a daemon that does not answer is said so, not waited for."""

    def __init__(self, address: str, timeout_s: float = 2.0) -> None:
        self._address = address
        self._timeout_ms = int(timeout_s * 1000)

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        sock = _socket(zmq.REQ, 1)
        _connect(sock, self._address)
        try:
            sock.send(json.dumps({"do": do, **more}).encode())
            if not sock.poll(self._timeout_ms):
                raise SourceUnavailable(f"no daemon answers at {self._address}: is `limpid run` running?")
            answer: dict[str, Any] = json.loads(sock.recv())
        finally:
            sock.close()
        if not answer.pop("ok"):
            raise ConfigError(str(answer.get("error")))
        return answer
