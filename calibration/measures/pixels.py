"""How far a picture is from its truth, pixel by pixel. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from calibration.measures._arrays import Floats, Mask, inside, require_alike
from edge.frame import Pixels

_C1, _C2 = 0.01**2, 0.03**2  # keep SSIM's quotients calm where a picture is black or flat; the usual constants
_WINDOW, _SIGMA = 11, 1.5


def levels(pixels: Pixels, bits: int) -> Floats:
    """Whole levels of so many significant bits as float32, 0 (black) to 1 (full scale)."""
    return pixels.astype(np.float32) / np.float32((1 << bits) - 1)


def psnr_db(picture: Floats, truth: Floats, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB: -10 log10 of the mean squared error, peak 1. Infinite where nothing differs.

    A picture or a whole clip: the error is averaged before the logarithm is taken.
    """
    require_alike(picture, truth)
    error = float(np.mean(np.square(inside(picture, mask) - inside(truth, mask))))
    return float("inf") if error == 0.0 else float(-10.0 * np.log10(error))


def ssim(picture: Floats, truth: Floats, mask: Mask | None = None) -> float:
    """Structural similarity of two pictures, at most 1 (no unit): mean over the mask of the local index.

    Gaussian window of sigma 1.5 over 11x11 pixels, peak 1. A window that reaches beyond the mask takes its means and
    variances from the pixels inside alone, so that the black around a sector makes nothing look alike.
    """
    require_alike(picture, truth)
    counts = np.ones(picture.shape, np.float64) if mask is None else (np.asarray(mask) != 0).astype(np.float64)
    share = np.maximum(_blurred(counts), 1e-12)

    def local(values: Floats) -> Floats:
        return _blurred(values * counts) / share

    one, other = picture.astype(np.float64), truth.astype(np.float64)
    mean_one, mean_other = local(one), local(other)
    spread = local(one * one) + local(other * other) - mean_one**2 - mean_other**2
    together = local(one * other) - mean_one * mean_other
    brightness = (2 * mean_one * mean_other + _C1) / (mean_one**2 + mean_other**2 + _C1)
    structure = (2 * together + _C2) / (spread + _C2)
    return float(np.mean(inside(brightness * structure, mask)))


def _blurred(values: Floats) -> Floats:
    return cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA, borderType=cv2.BORDER_REFLECT)
