"""Whether an engine that was just activated holds in use, or has to go back. Pure: figures in, a verdict out.

What is compared is this appliance's own picture before and after, stream by stream: a gate on reference frames has been
passed by then, and a day's work is not a reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge.clock import MS, SECOND
from edge.frame import Why

LENGTH = 120 * SECOND  # of frames coming in; then it is trusted
FAULT_WHYS = tuple(why.words for why in (Why.FAULT, Why.NOT_FINITE, Why.FIDELITY))
LATE_WHYS = tuple(why.words for why in (Why.LATE, Why.BUSY, Why.OVERLOAD))
FEWEST_FAULTS, FAULT_SHARE = 3, 0.005
FEWEST_FRAMES, LATE_SHARE = 90, 0.05
FEWEST_FOR_TAIL, TAIL_FACTOR, TAIL_SLACK = 300, 1.5, 2 * MS


@dataclass(frozen=True, slots=True)
class Count:
    """A stream's frames so far, of those that were to be enhanced."""

    by_engine: int = 0  # enhanced by the engine in question
    enhanced: int = 0  # by any
    late: int = 0
    faults: int = 0

    @property
    def frames(self) -> int:
        return self.enhanced + self.late + self.faults

    def since(self, earlier: Count) -> Count:
        return Count(
            self.by_engine - earlier.by_engine, self.enhanced - earlier.enhanced,
            self.late - earlier.late, self.faults - earlier.faults,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """A stream in one stretch of time."""

    count: Count
    p99_ns: int | None = None  # received -> published; None where too few were measured

    def share(self, part: int) -> float:
        return part / self.count.frames if self.count.frames else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Literal["watch", "held", "back"]
    why: str = ""


def counted(engine: str, enhanced: Mapping[str, int], original: Mapping[str, int]) -> Count:
    return Count(
        enhanced.get(engine, 0),
        sum(enhanced.values()),
        sum(original.get(why, 0) for why in LATE_WHYS),
        sum(original.get(why, 0) for why in FAULT_WHYS),
    )


def judge_opening(before_ns: int | None, after_ns: int, deadline_ns: int) -> Verdict:
    """Before it was shown at all: what a frame of this stream's own picture takes."""
    if after_ns <= deadline_ns or (before_ns is not None and before_ns > deadline_ns):
        return Verdict("watch")
    known = f", {before_ns / MS:.1f} ms before" if before_ns is not None else ""
    return Verdict(
        "back", f"it takes {after_ns / MS:.1f} ms a frame here{known}; the deadline is {deadline_ns / MS:g} ms"
    )


def judge(before: Figures | None, after: Figures, ran_ns: int) -> Verdict:
    """BEFORE is None where the daemon has just started: then only what is wrong in itself counts."""
    known = before or Figures(Count())
    frames = after.count.frames
    why = _faulty(known, after)
    if not why and frames >= FEWEST_FRAMES:
        why = _late(known, after) or _hardly_shown(known, after)
    if not why and frames >= FEWEST_FOR_TAIL:
        why = _slower_tail(known, after)
    if why:
        return Verdict("back", why)
    return Verdict("held" if ran_ns >= LENGTH and frames >= FEWEST_FRAMES else "watch")


def _faulty(before: Figures, after: Figures) -> str:
    faults, usual = after.count.faults, before.share(before.count.faults)
    if faults < FEWEST_FAULTS or after.share(faults) <= 2 * usual + FAULT_SHARE:
        return ""
    return f"{faults} of {after.count.frames} frames without a usable result, {100 * usual:.1f} % before"


def _late(before: Figures, after: Figures) -> str:
    share, usual = after.share(after.count.late), before.share(before.count.late)
    if share <= usual + LATE_SHARE:
        return ""
    return f"{100 * share:.1f} % of {after.count.frames} frames late, {100 * usual:.1f} % before"


def _hardly_shown(before: Figures, after: Figures) -> str:
    """The ladder went round it: it does not hold the deadline where the one before did."""
    share, usual = after.share(after.count.by_engine), before.share(before.count.by_engine)
    if usual < 0.5 or share >= usual / 2:
        return ""
    return f"it treated {100 * share:.1f} % of {after.count.frames} frames, the one before {100 * usual:.1f} %"


def _slower_tail(before: Figures, after: Figures) -> str:
    if before.p99_ns is None or after.p99_ns is None or after.p99_ns <= TAIL_FACTOR * before.p99_ns + TAIL_SLACK:
        return ""
    return f"p99 {after.p99_ns / MS:.1f} ms from frame to picture, {before.p99_ns / MS:.1f} ms before"
