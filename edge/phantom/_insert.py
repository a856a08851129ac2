"""A lesion of known place, size and contrast: what observers are asked to find. No state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.phantom._exposure import Floats, require

LAYERS = ("still", "breathing", "beating")
_SOFT = 0.25  # of the radius: how wide the rim is


@dataclass(frozen=True)
class Insert:
    """A soft-edged disc. Two scenes that differ only in their inserts share speckle and noise, so the difference of
    their truths is the lesion itself.
    """

    x_mm: float
    z_mm: float  # down: depth below the middle of the probe's face, or below the middle of the beam
    radius_mm: float
    change: float  # dB against the surroundings (ultrasound), absorbance (fluoroscopy)
    layer: str = "still"  # fluoroscopy: what it moves with

    def __post_init__(self) -> None:
        require(self.radius_mm > 0, f"an insert's radius_mm is above 0, not {self.radius_mm:g}")
        require(self.layer in LAYERS, f'unknown layer "{self.layer}"; known: {", ".join(LAYERS)}')

    def shape(self, x: Floats, z: Floats) -> Floats:
        """1 inside, 0 outside, on a grid in millimetres."""
        away = np.hypot(x - self.x_mm, z - self.z_mm)
        return np.clip(0.5 + (self.radius_mm - away) / (_SOFT * self.radius_mm), 0.0, 1.0)
