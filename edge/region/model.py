"""`Region`: where a frame's image is, and how the screen around it looked. Pure values, made by the helper
thread and read by the live thread; `layout_changed` is the one question asked on every frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.frame import Box, Frame

Grey = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Points = NDArray[np.intp]

_QUIET_STEP = 24  # levels of 255 that a background pixel may move: noise, compression
_QUIET_PART = 0.04  # part of the background pixels that changing text may touch
_MARK_PART = 0.6  # part of the text and ruler pixels that may change before it is another screen


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A sparse sample of the screen outside the image, taken when the region was found."""

    shape: tuple[int, ...]
    full_scale: int
    given: Box | None  # the region that the scanner gave
    rows: Points
    columns: Points
    levels: NDArray[np.int32]
    quiet: int  # the first `quiet` samples are background, the rest lie on text, rulers and bars


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """The part of a frame that may be altered."""

    box: Box
    mask: Mask  # the box's size; 255: image that may be altered, 0: must stay bit-identical; read-only
    covers_all: bool  # the mask is 255 everywhere
    layout: Layout


def sample(pixels: NDArray[np.generic], rows: Points, columns: Points) -> NDArray[np.int32]:
    """One channel's levels at a few points."""
    plane = pixels if pixels.ndim == 2 else pixels[..., 1]
    return plane[rows, columns].astype(np.int32)


def layout_changed(region: Region, frame: Frame) -> bool:
    """Whether the scanner has changed its screen (depth, probe, menu): the region cannot be trusted.

    Costs some ten microseconds. A clock, a counter or a heart rate touches too few samples to matter.
    """
    layout = region.layout
    now = (frame.pixels.shape, frame.full_scale, frame.region)
    if now != (layout.shape, layout.full_scale, layout.given):
        return True
    if not layout.levels.size:
        return False
    moved = np.abs(sample(frame.pixels, layout.rows, layout.columns) - layout.levels)
    changed = moved * 255 > _QUIET_STEP * layout.full_scale
    quiet, marks = changed[: layout.quiet], changed[layout.quiet :]
    return _more_than(quiet, _QUIET_PART) or _more_than(marks, _MARK_PART)


def _more_than(changed: NDArray[np.bool_], part: float) -> bool:
    return int(np.count_nonzero(changed)) > max(3.0, part * changed.size)
