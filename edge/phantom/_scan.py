"""Where ultrasound samples lie: the probe's beams in millimetres, and the way from beams to a picture. No
state.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frame import Box, Pixels
from edge.phantom._exposure import Floats

_NOWHERE = -100.0  # a sample position that `remap` paints black


@dataclass(frozen=True)
class Beams:
    """The lines a probe listens along. `span` is half the face in millimetres, or half the angle where it is
    curved.
    """

    samples: int
    lines: int
    depth_mm: float
    span: float
    radius_mm: float | None = None  # of the probe's face; None for a flat one

    @property
    def sample_mm(self) -> float:
        return self.depth_mm / (self.samples - 1)

    @property
    def half_width_mm(self) -> float:
        if self.radius_mm is None:
            return self.span
        return (self.radius_mm + self.depth_mm) * math.sin(self.span)

    @property
    def top_mm(self) -> float:
        """The highest point of the picture: a curved face's edges lie above its middle."""
        return 0.0 if self.radius_mm is None else self.radius_mm * (math.cos(self.span) - 1.0)

    def pitch_mm(self, depth_mm: Floats) -> Floats:
        """The distance between neighbouring lines at a depth."""
        step = 2.0 * self.span / (self.lines - 1)
        if self.radius_mm is None:
            return np.full_like(depth_mm, step)
        return (self.radius_mm + depth_mm) * step

    def to_mm(self, sample: Floats, line: Floats) -> tuple[Floats, Floats]:
        """x and z; z grows from the middle of the face into the patient."""
        depth = sample * self.sample_mm
        across = line * (2.0 * self.span / (self.lines - 1)) - self.span
        if self.radius_mm is None:
            return across, depth
        radius = depth + self.radius_mm
        return radius * np.sin(across), radius * np.cos(across) - self.radius_mm

    def from_mm(self, x: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Sample and line of a point."""
        if self.radius_mm is None:
            across, depth = x, z
        else:
            down = z + self.radius_mm
            across, depth = np.arctan2(x, down), np.hypot(x, down) - self.radius_mm
        line = (across + self.span) * ((self.lines - 1) / (2.0 * self.span))
        return depth * (1.0 / self.sample_mm), line


class ScanConverter:
    """Beams -> picture, by maps made once, in fixed point. Outside the sector a picture stays as it was."""

    def __init__(self, beams: Beams, width: int, height: int, room: Box) -> None:
        across, down = 2.0 * beams.half_width_mm, beams.depth_mm - beams.top_mm
        self.scale = min(room.width / across, room.height / down)  # pixels a millimetre
        self.left = room.x + (room.width - across * self.scale) / 2.0
        self.top = room.y + (room.height - down * self.scale) / 2.0
        self._centre_x = self.left + across * self.scale / 2.0
        row, column = np.mgrid[0:height, 0:width].astype(np.float32)
        x = (column + (0.5 - self._centre_x)) / self.scale
        z = (row + (0.5 - self.top)) / self.scale + beams.top_mm
        sample, line = beams.from_mm(x, z)
        inside = (sample >= 0) & (sample <= beams.samples - 1) & (line >= 0) & (line <= beams.lines - 1)
        self.mask: NDArray[np.uint8] = inside.astype(np.uint8) * np.uint8(255)
        self.region = bounding_box(self.mask)
        part = self.region.slices
        sample[~inside] = line[~inside] = _NOWHERE
        self._maps = cv2.convertMaps(line[part], sample[part], cv2.CV_16SC2)
        self.mask_inside = np.ascontiguousarray(self.mask[part])

    @property
    def spacing_mm(self) -> tuple[float, float]:
        return 1.0 / self.scale, 1.0 / self.scale

    def to_pixel(self, beams: Beams, z_mm: float) -> float:
        """The row at which a depth below the middle of the face is shown."""
        return self.top + (z_mm - beams.top_mm) * self.scale

    def convert(self, beams_picture: Pixels, onto: Pixels) -> None:
        """Write the sector into a picture; pixels outside it are not touched."""
        sector = cv2.remap(beams_picture, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        target = onto[self.region.slices]
        cv2.copyTo(sector, self.mask_inside, target)


def bounding_box(mask: NDArray[np.uint8]) -> Box:
    """The smallest box that holds every pixel of a mask."""
    x, y, width, height = cv2.boundingRect(mask)
    return Box(int(x), int(y), int(width), int(height))
