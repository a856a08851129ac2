"""How a probe smears a point: a complex kernel that is narrow at the focus and wide, and curved, away from
it.

Depth is cut into overlapping zones, each with its own kernel; neighbours are blended, so that no seam shows.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge.phantom._exposure import Floats
from edge.phantom._scan import Beams

SOUND_MM_US = 1.54  # in tissue
_ONE = np.ones(1, np.float32)
_ZONES = 6
_FINEST_LINES, _FINEST_SAMPLES = 0.75, 0.95  # narrower than this a kernel would alias on the grid
_WIDEST_TAPS = 23


@dataclass(frozen=True)
class Optics:
    """What decides the point spread."""

    frequency_mhz: float
    cycles: float  # pulse length
    f_number: float
    focus_mm: float

    @property
    def wavelength_mm(self) -> float:
        return SOUND_MM_US / self.frequency_mhz

    def axial_sigma_mm(self) -> float:
        return self.cycles * self.wavelength_mm / 2.0 / 2.355

    def lateral_sigma_mm(self, depth_mm: float) -> float:
        """A beam's waist, and how it opens on either side of it."""
        waist = self.wavelength_mm * self.f_number / 2.355
        reach = 7.0 * self.wavelength_mm * self.f_number**2
        return waist * math.hypot(1.0, (depth_mm - self.focus_mm) / reach)


@dataclass(frozen=True, eq=False)
class _Zone:
    rows: slice
    weight: Floats  # (rows, 1)
    real: Floats
    imaginary: Floats


class PointSpread:
    """The kernels for one grid. `blur` is for echoes, `power` for how much energy arrives on average."""

    def __init__(self, beams: Beams, optics: Optics, samples: int) -> None:
        self._optics = optics
        axial_sigma = max(_FINEST_SAMPLES, optics.axial_sigma_mm() / beams.sample_mm)
        self.axial = np.real(_unit_energy(_gaussian(axial_sigma))).astype(np.float32)
        self._zones = [self._zone(beams, samples, number) for number in range(_ZONES)]

    def lateral_sigma_lines(self, beams: Beams, depth_mm: float) -> float:
        pitch = float(beams.pitch_mm(np.array([depth_mm], np.float32))[0])
        return max(_FINEST_LINES, self._optics.lateral_sigma_mm(depth_mm) / pitch)

    def _zone(self, beams: Beams, samples: int, number: int) -> _Zone:
        height = samples / _ZONES
        fade = height / 4.0
        row = np.arange(samples, dtype=np.float32) + 0.5
        rising = np.clip((row - (number * height - fade)) / (2 * fade), 0, 1) if number else np.ones_like(row)
        last = number == _ZONES - 1
        falling = np.ones_like(row) if last else np.clip(((number + 1) * height + fade - row) / (2 * fade), 0, 1)
        weight = rising * falling
        used = np.flatnonzero(weight)
        rows = slice(int(used[0]), int(used[-1]) + 1)
        depth = min(beams.depth_mm, (number + 0.5) * height * beams.sample_mm)
        kernel = self._lateral(beams, depth)
        return _Zone(rows, weight[rows, None].astype(np.float32), np.real(kernel).copy(), np.imag(kernel).copy())

    def _lateral(self, beams: Beams, depth_mm: float) -> np.ndarray:
        sigma = self.lateral_sigma_lines(beams, depth_mm)
        kernel = _gaussian(sigma)
        # Off the focus the wave front is curved: its phase grows with the square of the distance from the
        # axis, at most as fast as the grid can follow.
        reach = 7.0 * self._optics.wavelength_mm * self._optics.f_number**2
        defocus = (depth_mm - self._optics.focus_mm) / reach
        bend = np.clip(defocus / (1.0 + defocus**2), -0.5, 0.5) / sigma**2
        offset = np.arange(kernel.size) - kernel.size // 2
        return _unit_energy(kernel * np.exp(1j * bend * offset**2)).astype(np.complex64)

    def blur(self, real: Floats, imaginary: Floats) -> tuple[Floats, Floats]:
        """Echoes of scatterers: one axial pass for all depths, then each zone's own lateral kernel."""
        real = cv2.sepFilter2D(real, -1, _ONE, self.axial)
        imaginary = cv2.sepFilter2D(imaginary, -1, _ONE, self.axial)
        out_real, out_imaginary = np.zeros_like(real), np.zeros_like(imaginary)
        for zone in self._zones:
            re, im = real[zone.rows], imaginary[zone.rows]
            blurred = cv2.sepFilter2D(re, -1, zone.real, _ONE)
            blurred -= cv2.sepFilter2D(im, -1, zone.imaginary, _ONE)
            out_real[zone.rows] += zone.weight * blurred
            blurred = cv2.sepFilter2D(im, -1, zone.real, _ONE)
            blurred += cv2.sepFilter2D(re, -1, zone.imaginary, _ONE)
            out_imaginary[zone.rows] += zone.weight * blurred
        return out_real, out_imaginary

    def power(self, energy: Floats) -> Floats:
        """The mean energy of echoes from scatterers of this energy: the kernel's square sums to one."""
        energy = cv2.sepFilter2D(energy, -1, _ONE, np.square(self.axial))
        out = np.zeros_like(energy)
        for zone in self._zones:
            square = np.square(zone.real) + np.square(zone.imaginary)
            out[zone.rows] += zone.weight * cv2.sepFilter2D(energy[zone.rows], -1, square, _ONE)
        return out


def _gaussian(sigma: float) -> np.ndarray:
    half = min(_WIDEST_TAPS // 2, max(1, math.ceil(2.6 * sigma)))
    offset = np.arange(-half, half + 1)
    return np.exp(-0.5 * (offset / sigma) ** 2).astype(np.complex128)


def _unit_energy(kernel: np.ndarray) -> np.ndarray:
    return kernel / math.sqrt(float(np.sum(np.abs(kernel) ** 2)))
