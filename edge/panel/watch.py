"""Is what is seen live, and how old is it? Pure.

Notices from the daemon are believed when they say NOT LIVE, and not waited for: a picture that has no successor within
two frame periods is not live, whatever the reason, and whether or not anybody is left to say so.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from edge.clock import MS
from edge.rhythm import Arrival, Rhythm
from edge.wire import Flag, Report

PERIODS = 2
TO_DRAW = 6 * MS  # before the second period is over the words must be on the glass
SILENCE = 750 * MS  # a daemon repeats its notices every 250 ms: one that says nothing at all is gone


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A picture or a notice as it came, and its times on our clock."""

    report: Report
    arrived_ns: int
    left_ns: int  # when it left the daemon
    captured_ns: int
    period_ns: int  # between two frames, as they come these days

    @property
    def layout(self) -> tuple[object, ...]:
        """What must be alike for two pictures to be of one clip."""
        report = self.report
        shape = None if report.pixels is None else report.pixels.shape
        return report.stream, report.session, shape, report.bits, report.format

    def age_ns(self, now_ns: int) -> int:
        return max(now_ns - self.captured_ns, 0)


class Dater:
    """Gives what comes its times. Used by the pictures thread, which hears every picture, also those nobody draws.

    `local`: the daemon's clock is ours. Then a message that waited in a socket while we slept does not look younger.
    Elsewhere a message is as late as it came beyond the swiftest way seen.
    """

    def __init__(self, *, local: bool) -> None:
        self._local = local
        self._rhythm = Rhythm()
        self._arrival = Arrival()

    def date(self, report: Report, arrived_ns: int) -> Seen:
        left_ns = min(self._left_ns(report, arrived_ns), arrived_ns)
        captured_ns = left_ns - report.age_ns
        if report.pixels is not None:
            self._rhythm.beat(captured_ns)
        return Seen(report, arrived_ns, left_ns, captured_ns, self._rhythm.period_ns)

    def _left_ns(self, report: Report, arrived_ns: int) -> int:
        if self._local:
            return report.published_ns
        return self._arrival.of(report.session, report.published_ns, arrived_ns)


class Liveness(enum.Enum):
    WAITING = "waiting"  # no picture was ever seen
    LIVE = "live"
    NOT_LIVE = "not live"


class Watch:
    """Used by main alone."""

    def __init__(self) -> None:
        self._deadline_ns: int | None = None  # when the next picture must be here
        self._heard_ns: int | None = None  # anything at all from the daemon
        self._noticed = False  # a notice said NOT LIVE, and no picture came since

    def picture(self, seen: Seen) -> None:
        self._deadline_ns = seen.left_ns + PERIODS * seen.period_ns - TO_DRAW
        self._hear(seen)

    def notice(self, seen: Seen) -> None:
        self._hear(seen)

    def _hear(self, seen: Seen) -> None:
        self._heard_ns = seen.arrived_ns
        self._noticed = not seen.report.flags & Flag.LIVE

    def liveness(self, now_ns: int) -> Liveness:
        if self._deadline_ns is None:
            return Liveness.WAITING
        late = now_ns >= self._deadline_ns
        return Liveness.NOT_LIVE if late or self._noticed else Liveness.LIVE

    def answers(self, now_ns: int) -> bool:
        """Has the daemon been heard of lately?"""
        return self._heard_ns is not None and now_ns - self._heard_ns < SILENCE

    @property
    def is_silent(self) -> bool:
        """The daemon says that the scanner sends nothing."""
        return self._noticed

    def due_ns(self, now_ns: int) -> int | None:
        """When the answer may change although nothing comes."""
        ahead = [self._deadline_ns, None if self._heard_ns is None else self._heard_ns + SILENCE]
        return min((at for at in ahead if at is not None and at > now_ns), default=None)
