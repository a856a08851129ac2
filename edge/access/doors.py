"""A bound socket of the daemon. Beyond this host it opens with CURVE alone, to those whom the guard lets in.

A door belongs to the thread that reads or writes its socket. What libzmq has once let in stays in: to put somebody out,
everybody is cut off and another socket takes the place of this one; who is still enrolled is back a moment later. The
guard says when; the owner does it, between two messages, and never waits for it: the address is free again within a few
milliseconds, so that it is tried at each look until then.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import zmq

from edge.access.homes import REMEDY, is_beyond_this_host
from edge.errors import ConfigError

TELL_AFTER_S = 2.0  # another program has taken the address meanwhile
# A socket that closes at once, while a message is half read by a caller that goes at that moment as well, brings the
# whole process down, in libzmq itself (zeromq/libzmq, issue 3442). What is on its way may leave first. To unbind does
# the same, and whatever the patience: a socket is never unbound, only closed.
LEAVING_MS = 100


Make = Callable[[], "zmq.Socket[bytes]"]


class Watch(Protocol):
    """What a door asks of its guard."""

    @property
    def secret(self) -> str: ...

    def cuts_of(self, door: str) -> int:
        """How often everybody had to be cut off here until now."""
        ...

    def admits(self, address: str) -> bool:
        """Does this address need keys, as configured?"""
        ...

    def may_send(self, client: str, stream: str) -> bool:
        """Is this stream one of those that this client is held to?"""
        ...

    def attend(self, door: str, socket: zmq.Socket[bytes]) -> None:
        """Hear about callers that fail, until it is closed. Before it is bound."""
        ...

    def shut_out(self, door: str) -> None:
        """Its address is in somebody else's hands."""
        ...


class Door:
    def __init__(self, make: Make, address: str, name: str, where: str, guard: Watch | None = None) -> None:
        """Binds. Raises ConfigError, and leaves no socket open then."""
        self._make, self._name, self._where = make, name, where
        self._guard = guard if guard is not None and guard.admits(address) else None
        self._cuts = 0
        self._open = False
        self._told = False
        self._closed_at = 0.0
        if self._guard is None and is_beyond_this_host(address):
            raise ConfigError(
                f'{where} = "{address}" can be reached from other machines, and there is no server key: {REMEDY}'
            )
        try:
            self._socket = self._made()
        except zmq.ZMQError as error:
            raise ConfigError(f'{where} = "{address}": {error}') from error
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self._socket.close()
            raise ConfigError(f'{where} = "{address}": {error}') from error
        self._open = True
        self._address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """Another one after `mind` has said so."""
        return self._socket

    @property
    def is_open(self) -> bool:
        return self._open

    def admits_to(self, message: zmq.Frame, stream: str) -> bool:
        """May whoever sent this message send into this stream? ZeroMQ keeps the sender's name with the message."""
        if self._guard is None:
            return True
        try:
            client = str(message.get("User-Id"))
        except zmq.ZMQError:  # libzmq may leave an empty name out
            client = ""
        return not client or self._guard.may_send(client, stream)  # unnamed: held to no stream

    def mind(self) -> bool:
        """By the owner, at each turn: has everybody been cut off, and has the door another socket now? Costs two
        comparisons but for the turns after somebody was put out.
        """
        if self._guard is None:
            return False
        cut = self._open and self._guard.cuts_of(self._name) != self._cuts
        if cut:
            self._cut_off(self._guard)
        if not self._open:
            self._reopen(self._guard)
        return cut

    def close(self) -> None:
        self._socket.close()

    def _cut_off(self, guard: Watch) -> None:
        self._cuts = guard.cuts_of(self._name)
        before, self._socket = self._socket, self._made()
        before.close()
        self._open, self._told, self._closed_at = False, False, time.monotonic()

    def _reopen(self, guard: Watch) -> None:
        try:
            self._socket.bind(self._address)
            self._open = True
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise ConfigError(f'{self._where} = "{self._address}" cannot be opened again: {error}') from error
            if not self._told and time.monotonic() - self._closed_at > TELL_AFTER_S:
                self._told = True
                guard.shut_out(self._name)

    def _made(self) -> zmq.Socket[bytes]:
        """A new socket, with all that has to be said before it is bound. None is left open where that fails."""
        socket = self._make()
        try:
            self._prepare(socket)
        except zmq.ZMQError:
            socket.close()
            raise
        return socket

    def _prepare(self, socket: zmq.Socket[bytes]) -> None:
        socket.setsockopt(zmq.LINGER, LEAVING_MS)
        if self._guard is not None:
            self._guard.attend(self._name, socket)
            socket.setsockopt(zmq.CURVE_SERVER, 1)
            socket.setsockopt(zmq.CURVE_SECRETKEY, self._guard.secret.encode())
            socket.setsockopt(zmq.ZAP_DOMAIN, self._name.encode())
            socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
