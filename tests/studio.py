"""The capture side on a manual clock: real shutter, exams and book, real DICOM; fakes only where others take over."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from edge.capture import Pictures, Shutter, recorder_of
from edge.clock import SECOND, ManualClock
from edge.config import Config, Preset, parse
from edge.errors import CaptureRefused
from edge.exam_book import Book, Vault
from edge.exams import Exams
from edge.filing import Equipment, Filing, station_of
from edge.frame import EngineId, Shown, Treatment
from edge.health import Events, Vitals
from edge.outbox import Draft
from edge.shared import Shared
from edge.slot import Ring
from edge.steps import StepQueue
from edge.wishes import Wish, Wishes
from tests.fakes import SHA, frame

START = datetime(2026, 11, 20, 9, 30, tzinfo=timezone.utc)


class Shelf:
    """A store in memory. `refusal` is raised while set; what it is given is really written, into bytes."""

    def __init__(self) -> None:
        self.drafts: dict[str, Draft] = {}
        self.files: dict[str, list[bytes]] = {}
        self.developed: list[tuple[str, bool]] = []
        self.refusal: Exception | None = None
        self.room_for = 1000

    def put(self, draft: Draft) -> str:
        self.check_room()
        if len(self.drafts) >= self.room_for:
            raise CaptureRefused("not stored: the disk is full")
        name = f"capture-{len(self.drafts) + 1}"
        files: list[bytes] = []
        for made in draft.objects:
            file = io.BytesIO()
            made.write(file)
            files.append(file.getvalue())
        self.drafts[name], self.files[name] = draft, files
        return name

    def check_room(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def develop(self, capture: str, *, provisional: bool) -> None:
        self.developed.append((capture, provisional))


class Studio:
    def __init__(self, home: Path, config: Config | None = None) -> None:
        self.config = config or parse("")
        self.clock = ManualClock(100 * SECOND)
        self.wall_shift = timedelta(0)
        self.events = Events(self.clock, io.StringIO())
        self.heard: list[dict[str, Any]] = []
        self.events.emit = lambda event, **facts: self.heard.append({"event": event, **facts})  # type: ignore[method-assign]
        self.applied: list[Preset | None] = []
        self.home = home
        self.steps = StepQueue(Vault(home / "mpps"))
        self.shelf = Shelf()
        self.recorder = recorder_of(self.config.capture)
        self.ring: Ring[Shown] = Ring(1 << 30, lambda shown: shown.pixels.nbytes, self._too_old)
        self.newest: dict[str, Shown] = {}
        self.seq = 0
        self.start()

    def start(self) -> None:
        """Also again, after a power cut: what is on the disk stays, the rest is gone."""
        wishes, vitals = Wishes(Wish()), Vitals(self.clock)
        self.shared = Shared(self.config, self.clock, self.events, vitals, wishes)
        book = Book(Vault(self.home))
        self.exams = Exams(book, self.config, self.wall, self.events, self.applied.append, self.steps)
        pictures = Pictures(self.ring.snapshot, self.newest, self.recorder)
        equipment = Equipment(station_of(self.config.station))
        filing = Filing(self.shared, self.exams, self.shelf, equipment, self.wall)
        self.shutter = Shutter(self.shared, pictures, self.exams, filing)

    def wall(self) -> datetime:
        return START + timedelta(microseconds=self.clock.now() / 1000) + self.wall_shift

    def show(self, count: int = 1, *, stream: str = "s", step_ms: float = 100 / 3, **more: object) -> list[Shown]:
        """Pictures pass as they do on the live thread: the ring, the newest, whoever listens."""
        passed: list[Shown] = []
        for _ in range(count):
            self.clock.advance(int(step_ms * 1e6))
            self.seq += 1
            rng = np.random.default_rng(self.seq)
            shape = more.get("shape", (24, 32))
            pixels = rng.integers(30, 220, shape, dtype=np.uint8)  # type: ignore[call-overload]
            rest = {key: value for key, value in more.items() if key != "shape"}
            one = frame(self.seq, at_ns=self.clock.now(), stream=stream, pixels=pixels, **rest)  # type: ignore[arg-type]
            shown = Shown(one, one.pixels + np.uint8(4), Treatment.ENHANCED, engine=EngineId("e", SHA, "fake", "int8"))
            self._pass(shown)
            passed.append(shown)
        return passed

    def skip(self, frames: int, *, step_ms: float = 100 / 3) -> None:
        """Frames that the scanner sent and nobody saw."""
        self.seq += frames
        self.clock.advance(int(frames * step_ms * 1e6))

    def _pass(self, shown: Shown) -> None:
        before = self.newest.get(shown.frame.stream)
        missing = shown.frame.seq - before.frame.seq - 1 if before is not None else 0
        shown = replace(shown, missing_before=missing)
        self.ring.add(shown)
        self.newest[shown.frame.stream] = shown
        self.recorder.hear(shown)

    def _too_old(self, oldest: Shown, newest: Shown) -> bool:
        return newest.frame.captured_ns - oldest.frame.captured_ns > 10 * SECOND

    def settle(self, answer: Future[dict[str, Any]]) -> dict[str, Any]:
        """The capture thread's turn, until this answer is there."""
        for _ in range(50):
            if answer.done():
                break
            self.shutter.step(0.0)
        return answer.result(0)

    def ask(self, request: Any) -> dict[str, Any]:
        return self.settle(self.shutter.ask(request))

    def do(self, task: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        return self.settle(self.shutter.do(task, Future()))

    def events_named(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.heard if event["event"] == name]
