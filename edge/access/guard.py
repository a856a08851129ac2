"""Answers every caller at every door: ZeroMQ asks it over ZAP before the first message passes. Thread: guard.

It looks at the folder of keys at each question and four times a second: who was revoked is refused from then on, and
the doors through which they came are told to cut everybody off and open again. Callers that get no further than the
handshake (no key, another server's key, bytes altered or played again) are heard by the sockets' monitors. Everything
refused is counted and told. It never touches a frame, nor a socket of another thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from edge.access.curve import load_pair
from edge.access.homes import REMEDY, Home, home_of, is_beyond_this_host, needs_keys
from edge.access.register import Enrolled, Stamp
from edge.config import Config
from edge.errors import ConfigError
from edge.turns import thread_yields

ZAP = "inproc://zeromq.zap.01"
LOOK_MS = 250
MUTE_S = 0.5
NEIGHBOURS_MS = 100  # a handshake that failed is told of as closed in the same breath
NICE = 5
FAILURES = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED
HEARD = FAILURES | zmq.EVENT_MONITOR_STOPPED
UNDECIPHERABLE, NOT_CURVE, BROKEN_OFF, OTHER = "undecipherable", "no-key", "broken-off", "not-the-protocol"
PROTOCOL_ERRORS = {  # zmq.h, ZMQ_PROTOCOL_ERROR_ZMTP_...
    0x11000001: UNDECIPHERABLE,  # CRYPTOGRAPHIC
    0x10000002: UNDECIPHERABLE,  # INVALID_SEQUENCE: a message that was played again
    0x11000002: NOT_CURVE,  # MECHANISM_MISMATCH
}
Tell = Callable[..., None]


class Guard:
    """Made by main before any door, run by the guard thread, closed by main after it has ended."""

    def __init__(self, home: Home, context: zmq.Context[zmq.Socket[bytes]], tell: Tell, *, loopback: bool) -> None:
        self._home = home
        self._tell = tell
        self._loopback = loopback
        self._register = home.register
        self._stamp: Stamp = ()
        self._enrolled = Enrolled()
        self._server = load_pair(home.server)
        self._server_stamp = self._stamp_of_server()
        self._cuts: Counter[str] = Counter()  # written by the guard thread, read by the doors' owners
        self._inside: dict[str, dict[str, str]] = {}  # door -> public key -> name, since it was last opened
        self._attended: queue.SimpleQueue[tuple[zmq.Socket[bytes], str]] = queue.SimpleQueue()
        self._monitors: dict[zmq.Socket[bytes], str] = {}
        self._mute: dict[str, float] = {}  # doors at which a connection was left neither read nor closed
        self._context = context
        self._zap: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self._zap.setsockopt(zmq.LINGER, 0)
        self._zap.bind(ZAP)
        self.admitted: Counter[str] = Counter()  # by door
        self.refused: Counter[tuple[str, str]] = Counter()  # by door and reason

    # ------------------------------------------------ asked by the doors, on their owners' threads

    @property
    def secret(self) -> str:
        return self._server.secret

    def cuts_of(self, door: str) -> int:
        return self._cuts[door]

    def admits(self, address: str) -> bool:
        return address.startswith("tcp://") and (self._loopback or is_beyond_this_host(address))

    def may_send(self, client: str, stream: str) -> bool:
        """By the reader of frames: those who are held to some streams are named on what they send."""
        return self._enrolled.may_send(client, stream)

    def attend(self, door: str, socket: zmq.Socket[bytes]) -> None:
        self._inside[door] = {}
        self._attended.put((socket.get_monitor_socket(HEARD), door))

    def shut_out(self, door: str) -> None:
        self._tell("access.shut-out", door=door)

    # ------------------------------------------------ the guard thread

    def run(self, stop: threading.Event) -> None:
        thread_yields(NICE)
        poller = zmq.Poller()
        poller.register(self._zap, zmq.POLLIN)
        while not stop.is_set():
            self._take_over_monitors(poller)
            ready = [sock for sock, _ in poller.poll(LOOK_MS)]
            self.look()
            for sock in ready:
                if sock is self._zap:
                    self._answer()
                elif not self._hear(sock, self._monitors[sock]):
                    poller.unregister(sock)
                    del self._monitors[sock]
                    sock.close()

    def _take_over_monitors(self, poller: zmq.Poller) -> None:
        """Of sockets that the doors have made since."""
        while not self._attended.empty():
            monitor, door = self._attended.get_nowait()
            self._monitors[monitor] = door
            poller.register(monitor, zmq.POLLIN)

    def look(self) -> None:
        """Is everybody who is inside still welcome, and does the key still hold?"""
        stamp = self._register.stamp()
        if stamp != self._stamp:
            self._stamp, self._enrolled = stamp, self._register.read()
            for name in self._enrolled.unreadable:
                self._tell("access.unreadable", file=name)
            self._put_out()
        if self._stamp_of_server() != self._server_stamp:
            self._change_key()
        self._cut_mute(time.monotonic())

    def _put_out(self) -> None:
        for door, inside in self._inside.items():
            judged = {name: self._enrolled.judge(door, public).refused for public, name in inside.items()}
            gone = [name for name, refused in judged.items() if refused]
            if gone:
                self._cut(door)
            for name in gone:
                self._tell("access.cut", door=door, client=name, reason=judged[name])

    def _cut_mute(self, now: float) -> None:
        """What was altered within a session is refused, but libzmq (4.3.5), when it tells of that, forgets to close the
        connection: it would be neither read nor closed, for ever. One that failed in its handshake is closed at once.
        """
        for door, since in list(self._mute.items()):
            if now - since > MUTE_S:
                del self._mute[door]
                self._cut(door)
                self._tell("access.cut", door=door, reason="altered")

    def _change_key(self) -> None:
        try:
            server = load_pair(self._home.server)
        except ConfigError as error:
            self._tell("access.unreadable", file=self._home.server.name, reason=str(error))
        else:
            changed = server.public != self._server.public
            self._server = server
            if changed:
                for door in self._inside:
                    self._cut(door)
                self._tell("access.key-changed")
        self._server_stamp = self._stamp_of_server()

    def _cut(self, door: str) -> None:
        self._inside[door].clear()
        self._cuts[door] += 1

    def _stamp_of_server(self) -> tuple[int, int]:
        try:
            facts = self._home.server.stat()
        except OSError:
            return 0, 0
        return facts.st_mtime_ns, facts.st_ino

    def _answer(self) -> None:
        envelope, _, version, number, domain, address, _, mechanism, *credentials = self._zap.recv_multipart()
        door, name, reason = domain.decode(errors="replace"), "", ""
        if mechanism != b"CURVE" or len(credentials) != 1 or version != b"1.0":
            reason = NOT_CURVE
        else:
            name, reason = self._judge(door, credentials[0])
        if reason:
            self._refuse(door, reason, name, address.decode(errors="replace"))
        status, words = (b"400", reason.encode()) if reason else (b"200", b"OK")
        # A user only where it is asked for: ZeroMQ hands it on as a message of its own, which wakes the reader.
        user = name.encode() if not reason and self._enrolled.is_held(name) else b""
        self._zap.send_multipart([envelope, b"", b"1.0", number, status, words, user, b""])

    def _judge(self, door: str, key: bytes) -> tuple[str, str]:
        public = z85.encode(key).decode()
        verdict = self._enrolled.judge(door, public)
        if not verdict.refused:
            self._inside.setdefault(door, {})[public] = verdict.name
            self.admitted[door] += 1
        return verdict.name, verdict.refused

    def _hear(self, monitor: zmq.Socket[bytes], door: str) -> bool:
        """Is there more to come? Not of a socket that was closed."""
        event, value = _next_of(monitor)
        while event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
            self._refuse(door, PROTOCOL_ERRORS.get(value, OTHER))
            event, value = _next_of(monitor, NEIGHBOURS_MS)
            if event not in (zmq.EVENT_DISCONNECTED, zmq.EVENT_MONITOR_STOPPED):
                self._mute.setdefault(door, time.monotonic())
        if event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
            self._refuse(door, BROKEN_OFF)
        return event != zmq.EVENT_MONITOR_STOPPED

    def _refuse(self, door: str, reason: str, client: str = "", address: str = "") -> None:
        self.refused[door, reason] += 1
        known = {"client": client} if client else {}
        where = {"from": address} if address else {}
        self._tell("access.refused", door=door, reason=reason, **known, **where)

    def facts(self) -> dict[str, Any]:
        """For "status". Read by the control thread."""
        doors = sorted(self._inside)
        return {
            door: {
                "let_in": sorted(set(self._inside[door].copy().values())),
                "refused": {reason: count for (at, reason), count in self.refused.copy().items() if at == door},
            }
            for door in doors
        }

    def close(self) -> None:
        while not self._attended.empty():
            self._attended.get_nowait()[0].close()
        for monitor in self._monitors:
            monitor.close()
        self._zap.close()


def _next_of(monitor: zmq.Socket[bytes], timeout_ms: int | None = None) -> tuple[int, int]:
    """Event and value; nought where none comes in time."""
    if not monitor.poll(timeout_ms):
        return 0, 0
    told = parse_monitor_message(monitor.recv_multipart())
    return int(told["event"]), int(told["value"])


def open_guard(
    config: Config, addresses: dict[str, str], context: zmq.Context[zmq.Socket[bytes]], tell: Tell
) -> Guard | None:
    """None where nobody beyond this host can knock. `addresses`: what is bound, by the key that says so."""
    guarded = {where: address for where, address in addresses.items() if needs_keys(config, address)}
    if not guarded:
        return None
    home = home_of(config)
    if not home.server.exists():
        where, address = next(iter(guarded.items()))
        raise ConfigError(f'{where} = "{address}" needs a server key, and there is none at {home.server}: {REMEDY}')
    return Guard(home, context, tell, loopback=config.keys.loopback)
