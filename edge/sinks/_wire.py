"""The socket under an association: no waiting for delayed ACKs, no waiting for ever, large objects without copies.

pynetdicom negotiates, decodes and keeps the state; its reactor thread does all the reading. What differs here:

- TCP_NODELAY, and TCP_QUICKACK before every receive. Many archives write a reply in two pieces with Nagle's algorithm
  on: the second piece waits for our ACK, which Linux delays by 40 ms unless told otherwise.
- While a reply is expected the reactor sleeps in select(), not in a fixed nap, so the reply wakes it.
- The data of an object is written by the sending thread, straight from its buffer, many PDUs in one system call. A
  message is written whole: what the reactor has to say (a reply to the archive's N-EVENT-REPORT) waits for its end.
- Every write has a time-out: a peer that accepts and never reads costs `stall_s`, not a hung thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pynetdicom.ae import ApplicationEntity
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

if TYPE_CHECKING:
    from pynetdicom.association import Association

QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux
MOST_PARTS = 512  # in one system call; Linux takes 1024
NAP_S = 0.05  # how long the reactor sleeps in select() at a time


class WireSocket(AssociationSocket):
    """One connection. Read by the reactor thread; written by it and by the one thread that sends objects."""

    stall_s = 30.0
    expecting = False  # set by the sending thread while a reply is due

    def __init__(self, assoc: Association, address: AddressInformation) -> None:
        super().__init__(assoc, address=address)
        self.message = threading.Lock()  # held while one message goes out
        self._io = threading.RLock()  # TLS: one SSL object must not be read and written at once

    def connect(self, primitive: T_CONNECT) -> None:
        super().connect(primitive)
        if self.socket is not None:
            self.socket.settimeout(self.stall_s)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def ready(self) -> bool:
        sock = self.socket
        if self.expecting and sock is not None:
            quick_ack(sock)
            pending = isinstance(sock, ssl.SSLSocket) and sock.pending()
            if not pending:
                with contextlib.suppress(OSError, ValueError):  # closed meanwhile: the base class says so
                    select.select([sock], [], [], NAP_S)
        return super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        sock = self.socket
        if sock is not None:
            quick_ack(sock)
        with self._io if isinstance(sock, ssl.SSLSocket) else contextlib.nullcontext():
            return super().recv(nr_bytes)

    def send(self, bytestream: bytes) -> None:
        """What the reactor has to say; never in the middle of an object."""
        with self.message, self._io:
            super().send(bytestream)

    def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """Whole PDUs of one message, by the sending thread, which holds `message`. Raises OSError."""
        sock = self.socket
        if sock is None:
            raise ConnectionResetError("the connection is closed")
        if isinstance(sock, ssl.SSLSocket):
            with self._io:
                _push(lambda left: sock.send(left[0]), [memoryview(b"".join(parts))])
        else:
            _push(lambda left: sock.sendmsg(left[:MOST_PARTS]), [memoryview(part) for part in parts])
        quick_ack(sock)

    def _shutdown_socket(self) -> None:
        """Also closes a socket that never got a connection, which the base class leaves to the garbage collector."""
        sock = self.socket
        if sock is not None:
            self.cut()
            sock.close()

    def unsent(self) -> int:
        """Bytes that the archive has not yet acknowledged: what a slow link still has to carry."""
        sock = self.socket
        try:
            return 0 if sock is None else struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]
        except (OSError, ValueError):
            return 0

    def cut(self) -> None:
        """Let go of a peer that does not read: whoever is blocked on this socket returns at once."""
        with contextlib.suppress(OSError, AttributeError):
            self.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


class Entity(ApplicationEntity):
    """pynetdicom's application entity, on sockets of the kind above."""

    stall_s = 30.0

    def _create_socket(
        self, assoc: Association, address: AddressInformation, tls_args: tuple[ssl.SSLContext, str] | None
    ) -> AssociationSocket:
        sock = WireSocket(assoc, address)
        sock.stall_s = self.stall_s
        sock.tls_args = tls_args
        return sock


def quick_ack(sock: socket.socket) -> None:
    if QUICKACK is not None:
        with contextlib.suppress(OSError, ValueError):
            sock.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)


def _push(send: Callable[[list[memoryview]], int], parts: list[memoryview]) -> None:
    """Send until nothing is left; each call has the socket's own time-out, so only a standstill ends it."""
    done = 0
    while done < len(parts):
        sent = send(parts[done:])
        while done < len(parts) and sent >= len(parts[done]):
            sent -= len(parts[done])
            done += 1
        if sent:
            parts[done] = parts[done][sent:]
