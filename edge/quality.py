"""What a day's pictures were like, in figures that add up: by the kind of picture, never by patient or exam. Pure.

Spreads are kept as counts in narrow bins, so that a day may be added to after every restart and still has its median.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

FORMAT = 1
LATENCY_STEP = math.log(1.05)  # a bin is 5 % wide
FIGURE_STEP = 0.02  # of a decade: noise and sharpness are logarithms
Counts = dict[str, int]


class Spread(msgspec.Struct):
    """How often a value fell into each bin."""

    step: float
    counts: dict[int, int] = {}

    def add(self, value: float) -> None:
        if math.isfinite(value):
            bin_ = math.floor(value / self.step)
            self.counts[bin_] = self.counts.get(bin_, 0) + 1

    def at(self, part: float) -> float | None:
        """The value below which this part lies, to the middle of its bin; None where there is nothing."""
        wanted, below = part * sum(self.counts.values()), 0
        for bin_ in sorted(self.counts):
            below += self.counts[bin_]
            if below >= wanted:
                return (bin_ + 0.5) * self.step
        return None


class Mean(msgspec.Struct):
    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        if math.isfinite(value):
            self.total, self.count = self.total + value, self.count + 1


def _latencies() -> Spread:
    return Spread(LATENCY_STEP)


def _figures() -> Spread:
    return Spread(FIGURE_STEP)


class Kind(msgspec.Struct):
    """One kind of picture: ultrasound, fluoroscopy, unknown."""

    enhanced: Counts = {}  # by engine
    original: Counts = {}  # by reason
    dropped: Counts = {}  # by reason
    latency: Spread = msgspec.field(default_factory=_latencies)  # logarithms of milliseconds
    noise: Spread = msgspec.field(default_factory=_figures)  # logarithms of full scale
    sharpness: Spread = msgspec.field(default_factory=_figures)
    change: dict[str, Mean] = {}  # by engine: the mean change that it made, a part of full scale
    judged_s: float = 0.0  # in which there was something to compare with
    outside_s: float = 0.0  # of these, outside what the engine was judged on

    def add_frames(self, enhanced: Counts, original: Counts, dropped: Counts) -> None:
        for ours, more in ((self.enhanced, enhanced), (self.original, original), (self.dropped, dropped)):
            for key, count in more.items():
                ours[key] = ours.get(key, 0) + count

    def add_latencies(self, values_ns: Iterable[int]) -> None:
        for value in values_ns:
            self.latency.add(math.log(max(value, 1) / 1e6))


class Day(msgspec.Struct):
    date: str  # of this place
    format: int = FORMAT
    kinds: dict[str, Kind] = {}
    captures: int = 0
    heat_s: dict[str, float] = {}  # seconds at each degree of the thermal ladder

    def kind(self, name: str) -> Kind:
        return self.kinds.setdefault(name, Kind())


def summary(day: Day) -> dict[str, Any]:
    """A day for people, and for whoever keeps it."""
    return {
        "date": day.date,
        "captures": day.captures,
        "heat_minutes": {degree: round(seconds / 60, 1) for degree, seconds in day.heat_s.items()},
        "kinds": {name: _kind_summary(kind) for name, kind in sorted(day.kinds.items())},
    }


def _kind_summary(kind: Kind) -> dict[str, Any]:
    enhanced, original = sum(kind.enhanced.values()), sum(kind.original.values())
    shown = enhanced + original
    return {
        "frames": {"enhanced": kind.enhanced, "original": kind.original, "dropped": kind.dropped},
        "enhanced_part": round(enhanced / shown, 4) if shown else None,
        "latency_ms": {"p50": _ms(kind.latency.at(0.5)), "p99": _ms(kind.latency.at(0.99))},
        "noise_percent": _percent(kind.noise.at(0.5)),
        "sharpness": _rounded(kind.sharpness.at(0.5)),
        "mean_change_percent": {
            engine: round(100 * mean.total / mean.count, 3) for engine, mean in kind.change.items() if mean.count
        },
        "judged_minutes": round(kind.judged_s / 60, 1),
        "drift_minutes": round(kind.outside_s / 60, 1),
    }


def _ms(logarithm: float | None) -> float | None:
    return None if logarithm is None else round(math.exp(logarithm), 2)


def _percent(logarithm: float | None) -> float | None:
    return None if logarithm is None else round(100 * 10**logarithm, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def more_of(now: Mapping[str, int], before: Mapping[str, int]) -> Counts:
    """By how much each count has grown."""
    grown = {key: count - before.get(key, 0) for key, count in now.items()}
    return {key: count for key, count in grown.items() if count > 0}
