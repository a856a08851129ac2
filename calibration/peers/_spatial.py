"""Classical filters of one picture: median, bilateral, non-local means, wavelet shrinkage, CLAHE. No state.

Each is a frozen dataclass whose fields are its settings. `bits` says how finely levels were cut, for the filters that
OpenCV offers on whole numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pywt
from numpy.typing import NDArray
from scipy import ndimage

from calibration.peers._field import inside, spread_out
from calibration.peers._levels import Floats, Momentary

_MAD = 1.4826  # from the median of absolute values to the standard deviation of normal noise
_WAVELET = "db2"  # long filters draw their own ripples beside bright fascia
_NEAR = (7, 7)


@dataclass(frozen=True)
class Median(Momentary):
    """The median of a square of `size` pixels, which is odd."""

    bits: int = 8
    size: float = 5

    def __call__(self, levels: Floats) -> Floats:
        size = int(self.size)
        if size <= 5:
            return cv2.medianBlur(levels, size)
        if self.bits == 8:  # OpenCV's large medians are for bytes; these levels are bytes
            return cv2.medianBlur(np.rint(levels * 255).astype(np.uint8), size) / np.float32(255)
        return ndimage.median_filter(levels, size, mode="nearest")


@dataclass(frozen=True)
class Bilateral(Momentary):
    """Means weighted by a Gaussian over space and level, applied `passes` times."""

    sigma_level: float = 0.2
    sigma_space: float = 2.0
    passes: float = 1

    def __call__(self, levels: Floats) -> Floats:
        reach = 2 * int(np.ceil(2 * self.sigma_space)) + 1
        for _ in range(int(self.passes)):
            levels = cv2.bilateralFilter(levels, reach, self.sigma_level, self.sigma_space)
        return levels


@dataclass(frozen=True)
class NonLocalMeans(Momentary):
    """OpenCV's fast non-local means. `h` is in levels: how much patches may differ and still count as alike.

    Bytes are compared by squared differences; finer levels by absolute ones, the only way OpenCV offers for them.
    """

    bits: int = 8
    h: float = 0.1
    patch: float = 7
    search: float = 21

    def __call__(self, levels: Floats) -> Floats:
        patch, search = int(self.patch), int(self.search)
        if self.bits == 8:
            bytes_ = np.rint(levels * 255).astype(np.uint8)
            return cv2.fastNlMeansDenoising(bytes_, None, self.h * 255, patch, search) / np.float32(255)
        words = np.rint(levels * 65535).astype(np.uint16)
        calm = cv2.fastNlMeansDenoising(words, [self.h * 65535], None, patch, search, cv2.NORM_L1)
        return calm / np.float32(65535)


@dataclass(frozen=True)
class Wavelet(Momentary):
    """Undecimated wavelet transform; every band is shrunk softly by BayesShrink's threshold, noise² / signal.

    Grain here is as long as a pulse or a detector's blur, not white, so its strength is measured in each band by
    itself; `strength` multiplies it, by another factor `fade` in each coarser band, which hold more anatomy. The
    signal is that of the neighbourhood (`_NEAR`), so that edges are shrunk less than plains.
    """

    strength: float = 1.2
    fade: float = 0.9
    depth: float = 4

    def __call__(self, levels: Floats) -> Floats:
        depth = int(self.depth)
        field = inside(levels)
        step = 1 << depth
        height, width = levels.shape
        room = ((step, step + -height % step), (step, step + -width % step))
        whole = np.pad(spread_out(levels, field), room, mode="symmetric")
        where = np.pad(field, room, mode="symmetric")
        coarse, *scales = pywt.swt2(whole, _WAVELET, depth, trim_approx=True, norm=True)
        factors = [self.strength * self.fade ** (depth - 1 - turn) for turn in range(depth)]  # the coarsest comes first
        kept = [
            tuple(_shrunk(band, where, factor) for band in bands) for bands, factor in zip(scales, factors, strict=True)
        ]
        calm = pywt.iswt2([coarse, *kept], _WAVELET, norm=True)
        return np.where(field, calm[step : step + height, step : step + width], levels).astype(np.float32)


def _shrunk(band: Floats, where: NDArray[np.bool_], factor: float) -> Floats:
    if not where.any():
        return band
    noise = np.float32((factor * _MAD * float(np.median(np.abs(band[where])))) ** 2)
    if noise == 0:
        return band
    signal = np.maximum(cv2.blur(np.square(band), _NEAR) - noise, noise * np.float32(1e-6))
    return np.sign(band) * np.maximum(np.abs(band) - noise / np.sqrt(signal), 0)


@dataclass(frozen=True)
class Clahe(Momentary):
    """Contrast-limited adaptive histogram equalisation. It calms nothing: contrast only."""

    bits: int = 8
    clip: float = 2.0
    tiles: float = 8

    def __call__(self, levels: Floats) -> Floats:
        stretch = cv2.createCLAHE(self.clip, (int(self.tiles), int(self.tiles)))
        if self.bits == 8:
            return stretch.apply(np.rint(levels * 255).astype(np.uint8)) / np.float32(255)
        return stretch.apply(np.rint(levels * 65535).astype(np.uint16)) / np.float32(65535)
