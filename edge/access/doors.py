"""A bound socket of the daemon. Beyond this host it opens with CURVE alone, to those whom the guard lets in.

A door belongs to the thread that reads or writes its socket. What libzmq has once let in stays in: to put somebody out,
everybody is cut off and the door opened again, and who is still enrolled is back a moment later. The guard says when;
the owner does it, between two messages, and never waits for it: the address is free again within a few milliseconds,
so that it is tried at each look until then.
"""

from __future__ import annotations

from typing import Protocol

import zmq

from edge.access.homes import REMEDY, is_beyond_this_host
from edge.errors import ConfigError

TELL_AFTER = 1000  # tries: another program has taken the address meanwhile
# A socket that closes at once, while a message is half read by a caller that goes at that moment as well, brings the
# whole process down, in libzmq itself (zeromq/libzmq, issue 3442). What is on its way may leave first.
LEAVING_MS = 100


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
        """Hear about callers that fail. Before it is bound."""
        ...

    def shut_out(self, door: str) -> None:
        """Its address is in somebody else's hands."""
        ...


class Door:
    def __init__(
        self, socket: zmq.Socket[bytes], address: str, name: str, where: str, guard: Watch | None = None
    ) -> None:
        """Binds. Raises ConfigError, and closes the socket then."""
        self._socket, self._name, self._where = socket, name, where
        self._guard = guard if guard is not None and guard.admits(address) else None
        self._cuts = 0
        self._open = False
        self._tries = 0
        if self._guard is None and is_beyond_this_host(address):
            socket.close()
            raise ConfigError(
                f'{where} = "{address}" can be reached from other machines, and there is no server key: {REMEDY}'
            )
        socket.setsockopt(zmq.LINGER, LEAVING_MS)
        try:
            if self._guard is not None:
                self._guard.attend(name, socket)
                self._arm(self._guard)
            socket.bind(address)
        except zmq.ZMQError as error:
            socket.close()
            raise ConfigError(f'{where} = "{address}": {error}') from error
        self._open = True
        self._address = socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def admits_to(self, message: zmq.Frame, stream: str) -> bool:
        """May whoever sent this message send into this stream? ZeroMQ keeps the sender's name with the message."""
        if self._guard is None:
            return True
        try:
            client = str(message.get("User-Id"))
        except zmq.ZMQError:  # libzmq may leave an empty name out
            client = ""
        return not client or self._guard.may_send(client, stream)  # unnamed: held to no stream

    def mind(self) -> None:
        """By the owner, at each turn. Costs two comparisons but for the turns after somebody was put out."""
        if self._guard is None:
            return
        if self._open and self._guard.cuts_of(self._name) == self._cuts:
            return
        self._reopen(self._guard)

    def _reopen(self, guard: Watch) -> None:
        if self._open:
            self._cuts = guard.cuts_of(self._name)
            self._socket.unbind(self._address)
            self._open, self._tries = False, 0
            self._arm(guard)
        try:
            self._socket.bind(self._address)
            self._open = True
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise ConfigError(f'{self._where} = "{self._address}" cannot be opened again: {error}') from error
            self._tries += 1
            if self._tries == TELL_AFTER:
                guard.shut_out(self._name)

    def _arm(self, guard: Watch) -> None:
        """What libzmq copies when it binds, and never looks at again."""
        self._socket.setsockopt(zmq.CURVE_SERVER, 1)
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, guard.secret.encode())
        self._socket.setsockopt(zmq.ZAP_DOMAIN, self._name.encode())
        self._socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
