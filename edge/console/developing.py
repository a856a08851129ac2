"""A frame's pixels as a JPEG for the screen: levels, size, quality. Pure functions; the encode thread runs them.

More than 8 bits become 8 by a window: (level - low) / (high - low), clipped. "auto" is the 0.5 % and 99.5 % points of
the levels, followed slowly so that the picture does not flicker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.console.pacing import Step
from edge.errors import LimpidError
from edge.frame import PixelFormat, Pixels

AUTO_POINTS = (0.5, 99.5)
FOLLOWS = 0.1  # of the way, with each picture
LEAST_SIDE = 64  # however slow the line
Asked = Literal["auto", "full"] | tuple[float, float]


@dataclass(frozen=True, slots=True)
class Window:
    """From which level to which one the screen goes from black to white."""

    low: float
    high: float

    def is_identity(self, bits: int) -> bool:
        return bits == 8 and self.low == 0 and self.high == 255


@dataclass(frozen=True, slots=True)
class Image:
    data: bytes
    width: int
    height: int


def full(bits: int) -> Window:
    return Window(0, (1 << bits) - 1)


def auto(pixels: Pixels, bits: int, before: Window | None) -> Window:
    """Of every eighth pixel each way: it is a window, not a measurement."""
    low, high = (float(level) for level in np.percentile(pixels[::8, ::8], AUTO_POINTS))
    if high - low < 1:
        low, high = 0.0, float((1 << bits) - 1)
    if before is None:
        return Window(low, high)
    return Window(before.low + FOLLOWS * (low - before.low), before.high + FOLLOWS * (high - before.high))


def size_at(step: Step, width: int, height: int, most_width: int) -> tuple[int, int]:
    """Never enlarged, never distorted."""
    scale = min(step.scale, most_width / width if most_width else 1.0)
    scale = min(1.0, max(scale, LEAST_SIDE / min(width, height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def develop(
    pixels: Pixels, format_: PixelFormat, bits: int, window: Window, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """8 bits, the size asked for, colour as OpenCV has it: blue first."""
    if size != (pixels.shape[1], pixels.shape[0]):
        pixels = cast(Pixels, cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA))
    eight = _through(pixels, bits, window)
    return np.ascontiguousarray(eight[:, :, ::-1]) if format_ is PixelFormat.RGB8 else eight


def _through(pixels: Pixels, bits: int, window: Window) -> NDArray[np.uint8]:
    if window.is_identity(bits):
        return cast(NDArray[np.uint8], pixels)
    levels = np.arange(1 << (16 if bits > 8 else 8), dtype=np.float32)
    table = np.clip((levels - window.low) * (255.0 / max(window.high - window.low, 1e-6)), 0, 255)
    return np.take(np.rint(table).astype(np.uint8), pixels)


def as_jpeg(pixels: NDArray[np.uint8], quality: int) -> Image:
    return _encoded(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])


def as_png(pixels: Pixels) -> Image:
    return _encoded(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def _encoded(kind: str, pixels: Pixels, options: list[int]) -> Image:
    done, data = cv2.imencode(kind, np.ascontiguousarray(pixels), options)
    if not done:
        raise LimpidError(f"a picture of {pixels.shape[1]}x{pixels.shape[0]} cannot be encoded")
    return Image(data.tobytes(), pixels.shape[1], pixels.shape[0])
