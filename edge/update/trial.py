"""Whether a version of the application holds in its first minutes, or has to go back. Pure: looks in, a verdict out.

What is compared is this appliance's own picture before and after, stream by stream, by the same figures by which an
engine is judged (`edge/trial.py`); and whether its processes run, answer and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from edge import trial as engines
from edge.clock import MS, SECOND
from edge.trial import Count, Figures, Verdict

LENGTH_S = 300.0  # then it is kept
READY_S = 30.0  # until the live process answers
LOST_S = 10.0  # without an answer from one that had answered
PICTURE_S = 15.0  # from its first answer until a stream that was there before is shown again
SETTLE_S = 5.0  # before frames count: a process that has just started is slow for other reasons
MOST_ENDS = 1  # of processes that ended by themselves
MOST_STARTS = 3  # trials begun and not ended: the machine went down, or whoever watched
FEWEST_FRAMES = 600  # before a stream is called late or slow: a late frame is shown as original, there is no hurry
REMEMBERED = 600  # latencies, by the daemon


class Stretch(msgspec.Struct, frozen=True):
    """How a stream did before the switch."""

    enhanced: int = 0
    late: int = 0
    faults: int = 0
    p99_ms: float | None = None

    @property
    def figures(self) -> Figures:
        p99 = None if self.p99_ms is None else int(self.p99_ms * MS)
        return Figures(Count(self.enhanced, self.enhanced, self.late, self.faults), p99)


class Trial(msgspec.Struct, frozen=True):
    """A version that was switched to and has not yet been seen to hold."""

    version: str
    before: str
    began: str  # the wall's time, to be shown
    restarted: bool = False  # whether the processes were told to start again
    starts: int = 0  # how often somebody began to watch
    length_s: float = LENGTH_S
    ready_s: float = READY_S
    fewest_frames: int = FEWEST_FRAMES
    streams: dict[str, Stretch] = {}


@dataclass(frozen=True, slots=True)
class StreamLook:
    enhanced: Mapping[str, int]
    original: Mapping[str, int]
    p99_ms: float | None = None

    @property
    def shown(self) -> int:
        return sum(self.enhanced.values()) + sum(self.original.values())

    @property
    def count(self) -> Count:
        """The engine is not what is on trial here: each counts as the one in question."""
        found = engines.counted("", self.enhanced, self.original)
        return Count(found.enhanced, found.enhanced, found.late, found.faults)


@dataclass(frozen=True, slots=True)
class Look:
    """The appliance at one moment."""

    at_ns: int
    version: str = ""  # of the live process that answered; empty: none did
    pid: int = 0
    streams: Mapping[str, StreamLook] = field(default_factory=dict)
    ends: Mapping[str, int] = field(default_factory=dict)  # process -> how often it ended by itself since the restart
    down: tuple[str, ...] = ()  # processes that are given up
    silence: str = ""  # why nobody answered


def stretches(first: Look, last: Look) -> dict[str, Stretch]:
    """How each stream has done since its process started; only those that frames came from between two looks."""
    found: dict[str, Stretch] = {}
    for name, stream in last.streams.items():
        earlier = first.streams.get(name) if first.pid == last.pid else None
        if stream.shown > (earlier.shown if earlier is not None else 0):
            count = stream.count
            p99 = stream.p99_ms if stream.shown >= REMEMBERED else None
            found[name] = Stretch(count.enhanced, count.late, count.faults, p99)
    return found


class Watch:
    """A trial as far as it has gone. Owned by whoever watches."""

    def __init__(self, trial: Trial, began_ns: int) -> None:
        self._trial = trial
        self._began_ns = began_ns
        self._ready_ns: int | None = None
        self._answered_ns = began_ns
        self._since: Look | None = None  # from when on frames count
        self.picture_back_s: float | None = None  # from the beginning until a frame was shown

    def see(self, look: Look) -> Verdict:
        why = self._ended(look) or self._silent(look) or self._dark(look) or self._worse(look)
        if why:
            return Verdict("back", why)
        return Verdict("held" if self._ready_ns is not None and self._ran_s(look) >= self._trial.length_s else "watch")

    def _ran_s(self, look: Look) -> float:
        return (look.at_ns - self._began_ns) / SECOND

    def _ended(self, look: Look) -> str:
        if look.down:
            return f"{', '.join(look.down)} does not run"
        ends = {name: count for name, count in look.ends.items() if count}
        if sum(ends.values()) <= MOST_ENDS:
            return ""
        return ", ".join(f"{name} ended {count} times" for name, count in sorted(ends.items())) + " by itself"

    def _silent(self, look: Look) -> str:
        if look.version == self._trial.version:
            self._answered_ns = look.at_ns
            self._ready_ns = look.at_ns if self._ready_ns is None else self._ready_ns
            return ""
        if self._ready_ns is None:
            known = f"what answers is {look.version}" if look.version else look.silence
            late = f"not ready in {self._trial.ready_s:g} s{'; ' if known else ''}{known}"
            return late if self._ran_s(look) > self._trial.ready_s else ""
        silent_s = (look.at_ns - self._answered_ns) / SECOND
        return f"the live process has not answered for {silent_s:.0f} s" if silent_s > LOST_S else ""

    def _dark(self, look: Look) -> str:
        """A stream that was there before must be shown again. After the machine itself went down nobody knows whether
        the scanner is on."""
        if look.version != self._trial.version or self._ready_ns is None:
            return ""
        if any(stream.shown for stream in look.streams.values()):
            self.picture_back_s = self._ran_s(look) if self.picture_back_s is None else self.picture_back_s
        dark_s = (look.at_ns - self._ready_ns) / SECOND
        if self.picture_back_s is not None or not self._trial.streams or self._trial.starts > 1 or dark_s <= PICTURE_S:
            return ""
        return (
            f"no picture {dark_s:.0f} s after it was ready; before there was {', '.join(sorted(self._trial.streams))}"
        )

    def _worse(self, look: Look) -> str:
        if look.version != self._trial.version or self._ready_ns is None:
            return ""
        if look.at_ns - self._ready_ns < SETTLE_S * SECOND:
            return ""
        if self._since is None or self._since.pid != look.pid:
            self._since = look
            return ""
        for name, stream in look.streams.items():
            earlier = self._since.streams.get(name)
            count = stream.count.since(earlier.count if earlier is not None else Count())
            if why := self._worse_stream(self._trial.streams.get(name), count, stream.p99_ms):
                return f"{name}: {why}"
        return ""

    def _worse_stream(self, before: Stretch | None, count: Count, p99_ms: float | None) -> str:
        p99 = int(p99_ms * MS) if p99_ms is not None and count.frames >= REMEMBERED else None
        if count.frames < self._trial.fewest_frames:
            count, p99 = replace(count, late=0), None
        return engines.judge(before.figures if before is not None else None, Figures(count, p99), 0).why
