"""A syslog message (RFC 5424), framed for TLS (RFC 5425), and the line it goes over. Who sends owns the line.

Syslog has no answers: what was written to a line that breaks may never have been read. `Line.is_taken` is the most that
can be known of a line that is open: the other machine has acknowledged every byte. After `Line.close` a peer that says
goodbye as TLS wants it has read everything.
"""

from __future__ import annotations

import fcntl
import re
import select
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Literal, Protocol

from edge.errors import SinkUnavailable

FACILITY_AUTHORISATION, SEVERITY_NOTICE = 10, 5  # as PS3.15 A.6 wants them
PRIORITY = FACILITY_AUTHORISATION * 8 + SEVERITY_NOTICE
APPLICATION, MESSAGE_ID = "limpid", "DICOM+RFC3881"
MARK = b"\xef\xbb\xbf"  # what follows is UTF-8
LARGEST_DATAGRAM = 65_000
UNSENT = 0x5411  # SIOCOUTQ: bytes that the other machine has not acknowledged


class Untrusted(SinkUnavailable):
    """The repository's certificate is not one that we trust: nothing is sent to it."""


@dataclass(frozen=True, slots=True)
class Header:
    """Together host, log and number name a message: one that is sent again is recognised by them."""

    when: str
    host: str
    log: str  # PROCID
    number: int  # sequenceId: of the line in this log


def record(header: Header, body: bytes) -> bytes:
    sequence = (header.number - 1) % 0x7FFFFFFF + 1
    names = f"{_printable(header.host, 255)} {APPLICATION} {_printable(header.log, 128)} {MESSAGE_ID}"
    head = f'<{PRIORITY}>1 {header.when} {names} [meta sequenceId="{sequence}"] '
    return head.encode() + MARK + body


def frame(message: bytes) -> bytes:
    """Counted in octets."""
    return b"%d %b" % (len(message), message)


def _printable(text: str, longest: int) -> str:
    return re.sub(r"[^!-~]", "_", text)[:longest] or "-"


class Line(Protocol):
    def send(self, message: bytes) -> None:
        """Raises SinkUnavailable where the line is broken."""
        ...

    def is_taken(self) -> bool:
        """Whether the other side has acknowledged everything. Raises SinkUnavailable where it has hung up."""
        ...

    def close(self, patience_s: float = 0.0) -> bool:
        """Hang up. True: the other side said goodbye too, after everything it was sent."""
        ...


def open_line(
    protocol: Literal["tls", "udp"], host: str, port: int, context: ssl.SSLContext | None, name: str, timeout_s: float
) -> Line:
    """Raises SinkUnavailable; Untrusted where the certificate is not one we trust."""
    try:
        if protocol == "udp":
            return Datagrams(host, port)
        assert context is not None
        return TlsLine(socket.create_connection((host, port), timeout_s), context, name or host, timeout_s)
    except ssl.SSLCertVerificationError as error:
        raise Untrusted(f"{host}:{port} is not trusted: {error.verify_message}") from error
    except (OSError, ssl.SSLError) as error:
        raise SinkUnavailable(f"{host}:{port}: {_words(error)}") from error


class TlsLine:
    def __init__(self, raw: socket.socket, context: ssl.SSLContext, name: str, timeout_s: float) -> None:
        try:
            self._socket = context.wrap_socket(raw, server_hostname=name)
        except BaseException:
            raw.close()
            raise
        self._timeout_s = timeout_s
        # A machine that is gone without a word: the kernel gives up on it after this long, not after a quarter hour.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(max(timeout_s, 1.0) * 3000))

    def send(self, message: bytes) -> None:
        try:
            self._listen()
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(frame(message))
        except (OSError, ssl.SSLError) as error:
            raise SinkUnavailable(_words(error)) from error

    def is_taken(self) -> bool:
        try:
            self._listen()
            left = fcntl.ioctl(self._socket.fileno(), UNSENT, b"\0" * 4)
        except (OSError, ssl.SSLError) as error:
            raise SinkUnavailable(_words(error)) from error
        return struct.unpack("i", left)[0] == 0

    def _listen(self) -> None:
        """A receiver has nothing to say but that it goes away."""
        while select.select([self._socket], [], [], 0)[0] or self._socket.pending():
            self._socket.settimeout(0.0)
            try:
                if not self._socket.recv(4096):
                    raise ConnectionResetError("it hung up")
            except (ssl.SSLWantReadError, BlockingIOError):
                return  # a session ticket

    def close(self, patience_s: float = 0.0) -> bool:
        left: socket.socket = self._socket
        try:
            if patience_s <= 0:
                return False
            self._socket.settimeout(patience_s)
            left = self._socket.unwrap()
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            return False
        else:
            return True
        finally:
            left.close()
            self._socket.close()


class Datagrams:
    """UDP: neither secret nor sure. Only where it is asked for."""

    def __init__(self, host: str, port: int) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._address = address

    def send(self, message: bytes) -> None:
        try:
            self._socket.sendto(message[:LARGEST_DATAGRAM], self._address)
        except OSError as error:
            raise SinkUnavailable(_words(error)) from error

    def is_taken(self) -> bool:
        return True

    def close(self, patience_s: float = 0.0) -> bool:
        del patience_s
        self._socket.close()
        return True


def _words(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or getattr(error, "strerror", None) or error or type(error).__name__)
