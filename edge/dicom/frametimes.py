"""When each frame of a clip was captured, as DICOM writes it, and where frames are missing. Pure.

A steady clip has one FrameTime; jitter and gaps need the FrameTimeVector. Times are rounded from the clip's start, so
that rounding never adds up.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from edge.clock import MS
from edge.frame import Shown

MOST_VECTOR_BYTES = 65_534  # what the 16-bit length of a DS element can say, rounded down to an even number
_STEADY_MS = 0.5  # how far a frame may lie from an even beat before the clip is no longer steady
_GAP_STEPS = 1.75  # a step this much longer than the usual one is a gap, whoever caused it


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in a clip."""

    frame: int  # the first one behind it, counted from 1
    missing: int  # frames that were sent and are not here; 0: none were sent
    ms: float  # from the frame before to this one


@dataclass(frozen=True, slots=True)
class Times:
    """A clip's beat."""

    step_ms: float  # the mean
    usual_ms: float  # the median
    vector: tuple[str, ...]  # milliseconds since the frame before, ready for DS; empty: every step is `step_ms`
    duration_s: float
    gaps: tuple[Gap, ...]

    @property
    def rate(self) -> int:
        """Frames a second, as a viewer should play it."""
        return max(1, round(1000 / self.usual_ms))


def times_of(shown: Sequence[Shown]) -> Times | None:
    """None for a single frame: it has no beat."""
    if len(shown) < 2:
        return None
    start = shown[0].frame.captured_ns
    at_ms = list(accumulate((max(0, one.frame.captured_ns - start) / MS for one in shown), max))  # never backwards
    steps = [after - before for before, after in pairwise(at_ms)]
    mean, usual = at_ms[-1] / len(steps), statistics.median(steps)
    gaps = tuple(_gaps(shown, steps, usual))
    steady = not gaps and all(abs(at - index * mean) <= _STEADY_MS for index, at in enumerate(at_ms))
    return Times(
        step_ms=max(mean, 0.001),
        usual_ms=max(usual, 0.001),
        vector=() if steady else _vector(at_ms),
        duration_s=at_ms[-1] / 1000,
        gaps=gaps,
    )


def _gaps(shown: Sequence[Shown], steps: list[float], usual: float) -> list[Gap]:
    found: list[Gap] = []
    for index, (before, after) in enumerate(pairwise(shown)):
        missing = _missing(before, after)
        if missing or steps[index] > _GAP_STEPS * usual:
            found.append(Gap(index + 2, missing, round(steps[index], 1)))
    return found


def _missing(before: Shown, after: Shown) -> int:
    if after.frame.session == before.frame.session and after.frame.seq > before.frame.seq:
        return after.frame.seq - before.frame.seq - 1
    return after.missing_before


def _vector(at_ms: list[float]) -> tuple[str, ...]:
    """As fine as fits; a clip too long even for whole milliseconds has no vector, and its gaps are told in words."""
    for digits in (3, 2, 1, 0):
        rounded = [round(at, digits) for at in at_ms]
        steps = [0.0, *(after - before for before, after in pairwise(rounded))]
        texts = tuple(_short(step, digits) for step in steps)
        if sum(map(len, texts)) + len(texts) - 1 <= MOST_VECTOR_BYTES:
            return texts
    return ()


def _short(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
