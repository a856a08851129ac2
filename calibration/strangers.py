"""Pictures that a profile must call outside, and held-out ones that it must not: how well it tells them apart.

What is altered are held-out phantoms; real frames are looked at as they are, and nothing is tuned to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.judging import real
from calibration.profiling import FIRST_HELD_OUT, WIDTHS, Rows, filmed
from edge import region as regions
from edge.drift import Profile, Statistics, outside, statistics
from edge.errors import BadFrame, ConfigError
from edge.frame import Pixels

Floats: TypeAlias = NDArray[Any]
LIVELIEST = 0.75  # "noisiest": the quarter of the scenes with the most of it
_OTHER = {"ultrasound": "fluoroscopy", "fluoroscopy": "ultrasound"}
_FEWEST_OTHERS = 20


def doubled_noise(levels: Floats) -> Floats:
    """All that is finer than a few pixels, twice as strong."""
    return levels + (levels - cv2.GaussianBlur(levels, (0, 0), 1.5))


def white_noise(levels: Floats) -> Floats:
    """Noise of an amplifier, as strong as makes the finest detail twice as strong."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
    present = float(np.sqrt(np.square(cv2.filter2D(levels, cv2.CV_32F, kernel)).mean()))
    return levels + np.random.default_rng(1).normal(0, np.sqrt(3) * present, levels.shape).astype(np.float32)


ALTERED: dict[str, Callable[[Floats], Floats]] = {
    "fine detail doubled": doubled_noise,
    "white noise doubled": white_noise,
    "fine detail x4": lambda levels: doubled_noise(doubled_noise(levels)),
    "inverted": lambda levels: 1 - levels,
    "blurred by 1 pixel": lambda levels: cv2.GaussianBlur(levels, (0, 0), 1.0),
    "blurred by 2 pixels": lambda levels: cv2.GaussianBlur(levels, (0, 0), 2.0),
    "black": np.zeros_like,
    "brightened (gamma 0.5)": np.sqrt,
}


def altered(picture: tuple[Pixels, NDArray[np.uint8], int], how: Callable[[Floats], Floats]) -> Statistics | None:
    grey, mask, full = picture
    levels = np.clip(how(grey.astype(np.float32) / np.float32(full)), 0, 1)
    pixels = np.where(mask > 0, np.rint(levels * full), grey).astype(grey.dtype)
    return statistics(cast("Pixels", pixels), mask, full)


def all_of(modality: str, scenes: int, data: Path) -> dict[str, Rows]:
    pictures = [_held_out(modality, number) for number in range(scenes)]
    plain = [statistics(*picture) for picture in pictures]
    found: dict[str, Rows] = {"held-out phantoms": _there(plain)}
    for name, how in ALTERED.items():
        found[name] = _there(altered(picture, how) for picture in pictures)
    found["fine detail doubled, noisiest quarter"] = _there(
        altered(pictures[number], doubled_noise) for number in _noisiest(plain)
    )
    others = range(max(_FEWEST_OTHERS, scenes // 4))
    found["the other modality"] = _there(statistics(*_held_out(_OTHER[modality], number)) for number in others)
    for folder, rows in _real(modality, data).items():
        found[f"real: {folder}"] = rows
    return found


def part_outside(rows: Rows, profile: Profile) -> str:
    odd = sum(bool(outside(row, profile)) for row in rows)
    return f"{odd} of {len(rows)}"


def _held_out(modality: str, number: int) -> tuple[Pixels, NDArray[np.uint8], int]:
    return filmed(modality, FIRST_HELD_OUT + number, WIDTHS[number % len(WIDTHS)], 11 * number % 60)


def _noisiest(rows: list[Statistics | None]) -> list[int]:
    noise = [row["rough_middle"] if row is not None else -np.inf for row in rows]
    bound = float(np.quantile(noise, LIVELIEST))
    return [number for number, level in enumerate(noise) if level >= bound]


def _there(rows: Any) -> list[Statistics]:
    return [row for row in rows if row is not None]


def _real(modality: str, data: Path) -> dict[str, list[Statistics]]:
    """By folder, the frames that can be read and in which an image is found."""
    told: dict[str, list[Statistics]] = {}
    for path in real.files(cast("Any", modality), data) if data.is_dir() else []:
        told.setdefault(path.parent.name, []).extend(_looked_at(path, modality))
    return told


def _looked_at(path: Path, modality: str) -> Iterator[Statistics]:
    try:
        frames = list(real.frames_of(path, cast("Any", modality)))
    except (BadFrame, ConfigError):
        return
    region = next((found for frame in frames if (found := regions.find(frame)) is not None), None)
    for frame in frames[:: max(1, len(frames) // 5)]:
        if region is not None and region.layout.shape == frame.pixels.shape:
            grey = regions.grey_of(frame.pixels[region.box.slices], frame.format)
            found = statistics(grey, region.mask, frame.full_scale)
            if found is not None:
                yield found
