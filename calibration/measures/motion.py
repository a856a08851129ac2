"""What goes wrong only in moving pictures: brightness that pumps, and the ghost of what has just left. Pure.

A clip is (frames, height, width). A ghost is measured on two treated clips that differ only in the wire: their
difference is what the wire did to the picture, and in the band that it has just left that ought to be nothing.
"""

from __future__ import annotations

import cv2
import numpy as np

from calibration.measures._arrays import Floats, Mask, inside, require_alike


def flicker(clip: Floats, truth_clip: Floats, mask: Mask | None = None, cell: int = 16) -> float:
    """Root mean square, in levels, of the change from frame to frame that is not in the truth.

    It is taken on means over cells of `cell` x `cell` pixels: pumping and boiling that the eye follows, where pixel
    noise has averaged out. A cell counts when at least half of it is inside the mask. A cell of 1 measures pixels,
    a cell of 0 the mean of the whole picture. A constant error is no flicker.
    """
    require_alike(clip, truth_clip)
    if clip.ndim != 3 or len(clip) < 2:
        raise ValueError("flicker needs a clip of two frames or more")
    height, width = int(clip.shape[1]), int(clip.shape[2])
    counts = np.ones((height, width), bool) if mask is None else np.asarray(mask) != 0
    rows, columns = (cell, cell) if cell else (height, width)
    shares = _cell_sums(counts, rows, columns)
    kept = shares >= (rows * columns / 2 if cell else 1)
    if not kept.any():
        raise ValueError(f"no cell of {cell} pixels lies inside the mask")
    errors = [
        _cell_sums((shown.astype(np.float64) - true) * counts, rows, columns)[kept] / shares[kept]
        for shown, true in zip(clip, truth_clip, strict=True)
    ]
    return float(np.sqrt(np.mean(np.square(np.diff(np.stack(errors), axis=0)))))


def _cell_sums(values: Floats, rows: int, columns: int) -> Floats:
    """Sums over cells; what is left over at the bottom and on the right makes cells of its own."""
    down = np.add.reduceat(values.astype(np.float64), np.arange(0, values.shape[0], rows), axis=0)
    return np.add.reduceat(down, np.arange(0, values.shape[1], columns), axis=1)


def footprint(signal: Floats, part: float = 0.5) -> Mask:
    """Where a thing is: true where its signal (with - without, in truth) has at least `part` of its strongest."""
    strength = np.abs(signal)
    most = float(strength.max())
    return strength >= part * most if most > 0 else np.zeros(signal.shape, bool)


def trail_mask(signal_clip: Floats, index: int, age: int = 1, margin: int = 2) -> Mask:
    """The band that the wire left `age` frames before frame `index`: where it was then and is not now.

    `signal_clip` is the wire's true signal, truth_with - truth_without. Only the wire's own footprint counts, not
    all of the way that it went: a ghost is as narrow as the wire, and the clean picture between its stations would
    dilute it. Pixels within `margin` of where the wire still has a tenth of its strength are left out.
    """
    if not 0 <= index - age < index < len(signal_clip):
        raise ValueError(f"frame {index} of {len(signal_clip)} has no frame {age} before it")
    size = 2 * margin + 1
    now = footprint(signal_clip[index], 0.1).astype(np.uint8)
    near = cv2.dilate(now, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    return footprint(signal_clip[index - age]) & (near == 0)


def wire_contrast(signal: Floats) -> float:
    """Mean true signal of the wire over its footprint, in levels: below 0 for a wire that is darker than its ground."""
    return float(np.mean(inside(signal, footprint(signal))))


def ghost_percent(
    treated_with: Floats,
    treated_without: Floats,
    trail: Mask,
    contrast: float,
    true_difference: Floats | None = None,
) -> float:
    """Mean contrast that remains in the trail, in per cent of the wire's own; pictures or clips (with a trail each).

    Above 0 the wire still shows where it was, below 0 it left a print of the other sign; judge the absolute value.
    `contrast` is the wire's in truth, sign and all (`wire_contrast`). `true_difference` (truth_with - truth_without)
    is taken off where the wire rightly changes its surroundings, by scatter for instance. NaN where the trail is
    empty.
    """
    require_alike(treated_with, treated_without)
    if contrast == 0.0:
        raise ValueError("a wire without contrast leaves no trail to measure")
    if not np.any(trail):
        return float("nan")
    left = treated_with.astype(np.float64) - treated_without
    if true_difference is not None:
        left = left - true_difference
    return 100.0 * float(np.mean(inside(left, trail))) / contrast
