"""Pixels in and out of an engine: the grey plane it sees, and its result put back. Runs in the live thread.

An engine sees grey alone. Its answer goes back under two locks: the region's mask, and, in colour frames, the
pixel's own colour. A pixel whose channels lie further apart than `COLOUR_TOLERANCE` is colour (Doppler, a
tinted ruler, a logo) and comes out bit for bit as it came; any other one gets the *change* of its grey added
to each channel and clamped, so that the slight tint left by video compression survives as it was.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from edge.errors import EngineFault
from edge.frame import PixelFormat, Pixels
from edge.region.model import Grey, Mask, Region

# Lossy video of a grey picture leaves channels a few levels apart; Doppler is well above that.
COLOUR_TOLERANCE = 6


def grey_of(pixels: Pixels, pixel_format: PixelFormat) -> Pixels:
    """The grey plane of a box. Grey frames keep their depth, equal channels their level.

    Of a grey frame it is the box itself, not a copy: who computes copies it in where it is needed.
    """
    if pixel_format.channels == 1:
        return pixels
    code = cv2.COLOR_RGB2GRAY if pixel_format is PixelFormat.RGB8 else cv2.COLOR_BGR2GRAY
    return cast("Grey", cv2.cvtColor(np.ascontiguousarray(pixels), code))


def colourless(pixels: Pixels) -> Mask:
    """255 where a pixel's channels are equal but for compression, 0 where it is colour."""
    spread, _ = channel_spread(pixels)
    return cast("Mask", cv2.threshold(spread, COLOUR_TOLERANCE, 255, cv2.THRESH_BINARY_INV)[1])


def channel_spread(pixels: Pixels) -> tuple[Grey, Grey]:
    """How far each pixel's channels lie apart, and its highest channel."""
    first, second, third = cv2.split(pixels)
    highest = cv2.max(cv2.max(first, second), third)
    lowest = cv2.min(cv2.min(first, second), third)
    return cast("Grey", cv2.subtract(highest, lowest)), cast("Grey", highest)


def put_back(original: Pixels, pixel_format: PixelFormat, enhanced: Pixels, region: Region, out: Pixels) -> None:
    """Alter `out`, a copy of the original: enhanced where it may be altered, bit for bit as it is elsewhere.

    `original` and `out` are the region's box of a frame and of its copy, `enhanced` is what became of its `grey_of`.
    `out` must not overlap the two others.
    """
    if enhanced.shape != region.mask.shape or enhanced.dtype != original.dtype:
        wanted = f"{region.mask.shape} {original.dtype}"
        raise EngineFault("wrong shape", f"{enhanced.shape} {enhanced.dtype} instead of {wanted}")
    if original.ndim == 3:
        _put_back_colour(original, pixel_format, enhanced, region, out)
    elif region.covers_all:
        np.copyto(out, enhanced)
    else:
        _copy_masked(enhanced, region.mask, out)


def _copy_masked(source: Pixels, mask: Mask, out: Pixels) -> None:
    if out.strides[-1] == out.itemsize:
        cv2.copyTo(source, mask, dst=out)
    else:  # OpenCV would silently write to a copy of its own
        np.copyto(out, source, where=mask != 0)


def _put_back_colour(
    original: Pixels, pixel_format: PixelFormat, enhanced: Pixels, region: Region, out: Pixels
) -> None:
    """Adds a change that is zero where nothing may change: those pixels pass through untouched."""
    before = cast("Grey", np.ascontiguousarray(original))
    allowed = colourless(before)
    if not region.covers_all:
        cv2.bitwise_and(allowed, region.mask, dst=allowed)
    grey = grey_of(before, pixel_format)
    up, down = cv2.subtract(enhanced, grey), cv2.subtract(grey, enhanced)
    cv2.bitwise_and(up, allowed, dst=up)
    cv2.bitwise_and(down, allowed, dst=down)
    after = cv2.add(before, cv2.cvtColor(up, cv2.COLOR_GRAY2BGR))
    cv2.subtract(after, cv2.cvtColor(down, cv2.COLOR_GRAY2BGR), dst=after)
    np.copyto(out, after)
