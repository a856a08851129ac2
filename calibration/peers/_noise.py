"""How strong an X-ray picture's noise is at each grey level, and the scale on which it is 1 everywhere. No state.

Quanta are Poisson, but a device shows them through a tone curve of its own (a logarithm, commonly), so neither
Anscombe's square root nor any other fixed formula makes the noise even: the curve is measured on the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.peers._field import inside
from calibration.peers._levels import Floats

_APART = 3  # pixels: the detector's blur ties closer neighbours together
_BINS = 24
_LEVELS = 1024  # steps of the tabled curves
_MAD = 1.4826
_LEAST = 2.0e-4  # a curve never falls below this: flat pictures are divided by it


@dataclass(frozen=True)
class NoiseCurve:
    """Standard deviation of the noise, tabled over levels 0..1."""

    sigma: Floats

    def at(self, levels: Floats) -> Floats:
        return _looked_up(levels, self.sigma)

    def mixed(self, other: NoiseCurve, part: float) -> NoiseCurve:
        """This curve with a part of another: curves of successive pictures, averaged."""
        return NoiseCurve(self.sigma + np.float32(part) * (other.sigma - self.sigma))


@dataclass(frozen=True)
class Stabiliser:
    """A change of tone after which the noise has standard deviation 1 at every level, and the way back."""

    tone: Floats  # the stabilised value of each tabled level

    @classmethod
    def of(cls, curve: NoiseCurve) -> Stabiliser:
        slope = 1 / curve.sigma
        steps = 0.5 * (slope[1:] + slope[:-1]) / (_LEVELS - 1)
        return cls(np.concatenate([[0.0], np.cumsum(steps)]).astype(np.float32))

    @property
    def range(self) -> float:
        """The stabilised value of white; black is 0."""
        return float(self.tone[-1])

    def even(self, levels: Floats) -> Floats:
        return _looked_up(levels, self.tone)

    def back(self, even: Floats) -> Floats:
        """Levels of an averaged picture. Even counts are 2 sqrt(n): their mean s lies 1 / 2s below the true one."""
        return self.level(even + 0.5 * even / (np.square(even) + 1))

    def level(self, even: Floats) -> Floats:
        """`even` undone."""
        grid = np.linspace(0, 1, _LEVELS, dtype=np.float32)
        return np.interp(even, self.tone, grid).astype(np.float32)


def measured(levels: Floats) -> NoiseCurve:
    """The noise of one picture: what a pixel has beside the mean of four neighbours beyond the reach of the blur.

    The median of absolute differences in each band of grey is hardly moved by edges, which are few.
    """
    cross = np.zeros((2 * _APART + 1, 2 * _APART + 1), np.float32)
    cross[_APART, _APART] = 1
    cross[[0, -1, _APART, _APART], [_APART, _APART, 0, -1]] = -0.25
    away = np.abs(cv2.filter2D(levels, -1, cross)) / np.float32(np.sqrt(1.25))
    tone = cv2.blur(levels, (2 * _APART + 1, 2 * _APART + 1))
    field = cv2.erode(inside(levels).astype(np.uint8), np.ones((2 * _APART + 1, 2 * _APART + 1), np.uint8)) > 0
    return _banded(tone[field], away[field])


def _banded(tone: Floats, away: Floats) -> NoiseCurve:
    """Bands hold equally many pixels each, so that none is left to chance."""
    if tone.size < 16 * _BINS:
        return NoiseCurve(np.full(_LEVELS, _LEAST, np.float32))
    order = np.argsort(tone)
    bands = np.array_split(order, _BINS)
    centres = np.array([np.mean(tone[band]) for band in bands])
    sigmas = np.array([_MAD * np.median(away[band]) for band in bands])
    sigmas = np.convolve(np.pad(sigmas, 1, mode="edge"), [0.25, 0.5, 0.25], mode="valid")
    curve = np.interp(np.linspace(0, 1, _LEVELS), centres, np.maximum(sigmas, _LEAST))
    return NoiseCurve(curve.astype(np.float32))


def _looked_up(levels: Floats, table: Floats) -> Floats:
    """Between the table's steps, linearly."""
    where = np.clip(levels, 0, 1) * np.float32(_LEVELS - 1)
    low = np.minimum(where.astype(np.int32), _LEVELS - 2)
    part = where - low.astype(np.float32)
    below = table[low]
    return below + part * (table[low + 1] - below)
