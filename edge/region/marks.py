"""Text, ticks, rulers, grey bars: what a scanner writes around and into its image. Pure; helper thread.

A mark is small or thin, stands alone, and is sharp both ways. An echo is drawn out along the probe, where it
fades slowly: that one test tells a full stop from a speck of speckle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.region.model import Grey, Mask

FADED = 16  # levels above the background at which a mark ends
_BRIGHT = 40  # levels above the background that some pixel of a mark has
_AS_TEXT = 90  # the same amid tissue, where text has to be read
_SHARP = 0.85  # part of its peak by which a mark rises within two pixels, down and across
_SHARP_AMID = 0.6  # the same for burned-in pixels, between pixels of tissue
_LOOKS = 6  # looks that it takes to call a pixel burned in
_STILL_LEVELS = 3  # levels that a burned-in pixel may vary by: compression
_STANDS_OUT = 60  # levels by which an overlay is brighter than what lies beside it


def find_marks(above: Grey) -> Grey:
    """The marks with a margin of 3 pixels: how bright each gets, and 0 where none is.

    `above` is the picture's distance from its background.
    """
    labels, stats = components(cast("Mask", cv2.threshold(above, FADED, 255, cv2.THRESH_BINARY)[1]))
    height, width = above.shape
    small = stats[:, cv2.CC_STAT_HEIGHT] <= max(6, 0.07 * height)
    small |= stats[:, cv2.CC_STAT_WIDTH] <= max(6, 0.05 * width)
    small &= stats[:, cv2.CC_STAT_AREA] <= 0.01 * above.size
    small[0] = False
    places = np.flatnonzero(small[labels])
    owners = labels.ravel()[places]
    peak, down, across = (_highest(plane, places, owners, len(stats)) for plane in (above, *_steps(above)))
    peak[(peak < _BRIGHT) | (np.minimum(down, across) < _SHARP * peak)] = 0
    marks = np.zeros_like(above)
    marks.ravel()[places] = peak[owners]
    return cast("Grey", cv2.dilate(marks, np.ones((7, 7), np.uint8)))


def certain(marks: Grey, above: Grey, outline: Mask) -> Mask:
    """The marks to be cut out of an image. In the midst of tissue only what is as bright as text counts."""
    tissue = cast("Mask", cv2.threshold(above, FADED, 255, cv2.THRESH_BINARY)[1])
    tissue[(marks > 0) | (outline == 0)] = 0
    amid = np.asarray(cv2.boxFilter(tissue, -1, (31, 31))) > 0.15 * 255
    return as_mask(np.where(amid, marks >= _AS_TEXT, marks > 0))


def overlay(greys: Sequence[Grey]) -> Mask:
    """Burned-in pixels over tissue: bright, thin, sharp, and at rest while what surrounds them moves.

    Where nothing moves, as in a frozen picture, nothing is overlay.
    """
    if len(greys) < _LOOKS:
        return np.zeros_like(greys[0])
    stack = np.stack(greys)
    low = stack.min(axis=0)
    travel = stack.max(axis=0) - low
    around = cast("Grey", cv2.blur(travel, (15, 15)))
    thin = cast("Grey", cv2.morphologyEx(low, cv2.MORPH_TOPHAT, np.ones((9, 9), np.uint8)))
    still = (travel <= _STILL_LEVELS) & (around > 2 * _STILL_LEVELS) & (thin >= _STANDS_OUT)
    for step in _steps(thin):  # skin and fascia may rest too, but they are not as sharp as letters
        still &= np.asarray(cv2.dilate(step, np.ones((3, 3), np.uint8))) >= _SHARP_AMID * thin
    joined = cv2.dilate(as_mask(still), np.ones((11, 11), np.uint8))  # a letter's faint pixels do move
    return cast("Mask", cv2.erode(joined, np.ones((5, 5), np.uint8)))


def components(lit: Mask) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The connected parts of a mask: a label for each pixel, and OpenCV's row of figures for each label."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=8, ltype=cv2.CV_32S)
    return cast("NDArray[np.int32]", labels), cast("NDArray[np.int32]", stats)


def _highest(plane: Grey, places: NDArray[np.intp], owners: NDArray[np.int32], count: int) -> Grey:
    """The highest level of each component."""
    highest = np.zeros(count, np.uint8)
    np.maximum.at(highest, owners, plane.ravel()[places])
    return highest


def _steps(above: Grey) -> tuple[Grey, Grey]:
    """How far a pixel's two neighbours lie apart, down and across."""
    wide = cv2.copyMakeBorder(above, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    down = cv2.absdiff(wide[2:, 1:-1], wide[:-2, 1:-1])
    across = cv2.absdiff(wide[1:-1, 2:], wide[1:-1, :-2])
    return cast("Grey", down), cast("Grey", across)


def as_mask(true: NDArray[np.bool_]) -> Mask:
    return true.astype(np.uint8) * np.uint8(255)
