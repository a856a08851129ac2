"""Enhance or show the original, and on which rung of the ladder. Pure: no thread, no clock, no pixels.

The rules, in the order in which they bind:

1. The deadline is kept: a result that is not there by then is not waited for; the original goes out.
2. The treatment in force changes at most once a second; only a fall (rule 3) does not wait. One late frame is a
   stand-in, not a change: it goes out as original, flagged, and the next one is enhanced as before, its state kept.
3. Two late frames in a row, or three within two seconds, are overload: the rung is left at once, for the best one below
   that would hold the deadline even if all were as slow as the late frames were; for the original if there is none,
   or if the treatment has changed within the last second.
4. From below, rungs are *measured*, not guessed: a probe computes a frame behind the picture. Two probes in a row that
   fit lift the picture to that rung. So it only climbs to what has just been seen to hold the deadline.
5. A rung that fell must show more good probes than the others, and still more if it fell soon after a lift. Once
   frames come slower again for good, what fell while they came faster is forgiven: that was the sender, not the rung.
6. Heat sets a ceiling (`limit`): what is above it is left within a second, and neither shown nor measured. When the
   ceiling rises the rungs below it come back as from any fall: measured first.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge.clock import MS, SECOND, Deadline
from edge.frame import Why
from edge.heat import Step
from edge.rhythm import FASTEST_PERIOD

DWELL = SECOND  # between two changes of the treatment in force
MISS_MEMORY = 2 * SECOND
PROMOTION_TRIAL = 10 * SECOND  # a fall within this after a lift counts against the rung
MOST_PROBES = 64
FORGIVEN = 60 * SECOND  # a rung that held this long is trusted like a new one
FITS = 0.8  # of the budget: what a rung may take to be lifted to
RELIEF = 1.5  # times the tightest budget: with that much more, the past is no guide
RELIEF_HOLDS = SECOND // 4  # a scanner's uneven rhythm is no relief
TIGHT = 0.9  # of the budget: a rung whose usual cost is above this is stepped down before it misses


class Outcome(enum.Enum):
    ON_TIME = "on time"
    LATE = "late"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with one frame: which rung, or why the original; and until when to wait."""

    rung: str | None
    why: Why
    deadline: Deadline

    @property
    def enhances(self) -> bool:
        return self.rung is not None


@dataclass(slots=True)
class _Rung:
    """What is known of one rung."""

    cost_ns: int  # at warm-up, with nothing else to do
    recent: deque[int]
    usual_ns: int = 0  # what it takes nine times in ten
    good_probes: int = 0
    needed_probes: int = 2
    lifted_ns: int | None = None

    def __post_init__(self) -> None:
        self.usual_ns = self.cost_ns

    @property
    def nearly_ready(self) -> bool:
        return self.good_probes > 0 and self.good_probes + 1 >= self.needed_probes

    def took(self, cost_ns: int) -> None:
        self.recent.append(cost_ns)
        if len(self.recent) >= 10:
            self.usual_ns = _nine_in_ten(self.recent)

    def begin_again(self) -> None:
        """What it took under other circumstances is no guide."""
        self.recent.clear()
        self.usual_ns = self.cost_ns


def _nine_in_ten(values: deque[int]) -> int:
    return sorted(values)[int(len(values) * 0.9)]


