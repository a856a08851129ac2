"""How a patient moves: breathing, heartbeat, and what they do to the tissue under a probe. Pure functions of
time.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge.phantom._exposure import Floats


def breath(t: float, hertz: float) -> float:
    """-1 (out) to 1 (in): in quickly, out slowly, with a rest at the end."""
    phase = (t * hertz) % 1.0
    return 2.0 * math.sin(math.pi * phase**0.8) ** 1.6 - 1.0


def heartbeat(t: float, hertz: float) -> float:
    """0 (filled) to 1 (contracted): a fast squeeze, a slower filling, then rest."""
    phase = (t * hertz) % 1.0
    return math.exp(-(((phase - 0.22) / 0.09) ** 2)) + 0.25 * math.exp(-(((phase - 0.45) / 0.1) ** 2))


def sweep(t: float, period: float) -> float:
    """0 to 1 and back with eased ends: how a hand advances a needle or a wire, and draws it back."""
    return 0.5 - 0.5 * math.cos(2.0 * math.pi * t / period)


@dataclass(frozen=True, eq=False)
class Mode:
    """One way in which the tissue can move: a displacement for every sample of the beam grid, in samples and
    lines.
    """

    displacement: Floats  # (rows, columns, 2): lines, samples; coarse, because tissue moves smoothly


class Deformation:
    """Where each sample of the beam grid is found in the resting tissue, as a map for `cv2.remap`."""

    def __init__(self, samples: int, lines: int, pad_lines: int, modes: list[Mode]) -> None:
        self._modes = modes
        self._size = (lines, samples)
        row, column = np.mgrid[0:samples, 0:lines].astype(np.float32)
        self._rest: Floats = np.dstack((column + pad_lines, row))

    def at(self, amounts: list[float]) -> Floats:
        coarse = sum((amount * mode.displacement for amount, mode in zip(amounts, self._modes, strict=True)), start=0.0)
        fine = cv2.resize(np.asarray(coarse, np.float32), self._size, interpolation=cv2.INTER_LINEAR)
        return cv2.subtract(self._rest, fine)
