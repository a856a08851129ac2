"""What X-rays see of simple bodies: tubes, boxes and balls, as the length of the way through them. Pure
drawing.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge.phantom._exposure import Floats


@dataclass(frozen=True, eq=False)
class Plate:
    """The detector's grid in millimetres around the middle of the beam, x to the right and y down."""

    x: Floats
    y: Floats
    mm: float  # one pixel

    @classmethod
    def of(cls, width: int, height: int, mm: float, centre: tuple[float, float]) -> Plate:
        row, column = np.mgrid[0:height, 0:width].astype(np.float32)
        x = (column - (width - 1) / 2) * mm + centre[0]
        y = (row - (height - 1) / 2) * mm + centre[1]
        return cls(x, y, mm)

    def blank(self) -> Floats:
        return np.zeros_like(self.x)

    def pixels(self, path: Floats) -> Floats:
        """Points in millimetres (n, 2) as columns and rows."""
        return (path - np.array([self.x[0, 0], self.y[0, 0]], np.float32)) / self.mm

    def around(self, low: Floats, high: Floats) -> tuple[slice, slice] | None:
        """The part of the grid between two corners, or None where they miss it."""
        rows, columns = self.x.shape
        left, top = np.floor(self.pixels(low)).astype(int)
        right, bottom = np.ceil(self.pixels(high)).astype(int) + 1
        if right <= 0 or bottom <= 0 or left >= columns or top >= rows:
            return None
        return slice(max(0, top), min(rows, bottom)), slice(max(0, left), min(columns, right))


def tube(plate: Plate, path: Floats, radius: Floats, hollow: float = 0.0) -> tuple[Floats, Floats]:
    """The way through a bent tube, against its widest radius, and how far along the path each pixel lies
    (mm).

    `hollow` is the inner radius against the outer: cortical bone is a tube, an opacified vessel is full.
    """
    through, along = plate.blank(), plate.blank()
    lengths = np.hypot(*np.diff(path, axis=0).T)
    start = np.concatenate(([0.0], np.cumsum(lengths))).astype(np.float32)
    widest = float(radius.max())
    for index, length in enumerate(lengths):
        a, b, reach = (
            path[index],
            path[index + 1],
            float(max(radius[index], radius[index + 1]) + 2 * plate.mm),
        )
        where = plate.around(np.minimum(a, b) - reach, np.maximum(a, b) + reach)
        if where is None or length == 0:
            continue
        dx, dy = plate.x[where] - a[0], plate.y[where] - a[1]
        unit = (b - a) / length
        part = np.clip((dx * unit[0] + dy * unit[1]) / length, 0, 1)
        away = np.hypot(dx - part * (b - a)[0], dy - part * (b - a)[1])
        outer = radius[index] + part * (radius[index + 1] - radius[index])
        chord = _chord(away, outer, plate.mm)
        if hollow:
            chord -= 0.8 * _chord(away, outer * hollow, plate.mm)
        new = chord > through[where]
        through[where][new] = chord[new]
        along[where][new] = (start[index] + part * length)[new]
    return through / (2 * widest), along


def _chord(away: Floats, radius: Floats, mm: float) -> Floats:
    """Through a round body, softened by a pixel at its rim so that thin tubes do not break up."""
    full = 2 * np.sqrt(np.maximum(np.square(radius) - np.square(away), 0))
    thin = np.minimum(radius / mm, 1.0)
    rim = mm * thin * np.exp(-np.square(away / mm))
    return np.maximum(full, rim)


def ball(
    plate: Plate,
    x: float,
    y: float,
    rx: float,
    ry: float,
    angle: float = 0.0,
    ragged: float = 0.0,
    seed: int = 0,
) -> Floats:
    """The way through an ellipsoid, 1 in its middle."""
    u, v = _turned(plate, x, y, angle)
    u, v = u / rx, v / ry
    square = u * u + v * v
    if ragged:
        phase = np.random.default_rng(seed).uniform(0, 6.3, 4)
        turn = np.arctan2(v, u)
        edge = sum((ragged / k) * np.cos(k * turn + (phase[k - 2])) for k in range(2, 6))
        square = square / np.square(1 + edge)
    return np.sqrt(np.maximum(1 - square, 0))


def box(plate: Plate, x: float, y: float, half: tuple[float, float], angle: float, soft: float) -> Floats:
    """Distance below zero inside a box with a waist, as 0..1 with a soft edge: the body of a vertebra."""
    u, v = _turned(plate, x, y, angle)
    waist = (half[0]) * (0.86 + 0.14 * np.square(np.clip(v / (half[1]), -1, 1)))
    outside = np.maximum(np.abs(u) - waist, np.abs(v) - (half[1]))
    return np.clip(0.5 - outside / soft, 0, 1)


def band(distance: Floats, width: float) -> Floats:
    """A soft line where a distance is zero."""
    return np.exp(-np.square(distance / width))


def texture(plate: Plate, size_mm: float, rng: np.random.Generator) -> Floats:
    """Smooth noise of unit spread."""
    coarse = max(1.0, size_mm / plate.mm / 2.0)
    height, width = plate.x.shape
    small = rng.standard_normal((math.ceil(height / coarse) + 4, math.ceil(width / coarse) + 4), dtype=np.float32)
    small = cv2.GaussianBlur(small, (0, 0), 1.0)
    fine = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return (fine - fine.mean()) / (max(float(fine.std()), 1e-6))


def _turned(plate: Plate, x: float, y: float, angle: float) -> tuple[Floats, Floats]:
    dx, dy = plate.x - x, plate.y - y
    cosine, sine = math.cos(angle), math.sin(angle)
    return dx * cosine + dy * sine, dy * cosine - dx * sine
