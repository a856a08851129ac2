"""What the daemon does, asked once for everybody who wants to know. Runs on the pulse and the hearing thread.

pulse     asks the control socket once a second, the outbox a little less often; keeps ten minutes of figures
hearing   the daemon's events: which clips are being recorded, and for whoever listens
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import zmq

from edge.access.homes import own_key
from edge.client import Control, connect, reachable
from edge.config import Config
from edge.console.archive import Archive
from edge.errors import ConfigError, LimpidError, SourceUnavailable

EVERY_S = 1.0
FRESH_S = 0.5
PATIENCE_S = 3.0
OUTBOX_EVERY_S = 2.0
OUTBOX_SHARE = 0.05  # of the time at most, however full it is
REMEMBERED = 600
HEARING_POLL_MS = 500
ABSENT = "the daemon has not answered yet"


@dataclass(frozen=True, slots=True)
class Beat:
    """One look at the daemon; replaced whole."""

    at_s: float = 0.0  # monotonic
    answers: bool = False
    error: str = ABSENT
    status: dict[str, Any] = field(default_factory=dict[str, Any])
    exam: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Point:
    """A stream's figures in one second."""

    at: float  # wall time, for people
    p50: float | None
    p99: float | None
    fps: float
    enhanced: float | None  # the part of what was shown

    def as_dict(self) -> dict[str, Any]:
        return {"at": self.at, "p50": self.p50, "p99": self.p99, "fps": self.fps, "enhanced": self.enhanced}


@dataclass(slots=True)
class _Counts:
    at_s: float
    shown: int
    enhanced: int


class Pulse:
    def __init__(self, config: Config, archive: Archive) -> None:
        self._config = config
        self._archive = archive
        self._asking = threading.Lock()  # one question at a time
        self.beat = Beat()  # replaced by whoever holds the lock
        self.outbox: dict[str, Any] | None = None  # by pulse
        self._outbox_due_s = 0.0
        self.recording: set[str] = set()  # streams; as the daemon said last, and by its events since
        self.history: dict[str, deque[Point]] = {}  # by pulse; read by calls
        self._counts: dict[str, _Counts] = {}
        self._listeners: list[Callable[[dict[str, Any]], None]] = []

    # ------------------------------------------------ the pulse thread

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.refresh(0.0)
            self._look_at_outbox()
            self._remember()
            stop.wait(EVERY_S)

    def refresh(self, older_than_s: float = FRESH_S) -> Beat:
        """Ask again where the last answer is older than this. From any thread but the event loop's."""
        with self._asking:
            if time.monotonic() - self.beat.at_s >= older_than_s:
                self.beat = self._ask()
            return self.beat

    def _ask(self) -> Beat:
        address = self._config.sockets.control
        try:
            control = Control(reachable(address), PATIENCE_S, own_key(self._config, address))
            status, exam = control.ask("status"), control.ask("exam-show")
        except SourceUnavailable:
            words = "the daemon does not answer: is `limpid run` (or `limpid live`) running?"
            return Beat(time.monotonic(), answers=False, error=words)
        except (ConfigError, ValueError) as error:
            return Beat(time.monotonic(), answers=False, error=str(error))
        self.recording = set(status["recording"])
        return Beat(time.monotonic(), answers=True, error="", status=status, exam=exam)

    def _look_at_outbox(self) -> None:
        began = time.monotonic()
        if began < self._outbox_due_s:
            return
        try:
            self.outbox = self._archive.summary()
        except (OSError, LimpidError) as error:
            words = getattr(error, "strerror", None) or str(error)
            self.outbox = {"captures": 0, "states": {}, "held": 0, "damaged": 0, "broken": 0, "trouble": words}
        ended = time.monotonic()
        self._outbox_due_s = ended + max(OUTBOX_EVERY_S, (ended - began) / OUTBOX_SHARE)

    def _remember(self) -> None:
        streams: dict[str, dict[str, Any]] = self.beat.status.get("streams", {})
        for name in self.history.keys() - streams.keys():
            del self.history[name]
            self._counts.pop(name, None)
        for name, facts in streams.items():
            self.history.setdefault(name, deque(maxlen=REMEMBERED)).append(self._point(name, facts))

    def _point(self, name: str, facts: dict[str, Any]) -> Point:
        now, frames, latency = self.beat.at_s, facts["frames"], facts["latency_ms"]
        enhanced = sum(frames["enhanced"].values())
        shown = enhanced + sum(frames["original"].values())
        had = self._counts.get(name, _Counts(now, shown, enhanced))
        self._counts[name] = _Counts(now, shown, enhanced)
        more, passed = shown - had.shown, now - had.at_s
        fps = round(more / passed, 1) if passed > 0 and more >= 0 else 0.0
        part = round((enhanced - had.enhanced) / more, 4) if more > 0 else None
        return Point(round(time.time(), 1), latency.get("p50"), latency.get("p99"), fps, part)

    # ------------------------------------------------ the hearing thread

    def hear(self, stop: threading.Event) -> None:
        sock: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.MAXMSGSIZE, 1 << 20)
        sock.subscribe(b"event/")
        address = self._config.sockets.events
        try:
            connect(sock, reachable(address), own_key(self._config, address))
            while not stop.is_set():
                if sock.poll(HEARING_POLL_MS):
                    self._take(sock.recv_multipart())
        finally:
            sock.close()

    def _take(self, parts: list[bytes]) -> None:
        with contextlib.suppress(ValueError, LookupError, TypeError):
            event: dict[str, Any] = json.loads(parts[1])
            self._note(event)
            for listener in list(self._listeners):
                listener(event)

    def _note(self, event: dict[str, Any]) -> None:
        if event["event"] == "clip.started":
            self.recording.add(str(event["stream"]))
        elif event["event"] == "clip.ended":
            self.recording.discard(str(event["stream"]))
        elif event["event"] == "live.ready":
            self.recording.clear()

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Called on the hearing thread with each event. Gives what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def is_recording(self, stream: str) -> bool:
        return stream in self.recording
