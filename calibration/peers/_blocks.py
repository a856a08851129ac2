"""Non-local means by blocks: each block becomes the weighted mean of blocks like it. No state.

The loop runs over offsets of the search window; at each, one box filter gives every block's distance to its partner.
Whole blocks are restored, one every `_EVERY` pixels, and overlapping estimates are averaged (Coupé and others, 2009).
The authors' pre-selection of blocks by their means saves them time; here it saves none and changes nothing visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.peers._levels import Floats, Momentary

_EVERY = 2  # pixels between block centres
_DARKEST = 0.02  # of full scale: the Pearson distance divides by the level


@dataclass(frozen=True)
class _BlockMeans(Momentary):
    h: float = 0.12  # how much blocks may differ
    block: float = 5  # side, odd
    search: float = 6  # how far blocks are looked for, in pixels

    def _away(self, here: Floats, there: Floats) -> Floats:
        """How far pixels are apart, squared."""
        raise NotImplementedError

    def __call__(self, levels: Floats) -> Floats:
        reach = int(self.search)
        wide = cv2.copyMakeBorder(levels, reach, reach, reach, reach, cv2.BORDER_REFLECT_101)
        partners = [_moved(wide, levels.shape, y, x) for y in range(2 * reach + 1) for x in range(2 * reach + 1)]
        weights = [self._weight(levels, there) for there in partners]
        total = np.sum(weights, axis=0, dtype=np.float32)
        calm, cover = np.zeros_like(levels), np.zeros_like(levels)
        cover[::_EVERY, ::_EVERY] = 1
        for there, weight in zip(partners, weights, strict=True):
            spread = np.zeros_like(levels)
            spread[::_EVERY, ::_EVERY] = weight / total
            calm += self._box(spread) * there
        return calm / self._box(cover)

    def _weight(self, here: Floats, there: Floats) -> Floats:
        apart = self._box(self._away(here, there))[::_EVERY, ::_EVERY]
        return cv2.exp(apart * np.float32(-1.0 / (self.h * self.h)))

    def _box(self, picture: Floats) -> Floats:
        return cv2.blur(picture, (int(self.block), int(self.block)), borderType=cv2.BORDER_REFLECT_101)


@dataclass(frozen=True)
class BlockMeans(_BlockMeans):
    """For noise of the same strength everywhere; `h` is in levels."""

    def _away(self, here: Floats, there: Floats) -> Floats:
        return np.square(here - there)


@dataclass(frozen=True)
class Obnlm(_BlockMeans):
    """The optimised Bayesian filter for ultrasound: u + sqrt(u) n is its noise model, so a brighter block may have more
    grain, which the Pearson distance allows.
    """

    def _away(self, here: Floats, there: Floats) -> Floats:
        return np.square(here - there) / (there + np.float32(_DARKEST))


def _moved(wide: Floats, shape: tuple[int, ...], y: int, x: int) -> Floats:
    return wide[y : y + shape[0], x : x + shape[1]]
