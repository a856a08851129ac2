"""The bound on what an engine may change, and the change map. Pure.

An engine may lift grain and steady a picture; it may not repaint it. Whatever a net does, a result whose mean change
inside the region is beyond the bound is refused and the original goes out.
"""

from __future__ import annotations

import cv2
import numpy as np

from edge.errors import EngineFault
from edge.frame import Frame, PixelFormat, Pixels

CHANGE_GAIN = 4  # the map shows differences of a few per cent: at gain 1 they would all look black


def mean_change(before: Pixels, after: Pixels, full_scale: int) -> float:
    """Mean absolute difference as a part of full scale."""
    return cv2.norm(before, after, cv2.NORM_L1) / (before.size * full_scale)


def check(before: Pixels, after: Pixels, full_scale: int, most: float, measured: float | None = None) -> float:
    """The mean change, or EngineFault when it is more than an engine may make. `measured`: what a backend found it to
    be on the way, which spares a look at every pixel of both.
    """
    if after.shape != before.shape or after.dtype != before.dtype:
        raise EngineFault("shape", f"result {after.shape} {after.dtype} for a picture {before.shape} {before.dtype}")
    change = mean_change(before, after, full_scale) if measured is None else measured
    if change > most:
        raise EngineFault("fidelity", f"mean change {change:.3f} of full scale, at most {most:.3f} is allowed")
    return change


def change_map(frame: Frame, shown: Pixels) -> Pixels:
    """8-bit picture of where and how much: 128 is no change, brighter was raised, darker was lowered."""
    before, after = _grey(frame, frame.pixels), _grey(frame, shown)
    difference = (after.astype(np.int32) - before) * (CHANGE_GAIN * 127)
    return np.clip(128 + difference // frame.full_scale, 0, 255).astype(np.uint8)


def _grey(frame: Frame, pixels: Pixels) -> Pixels:
    if frame.format in (PixelFormat.GREY8, PixelFormat.GREY16):
        return pixels
    return pixels[:, :, 1]  # green: enhanced colour frames are altered equally in all three
