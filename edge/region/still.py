"""The search for the image in one still frame. Pure; runs in the helper thread, about twice a second.

Screens are black, or of one grey, with furniture on it. Once marks, colour and flat panels are gone, what is
densely lit and textured is the image; a grey bar is not, for it varies one way only. An image's outline is
convex (sector, rectangle, circle, octagon), so the hull of its parts fills anechoic areas, shadows and black
implants. Marks inside the hull are cut out. At every doubt the smaller image is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frame import Box, Frame, Modality
from edge.region.compose import channel_spread
from edge.region.marks import FADED, as_mask, certain, components, find_marks
from edge.region.model import Grey, Mask

_WORK_SIDE = 1024  # longer frames are searched at a whole fraction of their size
_DEEP_WORK_SIDE = 512  # a collimated field needs no finer look: there are no letters close to it
_COLOUR = 12  # levels by which a pixel's channels differ when it is certainly colour
_ENTROPY = 2.0  # bits: a flat panel with its text has less
_VARIES = 1.0  # levels of standard deviation along the weaker axis: a grey bar has none
_LARGE = 0.03  # part of the frame from which on a part of the image is its body
_WHOLE = 0.97  # an outline that covers this much of the frame is the frame
_SCATTERED = 0.35  # an outline lit by less than this does not tell where the image ends


@dataclass(frozen=True, slots=True, eq=False)
class Still:
    """What one frame tells, at the working size."""

    outline: Mask  # 255 inside the image's outline
    marks: Mask  # 255 on text, rulers and bars, with a margin
    grey: Grey


def look(frame: Frame) -> Still | None:
    """The image's outline and the marks, or None where the frame shows no image."""
    grey, colour = _working_planes(frame)
    level, noise = _background(grey, frame.modality)
    above = _above(grey, colour, level)
    marks = find_marks(above)
    outline = _outline(grey, above, _not_image(marks, colour), noise)
    if outline is None:
        return None
    if _is_everything(outline, above, marks):
        outline = np.full_like(grey, 255)
    return Still(outline, certain(marks, above, outline), grey)


def look_in_box(frame: Frame, box: Box) -> Still:
    """The scanner's own region as the outline, with the marks inside it."""
    grey, colour = _working_planes(frame)
    above = _above(grey, colour, _background(grey, frame.modality)[0])
    across, down = grey.shape[1] / frame.width, grey.shape[0] / frame.height
    outline = np.zeros_like(grey)
    rows = slice(round(box.y * down), round((box.y + box.height) * down))
    outline[rows, round(box.x * across) : round((box.x + box.width) * across)] = 255
    return Still(outline, certain(find_marks(above), above, outline), grey)


