"""Grey levels by the DICOM Grayscale Standard Display Function (PS3.14). Pure.

The function says which luminances an eye tells apart equally well. From the luminances that this very screen was
measured to have, `curve` gives the driving level that makes equal steps of the picture look equal.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.errors import ConfigError

Floats = NDArray[np.float64]
DARKEST, BRIGHTEST = 0.05, 3993.404  # cd/m2: between these the function is defined
FIRST_JND, LAST_JND = 1.0, 1023.0
NATIVE_GAMMA = 2.2  # of a screen of which only black and white were measured
POINTS = 1024

# PS3.14, 7.1: the logarithm of the luminance, a rational function of the logarithm of the index ...
_ABOVE = (-1.3011877, 8.0242636e-2, 1.3646699e-1, -2.5468404e-2, 1.3635334e-3)  # a c e g m
_BELOW = (1.0, -2.5840191e-2, -1.0320229e-1, 2.8745620e-2, -3.1978977e-3, 1.2992634e-4)  # 1 b d f h k
# ... and its inverse, a polynomial in the logarithm of the luminance.
_INVERSE = (
    71.498068, 94.593053, 41.912053, 9.8247004, 0.28175407, -1.1878455, -0.18014349, 0.14710899, -0.017046845,
)  # fmt: skip


def luminance(index: Floats | float) -> Floats:
    """cd/m2 of a just-noticeable-difference index, 1 to 1023."""
    log = np.log(np.asarray(index, np.float64))
    return 10 ** (np.polyval(_ABOVE[::-1], log) / np.polyval(_BELOW[::-1], log))


def index_of(candelas: Floats | float) -> Floats:
    """The just-noticeable-difference index of a luminance, 0.05 to 3993 cd/m2."""
    return np.asarray(np.polyval(_INVERSE[::-1], np.log10(np.asarray(candelas, np.float64))), np.float64)


def check(measured: Sequence[float]) -> None:
    """Raises ConfigError for what cannot be a screen's luminances."""
    steps = np.diff(np.asarray(measured, np.float64))
    if len(measured) < 2 or not np.all(np.isfinite(measured)) or not np.all(steps > 0):
        raise ConfigError("[panel] gsdf_luminance: two or more rising luminances, from black to white, in cd/m2")
    if measured[0] < DARKEST or measured[-1] > BRIGHTEST:
        raise ConfigError(
            f"[panel] gsdf_luminance: from {DARKEST} to {BRIGHTEST:.0f} cd/m2, the ambient light included"
        )


def curve(measured: Sequence[float]) -> Floats:
    """Driving level (0 to 1) for 1024 equally spaced levels of a picture.

    `measured`: luminances at equally spaced driving levels, black to white. With two of them the screen is taken to
    have the usual gamma in between.
    """
    check(measured)
    driving = np.linspace(0.0, 1.0, POINTS)
    native = _native(np.asarray(measured, np.float64), driving)
    wanted = luminance(np.linspace(float(index_of(measured[0])), float(index_of(measured[-1])), POINTS))
    # The standard's two formulas are each other's inverse but for a few parts in a thousand: black is black.
    wanted = native[0] + (wanted - wanted[0]) * (native[-1] - native[0]) / (wanted[-1] - wanted[0])
    return np.interp(wanted, native, driving)


def _native(measured: Floats, driving: Floats) -> Floats:
    if len(measured) == 2:
        black, white = measured
        return black + (white - black) * driving**NATIVE_GAMMA
    at = np.linspace(0.0, 1.0, len(measured))
    return np.exp(np.interp(driving, at, np.log(measured)))
