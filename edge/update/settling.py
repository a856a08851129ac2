"""From a staged version to one that is kept, or back: check, switch, restart, watch, hold or take back.

The trial's beginning, each watch begun and its end are on the disk before they count. Whoever watches holds a lock;
when they are cut off, the next one (`limpid update settle`, at the machine's start) begins to watch anew, at most
three times: a version under which the machine goes down again and again is taken back by the fourth.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from edge.clock import SECOND, Clock
from edge.errors import ConfigError, LimpidError, SourceUnavailable, UpdateRefused
from edge.update.install import python_of
from edge.update.processes import Processes
from edge.update.selfcheck import self_check
from edge.update.store import Version, VersionStore
from edge.update.trial import (
    FEWEST_FRAMES,
    LENGTH_S,
    LOST_S,
    MOST_STARTS,
    READY_S,
    Look,
    StreamLook,
    Trial,
    Watch,
    stretches,
)

LOOK_EVERY_S = 0.25
FOLLOW_EVERY_S = 0.5
AUTOMATIC = {"automatic": True}
Step = Callable[[str], None]


class Live(Protocol):
    """The live process, asked from outside."""

    def ask(self, do: str, /) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended."""

    outcome: str  # held, back; waits, watched (by another process), interrupted: still on trial; nothing: no trial
    version: str  # that is current now
    why: str = ""
    picture_back_s: float | None = None
    removed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long a version is watched."""

    length_s: float = LENGTH_S
    ready_s: float = READY_S
    fewest_frames: int = FEWEST_FRAMES
    before_s: float = 2.0  # how long the picture is looked at before the switch


class Settling:
    """Owned by the command that settles; one thread."""

    def __init__(
        self, store: VersionStore, processes: Processes, live: Live, clock: Clock, step: Step, pause: threading.Event
    ) -> None:
        self._store = store
        self._processes = processes
        self._live = live
        self._clock = clock
        self._step = step
        self._pause = pause  # set: somebody wants this to end; the trial stays, and is begun anew

    # ------------------------------------------------ to a version

    def check(self, version: Version, config: Path | None) -> None:
        """Everything that can be known before anything is touched. Raises UpdateRefused."""
        try:
            self._step("reading every file of it")
            listing = self._store.check(version)
            self._store.fits(listing)
            self_check(python_of(version.home), version.number, config, self._step)
        except UpdateRefused as error:
            self._store.tell("update-refused", version.number, {"why": str(error)})
            raise UpdateRefused(f"{version.number}: {error}") from error

    def switch(self, version: Version, began: datetime, terms: Terms) -> None:
        """Turn the link, the trial written down before. The processes are not told yet."""
        if version.number == self._store.current:
            raise ConfigError(f"{version.number} is current already")
        if self._store.trial() is not None:
            raise ConfigError(f"{self._store.current} is still on trial: wait, or take it back")
        before = self._store.current
        if not before:  # nothing ran here that one could go back to
            self._store.switch(version.number, None)
            return
        self._step("looking at the picture as it is")
        self._must_answer(version.number)
        first = self._look()
        self._pause.wait(terms.before_s if first.streams else 0.0)
        streams = stretches(first, self._look())
        when = began.isoformat(timespec="seconds")
        trial = Trial(
            version.number, before, when, length_s=terms.length_s, ready_s=terms.ready_s,
            fewest_frames=terms.fewest_frames, streams=streams,
        )  # fmt: skip
        self._store.switch(version.number, trial, {"streams": sorted(streams)})

    def _must_answer(self, number: str) -> None:
        """A live process that cannot be asked now cannot be asked on trial either: NUMBER would be taken back for that
        alone. Raises SourceUnavailable."""
        until = self._clock.now() + int(LOST_S * SECOND)
        while self._processes.has_live() and (silence := self._silence()):
            if self._clock.now() < until and not self._pause.wait(LOOK_EVERY_S):
                continue
            why = f"it could not be watched: the live process runs, but cannot be asked: {silence}"
            self._store.tell("update-refused", number, {"why": why})
            raise SourceUnavailable(f"{number}: {why}")

    def _silence(self) -> str:
        """Why nobody answers; nothing where somebody does."""
        try:
            self._live.ask("status")
        except (SourceUnavailable, ConfigError) as error:
            return str(error)
        return ""

    # ------------------------------------------------ a trial that is under way

    def settle(self, decided: Callable[[], None] = lambda: None) -> Outcome:
        """Watch the trial to its end, if there is one. DECIDED is called once it is clear what is to be started:
        whoever waits for that may start it."""
        with self._watching() as mine:
            trial = self._store.trial()
            if trial is None or not mine:
                decided()
                return Outcome("nothing" if trial is None else "watched", self._store.current)
            trial = msgspec.structs.replace(trial, starts=trial.starts + 1)
            if trial.starts > MOST_STARTS:
                outcome = self._turn_back(f"its trial was begun {MOST_STARTS} times and never ended")
                decided()
                return self._restarted(outcome)
            self._store.write_trial(trial)
            self._store.tell("update-on-trial", trial.version, {"before": trial.before, "start": trial.starts})
            decided()
            return self._tried(trial)

    def follow(self, version: str, before: str) -> Outcome:
        """A trial that another process watches, until it has ended or we are to end: it goes on then all the same."""
        while (trial := self._store.trial()) is not None and trial.version == version:
            if self._pause.wait(FOLLOW_EVERY_S):
                return Outcome("interrupted", version, "whoever watches it goes on")
        if self._store.current == version:
            return Outcome("held", version)
        last = [entry for entry in self._store.audit.entries() if entry.did == "update-rolled-back"][-1:]
        return Outcome("back", self._store.current or before, str(last[0].facts.get("why", "")) if last else "")

    def _tried(self, trial: Trial) -> Outcome:
        if not trial.restarted:
            self._step("starting the processes again")
            try:
                self._processes.restart()
            except LimpidError as error:
                return self._restarted(self._turn_back(f"the processes could not be started again: {error}"))
            trial = msgspec.structs.replace(trial, restarted=True)
            self._store.write_trial(trial)
        watch = Watch(trial, self._clock.now())
        while self._store.current == trial.version:
            look = self._look()
            verdict = watch.see(look)
            if verdict.outcome == "held":
                removed = self._store.hold()
                return Outcome("held", trial.version, "", watch.picture_back_s, removed)
            if verdict.outcome == "back":
                return self._restarted(self._turn_back(verdict.why))
            self._tell(trial, watch)
            if self._pause.wait(LOOK_EVERY_S):
                return Outcome("interrupted", trial.version)
        return Outcome("back", self._store.current, "somebody took it back by hand")

    def _tell(self, trial: Trial, watch: Watch) -> None:
        picture = "no picture yet" if watch.picture_back_s is None else f"picture after {watch.picture_back_s:.1f} s"
        self._step(f"watching {trial.version}: {picture}")

    def _look(self) -> Look:
        now, stays = self._clock.now(), self._processes.stays()
        try:
            status = self._live.ask("status")
            streams = {name: _stream(facts) for name, facts in status["streams"].items()}
            return Look(now, status["version"], status["pid"], streams, stays.ends, stays.down)
        except (SourceUnavailable, ConfigError) as error:
            return Look(now, silence=str(error), ends=stays.ends, down=stays.down)
        except (KeyError, TypeError, AttributeError):  # what cannot be understood is no answer either
            return Look(now, silence="its answer cannot be understood", ends=stays.ends, down=stays.down)

    # ------------------------------------------------ and back

    def roll_back(self, why: str) -> Outcome:
        """By hand."""
        return self._restarted(Outcome("back", self._store.roll_back(why), why))

    def _turn_back(self, why: str) -> Outcome:
        self._step(f"going back: {why}")
        return Outcome("back", self._store.roll_back(why, AUTOMATIC), why)

    def _restarted(self, outcome: Outcome) -> Outcome:
        try:
            self._processes.restart()
        except LimpidError as error:
            return replace(outcome, why=f"{outcome.why}; the processes could not be started again: {error}")
        return outcome

    @contextlib.contextmanager
    def _watching(self) -> Generator[bool, None, None]:
        """Whether it is ours to watch."""
        self._store.state.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._store.state / "watching.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(fd)


def _stream(facts: dict[str, Any]) -> StreamLook:
    frames = facts["frames"]
    return StreamLook(frames["enhanced"], frames["original"], facts.get("latency_ms", {}).get("p99"))
