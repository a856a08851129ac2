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
from dataclasses import dataclass, field, replace

import cv2

from edge import region as regions
from edge.backends import Backend, Session, Shape, notes_of, open_backend
from edge.catalog import Catalog, Engine, as_chosen
from edge.clock import SECOND
from edge.config import Engines
from edge.errors import EngineFault, EngineRefused
from edge.frame import Frame, Modality, Pixels
from edge.health import Events
from edge.region import Region, Tracker
from edge.slot import Latest
from edge.turns import thread_yields

COST_RUNS = 5
TRIAL_PATIENCE = 5 * SECOND
REMEMBERED_STREAMS = 32
ORIGINAL, CLASSICAL = "original", "classical"


@dataclass(frozen=True, slots=True)
class OpenKey:
    """What sessions were opened for; as long as it is the same they need not be opened again."""

    family: str
    modality: Modality
    shape: Shape
    models: tuple[str, ...] = ()  # sha256 of each rung's engine: another version is another key


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the survey found. `sessions` is None where the lane's own still fit."""

    region: Region | None
    key: OpenKey | None = None
    sessions: dict[str, Session] | None = None
    costs_ns: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opening:
    """What became of opening an engine for a stream."""

    stream: str
    engine: str
    sha256: str
    cost_ns: int = 0
    refused: str = ""  # why


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
        tell: Callable[[Opening], None] = lambda _opening: None,
    ) -> None:
        self._catalog = catalog
        self._engines = engines
        self._events = events
        self._open_backend = backend
        self._tell = tell  # each engine that was opened or refused; must not wait
        self._backends: dict[str, Backend] = {}
        # Searching gives way to the live thread. Opening must not: an engine's own threads inherit what opens it.
        self._finder = ThreadPoolExecutor(1, "find", initializer=thread_yields, initargs=(10,))
        self._trackers: OrderedDict[str, Tracker] = OrderedDict()
        self._refused_keys: dict[str, set[OpenKey]] = {}  # per stream: what could not be opened, not to try for ever
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
                look.reply(self._answer_safely(look))
        self._finder.shutdown(wait=False)

    def _answer_safely(self, look: Look) -> Prepared:
        """A frame on which the search stumbles stays as it is; it must not end the process, again and again."""
        try:
            return self.answer(look)
        except (cv2.error, ArithmeticError, LookupError, ValueError) as error:
            self._events.emit("survey.failed", stream=look.frame.stream, reason=type(error).__name__)
            return Prepared(None)

    def family_for(self, frame: Frame, wished: str) -> str:
        return wished or getattr(self._engines, frame.modality.name.lower())

    def answer(self, look: Look) -> Prepared:
        tracker = self._tracker(look.frame.stream)
        region = self._finder.submit(tracker.update, look.frame).result()
        if region is None:
            return Prepared(None)
        bits = look.frame.bits
        shape = Shape(region.box.height, region.box.width, bits)
        key = self._key_for(look.frame, self.family_for(look.frame, look.family), shape)
        # A lane that has nothing open (it was closed meanwhile) gets what there is, if only the classical filter.
        refused = look.open_key is not None and key in self._refused_keys.get(look.frame.stream, ())
        if key == look.open_key or refused:
            return Prepared(region if self._still_fits(region, look) else None, look.open_key)
        return self._opened(look, region, key)

    def _key_for(self, frame: Frame, family: str, shape: Shape) -> OpenKey:
        variants = self._variants(family, frame.modality.name.lower())
        models = (variants[rung].manifest.sha256 for rung in self._engines.rungs if rung in variants)
        return OpenKey(family, frame.modality, shape, tuple(models))

    def _variants(self, family: str, modality: str) -> dict[str, Engine]:
        found = self._catalog.family(family, modality)
        return {size: as_chosen(engine, self._engines.backend) for size, engine in found.items()}

    @staticmethod
    def _still_fits(region: Region, look: Look) -> bool:
        """A region is only useful with sessions of its size."""
        shape = Shape(region.box.height, region.box.width, look.frame.bits)
        key = look.open_key
        return key is None or (key.shape == shape and key.modality is look.frame.modality)

    def _tracker(self, stream: str) -> Tracker:
        tracker = self._trackers.setdefault(stream, Tracker())
        self._trackers.move_to_end(stream)
        while len(self._trackers) > REMEMBERED_STREAMS:
            gone, _ = self._trackers.popitem(last=False)
            self._refused_keys.pop(gone, None)
        return tracker

    def _opened(self, look: Look, region: Region, key: OpenKey) -> Prepared:
        modality = look.frame.modality.name.lower()
        variants = self._variants(key.family, modality)
        if not variants:
            self._events.emit("engine.none", stream=look.frame.stream, family=key.family, modality=modality)
        grey = regions.grey_of(look.frame.pixels[region.box.slices], look.frame.format)
        sessions: dict[str, Session] = {}
        costs: dict[str, int] = {}
        for rung in self._engines.rungs:
            opened = self._open_rung(rung, variants.get(rung), grey, key.shape, look.frame.stream)
            if opened is not None:
                sessions[rung], costs[rung] = opened
        engine_opened = any(rung != CLASSICAL for rung in sessions)
        failed = {engine.manifest.sha256 for rung, engine in variants.items() if rung not in sessions}
        if look.open_key is not None and _is_update(look.open_key, key) and failed & _added(look.open_key, key):
            # What runs, runs well: another version of it is taken up whole or not at all.
            for session in sessions.values():
                session.close()
            self._refuse(look, key)
            return Prepared(region, look.open_key)
        if not engine_opened and look.open_key is not None:
            self._refuse(look, key)
            # The last good engine stays: as it is, or opened anew where the size has changed too.
            if look.open_key.shape == key.shape and look.open_key.modality == key.modality:
                return Prepared(region, look.open_key)
            if look.open_key.family != key.family:
                return self._opened(look, region, self._key_for(look.frame, look.open_key.family, key.shape))
        self._events.emit(
            "engine.opened",
            stream=look.frame.stream,
            family=key.family,
            size=f"{key.shape.width}x{key.shape.height}",
            cost_ms={rung: round(ns / 1e6, 2) for rung, ns in costs.items()},
        )
        return Prepared(region, key, sessions, costs)

    def _refuse(self, look: Look, key: OpenKey) -> None:
        self._refused_keys.setdefault(look.frame.stream, set()).add(key)

    def _open_rung(
        self, rung: str, engine: Engine | None, grey: Pixels, shape: Shape, stream: str
    ) -> tuple[Session, int] | None:
        """A rung's session and what it costs, or None where there is no such rung, or it was refused."""
        if rung == ORIGINAL or (engine is None and rung != CLASSICAL):
            return None
        try:
            backend = self._backend(CLASSICAL if rung == CLASSICAL else self._engines.backend)
            session = backend.open(engine, shape)
            cost = usual_cost(session, grey)
        except EngineRefused as error:
            self._events.emit("engine.refused", stream=stream, rung=rung, reason=str(error))
            self._tell_of(engine, stream, refused=str(error))
            return None
        if notes := notes_of(backend):
            self._events.emit("engine.noted", stream=stream, rung=rung, backend=session.id.backend, notes=notes)
        self._tell_of(engine, stream, cost_ns=cost)
        return session, cost

    def _tell_of(self, engine: Engine | None, stream: str, *, cost_ns: int = 0, refused: str = "") -> None:
        if engine is not None:
            self._tell(Opening(stream, engine.manifest.name, engine.manifest.sha256, cost_ns, refused))

    def _backend(self, kind: str) -> Backend:
        if kind not in self._backends:
            self._backends[kind] = self._open_backend(kind, self._engines.threads)
        return self._backends[kind]


def _is_update(old: OpenKey, new: OpenKey) -> bool:
    """The same picture and the same family, in other versions."""
    return replace(old, models=new.models) == new


def _added(old: OpenKey, new: OpenKey) -> set[str]:
    return set(new.models) - set(old.models)


def usual_cost(session: Session, grey: Pixels) -> int:
    """What this stream's own picture takes: the middle of a few runs. An engine that fails all of them is refused."""
    costs: list[int] = []
    for _ in range(COST_RUNS):
        try:
            session.start(grey, 1.0)
            if not session.wait(TRIAL_PATIENCE):
                break
            session.result()
        except EngineFault:
            break
        costs.append(session.took_ns)
    session.forget()
    if not costs:
        raise EngineRefused(f"{session.id.name}: no result in its trial runs")
    return int(statistics.median(costs))
