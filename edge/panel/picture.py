"""What is seen of a frame: window and level, split, changes, scaling. Pure numpy and OpenCV; used by main alone.

All of it happens at the frame's own size, and the result is scaled once, straight into the screen's memory.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.fidelity import CHANGE_GAIN
from edge.frame import Box, PixelFormat, Pixels, Treatment
from edge.wire import Report

Bytes = NDArray[np.uint8]
Curve = NDArray[np.float64]
NARROWEST, WIDEST = 1 / 64, 4.0
STEP = 0.1
AUTO_PERCENT = (0.5, 99.5)
NO_CHANGE = 128
AWAKE = 3  # differences of the change map up to this are rounding, and stay uncoloured


@dataclass(frozen=True, slots=True)
class Tone:
    """Window and level, as parts of the full scale: `centre` is shown as middle grey, `width` from black to white."""

    centre: float = 0.5
    width: float = 1.0

    def brighter(self, steps: float) -> Tone:
        return replace(self, centre=min(max(self.centre - steps * STEP * self.width / 2, 0.0), 1.0))

    def steeper(self, steps: float) -> Tone:
        return replace(self, width=min(max(self.width / (1 + STEP) ** steps, NARROWEST), WIDEST))


PLAIN = Tone()


@dataclass(frozen=True, slots=True)
class Look:
    """How a frame is looked at."""

    original: bool = False
    split_at: float | None = None  # left of it the original, right of it the picture; a part of the width
    changes: bool = False
    tone: Tone = PLAIN


def fit(area: Box, width: int, height: int, spacing_mm: tuple[float, float] | None) -> Box:
    """Where the picture goes: as large as can be, centred, and a circle stays a circle."""
    sx, sy = spacing_mm or (1.0, 1.0)
    across, down = width * sx, height * sy
    scale = min(area.width / across, area.height / down)
    wide = min(max(round(across * scale), 1), area.width)
    high = min(max(round(down * scale), 1), area.height)
    return Box(area.x + (area.width - wide) // 2, area.y + (area.height - high) // 2, wide, high)


def auto_tone(report: Report) -> Tone:
    """Nearly all of the original's levels between black and white."""
    pixels = _original(report)
    if report.region is not None:
        pixels = pixels[report.region.slices]
    low, high = np.percentile(pixels, AUTO_PERCENT) / ((1 << report.bits) - 1)
    return Tone(float(low + high) / 2, min(max(float(high - low), NARROWEST), WIDEST))


@functools.lru_cache(maxsize=64)
def levels(tone: Tone, bits: int, curve: bytes = b"") -> Bytes:
    """The screen's level for each of the picture's; `curve` as `gsdf.curve` made it."""
    full = (1 << bits) - 1
    shown = (np.arange(full + 1) / full - (tone.centre - tone.width / 2)) / tone.width
    shown = np.clip(shown, 0.0, 1.0)
    if curve:
        driving = np.frombuffer(curve, np.float64)
        shown = np.interp(shown, np.linspace(0.0, 1.0, len(driving)), driving)
    table = np.rint(shown * 255).astype(np.uint8)
    table.setflags(write=False)
    return table


class Composer:
    """Puts pictures into the screen's memory. Holds what would otherwise be made anew for each."""

    def __init__(self, curve: Curve | None = None) -> None:
        self._curve = b"" if curve is None else curve.tobytes()

    def compose(self, canvas: Bytes, place: Box, report: Report, look: Look) -> None:
        """`canvas`: (height, width, 4), blue first. Only `place` is written."""
        seen = self._toned(_split(report, look), report.bits, look.tone)
        code = _CODES[report.format]
        if look.changes and report.treatment is Treatment.ENHANCED:
            seen, code = _coloured(_as_bgr(seen, report.format), change_map(report)), cv2.COLOR_BGR2BGRA
        if seen.shape[:2] != (place.height, place.width):
            shrinks = place.width < seen.shape[1]
            way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            seen = cv2.resize(seen, (place.width, place.height), interpolation=way)
        target = canvas[place.slices]
        cv2.cvtColor(seen, code, dst=target)

    def _toned(self, pixels: Pixels, bits: int, tone: Tone) -> Bytes:
        if pixels.dtype == np.uint8:
            plain = tone == PLAIN and not self._curve
            return pixels if plain else cv2.LUT(pixels, levels(tone, 8, self._curve))  # type: ignore[return-value]
        return np.take(levels(tone, bits, self._curve), pixels, mode="clip")


_CODES = {
    PixelFormat.GREY8: cv2.COLOR_GRAY2BGRA,
    PixelFormat.GREY16: cv2.COLOR_GRAY2BGRA,
    PixelFormat.RGB8: cv2.COLOR_RGB2BGRA,
    PixelFormat.BGR8: cv2.COLOR_BGR2BGRA,
}


def _original(report: Report) -> Pixels:
    """A picture that is the original may have come without it beside."""
    pixels = report.pixels if report.original is None else report.original
    assert pixels is not None
    return pixels


def _split(report: Report, look: Look) -> Pixels:
    before = _original(report)
    after = report.pixels
    assert after is not None
    if look.split_at is None:
        return before if look.original else after
    if report.treatment is not Treatment.ENHANCED:
        return before
    at = min(max(round(look.split_at * before.shape[1]), 0), before.shape[1])
    return np.concatenate((before[:, :at], after[:, at:]), axis=1)  # type: ignore[return-value]


def change_map(report: Report) -> Bytes:
    """As the daemon's own (`fidelity.change_map`), made here: only while it is looked at does it cost anything."""
    before, after = _grey(_original(report), report.format), _grey(report.pixels, report.format)  # type: ignore[arg-type]
    gain = CHANGE_GAIN * 127 / ((1 << report.bits) - 1)
    return cv2.addWeighted(after, gain, before, -gain, NO_CHANGE, dtype=cv2.CV_8U)  # type: ignore[return-value]


def _grey(pixels: Pixels, kind: PixelFormat) -> Pixels:
    return pixels[:, :, 1] if kind.channels == 3 else pixels


def _as_bgr(pixels: Bytes, kind: PixelFormat) -> Bytes:
    if kind is PixelFormat.BGR8:
        return pixels.copy()
    code = cv2.COLOR_RGB2BGR if kind is PixelFormat.RGB8 else cv2.COLOR_GRAY2BGR
    return cv2.cvtColor(pixels, code)  # type: ignore[return-value]


def _coloured(bgr: Bytes, change: Bytes) -> Bytes:
    """Orange where the engine raised a level, blue where it lowered one; both are told apart by every eye."""
    up = cv2.subtract(change, np.full_like(change, NO_CHANGE + AWAKE))
    down = cv2.subtract(np.full_like(change, NO_CHANGE - AWAKE), change)
    up, down = cv2.add(up, up), cv2.add(down, down)
    half_up, half_down = cv2.convertScaleAbs(up, alpha=0.5), cv2.convertScaleAbs(down, alpha=0.5)
    blue, green, red = cv2.split(bgr)
    blue = cv2.subtract(cv2.add(blue, down), up)
    green = cv2.subtract(cv2.add(green, cv2.add(half_up, half_down)), cv2.add(half_up, half_down))
    red = cv2.subtract(cv2.add(red, up), down)
    return cv2.merge((blue, green, red))  # type: ignore[return-value]
