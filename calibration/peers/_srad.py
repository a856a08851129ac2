"""SRAD, speckle reducing anisotropic diffusion (Yu and Acton, 2002), on decompressed echoes. No state.

Its authors diffuse the intensity of the echoes, before log compression, and steer by the instantaneous coefficient of
variation, which is that of pure speckle in even tissue and larger at an edge. A display shows compressed echoes, so
they are expanded first and compressed again after. `range_db` is the dynamic range assumed for the expansion; the
scanner's own is not known to a peer, and a smaller one makes a gentler expansion, so tuning chooses it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.peers._levels import Floats, Momentary

_STEP = 0.2  # of time in each iteration; above 0.25 the explicit scheme is unstable


@dataclass(frozen=True)
class Srad(Momentary):
    iterations: float = 60
    range_db: float = 40.0
    speckle: float = 1.0  # coefficient of variation of pure speckle at the start
    decay: float = 0.05  # how quickly that falls as the picture calms, per unit of time

    def __call__(self, levels: Floats) -> Floats:
        nepers = np.float32(self.range_db * np.log(10.0) / 10.0)
        intensity = cv2.exp((levels - 1) * nepers)
        for turn in range(int(self.iterations)):
            speckle = self.speckle * np.exp(-self.decay * turn * _STEP)
            intensity = _diffused(intensity, float(speckle) ** 2)
        return cv2.log(intensity) / nepers + 1


def _diffused(image: Floats, speckle2: float) -> Floats:
    """One step: flux between neighbours, each weighted by how much it looks like speckle there."""
    down, right = np.zeros_like(image), np.zeros_like(image)  # differences to the next row and column; none at the end
    np.subtract(image[1:], image[:-1], out=down[:-1])
    np.subtract(image[:, 1:], image[:, :-1], out=right[:, :-1])
    up, left = np.zeros_like(image), np.zeros_like(image)
    up[1:], left[:, 1:] = down[:-1], right[:, :-1]
    weight = _weight(image, (up, down, left, right), speckle2)
    # Conductance between two pixels is that of the lower or right one, as its authors discretise it.
    down[:-1] *= weight[1:]
    right[:, :-1] *= weight[:, 1:]
    flux = down + right - up * weight - left * weight
    return image + np.float32(_STEP) * flux


def _weight(image: Floats, differences: tuple[Floats, Floats, Floats, Floats], speckle2: float) -> Floats:
    up, down, left, right = differences
    laplacian = (down + right - up - left) / image
    slope2 = (np.square(up) + np.square(down) + np.square(left) + np.square(right)) / np.square(image)
    variation2 = (0.5 * slope2 - np.square(laplacian) / 16) / np.square(1 + 0.25 * laplacian)
    excess = (variation2 - np.float32(speckle2)) / np.float32(speckle2 * (1 + speckle2))
    return np.clip(1 / (1 + excess), 0.0, 1.0, dtype=np.float32)
