"""Time, injected. Everything that decides takes a `Clock`; tests turn a `ManualClock` by hand.

All times are nanoseconds of the machine's monotonic clock, so that no change of the wall clock can make
a picture look younger than it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

US = 1_000
MS = 1_000_000
SECOND = 1_000_000_000


class Clock(Protocol):
    def now(self) -> int:
        """Nanoseconds of a clock that never goes backwards."""
        ...


class MonotonicClock:
    """The machine's own clock (CLOCK_MONOTONIC): shared by every process on this host."""

    def now(self) -> int:
        return time.monotonic_ns()


class ManualClock:
    """A clock for tests: it stands still until it is advanced."""

    def __init__(self, start_ns: int = SECOND) -> None:
        self._now = start_ns

    def now(self) -> int:
        return self._now

    def advance(self, ns: int) -> None:
        self._now += ns


@dataclass(frozen=True)
class Deadline:
    """A moment by which something must have happened."""

    at_ns: int

    def remaining(self, now_ns: int) -> int:
        """Nanoseconds left, never below zero."""
        return max(0, self.at_ns - now_ns)

    def passed(self, now_ns: int) -> bool:
        return now_ns >= self.at_ns
