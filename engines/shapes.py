"""Plain shapes with sharp edges, drawn: what super-resolution learns not to ring at. No speckle, no noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FINE = 4  # drawn so many times larger and averaged: edges lie between pixels as they do in pictures
SHAPES = (2, 7)


def drawn(side: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Discs, boxes and strokes of a few levels on a plain ground; levels 0..1 in whole steps of 1/255."""
    large = np.full((side * FINE, side * FINE), _level(rng), np.float32)
    for _ in range(int(rng.integers(*SHAPES))):
        level = _level(rng)
        middle = rng.uniform(0, side * FINE, 2)
        kind = rng.random()
        if kind < 0.4:
            cv2.circle(large, _point(middle), round(float(rng.uniform(4, 40)) * FINE), level, -1)
        elif kind < 0.8:
            box = cv2.boxPoints((_point(middle), tuple(rng.uniform(3, 60, 2) * FINE), float(rng.uniform(0, 90))))
            cv2.fillPoly(large, [np.round(box).astype(np.int32)], level)
        else:
            end = rng.uniform(0, side * FINE, 2)
            cv2.line(large, _point(middle), _point(end), level, round(float(rng.uniform(1, 6)) * FINE))
    small = cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA)
    return (np.rint(small * 255) / 255).astype(np.float32)


def _level(rng: np.random.Generator) -> float:
    return float(rng.choice((0.0, 1.0))) if rng.random() < 0.1 else float(rng.uniform(0.02, 0.98))


def _point(at: NDArray[np.float64]) -> tuple[int, int]:
    return int(at[0]), int(at[1])
