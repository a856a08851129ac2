"""Engines that change while the daemon runs: taken up behind the picture, watched for a while, taken back if they fail.

The link in the engine store is turned by whoever activates; then this thread is told. It reads the catalogue anew, the
lanes ask the survey, the survey opens and warms what is there now, and each lane swaps between two frames. From then
on the engine is on trial (`trial.py`): when it fails, the link is turned back and the lanes swap again. Runs on the
engines thread, which alone reloads the catalogue; the live thread is never waited for, nor made to wait.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from edge import trial
from edge.catalog import Catalog, Engine, as_chosen
from edge.clock import MS, SECOND
from edge.engine_store import EngineStore
from edge.errors import ConfigError, EngineRefused, LimpidError
from edge.health import Events, Tally, percentiles
from edge.requests import TakeUp
from edge.shared import Shared
from edge.survey import Opening, OpenKey
from edge.trial import Figures

PATIENCE = 60 * SECOND  # for streams to open the engine, before whoever asked is answered
LOOK_EVERY_S = 0.25
REMEMBERED_S = 60  # how a stream did before: its last minute
AUTOMATIC = {"automatic": True}
Answer = dict[str, Any]
Sample = dict[str, tuple[dict[str, int], dict[str, int]]]  # stream -> enhanced by engine, original by reason


@dataclass(slots=True)
class _Asked:
    """Somebody waits until the streams have it."""

    answer: Future[Answer]
    engine: Engine
    streams: set[str]  # those that are to have it
    until_ns: int
    before: dict[str, Figures]


@dataclass(slots=True)
class _Running:
    """A trial: where each stream stood when it began, and how it did before."""

    began_ns: int
    since: Sample
    before: dict[str, Figures]


class Steward:
    def __init__(
        self,
        shared: Shared,
        catalog: Catalog,
        store: EngineStore | None,
        tallies: Callable[[], Mapping[str, Tally]],
        open_keys: Callable[[], Mapping[str, OpenKey]],
    ) -> None:
        self._shared = shared
        self._catalog = catalog
        self._store = store  # None where the configuration names no folder to install into
        self._tallies = tallies
        self._open_keys = open_keys  # what each stream that is live has open
        self._inbox: queue.SimpleQueue[tuple[TakeUp, Future[Answer]] | Opening] = queue.SimpleQueue()
        self._asked: dict[str, _Asked] = {}
        self._running: dict[str, _Running] = {}
        self._due: set[str] = set()  # activated, and no stream has opened it yet
        self._samples: deque[tuple[int, Sample]] = deque(maxlen=REMEMBERED_S)
        self._costs_ns: dict[tuple[str, str], int] = {}  # stream and engine -> what a frame takes

    # ------------------------------------------------ from other threads

    def ask(self, request: TakeUp) -> Future[Answer]:
        """From the control thread; answered once every live stream has the engine, or it was taken back."""
        answer: Future[Answer] = Future()
        self._inbox.put((request, answer))
        return answer

    def hear(self, opening: Opening) -> None:
        """From the survey: an engine was opened for a stream, or refused."""
        self._inbox.put(opening)

    def facts(self) -> dict[str, Any]:
        """For the status: what is on trial, and why which precision runs. Read by the control thread."""
        now = self._shared.clock.now()
        trials = {name: round((now - run.began_ns) / SECOND, 1) for name, run in self._running.copy().items()}
        choices = {name: engine.choice for name, engine in self._catalog.engines.items()}
        verified = {name: choice.verdict for name, choice in choices.items() if choice is not None}
        return {"on_trial": trials, "verified": verified}

    # ------------------------------------------------ the engines thread

    def run(self, stop: threading.Event) -> None:
        self.begin()
        while not stop.is_set():
            self.step(LOOK_EVERY_S)
        self.close()

    def begin(self) -> None:
        if self._store is not None:
            self._due = {name for name in self._store.names() if self._store.trial(name) is not None}

    def step(self, timeout_s: float) -> None:
        try:
            item = self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            item = None
        if isinstance(item, Opening):
            self._opened(item)
        elif item is not None:
            self._take_up(*item)
        self._watch()

    def close(self) -> None:
        """An orderly stop is nobody's failure: the trial begins again with the next start."""
        for name in self._running:
            self._mark(name, "due")

    def _take_up(self, request: TakeUp, answer: Future[Answer]) -> None:
        name = request.engine
        if self._store is None:
            answer.set_exception(
                ConfigError("this daemon looks for engines in no folder but its own: [engines] folders")
            )
            return
        old, now = self._current(name), self._shared.clock.now()
        before = self._figures(name, self._samples[0][1] if self._samples else {})
        self._reload()
        engine = self._current(name)
        if (why := self._catalog.refused.get(str(self._store.root / name))) is not None:
            answer.set_exception(EngineRefused(why))
            self._back(name, why)
            return
        if engine is None or (old is not None and old.manifest.sha256 == engine.manifest.sha256):
            answer.set_result(_told(engine, {}, []))
            return
        self._running.pop(name, None)
        if self._store.trial(name) is not None:
            self._due.add(name)
        self._asked[name] = _Asked(answer, engine, self._streams_for(engine), now + PATIENCE, before)

    def _opened(self, opening: Opening) -> None:
        name, asked = opening.engine, self._asked.get(opening.engine)
        current = self._current(name)
        if current is None or opening.sha256 != current.manifest.sha256:
            return  # of an edition that is gone
        old_ns = self._costs_ns.get((opening.stream, name))
        verdict = trial.judge_opening(old_ns, opening.cost_ns, self._deadline_ns)
        why = opening.refused or verdict.why
        if why and (asked is not None or name in self._running or name in self._due):
            self._back(name, why)
        elif not why:
            self._costs_ns[opening.stream, name] = opening.cost_ns

    def _streams_for(self, engine: Engine) -> set[str]:
        """Those that are live and treat their pictures with this family."""
        manifest = engine.manifest
        if manifest.scale != 1 or manifest.size not in self._shared.config.engines.rungs:
            return set()
        return {
            stream
            for stream, key in self._open_keys().items()
            if key.family == manifest.family and key.modality.name.lower() in manifest.modalities
        }

    def _streams_with(self, engine: Engine) -> set[str]:
        return {stream for stream, key in self._open_keys().items() if engine.manifest.sha256 in key.models}

    # ------------------------------------------------ the trial

    def _begin_trial(self, name: str, engine: Engine, before: dict[str, Figures]) -> None:
        self._due.discard(name)
        self._mark(name, "running")
        self._running[name] = _Running(self._shared.clock.now(), self._sample(), before)
        self._emit("engine.on-trial", engine, trial_s=trial.LENGTH // SECOND)

    def _watch(self) -> None:
        now = self._shared.clock.now()
        if not self._samples or now - self._samples[-1][0] >= SECOND:
            self._samples.append((now, self._sample()))
        for name, asked in list(self._asked.items()):
            having = self._streams_with(asked.engine)
            if asked.streams <= having or now >= asked.until_ns:
                self._answer(name, asked, having)
        for name in list(self._due - set(self._asked)):  # activated while no daemon ran, or no frames came
            engine = self._current(name)
            if engine is not None and self._streams_with(engine):
                self._begin_trial(name, engine, {})
        for name, running in list(self._running.items()):
            verdicts = [
                trial.judge(running.before.get(stream), after, now - running.began_ns)
                for stream, after in self._figures(name, running.since).items()
                if after.count.frames
            ]
            failed = next((verdict.why for verdict in verdicts if verdict.outcome == "back"), "")
            if failed:
                self._back(name, failed)
            elif any(verdict.outcome == "held" for verdict in verdicts):
                self._hold(name)

    def _answer(self, name: str, asked: _Asked, having: set[str]) -> None:
        del self._asked[name]
        if having and name in self._due:
            self._begin_trial(name, asked.engine, asked.before)
        costs = {stream: self._costs_ns.get((stream, name)) for stream in sorted(having)}
        costs_ms = {stream: round(cost / MS, 2) for stream, cost in costs.items() if cost is not None}
        asked.answer.set_result(_told(asked.engine, costs_ms, sorted(asked.streams - having)))

    def _hold(self, name: str) -> None:
        del self._running[name]
        self._mark(name, "over")
        engine = self._current(name)
        if engine is not None:
            self._emit("engine.held", engine)

    def _sample(self) -> Sample:
        return _sample_of(self._tallies())

    def _figures(self, name: str, since: Sample) -> dict[str, Figures]:
        """Of each stream, from a moment to now."""
        found: dict[str, Figures] = {}
        tallies = self._tallies()  # once: a stream may be gone from the next copy
        for stream, (enhanced, original) in _sample_of(tallies).items():
            count = trial.counted(name, enhanced, original).since(trial.counted(name, *since.get(stream, ({}, {}))))
            last = list(tallies[stream].latencies_ns)[-max(1, count.frames) :]
            enough = min(count.frames, len(last)) >= trial.FEWEST_FRAMES
            found[stream] = Figures(count, int(percentiles(last)["p99"] * MS) if enough else None)
        return found

    # ------------------------------------------------ and back

    def _back(self, name: str, why: str) -> None:
        """To the version before, on the disk and in the picture. Where that fails, it is said, and the picture has its
        own ladder: the original is below the last rung."""
        assert self._store is not None
        engine = self._current(name)
        self._running.pop(name, None)
        self._due.discard(name)
        asked = self._asked.pop(name, None)
        facts = {"sha256": engine.manifest.sha256, "version": engine.manifest.version} if engine is not None else {}
        try:
            self._store.roll_back(name, why, AUTOMATIC)
        except LimpidError as error:
            self._shared.events.emit("engine.not-rolled-back", engine=name, why=why, error=str(error), **facts)
        else:
            self._reload()
            now = self._current(name)
            to = now.manifest.version if now is not None else ""
            self._shared.events.emit("engine.rolled-back", engine=name, why=why, to=to, **facts)
        if asked is not None:
            asked.answer.set_exception(EngineRefused(f"{name} was taken back: {why}"))

    def _current(self, name: str) -> Engine | None:
        """As it is to run here."""
        engine = self._catalog.engines.get(name)
        return as_chosen(engine, self._shared.config.engines.backend) if engine is not None else None

    def _reload(self) -> None:
        self._catalog.reload()
        self._shared.wishes.change(None, edition=self._catalog.edition)

    def _mark(self, name: str, state: Any) -> None:
        """A disk that cannot be written costs the trial its memory, not the daemon its life."""
        assert self._store is not None
        try:
            self._store.set_trial(name, state)
        except LimpidError as error:
            self._shared.events.emit("engine.trial-not-kept", engine=name, error=str(error))

    def _emit(self, event: str, engine: Engine, **facts: Any) -> None:
        manifest = engine.manifest
        self._shared.events.emit(event, engine=manifest.name, version=manifest.version, sha256=manifest.sha256, **facts)

    @property
    def _deadline_ns(self) -> int:
        return int(self._shared.config.live.deadline_ms * MS)


def _sample_of(tallies: Mapping[str, Tally]) -> Sample:
    return {stream: (dict(tally.enhanced), dict(tally.original)) for stream, tally in tallies.items()}


def settle_interrupted(store: EngineStore, events: Events) -> None:
    """At start, before the catalogue is read: an engine during whose trial the daemon ended is not tried again. It may
    have hung the daemon; that the power failed instead costs an activation, the other mistake an appliance."""
    for name in store.names():
        found = store.trial(name)
        if found is None or found.state != "running":
            continue
        why = "the daemon ended during its trial"
        try:
            store.roll_back(name, why, AUTOMATIC)
        except LimpidError as error:
            events.emit("engine.not-rolled-back", engine=name, why=why, error=str(error))
        else:
            events.emit("engine.rolled-back", engine=name, why=why)


def _told(engine: Engine | None, costs_ms: dict[str, float], waiting: list[str]) -> Answer:
    if engine is None:
        return {"engine": None, "streams": {}, "waiting": []}
    manifest = engine.manifest
    facts = {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256}
    return {"engine": facts, "streams": costs_ms, "waiting": waiting}
