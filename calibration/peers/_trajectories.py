"""Blocks followed back through the last pictures: where they came from, and how they make a picture. No state."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.peers._levels import Floats

Places = NDArray[np.intp]

BLOCK = 8  # pixels a side
_EVERY = 3  # pixels between the blocks of the present
_AROUND = (11, 11)  # what is compared to find where a pixel was
_RELUCTANCE = 0.1  # for each pixel of motion, in squared deviations: noise alone must not look like motion
_WINDOW = np.outer(np.kaiser(BLOCK, 2.0), np.kaiser(BLOCK, 2.0)).astype(np.float32).ravel()


def motion(now: Floats, before: Floats, search: int) -> Places:
    """(2, height, width): the offset at which each pixel's surroundings were most alike one picture before.

    Both pictures have noise of one strength everywhere, and are calmed enough to be compared.
    """
    best = np.full(now.shape, np.inf, np.float32)
    found = np.zeros((2, *now.shape), np.intp)
    wide = cv2.copyMakeBorder(before, search, search, search, search, cv2.BORDER_REPLICATE)
    for y in range(-search, search + 1):
        for x in range(-search, search + 1):
            other = wide[search + y : search + y + now.shape[0], search + x : search + x + now.shape[1]]
            away = cv2.blur(np.square(now - other), _AROUND) + np.float32(_RELUCTANCE * np.hypot(y, x))
            nearer = away < best
            best[nearer] = away[nearer]
            found[0][nearer], found[1][nearer] = y, x
    return found


def trajectories(shape: tuple[int, ...], motions: Sequence[Places]) -> Places:
    """(time, block, pixel): where in each picture a block's pixels lie, counted row by row; the present comes last.

    `motions` are those from each picture to the one before it, the newest last.
    """
    height, width = shape
    rows, columns = (place.ravel() for place in np.meshgrid(_starts(height), _starts(width), indexing="ij"))
    inner = np.arange(BLOCK)
    within = (inner[:, None] * width + inner).ravel()
    places = [(rows * width + columns)[:, None] + within]
    for step in reversed(motions):
        moved = step[:, rows + BLOCK // 2, columns + BLOCK // 2]
        rows = np.clip(rows + moved[0], 0, height - BLOCK)
        columns = np.clip(columns + moved[1], 0, width - BLOCK)
        places.insert(0, (rows * width + columns)[:, None] + within)
    return np.stack(places)


def stacked(pictures: Sequence[Floats], places: Places) -> Floats:
    """(time, block, pixel): what the blocks held."""
    return np.stack([picture.ravel()[place] for picture, place in zip(pictures, places, strict=True)])


def laid(blocks: Floats, trust: Floats, place: Places, under: Floats) -> Floats:
    """Overlapping blocks as one picture: their mean by trust, more by their middles; `under` shows where none lies."""
    weight = np.broadcast_to(trust[:, None] * _WINDOW, blocks.shape)
    total = np.bincount(place.ravel(), (blocks * weight).ravel(), under.size)
    cover = np.bincount(place.ravel(), weight.ravel(), under.size)
    mean = np.divide(total, cover, out=under.ravel().astype(np.float64), where=cover > 0)
    return mean.reshape(under.shape).astype(np.float32)


def _starts(length: int) -> Places:
    """First rows (or columns) of blocks; the last one ends at the border."""
    last = length - BLOCK
    return np.append(np.arange(0, last, _EVERY), last)
