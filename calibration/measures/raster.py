"""Whether a picture shows the grid of blocks that a net works on."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from calibration.measures._arrays import Floats

_PERIODS = 3  # of the grid: what comes once is structure, what comes again at every block is the net's own


def raster(moved: Sequence[Floats], down: bool, step: int = 1) -> Floats:
    """How high a grid of so many steps' period stands, at each pixel of the picture, in the pictures' own unit.

    `moved`: what was made of one picture and of the same begun 1, 2, ... steps further on, to the right or `down`, so
    that each pixel lies once at every place of a block. A net that treated all places alike would make the same of it
    each time. What each place of a block gets beyond the mean of all is averaged over three blocks in a row, one
    across; the highest of these means, either way.
    """
    pictures = [picture.T if down else picture for picture in moved]
    period, columns = step * len(pictures), pictures[0].shape[1] - step * (len(pictures) - 1)
    same = np.stack([picture[:, period - step * (k + 1) :][:, :columns] for k, picture in enumerate(pictures)])
    beyond = same - same.mean(0)
    heights = [_mean_at(beyond, _place(columns, period, step), place, period) for place in range(period)]
    height = np.abs(np.stack(heights)).max(0)
    return np.ascontiguousarray(height.T) if down else height


def _place(columns: int, period: int, step: int) -> np.ndarray:
    """[moved, columns]: where in its block a pixel lay."""
    first = np.arange(period - step, -1, -step)
    return (first[:, None] + np.arange(columns)) % period


def _mean_at(beyond: Floats, places: np.ndarray, place: int, period: int) -> Floats:
    there = np.broadcast_to((places == place)[:, None], beyond.shape).sum(0, dtype=np.float32)
    found = np.where((places == place)[:, None], beyond, 0).sum(0, dtype=np.float32)
    window = (_PERIODS * period, period)
    return cv2.blur(found, window) / np.maximum(cv2.blur(there, window), 1e-6)
