"""What is known of one stream's picture: the newest one, whether it is live, and who looks. Owned by the event loop.

A picture that stands still is told within two frame periods after the last frame, whoever is to blame: the scanner
(then the daemon says so), the daemon itself or what lies between (then nothing comes, and the clock here says so).
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.clock import MS, SECOND
from edge.wire import Flag, Report

UNKNOWN_PERIOD = 100 * MS
SHORTEST_PERIOD, LONGEST_PERIOD = 4 * MS, 375 * MS
NOT_LIVE_PERIODS = 2.0
NOTICE_PERIOD = 375 * MS  # of notices, which come four times a second while a picture stands
_NEW = 0.2


@dataclass(slots=True)
class Newest:
    """A picture and when it came, on this host's monotonic clock."""

    report: Report
    at_ns: int

    def age_ns(self, now: int) -> int:
        """The daemon's clock is this host's; where it cannot be, the age counts from the arrival."""
        since = self.at_ns - self.report.published_ns
        way = since if 0 <= since < SECOND else 0
        return self.report.age_ns + way + max(0, now - self.at_ns)


class Channel:
    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.newest: Newest | None = None
        self.live = False
        self.frozen = False
        self.period_ns = UNKNOWN_PERIOD
        self.heard_ns: int | None = None  # the last frame or notice
        self._frame_ns: int | None = None  # the last frame, as far as this console heard
        self._standing = False  # notices come, no pictures

    def hear(self, report: Report, now: int) -> bool:
        """Take what came. Whether there is something to show."""
        self.heard_ns = now
        if report.pixels is None:
            return self._note(report, now)
        self._learn_period(report)
        self.newest = Newest(report, now)
        self._frame_ns = now
        self.live, self.frozen, self._standing = bool(report.flags & Flag.LIVE), False, False
        return True

    def _note(self, report: Report, now: int) -> bool:
        told = bool(report.flags & Flag.LIVE), bool(report.flags & Flag.FROZEN)
        changed = told != (self.live, self.frozen)
        self.live, self.frozen = told
        self._standing = True
        if self.live:
            self._frame_ns = now
        return changed

    def _learn_period(self, report: Report) -> None:
        had = self.newest.report if self.newest is not None else None
        if had is None or had.session != report.session or report.seq <= had.seq:
            return
        period = (report.published_ns - had.published_ns) // (report.seq - had.seq)
        if self.period_ns == UNKNOWN_PERIOD:
            self.period_ns = period
        self.period_ns += round(_NEW * (period - self.period_ns))
        self.period_ns = min(max(self.period_ns, SHORTEST_PERIOD), LONGEST_PERIOD)

    @property
    def due_ns(self) -> int | None:
        """When NOT LIVE is to be said if nothing comes before."""
        if self.heard_ns is None or not self.live:
            return None
        return self.heard_ns + int(NOT_LIVE_PERIODS * (NOTICE_PERIOD if self._standing else self.period_ns))

    def look(self, now: int) -> bool:
        """Whether it has just stopped being live."""
        due = self.due_ns
        if due is None or now < due:
            return False
        self.live = False
        return True

    def stood_ns(self, now: int) -> int:
        """For how long it has not been live."""
        return 0 if self.live or self._frame_ns is None else max(0, now - self._frame_ns)
