"""What every reader of files and cameras gives: a `Picture`, checked, before it has a time and a number.

A `Clip` is read by the one thread that calls the source's `next`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edge import wire
from edge.errors import BadFrame, ConfigError
from edge.frame import Box, Modality, PixelFormat, Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Decoded pixels and what their file knows about them."""

    pixels: Pixels
    format: PixelFormat
    bits: int = 8
    modality: Modality = Modality.UNKNOWN
    spacing_mm: tuple[float, float] | None = None
    region: Box | None = None


class Clip(Protocol):
    """Pictures in order. Going to the next is cheap where the file allows; decoding happens in `picture`."""

    def advance(self) -> bool:
        """Go to the next picture (at first: to the first one); False at the end."""
        ...

    @property
    def at_ns(self) -> int | None:
        """When the current picture was made, from any fixed moment; None where the file has no times."""
        ...

    @property
    def stream(self) -> str:
        """The current picture's stream, in a recording; empty in files that know none."""
        ...

    def picture(self) -> Picture:
        """Decode the current picture. Raises BadFrame; the clip goes on after it."""
        ...

    def rewind(self) -> None:
        """Back before the first picture."""
        ...

    def close(self) -> None: ...


def check_size(width: int, height: int) -> None:
    low, high = wire.MIN_SIDE, wire.MAX_SIDE
    if not (low <= width <= high and low <= height <= high):
        raise BadFrame("size", f"{width}x{height} is outside {low}x{low} to {high}x{high}")


def picture_of(pixels: np.ndarray, colour: PixelFormat, bits: int = 16) -> Picture:
    """An array as an image library gives it. `bits` counts for 16-bit samples only."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3):
        raise BadFrame("pixels", f"{pixels.ndim} dimensions are not a picture")
    check_size(pixels.shape[1], pixels.shape[0])
    if pixels.ndim == 3:
        if pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise BadFrame("pixels", f"{pixels.shape[2]} channels of {pixels.dtype}; colour is 3 channels of 8 bits")
        return Picture(read_only(pixels), colour)
    if pixels.dtype == np.uint8:
        return Picture(read_only(pixels), PixelFormat.GREY8)
    if pixels.dtype in ("<u2", ">u2"):
        pixels = pixels.astype(np.uint16, copy=False)
    if pixels.dtype != np.uint16:
        raise BadFrame("pixels", f"grey samples of type {pixels.dtype}; only unsigned 8 and 16 bits are pictures")
    check_levels(pixels, bits)
    return Picture(read_only(pixels), PixelFormat.GREY16, bits)


def check_levels(pixels: np.ndarray, bits: int) -> None:
    if bits < 16 and int(pixels.max()) >> bits:
        raise BadFrame("levels", f"a sample of {int(pixels.max())} does not fit {bits} bits")


def read_only(pixels: np.ndarray) -> Pixels:
    whole = np.ascontiguousarray(pixels)
    whole.setflags(write=False)
    return whole


def legal_spacing(x: float, y: float) -> tuple[float, float] | None:
    """Millimetres, if they can be believed and sent."""
    return (x, y) if 0.0 < x < 100.0 and 0.0 < y < 100.0 else None


def legal_stream(text: str, fallback: str) -> str:
    """A name from elsewhere made fit for the wire."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:48].strip("-.") or fallback


def checked_stream(name: str) -> str:
    """A name the operator chose: refused, not repaired."""
    if not wire.STREAM_NAME.match(name):
        raise ConfigError(f'stream "{name}" may hold letters, digits, ".", "_" and "-" only, at most 48')
    return name


MODALITIES = {
    "unknown": Modality.UNKNOWN,
    "ultrasound": Modality.ULTRASOUND,
    "fluoroscopy": Modality.FLUOROSCOPY,
}
