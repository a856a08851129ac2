"""A needle in the ultrasound plane: a bright shaft, and the echoes that bounce inside it. Owned by its
phantom.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.phantom._exposure import Floats
from edge.phantom._motion import sweep
from edge.phantom._scan import Beams
from edge.phantom._ultrasound_scene import UltrasoundScene

_SHIFT = 4  # fractional bits of a drawn point
_BOUNCES, _BOUNCE_MM, _KEPT = 6, 0.9, 0.58
_POINTS = 64


class Needle:
    """Drawn straight onto the beam grid, as amplitude between 0 and 1."""

    def __init__(self, scene: UltrasoundScene, beams: Beams) -> None:
        self._scene, self._beams = scene, beams
        self._canvas: NDArray[np.uint8] = np.zeros((beams.samples, beams.lines), np.uint8)
        side = -1.0 if scene.needle_from_left else 1.0
        edge = scene.span if beams.radius_mm is None else beams.radius_mm * math.sin(scene.span)
        self._entry = (side * edge * 1.02, beams.top_mm)
        angle = math.radians(scene.needle_angle_deg)
        self._along = (-side * math.cos(angle), math.sin(angle))
        self._blur = max(1.0, 0.55 * beams.lines / 100.0)

    def length_mm(self, t: float) -> float:
        """How far it is in: never quite out, never at rest."""
        scene = self._scene
        return scene.needle_depth_mm * (0.25 + 0.75 * sweep(t, scene.needle_period_s))

    def tip_mm(self, t: float) -> tuple[float, float]:
        length = self.length_mm(t)
        return self._entry[0] + self._along[0] * length, self._entry[1] + self._along[1] * length

    def shaft(self, t: float) -> tuple[Floats, tuple[slice, slice]]:
        return self._drawn(self._points(t), (0,))

    def bounces(self, t: float) -> tuple[Floats, tuple[slice, slice]]:
        return self._drawn(self._points(t), tuple(range(1, _BOUNCES + 1)))

    def _points(self, t: float) -> tuple[Floats, Floats]:
        length = np.linspace(0.0, self.length_mm(t), _POINTS, dtype=np.float32)
        x = (self._entry[0]) + (self._along[0]) * length
        z = (self._entry[1]) + (self._along[1]) * length
        return self._beams.from_mm(x, z)

    def _drawn(self, points: tuple[Floats, Floats], bounces: tuple[int, ...]) -> tuple[Floats, tuple[slice, slice]]:
        sample, line = points
        step = _BOUNCE_MM / self._beams.sample_mm
        for bounce in reversed(bounces):
            path = np.stack((line, sample + (bounce * step)), axis=1)
            shade = int(255 * _KEPT**bounce)
            cv2.polylines(
                self._canvas,
                [np.round(path * (1 << _SHIFT)).astype(np.int32)],
                False,
                shade,
                1,
                cv2.LINE_AA,
                _SHIFT,
            )
        where = self._around(sample, line, step * max(bounces))
        part = self._canvas[where]
        drawn = part.astype(np.float32)
        part[...] = 0
        drawn = cv2.GaussianBlur(drawn, (0, 0), sigmaX=self._blur, sigmaY=0.8)
        drawn *= 1.0 / 110.0
        return drawn, where

    def _around(self, sample: Floats, line: Floats, below: float) -> tuple[slice, slice]:
        rows, columns = self._canvas.shape
        first, last = (
            int(np.clip(sample.min() - 5, 0, rows - 1)),
            int(np.clip(sample.max() + below + 6, 1, rows)),
        )
        left, right = int(np.clip(line.min() - 8, 0, columns - 1)), int(np.clip(line.max() + 9, 1, columns))
        return slice(first, last), slice(left, right)
