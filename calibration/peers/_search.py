"""Choosing settings by trying them, coarse to fine. Pure: what a setting is worth comes from outside."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Settings = dict[str, float]
Worth = Callable[[Settings], float]

_FINALISTS = 3
_ROUNDS = 2  # of the fine search, each with half the steps of the one before


@dataclass(frozen=True)
class Axis:
    """One setting: the coarse values, and how finer ones are made; with neither way, there are none."""

    coarse: Sequence[float]
    ratio: float = 0.0  # finer values differ by this factor, then by its root
    step: int = 0  # finer values differ by so many whole ones
    least: float = -math.inf
    most: float = math.inf

    def beside(self, value: float, turn: int) -> list[float]:
        """The two values to try around one."""
        if self.step:
            near = [round(value) - self.step, round(value) + self.step]
        elif self.ratio:
            factor = self.ratio ** (0.5**turn)
            near = [value / factor, value * factor]
        else:
            near = []
        return [v if self.step else float(f"{v:.4g}") for v in near if self.least <= v <= self.most]


@dataclass(frozen=True)
class Found:
    settings: Settings
    worth: float
    tried: int


def search(axes: Mapping[str, Axis], rough: Worth, exact: Worth) -> Found:
    """All coarse combinations by `rough`, the best few by `exact`; then uphill from the best, even beyond the grid."""
    corners = [dict(zip(axes, values, strict=True)) for values in itertools.product(*(a.coarse for a in axes.values()))]
    finalists = sorted(corners, key=rough, reverse=True)[:_FINALISTS] if len(corners) > _FINALISTS else corners
    known = _Known(exact)
    best = max(finalists, key=known)
    for turn in range(_ROUNDS):
        best = _uphill(best, axes, known, turn)
    tried = {_key(settings) for settings in corners} | set(known.worths)
    return Found(best, known(best), len(tried))


def _uphill(start: Settings, axes: Mapping[str, Axis], worth: Worth, turn: int) -> Settings:
    best, moved = start, True
    while moved:
        moved = False
        for name, axis in axes.items():
            nearby = [{**best, name: value} for value in axis.beside(best[name], turn)]
            better = max([best, *nearby], key=worth)
            moved, best = moved or better is not best, better
    return best


class _Known:
    """Worths that were found once are not found again."""

    def __init__(self, worth: Worth) -> None:
        self._worth = worth
        self.worths: dict[tuple[float, ...], float] = {}

    def __call__(self, settings: Settings) -> float:
        key = _key(settings)
        if key not in self.worths:
            self.worths[key] = self._worth(settings)
        return self.worths[key]


def _key(settings: Settings) -> tuple[float, ...]:
    return tuple(settings.values())
