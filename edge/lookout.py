"""Looks at the pictures of every stream about once a second: are they like those that the engine in force was judged
on, and what were the day's like? Runs on the lookout thread; the live thread never waits for it.

What it reads is what the live thread leaves: the newest picture of each stream, its region, the tallies. What it says
goes back as one frozen set of streams, replaced whole.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import cv2

from edge import drift
from edge import region as regions
from edge.clock import SECOND, Clock
from edge.drift import Statistics, Watch
from edge.frame import EngineId, Shown, Treatment
from edge.health import Event, Events, Tally
from edge.profiles import Profiles
from edge.quality import Day, Kind, Mean, more_of
from edge.quality_book import Book
from edge.region import Region
from edge.turns import thread_yields

EVERY_S = 1.0
WRITE_EVERY = 60 * SECOND
GONE = 30 * SECOND  # a stream without a new picture for so long begins anew
NICE = 10


@dataclass(frozen=True, slots=True)
class Sight:
    """What the live thread leaves for others to look at."""

    newest: Mapping[str, Shown]
    region_of: Callable[[str], Region | None]
    tallies: Callable[[], Mapping[str, Tally]]
    tell: Callable[[frozenset[str]], None]  # which streams are outside; must not wait


@dataclass(slots=True)
class _Stream:
    """What is known of one stream. The lookout thread's; `facts` is replaced whole, and read by control."""

    seen: tuple[int, int] = (0, -1)  # session and number of the picture that was looked at last
    seen_ns: int = 0
    engine: EngineId = field(default_factory=EngineId)  # the last one that treated it
    kind: str = "unknown"
    watch: Watch = field(default_factory=Watch)
    facts: dict[str, Any] = field(default_factory=lambda: {"state": "unjudged", "by": []})


@dataclass(slots=True)
class _Counted:
    """A tally as it was when it was last added to the day."""

    tally: Tally
    enhanced: dict[str, int] = field(default_factory=dict[str, int])
    original: dict[str, int] = field(default_factory=dict[str, int])
    dropped: dict[str, int] = field(default_factory=dict[str, int])


