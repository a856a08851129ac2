"""Our own ends of the daemon's sockets: what `limpid send`, `watch`, `record`, `demo` and `bench` speak through.

Integrators have their own clients in `tools/clients/`; these share the daemon's decoder.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from edge import wire
from edge.access.curve import ClientKey
from edge.access.homes import is_beyond_this_host
from edge.errors import ConfigError, SourceUnavailable
from edge.frame import Frame
from edge.wire import Report, SenderClock, Topic

BUFFER_BYTES = 4 << 20
REACHED_S = 3.0  # whoever is there at all answers a short question within this
LONGEST_RETRY_MS = 2000
FAILURES = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH


def reachable(address: str) -> str:
    """Where to connect to what is bound so."""
    for anywhere in ("tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"):
        if address.startswith(anywhere):
            return f"tcp://127.0.0.1:{address.removeprefix(anywhere)}"
    return address


def _socket(kind: int, hwm: int) -> zmq.Socket[bytes]:
    sock: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
    sock.setsockopt(zmq.LINGER, 0)
    sock.setsockopt(zmq.SNDHWM, hwm)
    sock.setsockopt(zmq.RCVHWM, hwm)
    sock.setsockopt(zmq.SNDBUF, BUFFER_BYTES)
    sock.setsockopt(zmq.RCVBUF, BUFFER_BYTES)
    return sock


def connect(sock: zmq.Socket[bytes], address: str, key: ClientKey | None) -> None:
    """With our key where there is one. Raises ConfigError, and closes the socket then."""
    if key is None and is_beyond_this_host(address):
        sock.close()
        raise ConfigError(f"{address} is not on this machine: that needs a client key, `limpid --key FILE ...`")
    try:
        if key is not None and address.startswith("tcp://"):
            _show_key(sock, address, key)
        else:
            sock.connect(address)
    except zmq.ZMQError as error:
        sock.close()
        raise ConfigError(f'"{address}" is not an address to connect to: {error}') from error


def _show_key(sock: zmq.Socket[bytes], address: str, key: ClientKey) -> None:
    """While the appliance changes its key, both of them are tried side by side: one of the two will get through."""
    sock.setsockopt(zmq.CURVE_PUBLICKEY, key.public.encode())
    sock.setsockopt(zmq.CURVE_SECRETKEY, key.secret.encode())
    sock.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for the one that does not
    if len(key.servers) > 1:
        sock.setsockopt(zmq.RECONNECT_IVL_MAX, LONGEST_RETRY_MS)
    host, _, port = address.rpartition(":")
    # ZeroMQ takes an address but once, by its spelling.
    for spelling, server in zip((address, f"{host}:0{port}"), key.servers, strict=False):
        sock.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
        sock.connect(spelling)


class Ears:
    """Hears why a connection does not come about."""

    def __init__(self, sock: zmq.Socket[bytes], address: str, *, reads: bool = False) -> None:
        """`reads`: for long. Where libzmq (4.3.5) has to tell of a protocol error it forgets to close the connection,
        so that whoever reads does not ask."""
        self._address = address
        self._sock = sock
        self.monitor: zmq.Socket[bytes] | None = None
        if address.startswith("tcp://"):
            self.monitor = sock.get_monitor_socket(FAILURES | (0 if reads else zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL))
        self._broken_off = False

    def why(self) -> str:
        """What the other side has against us, in words; nothing where it has not said."""
        while self.monitor is not None and self.monitor.poll(0):
            told = parse_monitor_message(self.monitor.recv_multipart())
            if told["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                return (
                    f"the daemon at {self._address} does not let this key in here: it is not enrolled, was revoked, or "
                    "its role may not (`limpid keys list` on the appliance says which)"
                )
            if told["event"] == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                return f"{self._address} speaks otherwise: a daemon that asks for a key (--key FILE), or for none"
            self._broken_off = True
        return ""

    def guess(self) -> str:
        """For whoever has waited in vain: what is known, though it may pass."""
        if self.why() or not self._broken_off:
            return ""
        return (
            f"{self._address} breaks the handshake off: it asks for a key (--key FILE), or the server's key in the key "
            "file is not that of this appliance (`limpid keys show` there)"
        )

    def close(self) -> None:
        if self.monitor is not None:
            with contextlib.suppress(zmq.ZMQError):
                self._sock.disable_monitor()
            self.monitor.close()


class Pusher:
    """Hands frames to a daemon without ever waiting for it: what cannot go now is counted, as a scanner would."""

    def __init__(self, address: str, hwm: int = 2, key: ClientKey | None = None) -> None:
        self._socket = _socket(zmq.PUSH, hwm)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a daemon that is not there
        self._ears = Ears(self._socket, address)
        connect(self._socket, address, key)
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

    def refusal(self) -> str:
        """Why the daemon does not let us in, where it has said so."""
        return self._ears.why() or self._ears.guess()

    def close(self, linger_s: float = 1.0) -> None:
        self._ears.close()
        self._socket.close(linger=int(linger_s * 1000))


class Viewer:
    """A subscriber to pictures, with what it asks for beside them."""

    def __init__(
        self,
        address: str,
        stream: str = "",
        topic: Topic = Topic.PICTURE,
        hwm: int = 4,
        key: ClientKey | None = None,
    ) -> None:
        self._socket = _socket(zmq.SUB, hwm)
        prefix = topic.of(stream) if stream else f"{topic.value}/".encode()
        self._socket.subscribe(prefix)
        self._ears = Ears(self._socket, address, reads=True)
        connect(self._socket, address, key)

    def next(self, timeout_s: float) -> Report | None:
        """The next picture or notice, or None when none came in time. Raises BadFrame."""
        parts = self.receive(timeout_s)
        return None if parts is None else wire.decode_shown([part.buffer for part in parts])

    def receive(self, timeout_s: float) -> list[zmq.Frame] | None:
        """The next message as it came."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return None
        return self._socket.recv_multipart(copy=False)

    def refusal(self) -> str:
        """Why the daemon does not let us in, where it has said so."""
        return self._ears.why() or self._ears.guess()

    def close(self) -> None:
        self._ears.close()
        self._socket.close()


