"""Interpolation to twice the sides: what a display does to a small picture. No state; nothing to tune."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from calibration.peers._levels import Floats, Momentary


@dataclass(frozen=True)
class Enlarge(Momentary):
    """Sample centres stay where they were: output pixel 0 and 1 lie a quarter of a pixel on either side of input 0."""

    interpolation: int

    def __call__(self, levels: Floats) -> Floats:
        height, width = levels.shape
        return cv2.resize(levels, (2 * width, 2 * height), interpolation=self.interpolation)
