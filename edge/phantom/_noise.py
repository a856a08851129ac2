"""Randomness that is cheap and repeatable: a bank of noise drawn once, read at an offset that each frame
owns.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from typing import Protocol

import numpy as np

from edge.phantom._exposure import Floats

_LOW = 0xFFFFFFFF  # of a seed or an index: generators take no negative numbers
_SPARE = 191  # rows and columns beyond the picture: that many different offsets in each direction


class Taken(Protocol):
    @property
    def seed(self) -> int: ...

    @property
    def take(self) -> int: ...


def frame_rng(scene: Taken, index: int, purpose: int = 0) -> np.random.Generator:
    """The frame's own generator: the same for the same moment, whatever was asked for before."""
    return np.random.default_rng((scene.seed & _LOW, scene.take & _LOW, index & _LOW, purpose))


def patient_rng(scene: Taken, purpose: int) -> np.random.Generator:
    """For what every take of a scene has in common."""
    return np.random.default_rng((scene.seed & _LOW, purpose))


def take_rng(scene: Taken, purpose: int) -> np.random.Generator:
    """For what is drawn once, and anew for another take."""
    return np.random.default_rng((scene.seed & _LOW, scene.take & _LOW, purpose))


class NoiseBank:
    """Unit normal noise. Drawing 300,000 numbers takes longer than a frame may; a view into a bank takes
    none.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self._height, self._width = height, width
        self.values: Floats = rng.standard_normal((height + _SPARE, width + _SPARE), dtype=np.float32)

    def at(self, rng: np.random.Generator) -> Floats:
        """A view: read it, never write it."""
        row, column = (int(value) for value in rng.integers(0, _SPARE + 1, 2))
        return self.values[row : row + self._height, column : column + self._width]