class Governor:
    """One stream's. Used by the live thread alone."""

    def __init__(self, deadline_ns: int, max_age_ns: int, ladder: Sequence[str]) -> None:
        self._deadline_ns = deadline_ns
        self.max_age_ns = max_age_ns
        self._ladder = tuple(ladder)  # best first; the original is below the last
        self._rungs: dict[str, _Rung] = {}
        self._heat = Step.NORMAL
        self._lowered = 1  # where the ladder begins while it is warm
        self._misses: deque[int] = deque()
        self._misses_in_a_row = 0
        self._changed_ns: int | None = None
        self._probed_ns = 0
        self._probe_turn = 0
        self._waits: deque[int] = deque(maxlen=20)  # how long frames waited for the live thread: other streams' turns
        self._after_ns = 1 * MS  # from the engine's result to the picture being out
        self.budget_ns = deadline_ns
        self._tightest_ns = deadline_ns  # the budget that rungs had to hold of late
        self._cramped_ns = 0  # when it was last about that tight
        self.settled: str | None = None
        self.why_original = Why.OPENING

    # ------------------------------------------------ what is there

    def offer(self, rung: str, cost_ns: int) -> None:
        """A rung was opened; its warm-up took this long a frame."""
        known = self._rungs.get(rung)
        fresh = _Rung(cost_ns, deque(maxlen=40))
        if known is not None:
            fresh.needed_probes = known.needed_probes
        self._rungs[rung] = fresh

    def open_done(self) -> None:
        """All that can be opened has been offered: settle where nothing was shown enhanced yet."""
        if self.settled is None and self.why_original in (Why.OPENING, Why.NO_ENGINE):
            fitting = [name for name in self._available() if self._fits(self._rungs[name].cost_ns)]
            self.settled = fitting[0] if fitting else None
            if not self._rungs:
                self.why_original = Why.NO_ENGINE
            elif not self._available():
                self.why_original = Why.HOT
            else:
                self.why_original = Why.OVERLOAD if self.settled is None else Why.NOT_ORIGINAL

    def withdraw_all(self) -> None:
        """The sessions are being replaced (another size, another engine): nothing can run until new offers come."""
        self._rungs.clear()
        self.settled = None
        self.why_original = Why.OPENING
        self._misses.clear()
        self._misses_in_a_row = 0

    def _available(self) -> list[str]:
        return [name for name in self._ladder[self._ceiling() :] if name in self._rungs]

    # ------------------------------------------------ heat

    def limit(self, step: Step, now_ns: int) -> None:
        """What heat allows, before each frame. Nothing of it makes the treatment change faster than rule 2."""
        if step is not self._heat:
            self._begin(step)
        if self.settled is None:
            if self._rungs and not self._available():
                self.why_original = Why.HOT
        elif self._ladder.index(self.settled) < self._ceiling() and self._may_change(now_ns):
            fitting = self._fitting(self._available(), self._slowdown())
            why = Why.NOT_ORIGINAL if fitting else Why.OVERLOAD if self._available() else Why.HOT
            self._settle(fitting[0] if fitting else None, why, now_ns)

    def _begin(self, step: Step) -> None:
        if self._heat is Step.NORMAL:  # one rung below what was in force when it got warm
            best = self.settled or next(iter(self._available()), None)
            self._lowered = 1 + (self._ladder.index(best) if best else 0)
        self._heat = step
        for each in self._rungs.values():
            each.good_probes = 0

    def _ceiling(self) -> int:
        """Where in the ladder it begins for now; without classical in it, hot leaves the original alone."""
        classical = self._ladder.index("classical") if "classical" in self._ladder else len(self._ladder)
        if self._heat is Step.WARM:
            return min(self._lowered, classical)
        return {Step.NORMAL: 0, Step.HOT: classical, Step.CRITICAL: len(self._ladder)}[self._heat]

    # ------------------------------------------------ before a frame

    def admit(self, arrived_ns: int, period_ns: int, now_ns: int) -> Plan:
        """The next frame is due one period after this one came: by then its picture must be out."""
        self.budget_ns = min(self._deadline_ns, max(period_ns, FASTEST_PERIOD))
        self._heed_relief(now_ns)
        deadline = Deadline(arrived_ns + self.budget_ns - self._after_ns)
        self._waits.append(now_ns - arrived_ns)
        if self.settled is None:
            return Plan(None, self.why_original, deadline)
        if deadline.remaining(now_ns) < self._rungs[self.settled].usual_ns // 2:
            return Plan(None, Why.LATE, deadline)  # it waited too long to be worth starting
        return Plan(self.settled, Why.NOT_ORIGINAL, deadline)

    def _heed_relief(self, now_ns: int) -> None:
        if self.budget_ns < RELIEF * self._tightest_ns:
            self._tightest_ns, self._cramped_ns = min(self._tightest_ns, self.budget_ns), now_ns
        elif now_ns - self._cramped_ns >= RELIEF_HOLDS:
            self._tightest_ns = self.budget_ns
            self._waits.clear()
            for rung in self._rungs.values():
                rung.needed_probes = 2  # good probes are kept: what fitted less time fits more
                rung.begin_again()

    # ------------------------------------------------ after a frame

    def learn(self, outcome: Outcome, cost_ns: int, now_ns: int) -> bool:
        """What the settled rung did with a frame. True when a miss is only a stand-in: what follows is enhanced."""
        if self.settled is None:
            return False
        if outcome is Outcome.ON_TIME:
            self._misses_in_a_row = 0
            self._learn_cost(cost_ns, now_ns)
            return False
        return self._learn_miss(outcome, cost_ns, now_ns)

    def learn_after(self, after_ns: int) -> None:
        """How long a picture took from the engine's result to being out; the deadline leaves room for it."""
        most = self.budget_ns // 4  # one stalled machine may not make every deadline impossible
        self._after_ns = min(most, max(MS // 2, (15 * self._after_ns + 2 * min(after_ns, most)) // 16))

    def _learn_cost(self, cost_ns: int, now_ns: int) -> None:
        rung = self._rungs[self.settled or ""]
        rung.took(cost_ns)
        if rung.lifted_ns is not None and now_ns - rung.lifted_ns > FORGIVEN:
            rung.needed_probes, rung.lifted_ns = 2, None
        full = len(rung.recent) == rung.recent.maxlen
        if full and rung.usual_ns > TIGHT * self._room_ns() and self._may_change(now_ns):
            self._step_down(now_ns)

    def _learn_miss(self, outcome: Outcome, cost_ns: int, now_ns: int) -> bool:
        self._misses.append(now_ns)
        while self._misses and now_ns - self._misses[0] > MISS_MEMORY:
            self._misses.popleft()
        self._misses_in_a_row += 1
        if self._misses_in_a_row < 2 and len(self._misses) < 3:
            return True
        self._fall(outcome, cost_ns, now_ns)
        return self.settled is not None

    def _fall(self, outcome: Outcome, cost_ns: int, now_ns: int) -> None:
        rung = self._rungs[self.settled or ""]
        # Others may return before it does: a rung that fell has to show more.
        on_trial = rung.lifted_ns is not None and now_ns - rung.lifted_ns < PROMOTION_TRIAL
        rung.needed_probes = min(2 * rung.needed_probes, MOST_PROBES) if on_trial else max(rung.needed_probes, 4)
        for each in self._rungs.values():
            each.good_probes = 0
            each.begin_again()
        if outcome is Outcome.FAULT:
            self._settle(None, Why.FAULT, now_ns)
            return
        slowdown = max(cost_ns, self.budget_ns) / max(rung.cost_ns, 1)  # at least: nobody waited for the result
        lower = self._fitting(self._below(), slowdown) if self._may_change(now_ns) else []
        self._settle(lower[0] if lower else None, Why.NOT_ORIGINAL if lower else Why.OVERLOAD, now_ns)

    def _step_down(self, now_ns: int) -> None:
        """Slower by and by: go one rung lower before frames are missed, without showing the original between."""
        for name in self._fitting(self._below(), self._slowdown())[:1]:
            self._settle(name, Why.NOT_ORIGINAL, now_ns)

    def _below(self) -> list[str]:
        at = self._ladder.index(self.settled or "")
        return [name for name in self._available() if self._ladder.index(name) > at]

    def _fitting(self, names: Sequence[str], slowdown: float) -> list[str]:
        """Of these, what would hold the deadline on a machine that is so much slower than at warm-up."""
        return [name for name in names if self._fits(int(self._rungs[name].cost_ns * slowdown))]

    def _settle(self, rung: str | None, why: Why, now_ns: int) -> None:
        self.settled, self.why_original, self._changed_ns = rung, why, now_ns
        self._misses.clear()
        self._misses_in_a_row = 0
        if rung is not None:
            self._rungs[rung].begin_again()

    # ------------------------------------------------ probes: measuring a higher rung behind the picture

    def probe(self, now_ns: int) -> str | None:
        """The rung to measure on this frame, if it is time to measure one."""
        above = self._above()
        if not above or now_ns - self._probed_ns < self._probe_interval(above[0]):
            return None
        self._probed_ns = now_ns
        self._probe_turn += 1
        # The top is what we want back: two probes in three are its own, the rest share the others.
        others = above[1:]
        if self._probe_turn % 3 or not others:
            return above[0]
        return others[(self._probe_turn // 3) % len(others)]

    def learn_probe(self, rung: str, outcome: Outcome, cost_ns: int, now_ns: int) -> None:
        known = self._rungs.get(rung)
        if known is None:
            return
        good = outcome is Outcome.ON_TIME and self._fits(cost_ns)
        known.good_probes = known.good_probes + 1 if good else 0
        if not good and self.settled is None and self.why_original is Why.HOT:
            self.why_original = Why.OVERLOAD  # cool enough again, but too slow
        self._lift(now_ns)

    def _lift(self, now_ns: int) -> None:
        if not self._may_change(now_ns):
            return
        above = self._above()
        ready = [name for name in above if self._rungs[name].good_probes >= self._rungs[name].needed_probes]
        if not ready or (ready[0] != above[0] and self._rungs[above[0]].nearly_ready):
            return  # nothing yet, or the top rung is one probe away: wait for it
        for each in self._rungs.values():
            each.good_probes = 0
        self._settle(ready[0], Why.NOT_ORIGINAL, now_ns)
        self._rungs[ready[0]].lifted_ns = now_ns

    def _above(self) -> list[str]:
        names = self._available()
        if self.settled is None:
            return names
        return [name for name in names if self._ladder.index(name) < self._ladder.index(self.settled)]

    def _probe_interval(self, top: str) -> int:
        if self.settled is None:
            return 50 * MS  # nothing is computed for the picture: the processor is free
        # A probe that cannot fit would only take the processor from the picture that is shown.
        likely = self._fits(int(self._rungs[top].cost_ns * self._slowdown()))
        return 150 * MS if likely else 600 * MS

    def _slowdown(self) -> float:
        rung = self._rungs.get(self.settled or "")
        return max(1.0, rung.usual_ns / max(rung.cost_ns, 1)) if rung else 1.0

    def _room_ns(self) -> int:
        usual_wait = _nine_in_ten(self._waits) if self._waits else 0
        return max(self.budget_ns - self._after_ns - usual_wait, MS)

    def _fits(self, cost_ns: int) -> bool:
        return cost_ns <= FITS * self._room_ns()

    def _may_change(self, now_ns: int) -> bool:
        return self._changed_ns is None or now_ns - self._changed_ns >= DWELL
