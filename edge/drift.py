"""What a picture is like in figures, and whether it is like those that an engine was judged on. Pure.

`statistics` takes some milliseconds and looks at one frame alone; the lookout asks for it once a second, never the
live thread. A `Profile` holds how the figures were spread, together, over the frames that an engine was judged on:
noise that is ordinary in one picture may be strange in a sharper one. `Watch` keeps one odd frame from being told as
drift, and one good one from ending it.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.clock import SECOND
from edge.frame import Pixels

Floats: TypeAlias = NDArray[Any]  # single precision, levels 0..1
Statistics: TypeAlias = dict[str, float]
Group = Literal["noise", "sharpness", "histogram", "region"]

FORMAT = 1
FEWEST_PIXELS = 1024
LARGEST_SIDE = 640  # of the part that is looked at
WINDOW = 11
FIGURES: dict[str, Group] = {
    "rough_low": "noise", "rough_middle": "noise", "rough_high": "noise",
    "noise": "noise", "fine_middle": "noise", "fine_high": "noise",
    "across_fine": "sharpness", "across_coarse": "sharpness", "along_fine": "sharpness", "along_coarse": "sharpness",
    "across_to_along": "sharpness",
    "level_low": "histogram", "level_middle": "histogram", "level_high": "histogram", "level_top": "histogram",
    "black": "histogram", "white": "histogram", "skew": "histogram", "rough_with_level": "histogram",
}  # fmt: skip
EXTENT = ("area", "filled")
_FAR = 3.0  # spreads from the centre
_DIAGONAL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6  # blind to ramps and straight edges
_RARE = 0.003  # a part of the pixels that is as good as none
_FLOOR = 1e-4  # of full scale: below it noise is rounding


# ------------------------------------------------ one picture


def statistics(grey: Pixels, mask: NDArray[np.uint8], full_scale: int) -> Statistics | None:
    """The figures of one picture inside its region; None where there is too little to tell."""
    extent = {
        "area": float(np.log10(max(1, np.count_nonzero(mask)))),
        "filled": float(np.count_nonzero(mask)) / mask.size,
    }
    part = _middle(mask.shape)
    inside = _shrunk(mask[part] > 0, 5)
    if int(np.count_nonzero(inside)) < FEWEST_PIXELS:
        return None
    levels: Floats = grey[part].astype(np.float32) / np.float32(full_scale)
    told = inside & (levels > 2 / 255) & (levels < 253 / 255)  # what is clipped has no noise
    told = told if int(np.count_nonzero(told)) >= FEWEST_PIXELS else inside
    whole = _shrunk(told, WINDOW)
    whole = whole if int(np.count_nonzero(whole)) >= FEWEST_PIXELS else told
    return {**_noise(levels, whole), **_sharpness(levels, told), **_histogram(levels, inside), **extent}


def _middle(shape: tuple[int, ...]) -> tuple[slice, slice]:
    starts = [max(0, side - LARGEST_SIDE) // 2 for side in shape[:2]]
    return slice(starts[0], starts[0] + LARGEST_SIDE), slice(starts[1], starts[1] + LARGEST_SIDE)


def _shrunk(where: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    kernel = np.ones((side, side), np.uint8)
    return cv2.erode(where.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0  # type: ignore[call-overload]


def _noise(levels: Floats, where: NDArray[np.bool_]) -> Statistics:
    """How rough the picture is in small windows, and how rough its finest detail: where it is calm, usual, lively."""
    mean = cv2.blur(levels, (WINDOW, WINDOW))
    rough = _root(cv2.blur(levels * levels, (WINDOW, WINDOW)) - mean * mean)[where]
    finest = cv2.filter2D(levels, cv2.CV_32F, _DIAGONAL)
    fine = _root(cv2.blur(finest * finest, (WINDOW, WINDOW)))[where]
    low, middle, high = (_log(at) for at in np.percentile(rough, (10, 50, 90)))
    noise, fine_middle, fine_high = (_log(at) for at in np.percentile(fine, (10, 50, 90)))
    return {
        "rough_low": low, "rough_middle": middle, "rough_high": high,
        "noise": noise, "fine_middle": fine_middle, "fine_high": fine_high,
        "rough_with_level": _correlation(mean[where], np.log10(rough + np.float32(_FLOOR))),
    }  # fmt: skip


def _sharpness(levels: Floats, where: NDArray[np.bool_]) -> Statistics:
    """How much detail there is at one pixel's distance against two, and two against four, in both directions."""
    across = [_detail(levels, where, n) for n in (1, 2, 4)]
    along = [_detail(levels.T, where.T, n) for n in (1, 2, 4)]
    return {
        "across_fine": across[0] - across[1], "across_coarse": across[1] - across[2],
        "along_fine": along[0] - along[1], "along_coarse": along[1] - along[2],
        "across_to_along": across[0] - along[0],
    }  # fmt: skip


def _detail(levels: Floats, where: NDArray[np.bool_], n: int) -> float:
    bend = np.abs(levels[:, 2 * n :] - 2 * levels[:, n:-n] + levels[:, : -2 * n])
    return _log(bend.mean(where=where[:, n:-n]))