class Control:
    """Asks the control socket; a daemon that does not answer is said so, not waited for."""

    def __init__(self, address: str, timeout_s: float = 2.0, key: ClientKey | None = None) -> None:
        """`timeout_s` is how long an answer may take; whether anybody is there shows within `REACHED_S`."""
        self._address = address
        self._timeout_s = timeout_s
        self._key = key

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        if self._timeout_s > REACHED_S:
            self._knock()
        sock = _socket(zmq.REQ, 1)
        ears = Ears(sock, self._address)
        try:
            connect(sock, self._address, self._key)
            answer: dict[str, Any] = json.loads(self._exchange(sock, ears, json.dumps({"do": do, **more}).encode()))
        finally:
            ears.close()
            sock.close()
        if not answer.pop("ok"):
            raise ConfigError(str(answer.get("error")))
        return answer

    def _knock(self) -> None:
        """Raises SourceUnavailable where nobody is there. Asked at once, what takes long would wait in the socket for a
        daemon that starts later, and a capture would be of what is shown then."""
        with contextlib.suppress(ConfigError):  # a no is an answer, too
            Control(self._address, REACHED_S, self._key).ask("status")

    def _exchange(self, sock: zmq.Socket[bytes], ears: Ears, question: bytes) -> bytes:
        """Raises SourceUnavailable, as soon as it is known that there will be no answer."""
        until, waiting_for = time.monotonic() + self._timeout_s, zmq.POLLOUT
        poller = zmq.Poller()
        if ears.monitor is not None:
            poller.register(ears.monitor, zmq.POLLIN)
        while (left := until - time.monotonic()) > 0:
            poller.register(sock, waiting_for)
            ready = dict(poller.poll(max(1, int(left * 1000))))
            if sock in ready and waiting_for == zmq.POLLOUT:
                sock.send(question)
                waiting_for = zmq.POLLIN
            elif sock in ready:
                return sock.recv()
            elif why := ears.why():
                raise SourceUnavailable(why)
        raise SourceUnavailable(ears.guess() or f"no daemon answers at {self._address}: is `limpid run` running?")
