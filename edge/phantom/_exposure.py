"""What every phantom gives: one exposure of a moving scene, and the truth behind it. Owned by whoever asks
for it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError
from edge.frame import Box, Modality, Pixels

# float32 throughout. OpenCV and NumPy type what they return too loosely for a checker to follow that.
Floats: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Exposure:
    """One moment of a scene. `pixels` and `truth` share grid and tone, so their difference is noise and
    artefact.
    """

    index: int
    pixels: Pixels  # what the scanner shows
    truth: Pixels  # the same moment without speckle, noise or artefacts; black outside the image
    mask: NDArray[np.uint8]  # 255 where the image is, 0 elsewhere
    region: Box  # the smallest box around the mask
    spacing_mm: tuple[float, float]  # x, y
    bits: int


class Phantom(Protocol):
    """A scene that can be asked for any of its moments, in any order. One thread owns it: its buffers are
    reused.
    """

    @property
    def modality(self) -> Modality: ...

    @property
    def bits(self) -> int: ...

    @property
    def mask(self) -> NDArray[np.uint8]: ...

    @property
    def region(self) -> Box: ...

    @property
    def spacing_mm(self) -> tuple[float, float]: ...

    def frame(self, index: int) -> Exposure: ...


def blank(width: int, height: int, bits: int) -> Pixels:
    if bits == 8:
        return np.zeros((height, width), np.uint8)
    return np.zeros((height, width), np.uint16)


def as_levels(levels: Floats, bits: int) -> Pixels:
    """Levels within their range, cut to whole ones."""
    if bits == 8:
        return levels.astype(np.uint8)
    return levels.astype(np.uint16)


def require(truth: bool, complaint: str) -> None:
    """A scene that cannot be is the caller's mistake, told before anything is painted."""
    if not truth:
        raise ConfigError(f"phantom: {complaint}")


def require_picture(width: int, height: int, fps: float, bits: int) -> None:
    require(32 <= width <= 4096 and 32 <= height <= 4096, f"{width}x{height} is not within 32x32 to 4096x4096")
    require(0 < fps <= 1000, f"fps {fps:g} is not within 0 to 1000")
    require(bits == 8 or 10 <= bits <= 16, f"{bits} bits; a picture has 8, or 10 to 16")
