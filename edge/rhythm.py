"""How frames come: how fast, and when each really arrived. Pure; one stream's, used by the live thread alone."""

from __future__ import annotations

from collections import deque

from edge.clock import SECOND

FASTEST_PERIOD = SECOND // 60  # beyond the glass: frames faster than this are not all shown, newest wins
SLOWEST_PERIOD = SECOND


class Rhythm:
    """How fast frames come: the median of the last intervals, so that one hiccup changes nothing."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._intervals: deque[int] = deque(maxlen=9)
        self.period_ns = SLOWEST_PERIOD

    def beat(self, captured_ns: int) -> None:
        if self._last_ns is not None and 0 < captured_ns - self._last_ns < 2 * SLOWEST_PERIOD:
            self._intervals.append(captured_ns - self._last_ns)
            middle = sorted(self._intervals)[len(self._intervals) // 2]
            self.period_ns = min(max(middle, FASTEST_PERIOD), SLOWEST_PERIOD)
        self._last_ns = captured_ns


class Arrival:
    """When a frame arrived, although it may have waited in a socket before it was read: no later than its capture
    plus what the way took at its swiftest. The swiftest is let creep up, for a way that has become longer."""

    def __init__(self) -> None:
        self._session: int | None = None
        self._swiftest_ns = 0

    def of(self, session: int, captured_ns: int, received_ns: int) -> int:
        way = received_ns - captured_ns
        if session != self._session:
            self._session, self._swiftest_ns = session, way
        self._swiftest_ns = min(way, self._swiftest_ns + (way - self._swiftest_ns) // 64)
        return captured_ns + self._swiftest_ns
