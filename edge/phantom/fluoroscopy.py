"""Fluoroscopy of a moving patient, with the clean picture behind it. One thread owns a phantom.

An exposure is made in the order of physics: the anatomy has moved and absorbs, radiation scatters, quanta
arrive (Poisson), the detector blurs them and adds read noise, lag drags old exposures along, the tube's
output flickers. The truth is what an ideal detector would have recorded at that moment: the same radiation,
without any of the noise.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.frame import Box, Modality, Pixels
from edge.phantom._detector import Detector, lag_weights
from edge.phantom._exposure import Exposure, Floats, as_levels, blank
from edge.phantom._fluoroscopy_scene import COLLIMATORS, VIEWS, FluoroscopyScene
from edge.phantom._motion import breath, heartbeat, sweep
from edge.phantom._noise import frame_rng
from edge.phantom._scan import bounding_box
from edge.phantom._shapes import Plate
from edge.phantom._skeleton import paint
from edge.phantom._vessels import concentration, grow
from edge.phantom._wire import CrossingWire, Wire

__all__ = ["COLLIMATORS", "VIEWS", "FluoroscopyPhantom", "FluoroscopyScene"]

_STEEP, _WHITE = 5.0, 3.2  # of the tone curve: how strongly dark parts are lifted, and what is white
_HEART = (20.0, 15.0)  # mm


class FluoroscopyPhantom:
    """A scene, painted once; each moment of it is then a few milliseconds of arithmetic on the collimated
    field.
    """

    modality = Modality.FLUOROSCOPY

    def __init__(self, scene: FluoroscopyScene) -> None:
        self.scene = scene
        self.bits = scene.bits
        self.spacing_mm = (scene.mm_per_pixel, scene.mm_per_pixel)
        self.mask = _collimated(scene)
        self.region: Box = bounding_box(self.mask)
        part = self.region.slices
        self._inside = np.ascontiguousarray(self.mask[part])
        whole = Plate.of(scene.width, scene.height, scene.mm_per_pixel, scene.offset_mm)
        self._plate = Plate(whole.x[part].copy(), whole.y[part].copy(), whole.mm)
        self._body = paint(scene, self._plate)
        self._tree = grow(scene, self._plate)
        self._wire = Wire(scene, self._plate, self._tree.way_in) if scene.wire else None
        self._crossing = CrossingWire(scene, self._plate) if scene.crossing_px else None
        self.detector = Detector(scene, self.region.width, self.region.height)
        self._weights = lag_weights(scene.lag)
        self._read: dict[int, Floats] = {}
        self._expected: dict[int, Floats] = {}
        self._brightness = 1.0
        self._brightness = 1.0 / max(1e-6, float(np.median(self._direct(0.0)[self._inside > 0])))

    def frame(self, index: int) -> Exposure:
        """The moment `index / fps` seconds after the start."""
        scene = self.scene
        counts = self.detected(index) * self._flicker(index)
        pixels = blank(scene.width, scene.height, scene.bits)
        truth = blank(scene.width, scene.height, scene.bits)
        cv2.copyTo(self._tone(counts), self._inside, pixels[self.region.slices])
        cv2.copyTo(self._tone(self.expected(index)), self._inside, truth[self.region.slices])
        return Exposure(index, pixels, truth, self.mask, self.region, self.spacing_mm, self.bits)

    def expected(self, index: int) -> Floats:
        """Quanta that each pixel of the region should count, scatter included."""
        if index not in self._expected:
            t = index / self.scene.fps
            arriving = self.detector.scattered(self._direct(t))
            self._keep(self._expected, index, arriving * (self.scene.photons * self.scene.dose))
        return self._expected[index]

    def read(self, index: int) -> Floats:
        """What the detector gives for one exposure alone: before lag and flicker."""
        if index not in self._read:
            rng = frame_rng(self.scene, index)
            counts = self.detector.quanta(self.expected(index), rng)
            self._keep(self._read, index, self.detector.read(counts, rng))
        return self._read[index]

    def detected(self, index: int) -> Floats:
        """With the trail of the exposures before: any order of asking gives the same, the usual order is
        cheap.
        """
        total = self.read(index) * (self._weights[0])
        for age, weight in enumerate(self._weights[1:], start=1):
            cv2.scaleAdd(self.read(index - age), weight, total, dst=total)
        return total

    def _keep(self, store: dict[int, Floats], index: int, picture: Floats) -> None:
        store[index] = picture
        for old in [key for key in store if abs(key - index) >= len(self._weights)]:
            del store[old]

    def _direct(self, t: float) -> Floats:
        """Radiation that passed the patient unscattered; 1 behind its middle."""
        scene = self.scene
        lungs = scene.breathing_mm * breath(t, scene.breathing_hz)
        pan = scene.table_mm * (2 * sweep(t, scene.table_period_s) - 1)
        absorbed = self._moved(self._body.still, self._shift(pan, 0.0))
        absorbed = cv2.add(absorbed, self._moved(self._body.breathing, self._stretch(lungs, pan)))
        beat = self._beat(t, lungs, pan)
        cv2.add(absorbed, self._moved(self._filled(t), beat), dst=absorbed)
        np.negative(absorbed, out=absorbed)
        direct = cv2.exp(absorbed, dst=absorbed)
        if self._wire is not None:
            self._wire.shade(direct, t, beat)
        if self._crossing is not None:
            self._crossing.shade(direct, t)
        direct *= self._brightness
        return direct

    def _filled(self, t: float) -> Floats:
        """The beating layer with the agent where it has come to."""
        agent = concentration(self.scene, t)
        if not agent.any():
            return self._body.beating
        filled = cv2.LUT(self._tree.arrival, agent)
        cv2.multiply(filled, self._tree.thickness, dst=filled)
        return cv2.add(filled, self._body.beating, dst=filled)

    # Movements are 2x3 matrices on pixels of the region, from where a thing rests to where it is.

    def _shift(self, right_mm: float, down_mm: float) -> Floats:
        mm = self._plate.mm
        return np.array([[1, 0, right_mm / mm], [0, 1, down_mm / mm]], np.float32)

    def _stretch(self, down_mm: float, right_mm: float) -> Floats:
        """Breathing moves the diaphragm fully, the top of the chest hardly."""
        height = self.region.height
        shift = self._shift(right_mm, 0.3 * down_mm)
        grow_by = 0.9 * down_mm / self._plate.mm / height
        shift[1, 1] += grow_by
        return shift

    def _beat(self, t: float, lungs_mm: float, right_mm: float) -> Floats:
        """The heart draws together, turns a little, and rides on the diaphragm."""
        scene = self.scene
        squeeze = heartbeat(t, scene.heart_hz)
        strength = 0.0 if scene.view == "hip" else scene.heart_mm / 50.0 * squeeze
        centre = self._plate.pixels(np.array(_HEART, np.float32))
        turn = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), 12.0 * strength, 1.0 - strength)
        ride = 0.0 if scene.view == "hip" else 0.6 * lungs_mm
        return (turn + self._shift(right_mm, ride) - np.array([[1, 0, 0], [0, 1, 0]], np.float32)).astype(np.float32)

    def _moved(self, layer: Floats, movement: Floats) -> Floats:
        if np.array_equal(movement, _REST):
            return layer
        size = (self.region.width, self.region.height)
        return cv2.warpAffine(layer, movement, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _flicker(self, index: int) -> float:
        scene = self.scene
        ripple = 0.6 * math.sin(2 * math.pi * 3.1 * index / scene.fps)
        return 1.0 + scene.flicker * (ripple + 0.6 * float(frame_rng(scene, index, purpose=1).standard_normal()))

    def _tone(self, counts: Floats) -> Pixels:
        """Counts as grey: logarithmic, so that a shadow's depth does not depend on what it lies on."""
        scene = self.scene
        full = (1 << scene.bits) - 1
        bright = counts * (_STEEP / (scene.photons * scene.dose))
        np.maximum(bright, 0, out=bright)
        bright += 1
        cv2.log(bright, dst=bright)
        bright *= full / math.log1p(_STEEP * _WHITE)
        bright += 0.5
        return as_levels(np.minimum(bright, full, out=bright), scene.bits)


_REST = np.array([[1, 0, 0], [0, 1, 0]], np.float32)


def _collimated(scene: FluoroscopyScene) -> np.ndarray:
    """255 where the collimator lets radiation through."""
    mask = np.zeros((scene.height, scene.width), np.uint8)
    if scene.collimator == "none":
        mask[...] = 255
    elif scene.collimator == "circle":
        row, column = np.mgrid[0 : scene.height, 0 : scene.width].astype(np.float32)
        away = np.hypot(
            column - (scene.width - 1) / 2,
            row - (scene.height - 1) / 2,
        )
        mask[away <= scene.opening * min(scene.width, scene.height) / 2] = 255
    else:
        across, down = round(scene.opening * scene.width), round(scene.opening * scene.height)
        x, y = (scene.width - across) // 2, (scene.height - down) // 2
        mask[y : y + down, x : x + across] = 255
    return mask
