"""How much an enhancement changed, and where most: measured from the very pixels that are stored. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.dicom.storedpixels import bits_stored, stored
from edge.dicom.take import Look, is_enhanced
from edge.frame import Box, Shown

CELL = 32  # pixels a side of the squares among which the most changed one is sought


@dataclass(frozen=True, slots=True)
class Change:
    """Mean absolute differences, in per cent of full scale, over the frames that were enhanced."""

    percent: float  # inside the region
    most_percent: float  # inside the square that changed most
    most_at: Box | None  # that square; None: nothing changed at all
    outside_percent: float  # outside the region: 0 unless something is wrong
    largest_percent: float  # inside the region, of the frame that changed most
    largest_frame: int  # which one, counted from 1; 0: none was enhanced


NO_CHANGE = Change(0.0, 0.0, None, 0.0, 0.0, 0)


def change_of(shown: Sequence[Shown], look: Look) -> Change:
    full_scale = (1 << bits_stored(look)) - 1
    box = look.region or Box(0, 0, look.columns, look.rows)
    channels = look.format.channels
    total = np.zeros((look.rows, look.columns, channels) if channels > 1 else (look.rows, look.columns), np.float64)
    count, largest, largest_frame = 0, -1.0, 0
    for number, one in enumerate(shown, start=1):
        if not is_enhanced(one):
            continue
        difference = cv2.absdiff(stored(one.frame.pixels, look), stored(one.pixels, look))
        cv2.accumulate(difference, total)
        count += 1
        mean = cv2.norm(np.ascontiguousarray(difference[box.slices]), cv2.NORM_L1) / (box.width * box.height * channels)
        if mean > largest:
            largest, largest_frame = mean, number
    if not count:
        return NO_CHANGE
    plane = total.mean(axis=2) if channels > 1 else total
    plane *= 100 / (count * full_scale)
    return _change(plane, box, 100 * largest / full_scale, largest_frame)


def _change(plane: NDArray[np.float64], box: Box, largest: float, frame: int) -> Change:
    inside = plane[box.slices]
    outside = plane.size - inside.size
    most, at = _most(plane)
    return Change(
        percent=float(inside.mean()),
        most_percent=most,
        most_at=at,
        outside_percent=max(0.0, float(plane.sum() - inside.sum())) / outside if outside else 0.0,
        largest_percent=largest,
        largest_frame=frame,
    )


def _most(plane: NDArray[np.float64]) -> tuple[float, Box | None]:
    rows, columns = plane.shape
    down, across = np.arange(0, rows, CELL), np.arange(0, columns, CELL)
    sums = np.add.reduceat(np.add.reduceat(plane, down, axis=0), across, axis=1)
    heights, widths = np.minimum(CELL, rows - down), np.minimum(CELL, columns - across)
    means = sums / (heights[:, None] * widths[None, :])
    row, column = np.unravel_index(int(means.argmax()), means.shape)
    if means[row, column] <= 0:
        return 0.0, None
    at = Box(int(across[column]), int(down[row]), int(widths[column]), int(heights[row]))
    return float(means[row, column]), at