class Lookout:
    def __init__(
        self, sight: Sight, profiles: Profiles, book: Book, clock: Clock, events: Events, wall: Callable[[], datetime]
    ) -> None:
        self._sight = sight
        self._profiles = profiles
        self._book = book
        self._clock = clock
        self._events = events
        self._wall = wall
        self._streams: dict[str, _Stream] = {}
        self._counted: dict[str, _Counted] = {}
        self._day: Day | None = None
        self._looked_ns = self._written_ns = clock.now()
        self._told_unwritten = False
        self._heard: Counter[str] = Counter()  # added to by the events thread, taken by ours
        self._heard_lock = threading.Lock()
        self._heat = ""  # by the events thread: the step of the thermal ladder that was told last

    # ------------------------------------------------ other threads

    def hear(self, event: Event) -> None:
        """On the events thread: what belongs to the day and is known elsewhere."""
        if event["event"] == "capture.stored":
            with self._heard_lock:
                self._heard["captures"] += 1
        elif event["event"] == "heat.changed":
            self._heat = str(event.get("step", ""))

    def facts(self, stream: str) -> dict[str, Any]:
        """For the daemon's status: any thread."""
        known = self._streams.get(stream)
        return known.facts if known is not None else {"state": "unjudged", "by": []}

    # ------------------------------------------------ the lookout thread

    def run(self, stop: threading.Event) -> None:
        thread_yields(NICE)
        while not stop.wait(EVERY_S):
            self.look()
        self._write(self._today())

    def look(self) -> None:
        now = self._clock.now()
        passed_s = (now - self._looked_ns) / SECOND
        self._looked_ns = now
        day = self._today()
        for name, shown in dict(self._sight.newest).items():
            self._look_at(name, shown, now, day, passed_s)
        self._forget_gone(now)
        self._sight.tell(frozenset(name for name, stream in self._streams.items() if stream.watch.outside))
        self._add_counts(day)
        self._add_heard(day, passed_s)
        if now - self._written_ns >= WRITE_EVERY:
            self._written_ns = now
            self._write(day)

    def _today(self) -> Day:
        today: date = self._wall().date()
        if self._day is None or self._day.date != today.isoformat():
            if self._day is not None:
                self._write(self._day)
            self._day = self._book.day(today)
        return self._day

    def _look_at(self, name: str, shown: Shown, now: int, day: Day, passed_s: float) -> None:
        stream = self._streams.setdefault(name, _Stream())
        number = shown.frame.session, shown.frame.seq
        if number == stream.seen:
            return
        stream.seen, stream.seen_ns, stream.kind = number, now, shown.frame.modality.name.lower()
        kind = day.kind(stream.kind)
        if shown.treatment is Treatment.ENHANCED:
            stream.engine = shown.engine
            kind.change.setdefault(shown.engine.name, Mean()).add(shown.mean_change)
        found = self._figures(name, shown)
        if found is None:
            return
        kind.noise.add(found["noise"])
        kind.sharpness.add(drift.sharpness_of(found))
        self._judge(name, stream, found, now)
        if stream.facts["state"] != "unjudged":
            kind.judged_s += passed_s
            kind.outside_s += passed_s if stream.watch.outside else 0.0

    def _figures(self, name: str, shown: Shown) -> Statistics | None:
        region, frame = self._sight.region_of(name), shown.frame
        if region is None or region.layout.shape != frame.pixels.shape:
            return None
        try:
            grey = regions.grey_of(frame.pixels[region.box.slices], frame.format)
            return drift.statistics(grey, region.mask, frame.full_scale)
        except (cv2.error, ArithmeticError, ValueError) as error:  # a strange picture must not end the process
            self._events.emit("survey.failed", stream=name, reason=type(error).__name__)
            return None

    def _judge(self, name: str, stream: _Stream, found: Statistics, now: int) -> None:
        profile = self._profiles.of(stream.engine.sha256)
        if profile is None:
            self._end_watch(name, stream, "engine without a profile")
            stream.facts = {"state": "unjudged", "by": [], "figures": _rounded(found)}
            return
        by = drift.outside(found, profile)
        changed = stream.watch.observe(now, odd=bool(by))
        is_outside = stream.watch.outside
        state = "outside" if is_outside else "inside"
        stream.facts = {"state": state, "by": by, "engine": profile.engine, "figures": _rounded(found)}
        if changed:
            event = "drift.outside" if is_outside else "drift.inside"
            self._events.emit(event, stream=name, engine=profile.engine, by=by)

    def _end_watch(self, name: str, stream: _Stream, reason: str) -> None:
        """Whoever was told that it is outside is told that this is over."""
        if stream.watch.outside:
            engine = str(stream.facts.get("engine", ""))
            self._events.emit("drift.inside", stream=name, engine=engine, by=[], reason=reason)
        stream.watch = Watch()

    def _forget_gone(self, now: int) -> None:
        for name in [name for name, stream in self._streams.items() if now - stream.seen_ns > GONE]:
            gone = self._streams.pop(name)
            self._end_watch(name, gone, "no more pictures")
            if name in self._sight.newest:  # its last picture is still there, and must not be taken for a new one
                self._streams[name] = _Stream(seen=gone.seen, seen_ns=now, kind=gone.kind)

    # ------------------------------------------------ the day

    def _add_counts(self, day: Day) -> None:
        tallies = dict(self._sight.tallies())
        for name in self._counted.keys() - tallies.keys():
            del self._counted[name]
        for name, tally in tallies.items():
            if name in self._streams:
                self._add_tally(day.kind(self._streams[name].kind), name, tally)

    def _add_tally(self, kind: Kind, name: str, tally: Tally) -> None:
        had = self._counted.get(name)
        if had is None or had.tally is not tally:
            had = _Counted(tally)
        now = _Counted(tally, dict(tally.enhanced), dict(tally.original), dict(tally.dropped))
        self._counted[name] = now
        enhanced, original = more_of(now.enhanced, had.enhanced), more_of(now.original, had.original)
        kind.add_frames(enhanced, original, more_of(now.dropped, had.dropped))
        fresh = sum(enhanced.values()) + sum(original.values())
        if fresh:
            kind.add_latencies(list(tally.latencies_ns)[-fresh:])

    def _add_heard(self, day: Day, passed_s: float) -> None:
        with self._heard_lock:
            heard, self._heard = self._heard, Counter()
        day.captures += heard["captures"]
        if self._heat:
            day.heat_s[self._heat] = day.heat_s.get(self._heat, 0.0) + passed_s

    def _write(self, day: Day) -> None:
        try:
            self._book.write(day)
        except OSError as error:
            if not self._told_unwritten:
                self._events.emit("report.not-written", process="live", reason=error.strerror or type(error).__name__)
            self._told_unwritten = True
        else:
            self._told_unwritten = False


def _rounded(found: Statistics) -> dict[str, float]:
    return {name: round(value, 4) for name, value in found.items()}
