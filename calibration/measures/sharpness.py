"""How wide a wire or an edge is drawn, which edges survive, and whether they ring. Pure.

Profiles are levels along a line. Their ends are taken for what lies around: the outer quarter at each end is the
background of a peak, or the plateau of an edge. Widths are measured on levels as they are shown: on a log-compressed
picture that is not the width at -6 dB, but it is what a reader sees, and both sides of a comparison are shown alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from calibration.measures._arrays import Floats, Mask, inside, require_alike

_SIGNIFICANT = 3.0  # standard deviations of its surroundings that a peak or a step must have to be one
_MAD = 1.4826  # of a Gaussian: its standard deviation over its median absolute deviation


class WireWidth(NamedTuple):
    """Full widths at half maximum in the unit of the spacing; NaN where there is no wire."""

    axial: float
    lateral: float
    mean: float


def fwhm(profile: Floats, step: float = 1.0) -> float:
    """Full width at half maximum of the highest peak over its background, in units of `step`; sub-sample.

    Half maximum lies midway between the background (median of the outer quarters) and the top (of the parabola
    through the three highest samples). NaN where nothing stands out of the background, or a flank is cut off.
    """
    line = np.asarray(profile, np.float64)
    if line.size < 8:
        return math.nan
    peak = int(np.argmax(line))
    around = np.concatenate(_ends(line))
    background = float(np.median(around))
    height = _top(line, peak) - background
    if height <= max(_SIGNIFICANT * _spread(around), 1e-9):
        return math.nan
    half = background + height / 2
    left, right = _crossing(line[peak::-1], half), _crossing(line[peak:], half)
    return (left + right) * step


def wire_fwhm(
    picture: Floats,
    row: int,
    column: int,
    reach: int,
    spacing: tuple[float, float] = (1.0, 1.0),
    dark: bool = False,
) -> WireWidth:
    """Widths of a bright (or dark) point near (row, column): axial, down the picture, and lateral, across it.

    The point's own brightest pixel within a quarter of `reach` (at least 2) is looked up first, so that a treatment
    that shifts it by a pixel is not also punished as blunt. Profiles run `reach` pixels both ways through that pixel.
    `spacing` is the size of a pixel down and across: with it the widths are in mm, else in pixels. The mean is that
    of both widths; NaN if either is.
    """
    seen = -picture if dark else picture
    near = max(2, reach // 4)
    top, left = max(0, row - near), max(0, column - near)
    part = seen[top : row + near + 1, left : column + near + 1]
    if part.size == 0:
        return WireWidth(math.nan, math.nan, math.nan)
    down, across = np.unravel_index(int(np.argmax(part)), part.shape)
    row, column = top + int(down), left + int(across)
    axial = fwhm(seen[max(0, row - reach) : row + reach + 1, column], spacing[0])
    lateral = fwhm(seen[row, max(0, column - reach) : column + reach + 1], spacing[1])
    return WireWidth(axial, lateral, (axial + lateral) / 2)


def edge_width(profile: Floats, step: float = 1.0) -> float:
    """Distance over which an edge goes from 10 % to 90 % of its height, in units of `step`; sub-sample.

    The plateaus are the medians of the outer quarters. The edge may rise or fall. Seen from its middle, the first
    crossings count, so that noise on the plateaus makes no edge wider. NaN where there is no step between the ends.
    """
    found = _rising(profile)
    if found is None:
        return math.nan
    line, low, height = found
    crossings = np.flatnonzero((line[:-1] < low + height / 2) & (line[1:] >= low + height / 2))
    if crossings.size == 0:
        return math.nan
    middle = int(crossings[np.argmin(np.abs(crossings - (line.size - 2) / 2))])
    before = _crossing(line[middle + 1 :: -1], low + 0.1 * height)
    after = _crossing(-line[middle:], -(low + 0.9 * height))
    return (before + after - 1) * step


def profile_overshoot(profile: Floats) -> float:
    """How far a profile swings beyond the plateaus of its edge, as a part of the step's height (0.03 is 3 %).

    NaN where there is no step. The plateaus are the profile's own: a change of brightness is no overshoot.
    """
    found = _rising(profile)
    if found is None:
        return math.nan
    line, low, height = found
    return float(max(line.max() - (low + height), low - line.min(), 0.0) / height)


def overshoot(
    picture: Floats, truth: Floats, mask: Mask | None = None, reach: int = 6, least_step: float = 0.1
) -> float:
    """The largest swing of a picture beyond its truth's plateaus, as a part of the step there (0.03 is 3 %).

    The plateaus at a pixel are the highest and the lowest true level within `reach` pixels; where they lie
    `least_step` apart there is a step. A picture that is softer than its truth stays between them; ringing does not.
    The truth should be free of noise. Several edges within reach count as one step, the highest. 0 where there is none.
    """
    require_alike(picture, truth)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    clean = truth.astype(np.float32)
    high, low = cv2.dilate(clean, disc), cv2.erode(clean, disc)
    step = high - low
    at_edges = step >= least_step
    if mask is not None:
        at_edges &= np.asarray(mask) != 0
    if not at_edges.any():
        return 0.0
    beyond = np.maximum(picture - high, low - picture)[at_edges] / step[at_edges]
    return max(0.0, float(beyond.max()))


def edge_preservation(picture: Floats, truth: Floats, mask: Mask | None = None, sigma: float = 1.0) -> float:
    """Edge preservation index, -1 to 1 (no unit): correlation of the Laplacians of a picture and of its truth.

    Both are smoothed by a Gaussian of `sigma` pixels first, so that edges are compared at the width that a scanner
    can draw and not pixel noise. Pixels whose filters reach out of the mask are left out: its own border is the
    strongest edge of all and would be perfectly kept by everything. 0 where the truth, or the picture, has no edges.
    """
    require_alike(picture, truth)
    counts = None if mask is None else _eroded(mask, math.ceil(3 * sigma) + 1)
    kept, wanted = (inside(_laplacian(each, sigma), counts) for each in (picture, truth))
    kept, wanted = kept - kept.mean(), wanted - wanted.mean()
    norm = float(np.sqrt(np.dot(kept, kept) * np.dot(wanted, wanted)))
    return float(np.dot(kept, wanted)) / norm if norm > 0 else 0.0


def _laplacian(picture: Floats, sigma: float) -> Floats:
    smooth = cv2.GaussianBlur(picture.astype(np.float64), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return cv2.Laplacian(smooth, cv2.CV_64F, borderType=cv2.BORDER_REFLECT)


def _eroded(mask: Mask, by: int) -> Mask:
    counts = (np.asarray(mask) != 0).astype(np.uint8)
    return cv2.erode(counts, np.ones((2 * by + 1, 2 * by + 1), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=1)


def _ends(line: Floats) -> tuple[Floats, Floats]:
    quarter = max(2, line.size // 4)
    return line[:quarter], line[-quarter:]


def _spread(values: Floats) -> float:
    """The standard deviation, told from the middle half: a neighbour's flank in it does not matter."""
    return _MAD * float(np.median(np.abs(values - np.median(values))))


def _top(line: Floats, peak: int) -> float:
    if not 0 < peak < line.size - 1:
        return float(line[peak])
    before, here, after = (float(value) for value in line[peak - 1 : peak + 2])
    bend = before - 2 * here + after
    return here if bend >= 0 else here - (after - before) ** 2 / (8 * bend)


def _crossing(falling: Floats, level: float) -> float:
    """Samples from the first one to where the line first falls to a level; NaN if it never does."""
    below = falling <= level
    if not below.any():
        return math.nan
    at = int(np.argmax(below))
    if at == 0:
        return 0.0
    above, under = float(falling[at - 1]), float(falling[at])
    return at - 1 + (above - level) / (above - under)


def _rising(profile: Floats) -> tuple[Floats, float, float] | None:
    """A profile turned so that it rises, its lower plateau and its step; None where there is no step."""
    line = np.asarray(profile, np.float64)
    if line.size < 8:
        return None
    first, last = _ends(line)
    if np.median(first) > np.median(last):
        line, first, last = line[::-1], last[::-1], first[::-1]
    low, height = float(np.median(first)), float(np.median(last) - np.median(first))
    noise = max(_spread(first), _spread(last))
    return None if height <= max(_SIGNIFICANT * noise, 1e-9) else (line, low, height)
