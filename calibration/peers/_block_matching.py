"""Causal block matching with transform shrinkage in space and time, after V-BM4D. Owned by one stream.

Blocks of the present are followed back through the last pictures, and each trajectory's stack of blocks is transformed
(cosines over time and space). Twice: first, coefficients that noise alone explains are removed, which gives a pilot of
every picture; then each coefficient is weighted as Wiener would, by what the pilot has there. Only the present leaves.

Noise is evened first. How strong it is in each coefficient is measured, because the detector's blur takes it from fine
patterns and lag ties it over time. Stacks are not grouped a second time with others like them, as V-BM4D also does.
"""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from calibration.peers._evening import Evening
from calibration.peers._field import inside, spread_out
from calibration.peers._levels import Floats
from calibration.peers._noise import Stabiliser
from calibration.peers._trajectories import BLOCK, Places, laid, motion, stacked, trajectories

_MAD = 1.4826
_CALM = 1.5  # pixels: how far pictures are blurred to find motion


class BlockMatching:
    """`frames` pictures are looked at; `threshold` and `wiener` are in deviations of the noise; `search` is the motion
    looked for, in pixels from one picture to the next.
    """

    def __init__(self, frames: float = 8, threshold: float = 4.5, wiener: float = 1.5, search: float = 3) -> None:
        self._threshold, self._wiener, self._search = np.float32(threshold), np.float32(wiener), int(search)
        self._past: deque[Floats] = deque(maxlen=int(frames))  # levels, the newest last
        self._motions: deque[Places] = deque(maxlen=int(frames) - 1)
        self._evening = Evening()

    def forget(self) -> None:
        self._past.clear()
        self._motions.clear()
        self._evening.forget()

    def remember(self, levels: Floats) -> None:
        self._kept(levels)

    def _kept(self, levels: Floats) -> Stabiliser:
        """Keep a picture, continued beyond its border, and where its pixels were in the one before."""
        scale = self._evening.follow(levels)
        whole = spread_out(levels, inside(levels))
        if self._past:
            now, before = (cv2.GaussianBlur(scale.even(p), (0, 0), _CALM) for p in (whole, self._past[-1]))
            self._motions.append(motion(now, before, self._search))
        self._past.append(whole)
        return scale

    def __call__(self, levels: Floats) -> Floats:
        scale = self._kept(levels)
        pictures = [scale.even(picture) for picture in self._past]
        places = trajectories(levels.shape, self._motions)
        return np.where(inside(levels), scale.back(self._restored(pictures, places)), levels)

    def _restored(self, pictures: list[Floats], places: Places) -> Floats:
        """The last of the pictures."""
        patterns = _Patterns(len(pictures))
        noisy = patterns.of(stacked(pictures, places))
        noise = _noise(noisy)
        keep = (np.abs(noisy) > self._threshold * noise).astype(np.float32)
        blocks, trust = patterns.back(noisy, keep, noise)
        pilots = [
            laid(block, trust, place, under) for block, place, under in zip(blocks, places, pictures, strict=True)
        ]
        known = np.square(patterns.of(stacked(pilots, places)))
        blocks, trust = patterns.back(noisy, known / (known + np.square(self._wiener * noise)), noise)
        return laid(blocks[-1], trust, places[-1], pictures[-1])


class _Patterns:
    """Cosine patterns over the time and space of a stack (time, block, pixel)."""

    def __init__(self, frames: int) -> None:
        self._time = _cosines(frames)
        self._space = np.kron(_cosines(BLOCK), _cosines(BLOCK))

    def of(self, stack: Floats) -> Floats:
        return np.tensordot(self._time, stack @ self._space.T, axes=1)

    def back(self, spectrum: Floats, keep: Floats, noise: Floats) -> tuple[Floats, Floats]:
        """The stack with a part of each coefficient kept (of the mean, all), and how far each block can be trusted: the
        inverse of the noise left in it.
        """
        keep[0, :, 0] = 1
        left = np.sum(np.square(keep * noise), axis=(0, 2))
        return np.tensordot(self._time.T, spectrum * keep, axes=1) @ self._space, 1 / left


def _cosines(length: int) -> Floats:
    """The orthonormal cosine transform, a pattern a row."""
    n = np.arange(length)
    rows = np.cos(np.pi / length * (n + 0.5) * n[:, None]) * np.sqrt(2 / length)
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32)


def _noise(spectrum: Floats) -> Floats:
    """(time, 1, pixel): what each coefficient has in most blocks. What does not change over time is mostly anatomy, so
    its noise is taken from the slowest change.
    """
    noise = _MAD * np.median(np.abs(spectrum), axis=1, keepdims=True)
    noise[0] = noise[min(1, len(noise) - 1)]
    return np.maximum(noise, np.float32(1e-3))
