"""Fakes at the ports, each keeping the port's real contract. Time is a `ManualClock`; nothing here sleeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from edge.backends import Shape
from edge.catalog import Engine
from edge.clock import MS, ManualClock
from edge.errors import EngineFault
from edge.frame import EngineId, Frame, Modality, PixelFormat, Pixels, Shown
from edge.wire import Flag

SHA = "ab" * 32


def frame(
    seq: int = 1,
    *,
    at_ns: int = 0,
    stream: str = "s",
    session: int = 7,
    pixels: Pixels | None = None,
    **more: object,
) -> Frame:
    """A frame captured and received at one moment."""
    if pixels is None:
        pixels = np.random.default_rng(1).integers(30, 220, (96, 128), dtype=np.uint8)
    bits = 8 if pixels.dtype == np.uint8 else 12
    kind = PixelFormat.GREY16 if bits > 8 else PixelFormat.GREY8 if pixels.ndim == 2 else PixelFormat.RGB8
    facts: dict[str, object] = {"format": kind, "bits": bits, "modality": Modality.ULTRASOUND, **more}
    pixels.setflags(write=False)
    return Frame(pixels, stream, seq, at_ns, at_ns, session=session, stamped_ns=at_ns, **facts)  # type: ignore[arg-type]


class ScriptedSource:
    """Gives what it was told, in order; an exception in the list is raised."""

    def __init__(self, items: Iterable[Frame | Exception | None]) -> None:
        self._items = deque(items)
        self.closed = False

    @property
    def ended(self) -> bool:
        return not self._items

    def next(self, timeout_s: float) -> Frame | None:
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


class SlowSession:
    """An engine that takes `cost_ns` of the manual clock: waiting advances the clock, as waiting does."""

    def __init__(self, clock: ManualClock, shape: Shape, name: str, cost_ns: int) -> None:
        self.id = EngineId(name, SHA, "fake", "int8")
        self.shape = shape
        self.cost_ns = cost_ns
        self.fault: EngineFault | None = None  # raised by `result` while set
        self.spoil: Pixels | None = None  # given instead of the result while set
        self.brighten = 4  # what this engine does to a picture
        self.past = 0  # frames seen since the last `forget`
        self.took_ns = cost_ns
        self.change: float | None = None  # what a backend says it has measured
        self.closed = False
        self._clock = clock
        self._done_ns: int | None = None
        self._grey: Pixels | None = None

    def start(self, grey: Pixels, strength: float) -> None:
        if self._done_ns is not None and self._clock.now() < self._done_ns:
            raise EngineFault("busy", "still computing")
        self._grey = grey.copy()
        self._done_ns = self._clock.now() + self.cost_ns
        self.took_ns = self.cost_ns
        self.past += 1

    def wait(self, timeout_ns: int) -> bool:
        if self._done_ns is None:
            return True
        left = self._done_ns - self._clock.now()
        self._clock.advance(max(0, min(left, timeout_ns)))
        return self._clock.now() >= self._done_ns

    def result(self) -> Pixels:
        if self.fault is not None:
            raise self.fault
        assert self._grey is not None
        if self.spoil is not None:
            return self.spoil
        full = self.shape.full_scale
        return np.minimum(self._grey.astype(np.int32) + self.brighten, full).astype(self._grey.dtype)

    def forget(self) -> None:
        self.past = 0

    def close(self) -> None:
        self.closed = True


class SlowBackend:
    """Opens `SlowSession`s: milliseconds by engine size, changeable while they run."""

    def __init__(self, clock: ManualClock, cost_ms: dict[str, float]) -> None:
        self._clock = clock
        self.cost_ms = cost_ms
        self.sessions: dict[str, SlowSession] = {}

    def open(self, engine: Engine | None, shape: Shape) -> SlowSession:
        size = engine.manifest.size if engine is not None else "classical"
        session = SlowSession(self._clock, shape, f"fake-{size}", int(self.cost_ms[size] * MS))
        self.sessions[size] = session
        return session


class Glass:
    """A display that keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[Shown, Flag, int]] = []
        self.notices: list[tuple[Flag, int]] = []
        self.tended = 0

    def show(self, shown: Shown, flags: Flag, now_ns: int) -> None:
        self.shown.append((shown, flags, now_ns))

    def notice(self, last: Shown, flags: Flag, now_ns: int) -> None:
        self.notices.append((flags, now_ns))

    def tend(self) -> None:
        self.tended += 1

    def close(self) -> None: ...
