"""From X-rays to numbers, one imperfection after the other, in the order in which they happen. Owned by its
phantom.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.phantom._exposure import Floats
from edge.phantom._fluoroscopy_scene import FluoroscopyScene
from edge.phantom._noise import NoiseBank, take_rng

# Below so many quanta the corrected normal is no longer close to Poisson: those pixels are drawn exactly.
_FEW = 3.0


class Detector:
    """scatter -> quanta (Poisson) -> blur -> read noise. Lag and flicker need time: see the phantom."""

    def __init__(self, scene: FluoroscopyScene, width: int, height: int) -> None:
        self._scene = scene
        self._quantum = NoiseBank(take_rng(scene, 0x0A), height, width)
        self._readout = NoiseBank(take_rng(scene, 0x0B), height, width)
        self._small = (max(4, width // 16), max(4, height // 16))

    def scattered(self, direct: Floats) -> Floats:
        """Direct radiation and the veil it makes of itself; the middle of the picture keeps its level."""
        scene = self._scene
        if not scene.scatter:
            return direct
        height, width = direct.shape
        half_way = cv2.resize(direct, (width // 4, height // 4), interpolation=cv2.INTER_LINEAR)
        small = cv2.resize(half_way, self._small, interpolation=cv2.INTER_AREA)
        sigma = max(0.6, scene.scatter_mm / scene.mm_per_pixel * self._small[0] / width)
        small = cv2.GaussianBlur(small, (0, 0), sigma)
        veil = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        return cv2.addWeighted(direct, 1 / (1 + scene.scatter), veil, scene.scatter / (1 + scene.scatter), 0.0)

    def quanta(self, expected: Floats, rng: np.random.Generator) -> Floats:
        """Poisson counts of an expected number a pixel."""
        noise = self._quantum.at(rng)
        counts = cv2.sqrt(expected)
        cv2.multiply(counts, noise, dst=counts)
        cv2.add(counts, expected, dst=counts)
        # (z^2 - 1) / 6 is the first term by which a Poisson count is more lopsided than a normal number.
        cv2.add(counts, cv2.multiply(noise, noise, scale=1 / 6), dst=counts)
        counts -= 1 / 6
        if float(expected.min()) < _FEW:
            few = np.flatnonzero(expected.ravel() < _FEW)
            counts.ravel()[few] = rng.poisson(expected.ravel()[few])
        return counts

    def read(self, counts: Floats, rng: np.random.Generator) -> Floats:
        """What leaves the detector: blurred by its screen, then the electronics' own noise, which is not."""
        sigma = self._scene.detector_sigma
        blurred = cv2.GaussianBlur(counts, (0, 0), sigma) if sigma > 0.2 else counts
        return cv2.scaleAdd(self._readout.at(rng), self._scene.read_noise, blurred)


def lag_weights(lag: float, taps: int = 4) -> list[float]:
    """How much each exposure counts, the newest first: a geometric trail, cut after a few frames and summing
    to one.
    """
    raw = [lag**age for age in range(taps)] if lag else [1.0]
    return [weight / math.fsum(raw) for weight in raw]
