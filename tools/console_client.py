"""The console's API from Python, with nothing but the standard library: what its tests and its benchmark speak through.

    console = Console("127.0.0.1", 5580)
    console.log_in("anna", "...")               # not where it is open
    console.post("/picture", {"strength_percent": 60})
    for message in console.live("probe-1", view="pair").messages():
        message.header["seq"], message.images["picture"]

One object belongs to one thread.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PREFIX = "/api/v1"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Message:
    """One message of the live picture."""

    header: dict[str, Any]
    images: dict[str, bytes]
    size: int


class Closed(Exception):  # noqa: N818 - named for what it is
    """The other end has closed the WebSocket."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code


@dataclass
class Console:
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    timeout_s: float = 30.0
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def origin(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, raw: bytes | None = None
    ) -> Reply:
        """With this session's cookie and token; `raw` is sent as it is."""
        connection = self._connection()
        sent = {**self.headers, **({"Cookie": f"limpid_session={self.cookie}"} if self.cookie else {})}
        if method not in ("GET", "HEAD"):
            sent["X-CSRF-Token"] = self.csrf
        if body is not None or raw is not None:
            sent["Content-Type"] = "application/json"
        with contextlib.closing(connection):
            data = raw if raw is not None else None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, told, answer.read())

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout_s, context=self.tls)
        return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout_s)

    def get(self, path: str, **more: Any) -> Reply:
        return self.request("GET", PREFIX + path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Reply:
        """The token is asked for where there is none yet."""
        if not self.csrf:
            self.whoami()
        return self.request("POST", PREFIX + path, {} if body is None else body, **more)

    def put(self, path: str, body: Any) -> Reply:
        if not self.csrf:
            self.whoami()
        return self.request("PUT", PREFIX + path, body)

    def whoami(self) -> dict[str, Any]:
        told = self.get("/session").json
        self.csrf = told["csrf"]
        return told

    def log_in(self, user: str, password: str) -> Reply:
        reply = self.request("POST", f"{PREFIX}/session", {"user": user, "password": password})
        if reply.status == 200:
            self.cookie = reply.headers["set-cookie"].split(";")[0].partition("=")[2]
            self.csrf = reply.json["csrf"]
        return reply

    def live(self, stream: str, receive_buffer: int = 0, **wants: Any) -> Live:
        socket_ = WebSocket(self, f"{PREFIX}/live/{stream}", receive_buffer=receive_buffer)
        live = Live(socket_)
        if wants:
            live.say(**wants)
        return live


class WebSocket:
    """A client's end: text and binary messages, whole."""

    def __init__(
        self, console: Console, path: str, headers: dict[str, str] | None = None, receive_buffer: int = 0
    ) -> None:
        plain = socket.socket(socket.AF_INET6 if ":" in console.host else socket.AF_INET)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(console.timeout_s)
        plain.connect((console.host, console.port))
        self.socket = console.tls.wrap_socket(plain, server_hostname=console.host) if console.tls else plain
        self._buffer = bytearray()
        sent = {
            "Host": f"{console.host}:{console.port}", "Upgrade": "websocket", "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            **({"Cookie": f"limpid_session={console.cookie}"} if console.cookie else {}), **(headers or {}),
        }  # fmt: skip
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        self.socket.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        self.status = self._shake_hands()
        if self.status != 101:
            self.socket.close()
            raise Closed(self.status, "the handshake was refused")

    def _shake_hands(self) -> int:
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        return int(head.split(b" ", 2)[1])

    def _fill(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise Closed(1006, "the connection has ended")
        self._buffer += data

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def receive(self) -> bytes:
        """The next message. Raises Closed, or TimeoutError."""
        whole = bytearray()
        while True:
            first, second = self._take(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self._take(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._take(8))
            data, kind = self._take(length), first & 0x0F
            if kind == CLOSE:
                code = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 1005
                raise Closed(code, data[2:].decode("utf-8", "replace"))
            if kind == PING:
                self.send(data, PONG)
            elif kind != PONG:
                whole += data
                if first & 0x80:
                    return bytes(whole)

    def send(self, data: bytes, kind: int = TEXT) -> None:
        mask = os.urandom(4)
        length = len(data)
        head = struct.pack(">BB", 0x80 | kind, 0x80 | length) if length < 126 else struct.pack(
            ">BBH", 0x80 | kind, 0xFE, length
        ) if length < 65536 else struct.pack(">BBQ", 0x80 | kind, 0xFF, length)  # fmt: skip
        self.socket.sendall(head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(data)))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.send(struct.pack(">H", 1000), CLOSE)
        self.socket.close()


class Live:
    """A live picture."""

    def __init__(self, socket_: WebSocket) -> None:
        self.socket = socket_

    def say(self, **what: Any) -> None:
        self.socket.send(json.dumps(what).encode())

    def next(self, *, acknowledge: bool = True) -> Message:
        message = taken_apart(self.socket.receive())
        if acknowledge and message.header["n"]:
            self.say(got=message.header["n"])
        return message

    def messages(self) -> Iterator[Message]:
        while True:
            yield self.next()

    def close(self) -> None:
        self.socket.close()


def taken_apart(data: bytes) -> Message:
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    images: dict[str, bytes] = {}
    at = 4 + length
    for image in header["images"]:
        images[image["name"]] = data[at : at + image["bytes"]]
        at += image["bytes"]
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes belong to no image")
    return Message(header, images, len(data))
