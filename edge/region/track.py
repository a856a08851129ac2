"""`find` and `Tracker`: from what single frames tell to a region that stays put. Pure; helper thread.

The outline is what a quarter of the recent looks agree on, so it grows into tissue that was dark a moment ago
and forgets a single mistake. A new outline is taken up only when it differs for good: the box, and with it
the engine's state, then stays the same for minutes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np

from edge.frame import Box, Frame
from edge.region.layout import sample_layout
from edge.region.marks import as_mask, overlay
from edge.region.model import Mask, Region, layout_changed
from edge.region.still import Still, hull, look, look_in_box

_MEMORY = 8  # looks; at two a second, the last four seconds
_GROWS, _SHRINKS = 0.03, 0.15  # parts of the outline in force by which a new one must differ to replace it
_MISSES = 3  # looks without an image after which there is none
_STRAY = 8  # pixels of new marks too few to be a letter


def find(frame: Frame) -> Region | None:
    """The region of one frame on its own; None where it shows no image."""
    seen = _see(frame)
    return None if seen is None else _region(frame, seen, seen.outline, seen.marks)


class Tracker:
    """The region of one stream over time. Owned by the helper thread; the regions it gives are frozen."""

    def __init__(self) -> None:
        self._recent: deque[Still] = deque(maxlen=_MEMORY)
        self._misses = 0
        self._outline: Mask | None = None
        self._marks: Mask | None = None
        self._region: Region | None = None

    def update(self, frame: Frame) -> Region | None:
        """The region now. The same object as before where nothing has changed for good."""
        if self._region is not None and layout_changed(self._region, frame):
            self._forget()
        seen = _see(frame)
        if seen is None:
            self._misses += 1
            if self._misses >= _MISSES:
                self._forget()
            return self._region
        self._misses = 0
        self._recent.append(seen)
        return self._settle(frame, seen)

    def _forget(self) -> None:
        self._recent.clear()
        self._outline = self._marks = self._region = None
        self._misses = 0

    def _settle(self, frame: Frame, seen: Still) -> Region:
        """Takes up the recent looks' outline and marks where they differ from those in force."""
        outline = _agreed_outline(self._recent)
        if self._outline is not None and _close(outline, self._outline):
            outline = self._outline
        marks = _all_marks(self._recent, outline)
        if self._region is None or outline is not self._outline or not _covered(marks, self._marks):
            self._outline, self._marks = outline, marks
            self._region = _region(frame, seen, outline, marks)
        return self._region


def _see(frame: Frame) -> Still | None:
    return look(frame) if frame.region is None else look_in_box(frame, frame.region)


def _agreed_outline(looks: Sequence[Still]) -> Mask:
    """The hull of what at least a quarter of the looks hold to be image."""
    if len(looks) == 1:
        return looks[0].outline
    votes = np.zeros_like(looks[0].outline)
    for seen in looks:
        votes += seen.outline & np.uint8(1)
    agreed = as_mask(votes >= -(-len(looks) // 4))
    if not cv2.countNonZero(agreed):  # looks that have no pixel in common: the newest is right
        return looks[-1].outline
    return hull(agreed)


def _all_marks(looks: Sequence[Still], outline: Mask) -> Mask:
    """The marks of every recent look: better a hole in the picture than a changed letter."""
    marks = overlay([seen.grey for seen in looks])
    for seen in looks:
        marks |= seen.marks
    return marks & outline


def _close(new: Mask, old: Mask) -> bool:
    """Whether the old outline still serves. Growth counts; a little less image is most likely shadow."""
    area = cv2.countNonZero(old)
    both = cv2.countNonZero(cv2.bitwise_and(new, old))
    return cv2.countNonZero(new) - both <= _GROWS * area and area - both <= _SHRINKS * area


def _covered(new: Mask, old: Mask | None) -> bool:
    """Whether the marks in force hold the new ones. One that has gone waits until something else changes."""
    return old is not None and cv2.countNonZero(cv2.bitwise_and(new, cv2.bitwise_not(old))) <= _STRAY


def _region(frame: Frame, seen: Still, outline: Mask, marks: Mask) -> Region:
    """From the working size to the frame's own; at every doubt the smaller image."""
    size = (frame.width, frame.height)
    if frame.region is not None:
        box = frame.region
        full = np.full((box.height, box.width), 255, np.uint8)
    else:
        factor = -(-frame.width // outline.shape[1])
        whole = cv2.resize(outline, size, interpolation=cv2.INTER_NEAREST)
        whole = cast("Mask", cv2.erode(whole, np.ones((2 * factor + 1, 2 * factor + 1), np.uint8)))
        box = Box(*(int(v) for v in cv2.boundingRect(whole)))
        full = whole[box.slices]
    kept = cast("Mask", cv2.resize(marks, size, interpolation=cv2.INTER_NEAREST))[box.slices]
    mask = full & ~kept
    mask.setflags(write=False)
    layout = sample_layout(frame, seen.grey, outline)
    return Region(box, mask, cv2.countNonZero(mask) == mask.size, layout)
