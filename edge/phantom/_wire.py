"""A guidewire (or, in bone, a drill) that is pushed in and drawn back, and one that crosses the field. Owned by their
phantom.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.phantom._exposure import Floats
from edge.phantom._fluoroscopy_scene import FluoroscopyScene
from edge.phantom._motion import sweep
from edge.phantom._shapes import Plate

_SHIFT = 4  # fractional bits of a drawn point
_SHAFT, _TIP = 150, 255
_TIP_MM = 22.0


class Wire:
    """Drawn as how much it absorbs, 0..255, and then taken from the radiation."""

    def __init__(self, scene: FluoroscopyScene, plate: Plate, way_in: Floats) -> None:
        self._scene, self._plate, self._way = scene, plate, way_in
        self._canvas: NDArray[np.uint8] = np.zeros(plate.x.shape, np.uint8)
        thick_mm = scene.wire_mm * (3.5 if scene.view == "hip" else 1.0)
        self._thick = max(1, round(thick_mm / plate.mm))
        # A wire thinner than a pixel takes less than a pixel's radiation.
        strength = 1.5 * min(1.0, thick_mm / plate.mm)
        self._passes: Floats = np.exp(-np.linspace(0, strength, 256)).astype(np.float32)

    def tip_index(self, t: float) -> int:
        """The point of the way in that the tip has reached."""
        return int((0.5 + 0.5 * sweep(t, self._scene.wire_period_s)) * (len(self._way) - 1))

    def shade(self, direct: Floats, t: float, movement: Floats) -> None:
        """Take what the wire absorbs from the radiation; it rides on the heart it lies in."""
        reached = self._way[: self.tip_index(t) + 1]
        pixels = self._plate.pixels(reached)
        pixels = pixels @ movement[:, :2].T + movement[:, 2]
        steps = np.hypot(*np.diff(reached, axis=0).T)
        soft = max(2, int(np.searchsorted(np.cumsum(steps[::-1]), _TIP_MM)))
        points = np.round(pixels * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(self._canvas, [points], False, _SHAFT, self._thick, cv2.LINE_AA, _SHIFT)
        cv2.polylines(self._canvas, [points[-soft:]], False, _TIP, self._thick, cv2.LINE_AA, _SHIFT)
        rows, columns = self._canvas.shape
        low = np.clip(np.floor(pixels.min(axis=0)).astype(int) - self._thick - 2, 0, (columns, rows))
        high = np.clip(np.ceil(pixels.max(axis=0)).astype(int) + self._thick + 3, 0, (columns, rows))
        where = (slice(low[1], high[1]), slice(low[0], high[0]))
        drawn = self._canvas[where]
        if drawn.size:
            direct[where] *= cv2.LUT(np.ascontiguousarray(drawn), self._passes)
            drawn[...] = 0


class CrossingWire:
    """An upright wire that moves sideways at a constant speed and comes in again: what leaves a ghost, if anything
    does.
    """

    def __init__(self, scene: FluoroscopyScene, plate: Plate) -> None:
        self._step = scene.crossing_px
        self._fps = scene.fps
        self._half = max(0.5, 0.5 * scene.wire_mm / plate.mm)
        self._strength = 1.5 * min(1.0, scene.wire_mm / plate.mm)
        self._columns = np.arange(plate.x.shape[1], dtype=np.float32)

    def column(self, t: float) -> float:
        """Where its middle is, in pixels of the region."""
        return float((t * self._fps * self._step) % len(self._columns))

    def shade(self, direct: Floats, t: float) -> None:
        """Its shadow, soft by a pixel so that it moves by parts of one."""
        away = np.abs(self._columns - self.column(t))
        direct *= np.exp(-self._strength * np.clip(self._half + 0.5 - away, 0, 1)).astype(np.float32)
