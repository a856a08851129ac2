"""The control socket (one JSON object in, one out) and the event socket. Each is served by a thread of its own.

Nothing a client sends can stop the daemon: whatever is wrong comes back as {"ok": false, "error": ...}.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import zmq

from edge.catalog import Catalog
from edge.errors import ConfigError
from edge.health import Event
from edge.wire import STREAM_NAME
from edge.wishes import Wishes

LARGEST_REQUEST = 64 << 10
StreamName = Annotated[str, msgspec.Meta(pattern="^" + STREAM_NAME.pattern)]


class Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="status"):
    stream: StreamName | None = None


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="engines"):
    pass


class Freeze(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="freeze"):
    stream: StreamName | None = None


class Unfreeze(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="unfreeze"):
    stream: StreamName | None = None


class Set(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="set"):
    stream: StreamName | None = None
    strength_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    view: Literal["enhanced", "original"] | None = None
    engine: str | None = None


Request = Status | Engines | Freeze | Unfreeze | Set


class Desk:
    """Answers requests. Pure but for the wishes it writes."""

    def __init__(self, wishes: Wishes, catalog: Catalog, status: Callable[[], dict[str, Any]]) -> None:
        self._wishes = wishes
        self._catalog = catalog
        self._status = status
        self._decoder = msgspec.json.Decoder(Request)

    def answer(self, message: bytes) -> dict[str, Any]:
        try:
            return {"ok": True, **self._do(self._decoder.decode(message))}
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ConfigError) as error:
            return {"ok": False, "error": str(error)}

    def _do(self, request: Request) -> dict[str, Any]:
        if isinstance(request, Status):
            return self._status_of(request.stream)
        if isinstance(request, Engines):
            return self._engines()
        if isinstance(request, Set):
            return self._set(request)
        self._wishes.change(request.stream, frozen=isinstance(request, Freeze))
        return {}

    def _status_of(self, stream: str | None) -> dict[str, Any]:
        status = self._status()
        if stream is None:
            return status
        if stream not in status["streams"]:
            raise ConfigError(f"no stream {stream}")
        return {**status, "streams": {stream: status["streams"][stream]}}

    def _engines(self) -> dict[str, Any]:
        facts = {
            name: {
                "family": engine.manifest.family,
                "size": engine.manifest.size,
                "version": engine.manifest.version,
                "scale": engine.manifest.scale,
                "sha256": engine.manifest.sha256,
                "judged": engine.manifest.is_judged,
                "missed": engine.manifest.judged.shortfalls if engine.manifest.judged else {},
            }
            for name, engine in self._catalog.engines.items()
        }
        return {"engines": facts, "refused": self._catalog.refused}

    def _set(self, request: Set) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        if request.strength_percent is not None:
            settings["strength"] = request.strength_percent / 100
        if request.view is not None:
            settings["original_view"] = request.view == "original"
        if request.engine is not None:
            if request.engine not in self._catalog.families:
                raise ConfigError(f'no engine "{request.engine}"; there are: {", ".join(self._catalog.families)}')
            settings["family"] = request.engine
        self._wishes.change(request.stream, **settings)
        return {}


class ControlSocket:
    """REP: bound at the build-up, served by the control thread, closed by it."""

    def __init__(self, address: str, desk: Desk, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._desk = desk
        self._socket = bound(context, zmq.REP, address, "control")

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self.serve_one()
        finally:
            self._socket.close()

    def serve_one(self) -> None:
        try:
            parts = self._socket.recv_multipart()
        except zmq.Again:
            return
        message = parts[0] if len(parts) == 1 else b""
        self._socket.send(json.dumps(self._desk.answer(message)).encode())


class EventSocket:
    """PUB: written by the events thread alone."""

    def __init__(self, address: str, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._socket = bound(context, zmq.PUB, address, "events")

    def publish(self, event: Event) -> None:
        self._socket.send_multipart([f"event/{event['event']}".encode(), json.dumps(event).encode()])

    def close(self) -> None:
        self._socket.close()


def bound(context: zmq.Context[zmq.Socket[bytes]], kind: int, address: str, key: str) -> zmq.Socket[bytes]:
    sock = context.socket(kind)
    sock.setsockopt(zmq.LINGER, 0)
    sock.setsockopt(zmq.MAXMSGSIZE, LARGEST_REQUEST)  # what is set after bind counts for nothing
    sock.setsockopt(zmq.RCVTIMEO, 100)
    try:
        sock.bind(address)
    except zmq.ZMQError as error:
        sock.close()
        raise ConfigError(f'[sockets] {key} = "{address}": {error}') from error
    return sock
