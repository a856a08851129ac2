"""How far heat holds the enhancement back: a ladder with hysteresis. Pure: no thread, no clock, no sensor.

The rules, in the order in which they bind:

1. It knows one figure: how far the hottest chip is from where it throttles itself. Critical is acted on at the first
   reading, warm and hot at the middle one of the last three: a processor's peaks of a second are not heat.
2. Down at once, by as many steps as it takes. But for critical, not within a hold after a step up.
3. Up one step at a time, after the chip has been cool enough (`recover` beyond the limit) for a whole hold without a
   break. A hold is a minute at least, so no cycle of down and up can be shorter.
4. A step up that did not last makes the next hold twice as long, up to `LONGEST_HOLD`; one that lasted is forgiven.
5. A chip that says that it throttles is taken one step further down, once a hold, to classical at most.
6. Not known is not cool: without readings the step in force stays, and the wait to go up begins anew.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

from edge.clock import SECOND

SHORTEST_HOLD = 60 * SECOND
LONGEST_HOLD = 16 * 60 * SECOND
TRIAL = 5 * 60 * SECOND  # a step down within this after a step up: it was too soon
FORGIVEN = 30 * 60 * SECOND


class Step(enum.IntEnum):
    """What heat allows. The governor of each stream makes a rung of it."""

    NORMAL = 0
    WARM = 1  # one rung lower, before the chip throttles
    HOT = 2  # classical: no engine computes
    CRITICAL = 3  # the original: nothing computes

    @property
    def words(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Limits:
    """In degrees below where the chip throttles."""

    warm: float = 12.0
    hot: float = 6.0
    critical: float = 1.0
    recover: float = 4.0  # so much cooler than the limit before it may go up again
    hold_ns: int = SHORTEST_HOLD

    def of(self, step: Step) -> float:
        return {Step.WARM: self.warm, Step.HOT: self.hot, Step.CRITICAL: self.critical}[step]


class HeatLadder:
    """The whole machine's. Used by the health thread alone; live reads the step."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._margins: deque[float] = deque(maxlen=3)
        self._cool_since_ns: int | None = None
        self._changed_ns: int | None = None
        self._rose_ns: int | None = None
        self._hold_ns = limits.hold_ns
        self.step = Step.NORMAL

    def learn(self, margin: float | None, now_ns: int, *, throttles: bool = False) -> Step:
        """One reading: degrees left until the hottest chip throttles, None where that is not known."""
        if margin is None:
            self._margins.clear()
            self._cool_since_ns = None
            return self.step
        self._margins.append(margin)
        needed = self._needed(margin, now_ns, throttles=throttles)
        if needed > self.step:
            self._go_down(needed, now_ns)
        else:
            self._maybe_up(margin, now_ns, throttles=throttles)
        return self.step

    def _needed(self, margin: float, now_ns: int, *, throttles: bool) -> Step:
        if margin <= self._limits.critical:
            return Step.CRITICAL
        middle = sorted(self._margins)[len(self._margins) // 2]
        needed = max((step for step in (Step.HOT, Step.WARM) if middle <= self._limits.of(step)), default=Step.NORMAL)
        if throttles and self.step < Step.HOT and self._is_over(self._changed_ns, SHORTEST_HOLD, now_ns):
            needed = max(needed, Step(self.step + 1))
        rose_just_now = not self._is_over(self._rose_ns, SHORTEST_HOLD, now_ns)
        return self.step if rose_just_now else needed

    def _go_down(self, needed: Step, now_ns: int) -> None:
        if not self._is_over(self._rose_ns, TRIAL, now_ns):
            self._hold_ns = min(2 * self._hold_ns, max(LONGEST_HOLD, self._limits.hold_ns))
        self.step, self._changed_ns, self._cool_since_ns = needed, now_ns, None

    def _maybe_up(self, margin: float, now_ns: int, *, throttles: bool) -> None:
        if self.step is Step.NORMAL:
            if self._is_over(self._rose_ns, FORGIVEN, now_ns):
                self._hold_ns = self._limits.hold_ns
            return
        if throttles or margin < self._limits.of(self.step) + self._limits.recover:
            self._cool_since_ns = None
            return
        if self._cool_since_ns is None:
            self._cool_since_ns = now_ns
        cool_enough = now_ns - self._cool_since_ns >= self._hold_ns
        if cool_enough and self._is_over(self._changed_ns, self._hold_ns, now_ns):
            self.step = Step(self.step - 1)
            # The next step up has its own wait.
            self._changed_ns, self._rose_ns, self._cool_since_ns = now_ns, now_ns, None

    @staticmethod
    def _is_over(since_ns: int | None, ns: int, now_ns: int) -> bool:
        return since_ns is None or now_ns - since_ns >= ns