def _working_planes(frame: Frame) -> tuple[Grey, Mask | None]:
    """The frame as 8-bit grey of the working size, and where it is colour (None: a grey frame)."""
    pixels: NDArray[np.generic] = np.ascontiguousarray(frame.pixels)
    side = _WORK_SIDE if pixels.dtype == np.uint8 else _DEEP_WORK_SIDE
    factor = -(-max(frame.width, frame.height) // side)
    if factor > 1:
        size = (max(1, frame.width // factor), max(1, frame.height // factor))
        pixels = np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA))
    if pixels.ndim == 3:
        spread, highest = channel_spread(cast("Grey", pixels))
        return highest, cast("Mask", cv2.threshold(spread, _COLOUR, 255, cv2.THRESH_BINARY)[1])
    if pixels.dtype == np.uint16:
        deep = cast("NDArray[np.uint16]", pixels)
        return cast("Grey", cv2.convertScaleAbs(deep, alpha=255 / frame.full_scale)), None
    return cast("Grey", pixels), None


def _background(grey: Grey, modality: Modality) -> tuple[int, int]:
    """The level of the screen around the image, and how far its noise strays.

    It rules the frame's border; where none does, as in a frame that is all image, black is assumed.
    """
    rim = max(2, min(grey.shape) // 50)
    sides = grey[:rim], grey[-rim:], grey[:, :rim], grey[:, -rim:]
    ring = np.concatenate([side.ravel() for side in sides])
    counts = np.bincount(ring, minlength=256)
    level = int(counts.argmax())
    rules = counts[max(0, level - 2) : level + 3].sum() >= 0.4 * ring.size
    if not rules or (modality is Modality.FLUOROSCOPY and level > 250):  # white there is the bare beam
        return 0, 1
    stray = np.abs(ring.astype(np.int16) - level)
    return level, int(np.percentile(stray[stray <= 10], 90))


def _above(grey: Grey, colour: Mask | None, level: int) -> Grey:
    """How far each pixel is from the background. Colour and flat panels are never image: they count as it."""
    above = cast("Grey", cv2.absdiff(grey, np.full_like(grey, level)))
    if colour is not None:
        above[colour > 0] = 0
    relief = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    flat = cast("Mask", cv2.threshold(relief, 1, 255, cv2.THRESH_BINARY_INV)[1])
    flat[(above < FADED) | (grey > 250)] = 0  # black is background anyway, and tissue may saturate
    panel = cast("Mask", cv2.morphologyEx(flat, cv2.MORPH_OPEN, np.ones((13, 13), np.uint8)))
    if cv2.countNonZero(panel):  # what is written on a panel is measured from the panel
        nearby = cv2.dilate(cv2.bitwise_and(grey, panel), np.ones((21, 21), np.uint8))
        from_panel = cv2.absdiff(grey, nearby)
        cv2.copyTo(cv2.min(above, from_panel), cv2.threshold(nearby, 0, 255, cv2.THRESH_BINARY)[1], above)
    return above


def _not_image(marks: Grey, colour: Mask | None) -> Mask:
    """Marks and colour with the faint ringing that compression leaves around them, a block wide."""
    both = marks if colour is None else cv2.max(marks, colour)
    return cast("Mask", cv2.dilate(both, np.ones((9, 9), np.uint8)))


def _outline(grey: Grey, above: Grey, not_image: Mask, noise: int) -> Mask | None:
    """The convex hull of what is densely lit and textured; None where nothing is."""
    lit = cast("Mask", cv2.threshold(above, noise + 1, 255, cv2.THRESH_BINARY)[1])
    lit[not_image > 0] = 0
    side = max(5, max(grey.shape) // 90) | 1
    filled = cv2.threshold(cv2.boxFilter(lit, -1, (side, side)), 127, 255, cv2.THRESH_BINARY)[1]
    # Blurred text can touch the image: a bridge no thicker than a line of text is cut.
    stout = cv2.morphologyEx(filled, cv2.MORPH_OPEN, np.ones((2 * side + 1, 2 * side + 1), np.uint8))
    if cv2.countNonZero(stout) >= _LARGE * grey.size:
        filled = stout
    image = _image_parts(grey, above, cast("Mask", cv2.bitwise_and(filled, lit)), noise)
    return hull(image) if cv2.countNonZero(image) else None


def hull(parts: Mask) -> Mask:
    """The convex hull of all set pixels, filled."""
    rows = np.flatnonzero(parts.any(axis=1))  # a row's first and last pixel are all that a hull needs
    first = parts[rows].argmax(axis=1)
    last = parts.shape[1] - 1 - parts[rows, ::-1].argmax(axis=1)
    points = np.concatenate([np.stack([first, rows], 1), np.stack([last, rows], 1)]).astype(np.int32)
    return cast("Mask", cv2.fillConvexPoly(np.zeros_like(parts), cv2.convexHull(points), 255))


def _is_everything(outline: Mask, above: Grey, marks: Grey) -> bool:
    """Whether the frame holds nothing but image: it is full of it, or of scattered echoes and not one mark.

    Echoes that few do not tell where the image ends, and there is nothing beside them to be protected.
    """
    area = cv2.countNonZero(outline)
    if area >= _WHOLE * outline.size:
        return not cv2.countNonZero(cv2.bitwise_and(marks, cv2.bitwise_not(outline)))
    lit = cv2.countNonZero(cv2.threshold(above, FADED, 255, cv2.THRESH_BINARY)[1])
    return lit < _SCATTERED * area and not cv2.countNonZero(marks)


def _image_parts(grey: Grey, above: Grey, dense: Mask, noise: int) -> Mask:
    """The dense parts that look like tissue."""
    labels, stats = components(dense)
    image = np.zeros_like(dense)
    for n in _worth_a_look(stats, grey.shape):
        x, y, width, height = (int(v) for v in stats[n, :4])
        cut = (slice(y, y + height), slice(x, x + width))
        own = as_mask(labels[cut] == n)
        if np.percentile(above[cut][own > 0], 95) > noise + 8 and _textured(grey[cut], own):
            image[cut] |= own
    return image


def _worth_a_look(stats: NDArray[np.int32], shape: tuple[int, ...]) -> list[int]:
    """Parts large enough; beside a large one, only those of its order or next to it (not a thumbnail)."""
    height, width = shape
    area = np.array(stats[:, cv2.CC_STAT_AREA])
    area[0] = 0
    large = int(area.argmax())
    keep = area >= max(16, 0.0002 * height * width)
    if area[large] >= _LARGE * height * width:
        x, y = stats[:, 0] + stats[:, 2] / 2, stats[:, 1] + stats[:, 3] / 2
        left, top, w, h = (int(v) for v in stats[large, :4])
        next_to = (x > left - 0.1 * width) & (x < left + w + 0.1 * width)
        next_to &= (y > top - 0.1 * height) & (y < top + h + 0.1 * height)
        keep &= (area >= 0.2 * area[large]) | next_to
    return [int(n) for n in np.flatnonzero(keep)]


def _textured(grey: Grey, own: Mask) -> bool:
    """Tissue has many levels and varies both along and across; a panel, a line or a grey bar does not."""
    inner = cast("Mask", cv2.erode(own, np.ones((7, 7), np.uint8)))
    if 4 * cv2.countNonZero(inner) >= cv2.countNonZero(own):  # a bar's blurred sides are no texture
        own = inner
    counts = np.bincount(grey[own > 0], minlength=256)
    part = counts[counts > 0] / counts.sum()
    if float(-(part * np.log2(part)).sum()) < _ENTROPY:
        return False
    step = max(1, max(own.shape) // 200)
    inside = (own[::step, ::step] > 0).astype(np.float32)
    values = grey[::step, ::step] * inside
    return min(_spread(values, inside, 0), _spread(values, inside, 1)) > _VARIES


def _spread(values: NDArray[np.float32], inside: NDArray[np.float32], axis: int) -> float:
    """The mean standard deviation along one axis."""
    count = inside.sum(axis)
    some = count >= 3
    if not some.any():
        return 0.0
    mean = values.sum(axis)[some] / count[some]
    square = (values * values).sum(axis)[some] / count[some]
    return float(np.sqrt(np.maximum(square - mean * mean, 0)).mean())
