"""Everything slow that a stream needs: finding its region, opening its engines. Runs on the survey thread.

The live thread hands over a frame now and then and goes on; what was found comes back through the lane's mailbox and
is taken up between two frames. An engine that is refused leaves the last good ones in place.
"""

from __future__ import annotations

import statistics
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from edge import region as regions
from edge.backends import Backend, Session, Shape, open_backend
from edge.catalog import Catalog, Engine
from edge.clock import SECOND
from edge.config import Engines
from edge.errors import EngineFault, EngineRefused
from edge.frame import Frame, Pixels
from edge.health import Events, thread_yields
from edge.region import Region, Tracker
from edge.slot import Latest

COST_RUNS = 5
REMEMBERED_STREAMS = 32
ORIGINAL, CLASSICAL = "original", "classical"


@dataclass(frozen=True, slots=True)
class OpenKey:
    """What sessions were opened for; as long as it is the same they need not be opened again."""

    family: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the survey found. `sessions` is None where the lane's own still fit."""

    region: Region | None
    key: OpenKey | None = None
    sessions: dict[str, Session] | None = None
    costs_ns: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """A question to the survey: this frame, the family somebody wants, and what is open now."""

    frame: Frame
    family: str
    open_key: OpenKey | None
    reply: Callable[[Prepared], None]


class Survey:
    def __init__(
        self,
        catalog: Catalog,
        engines: Engines,
        events: Events,
        backend: Callable[[str, int], Backend] = open_backend,
    ) -> None:
        self._catalog = catalog
        self._engines = engines
        self._events = events
        self._open_backend = backend
        self._backends: dict[str, Backend] = {}
        # Searching gives way to the live thread. Opening must not: an engine's own threads inherit what opens it.
        self._finder = ThreadPoolExecutor(1, "find", initializer=thread_yields, initargs=(10,))
        self._trackers: OrderedDict[str, Tracker] = OrderedDict()
        self._refused_keys: dict[str, OpenKey] = {}  # per stream: what could not be opened, so as not to try for ever
        self.inbox: Latest[Look] = Latest()  # put by live, taken by the survey

    def load_backends(self) -> None:
        """Before the first frame: importing a runtime holds the interpreter for longer than a frame may take."""
        for kind in (self._engines.backend, CLASSICAL):
            self._backend(kind)

    def run(self, stop: threading.Event) -> None:
        """The survey thread."""
        while not stop.is_set():
            look = self.inbox.take(0.2)
            if look is not None:
                look.reply(self.answer(look))
        self._finder.shutdown(wait=False)

    def family_for(self, frame: Frame, wished: str) -> str:
        return wished or getattr(self._engines, frame.modality.name.lower())

    def answer(self, look: Look) -> Prepared:
        tracker = self._tracker(look.frame.stream)
        region = self._finder.submit(tracker.update, look.frame).result()
        if region is None:
            return Prepared(None)
        bits = look.frame.bits
        key = OpenKey(self.family_for(look.frame, look.family), Shape(region.box.height, region.box.width, bits))
        if key == look.open_key or key == self._refused_keys.get(look.frame.stream):
            return Prepared(region if self._still_fits(region, look) else None, look.open_key)
        return self._opened(look, region, key)

    @staticmethod
    def _still_fits(region: Region, look: Look) -> bool:
        """A region is only useful with sessions of its size."""
        shape = Shape(region.box.height, region.box.width, look.frame.bits)
        return look.open_key is None or look.open_key.shape == shape

    def _tracker(self, stream: str) -> Tracker:
        tracker = self._trackers.setdefault(stream, Tracker())
        self._trackers.move_to_end(stream)
        while len(self._trackers) > REMEMBERED_STREAMS:
            self._trackers.popitem(last=False)
        return tracker

    def _opened(self, look: Look, region: Region, key: OpenKey) -> Prepared:
        modality = look.frame.modality.name.lower()
        variants = self._catalog.family(key.family, modality)
        if not variants:
            self._events.emit("engine.none", stream=look.frame.stream, family=key.family, modality=modality)
        grey = regions.grey_of(look.frame.pixels[region.box.slices], look.frame.format)
        sessions: dict[str, Session] = {}
        costs: dict[str, int] = {}
        for rung in self._engines.rungs:
            session = self._open_rung(rung, variants, key.shape, look.frame.stream)
            if session is not None:
                sessions[rung], costs[rung] = session, usual_cost(session, grey)
        engine_opened = any(rung != CLASSICAL for rung in sessions)
        if not engine_opened and look.open_key is not None and look.open_key.shape == key.shape:
            self._refused_keys[look.frame.stream] = key
            return Prepared(region, look.open_key)  # the last good engine stays
        self._refused_keys.pop(look.frame.stream, None)
        self._events.emit(
            "engine.opened",
            stream=look.frame.stream,
            family=key.family,
            size=f"{key.shape.width}x{key.shape.height}",
            cost_ms={rung: round(ns / 1e6, 2) for rung, ns in costs.items()},
        )
        return Prepared(region, key, sessions, costs)

    def _open_rung(self, rung: str, variants: dict[str, Engine], shape: Shape, stream: str) -> Session | None:
        engine = variants.get(rung)
        if rung == ORIGINAL or (engine is None and rung != CLASSICAL):
            return None
        try:
            kind = CLASSICAL if rung == CLASSICAL else self._engines.backend
            return self._backend(kind).open(engine, shape)
        except EngineRefused as error:
            self._events.emit("engine.refused", stream=stream, rung=rung, reason=str(error))
            return None

    def _backend(self, kind: str) -> Backend:
        if kind not in self._backends:
            self._backends[kind] = self._open_backend(kind, self._engines.threads)
        return self._backends[kind]


def usual_cost(session: Session, grey: Pixels) -> int:
    """What this stream's own picture takes: the middle of a few runs."""
    costs: list[int] = []
    for _ in range(COST_RUNS):
        try:
            session.start(grey, 1.0)
            session.wait(10 * SECOND)
            session.result()
        except EngineFault:
            break  # a faulty engine shows itself on the live path too, where it is counted
        costs.append(session.took_ns)
    session.forget()
    return int(statistics.median(costs)) if costs else 0
