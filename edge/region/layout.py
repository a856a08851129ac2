"""What the screen around the image looks like: the points that `layout_changed` compares on every frame.

Pure; runs in the helper thread when a region is taken up.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frame import Frame
from edge.region.model import Grey, Layout, Mask, Points, sample

_NEAR, _ELSEWHERE, _ON_MARKS = 160, 160, 96  # points beside the image, further off, on text and rulers
_QUIET, _LIT = 8, 60  # levels from the background: below the one surely screen, above the other surely not


def sample_layout(frame: Frame, grey: Grey, outline: Mask) -> Layout:
    """Points on the background beside the image, all over the screen, and on what is lit outside the image.

    `grey` and `outline` are of the working size; the levels are the frame's own.
    """
    close = _grown(outline, 7)
    beside = _grown(outline, 2 * (max(outline.shape) // 50) + 1)
    outside = grey[~close]
    level = int(np.median(outside)) if outside.size else 0
    away = np.asarray(cv2.absdiff(grey, np.full_like(grey, level)))
    quiet, lit = ~close & (away <= _QUIET), ~close & (away >= _LIT)
    places = [
        _spread(quiet & beside, _NEAR),
        _spread(quiet & ~beside, _ELSEWHERE),
        _spread(lit, _ON_MARKS),
    ]
    rows, columns = np.divmod(np.concatenate(places), grey.shape[1])
    rows, columns = _scaled(rows, grey.shape[0], frame.height), _scaled(columns, grey.shape[1], frame.width)
    return Layout(
        shape=frame.pixels.shape,
        full_scale=frame.full_scale,
        given=frame.region,
        rows=rows,
        columns=columns,
        levels=sample(frame.pixels, rows, columns),
        quiet=places[0].size + places[1].size,
    )


def _grown(outline: Mask, side: int) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(outline, np.ones((side, side), np.uint8))) > 0


def _spread(where: NDArray[np.bool_], count: int) -> Points:
    """At most `count` of the set points, evenly apart in reading order."""
    places = np.flatnonzero(where)
    if places.size > count:
        places = places[np.linspace(0, places.size - 1, count).astype(np.intp)]
    return places


def _scaled(at: Points, size: int, full: int) -> Points:
    return (2 * at + 1) * full // (2 * size)
