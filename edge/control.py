"""The control socket (one JSON object in, one out) and the event socket. Each is served by a thread of its own.

What takes long (a capture that is being stored, a worklist) is answered when it is done; meanwhile others are served.
Nothing a client sends can stop the daemon: whatever is wrong comes back as {"ok": false, "error": ...}.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec
import zmq

from edge.access.doors import Door, Watch
from edge.access.register import CONTROL, EVENTS
from edge.catalog import Catalog
from edge.errors import ConfigError, LimpidError
from edge.health import Event
from edge.requests import CaptureRequest, Engines, ExamRequest, Freeze, PictureRequest, Request, Set, Status, TakeUp
from edge.wishes import Wishes

LARGEST_REQUEST = 64 << 10
POLL_MS = 100
REOPENING_S = 0.2  # at most: usually it takes a few milliseconds
T = TypeVar("T")
Answer = dict[str, Any]


class Desk:
    """Answers requests. Pure but for the wishes it writes; captures and exams it hands on to those who know."""

    def __init__(
        self,
        wishes: Wishes,
        catalog: Catalog,
        status: Callable[[], dict[str, Any]],
        captures: Callable[[CaptureRequest], Answer | Future[Answer]] | None = None,
        exams: Callable[[ExamRequest], Answer | Future[Answer]] | None = None,
        take_up: Callable[[TakeUp], Answer | Future[Answer]] | None = None,
    ) -> None:
        self._wishes = wishes
        self._catalog = catalog
        self._status = status
        self._captures = captures
        self._exams = exams
        self._take_up = take_up
        self._decoder = msgspec.json.Decoder(Request)

    def answer(self, message: bytes) -> Answer | Future[Answer]:
        """At once, or what will come when it is done."""
        try:
            done = self._do(self._decoder.decode(message))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LimpidError) as error:
            return refused(error)
        return done if isinstance(done, Future) else {"ok": True, **done}

    def _do(self, request: Request) -> Answer | Future[Answer]:
        if isinstance(request, CaptureRequest):
            return _handed_on(self._captures, request)
        if isinstance(request, ExamRequest):
            return _handed_on(self._exams, request)
        if isinstance(request, TakeUp):
            return _handed_on(self._take_up, request)
        return self._do_picture(request)

    def _do_picture(self, request: PictureRequest) -> Answer:
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


def _handed_on(to: Callable[[T], Answer | Future[Answer]] | None, request: T) -> Answer | Future[Answer]:
    if to is None:
        raise ConfigError("this daemon takes no captures")
    return to(request)


def refused(error: BaseException) -> Answer:
    return {"ok": False, "error": str(error)}


def outcome(done: Future[Answer]) -> Answer:
    """A finished answer, as it is sent."""
    error = done.exception()
    return {"ok": True, **done.result()} if error is None else refused(error)


class ControlSocket:
    """ROUTER, so that one client's long answer keeps nobody waiting; REQ clients see no difference.

    Bound at the build-up, served by the control thread, closed by it. Other threads finish answers: they leave them in
    a queue and knock.
    """

    def __init__(
        self, address: str, desk: Desk, context: zmq.Context[zmq.Socket[bytes]], guard: Watch | None = None
    ) -> None:
        self._desk = desk
        self._door = Door(lambda: socket_of(context, zmq.ROUTER), address, CONTROL, "[sockets] control", guard)
        self._late: queue.SimpleQueue[tuple[list[bytes], Answer]] = queue.SimpleQueue()
        self._hear, self._knock = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poller = self._both_heard()

    def run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self.serve(POLL_MS)
        finally:
            self._door.close()

    def serve(self, timeout_ms: int) -> None:
        if self._door.mind():
            self._poller = self._both_heard()
        ready = dict(self._poller.poll(timeout_ms))
        if self._hear in ready:
            os.read(self._hear, 4096)
        while not self._late.empty():
            self._send(*self._late.get_nowait())
        if self._door.socket in ready:
            self._serve_one()

    def _both_heard(self) -> zmq.Poller:
        poller = zmq.Poller()
        poller.register(self._door.socket, zmq.POLLIN)
        poller.register(self._hear, zmq.POLLIN)
        return poller

    def _serve_one(self) -> None:
        with contextlib.suppress(zmq.Again):
            parts = self._door.socket.recv_multipart(zmq.NOBLOCK)
            if b"" not in parts:
                return  # not from a REQ socket: there is no way to answer
            cut = parts.index(b"") + 1
            envelope, body = parts[:cut], parts[cut:]
            answer = self._desk.answer(body[0] if len(body) == 1 else b"")
            if isinstance(answer, Future):
                answer.add_done_callback(lambda done: self._finish(envelope, done))
            else:
                self._send(envelope, answer)

    def _finish(self, envelope: list[bytes], done: Future[Answer]) -> None:
        """On whichever thread finished it."""
        self._late.put((envelope, outcome(done)))
        with contextlib.suppress(OSError):  # a full pipe knocks already
            os.write(self._knock, b"!")

    def _send(self, envelope: list[bytes], answer: Answer) -> None:
        with contextlib.suppress(zmq.ZMQError):  # whoever asked has gone, or is not reading
            self._door.socket.send_multipart([*envelope, json.dumps(answer).encode()], zmq.NOBLOCK)


class EventSocket:
    """PUB: written by the events thread alone."""

    def __init__(self, address: str, context: zmq.Context[zmq.Socket[bytes]], guard: Watch | None = None) -> None:
        self._door = Door(lambda: socket_of(context, zmq.PUB), address, EVENTS, "[sockets] events", guard)

    def publish(self, event: Event) -> None:
        if self._door.mind():
            self._wait_until_it_is_open()
        self._door.socket.send_multipart([f"event/{event['event']}".encode(), json.dumps(event).encode()])

    def _wait_until_it_is_open(self) -> None:
        """Nobody waits for this thread, and it does not come by here again until the next event, whenever that is."""
        until = time.monotonic() + REOPENING_S
        while not self._door.is_open and time.monotonic() < until:
            time.sleep(0.001)
            self._door.mind()

    def close(self) -> None:
        self._door.close()


def socket_of(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    sock = context.socket(kind)
    sock.setsockopt(zmq.MAXMSGSIZE, LARGEST_REQUEST)  # what is set after bind counts for nothing
    sock.setsockopt(zmq.RCVTIMEO, 100)
    return sock