def _histogram(levels: Floats, inside: NDArray[np.bool_]) -> Statistics:
    values = levels[inside]
    low, middle, high, top = (float(at) for at in np.percentile(values, (10, 50, 90, 99)))
    band = (levels - cv2.GaussianBlur(levels, (0, 0), 3.0))[inside]
    spread = float(np.square(band).mean())
    return {
        "level_low": low, "level_middle": middle, "level_high": high, "level_top": top,
        "black": _part(values <= 1 / 255), "white": _part(values >= 254 / 255),
        "skew": float((band**3).mean()) / spread**1.5 if spread > _FLOOR**2 else 0.0,
    }  # fmt: skip


def _part(where: NDArray[np.bool_]) -> float:
    """In decades: from none to a few per cent is farther than from a tenth to a fifth."""
    return float(np.log10(where.mean() + _RARE))


def _correlation(one: Floats, other: Floats) -> float:
    if float(one.std()) < _FLOOR or float(other.std()) < _FLOOR:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _root(squares: Any) -> Floats:
    return np.sqrt(np.maximum(squares, 0))


def _log(value: float) -> float:
    return float(np.log10(max(float(value), _FLOOR))) if np.isfinite(value) else float(np.log10(_FLOOR))


def sharpness_of(figures: Statistics) -> float:
    """One figure for people: the decades by which the finest detail is weaker than the next coarser."""
    return (figures["across_fine"] + figures["along_fine"]) / 2


# ------------------------------------------------ against a profile


class Cloud(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the figures of one set of frames lie: all within `limit` of the centre, counted in their own spread."""

    of: str  # which frames, in words
    frames: int
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    precision: tuple[tuple[float, ...], ...]  # the inverse of the correlations
    limit: float


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`profile.json`, beside an engine."""

    format: int
    engine: str
    sha256: str  # of the model that it is a profile of
    made_by: str
    figures: tuple[str, ...]
    clouds: tuple[Cloud, ...]  # a picture that is in one of them is like what the engine was judged on
    extent: dict[str, tuple[float, float]]  # from, to

    def __post_init__(self) -> None:
        n = len(self.figures)
        whole = all(
            len(cloud.centre) == len(cloud.spread) == len(cloud.precision) == n
            and all(len(row) == n for row in cloud.precision)
            and min(cloud.spread, default=0.0) > 0
            for cloud in self.clouds
        )
        if not (self.clouds and whole and set(self.figures) <= set(FIGURES) and set(self.extent) <= set(EXTENT)):
            raise ValueError("the profile is not whole")


def outside(found: Statistics, profile: Profile) -> list[Group]:
    """By which groups of figures a picture is unlike those of the profile; empty where it is like them."""
    strange: list[Group] = []
    if any(not low <= found[name] <= high for name, (low, high) in profile.extent.items()):
        strange.append("region")
    values = np.array([found[name] for name in profile.figures])
    nearest = min((_apart(values, cloud) for cloud in profile.clouds), key=lambda apart: apart[0])
    if not nearest[0] <= 1.0:
        strange += _telling(nearest[1], profile.figures)
    return strange


def distance(found: Statistics, profile: Profile) -> float:
    """From the nearest cloud, as a part of its limit."""
    values = np.array([found[name] for name in profile.figures])
    return min(_apart(values, cloud)[0] for cloud in profile.clouds)


def _apart(values: Floats, cloud: Cloud) -> tuple[float, Floats]:
    """How far from a cloud's centre, as a part of its limit, and each figure in its own spread."""
    z = (values - np.array(cloud.centre)) / np.array(cloud.spread)
    return float(np.sqrt(max(z @ np.array(cloud.precision) @ z, 0.0))) / cloud.limit, z


def _telling(z: Floats, figures: tuple[str, ...]) -> list[Group]:
    """The groups in which a figure lies far out, the farthest first; it may be only together that they are strange."""
    most: dict[Group, float] = {}
    for name, apart in zip(figures, np.abs(z).tolist(), strict=True):
        most[FIGURES[name]] = max(most.get(FIGURES[name], 0.0), apart)
    ranked = sorted(most, key=lambda group: -most[group])
    return [group for group in ranked if most[group] >= _FAR] or ranked[:1]


# ------------------------------------------------ over time

OUT_AFTER, IN_AFTER = 5 * SECOND, 10 * SECOND


class Watch:
    """Told as outside once it was for some seconds on end, and as inside again likewise. One thread's."""

    def __init__(self, out_after: int = OUT_AFTER, in_after: int = IN_AFTER) -> None:
        self.outside = False
        self._patience = {False: out_after, True: in_after}
        self._since_ns: int | None = None  # when it was first seen to be otherwise

    def observe(self, now_ns: int, *, odd: bool) -> bool:
        """Whether what is told has changed."""
        if odd == self.outside:
            self._since_ns = None
            return False
        if self._since_ns is None:
            self._since_ns = now_ns
        if now_ns - self._since_ns < self._patience[self.outside]:
            return False
        self.outside, self._since_ns = odd, None
        return True
