"""Ultrasound of a moving patient, with the clean picture behind it. One thread owns a phantom.

An exposure is made in the order in which a scanner makes it: the tissue has moved, the probe smears its
echoes into speckle, a needle shines, electronic noise joins in, depth gain and log compression follow, and
the beams are laid out as a sector. The truth takes the same road without speckle, noise and bounces; what the
tissue itself did to the beam (attenuation, shadows, brightness behind fluid) is anatomy and stays in it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math

import cv2
import numpy as np

from edge.frame import Modality, Pixels
from edge.phantom import _furniture
from edge.phantom._exposure import Exposure, Floats, as_levels, blank
from edge.phantom._motion import Deformation, Mode, breath, heartbeat
from edge.phantom._needle import Needle
from edge.phantom._noise import NoiseBank, frame_rng, patient_rng, take_rng
from edge.phantom._pointspread import PointSpread
from edge.phantom._scan import Beams, ScanConverter
from edge.phantom._tissue import Tissue, paint
from edge.phantom._ultrasound_scene import PROBES, TISSUES, UltrasoundScene

__all__ = ["PROBES", "TISSUES", "UltrasoundPhantom", "UltrasoundScene"]

_DB = 10.0 / math.log(10.0)
_MEAN_LOG_DB = -0.57721566 * _DB  # the mean of log intensity of full speckle lies this far below its mean intensity
_MIDDLE = 0.40  # where tissue at 0 dB lies on the grey scale
_QUIET = 1e-12
_BURST_DB = 46.0  # interference against electronic noise


class UltrasoundPhantom:
    """A scene, painted once; each moment of it is then a few milliseconds of filtering."""

    modality = Modality.ULTRASOUND

    def __init__(self, scene: UltrasoundScene) -> None:
        self.scene = scene
        self.beams = scene.beams()
        self._scan = ScanConverter(self.beams, scene.width, scene.height, _furniture.room_for_picture(scene))
        pad_lines, spare = scene.lines // 8, scene.samples // 10
        rows = scene.samples + spare
        self._spread = PointSpread(self.beams, scene.optics(), scene.samples)
        self._paint(paint(scene, self.beams, rows, pad_lines))
        self._moving = Deformation(scene.samples, scene.lines, pad_lines, _modes(scene, self.beams))
        self._needle = Needle(scene, self.beams) if scene.needle else None
        self._bank = self._noise_bank()
        self._gain_db = self._depth_gain_db()
        self._haze = self._ringing()
        full = (1 << scene.bits) - 1
        screen = _furniture.draw(scene, self.beams, self._scan)
        self._screen: Pixels = as_levels(screen * (full / 255.0) + 0.5, scene.bits)
        self._last: tuple[int, Pixels] | None = None
        self.bits = scene.bits
        self.mask, self.region, self.spacing_mm = self._scan.mask, self._scan.region, self._scan.spacing_mm

    def frame(self, index: int) -> Exposure:
        """The moment `index / fps` seconds after the start."""
        picture, truth = self._beam_pictures(index)
        if self.scene.persistence:
            picture = self._persist(index, picture)
        pixels, clean = self._screen.copy(), blank(self.scene.width, self.scene.height, self.bits)
        self._scan.convert(picture, pixels)
        self._scan.convert(truth, clean)
        return Exposure(index, pixels, clean, self.mask, self.region, self.spacing_mm, self.bits)

    def envelope(self, index: int) -> Floats:
        """The strength of the echoes on the beam grid (samples, lines), before gain and compression."""
        return cv2.magnitude(*self._echoes(index)[:2])

    # --- made once ------------------------------------------------------------------------------------------

    def _paint(self, tissue: Tissue) -> None:
        """Scatterers and truth of the resting patient: what `_echoes` then bends and smears."""
        scene, beams = self.scene, self.beams
        depth = np.arange(tissue.echo_db.shape[0], dtype=np.float32)[:, None] * beams.sample_mm
        lost_db = np.cumsum(tissue.loss_db_mm, axis=0, dtype=np.float32) * beams.sample_mm
        lost_db += depth * scene.loss_db_mm
        kept = np.power(10.0, lost_db / -20.0)
        diffuse = np.power(10.0, tissue.echo_db / 20.0) * kept
        shine = tissue.shine * kept
        spread = PointSpread(beams, scene.optics(), depth.shape[0])
        smooth_re, smooth_im = spread.blur(shine, np.zeros_like(shine))
        energy = math.exp(-0.57721566) * spread.power(np.square(diffuse))
        energy += np.square(smooth_re) + np.square(smooth_im)
        truth_db = _DB * np.log(energy + _QUIET)
        shine = shine + _bounced(tissue.shine, scene.reverberation) * kept
        nothing = np.zeros_like(shine)
        rng = take_rng(scene, 0x5CA7)
        self._constant: Floats = cv2.merge((shine, nothing, truth_db))
        self._speckle: list[Floats] = []
        for _ in range(2):
            noise = rng.standard_normal((2, *diffuse.shape), dtype=np.float32) * math.sqrt(0.5)
            self._speckle.append(cv2.merge((noise[0] * diffuse, noise[1] * diffuse, nothing)))
        self._mixed = np.empty_like(self._constant)

    def _noise_bank(self) -> NoiseBank:
        """Electronic noise as the receiver lets it through: as long as a pulse, not a sample."""
        bank = NoiseBank(take_rng(self.scene, 0xBA2C), self.scene.samples, 2 * self.scene.lines)
        bank.values = cv2.sepFilter2D(bank.values, -1, np.ones(1, np.float32), self._spread.axial)
        bank.values *= 10.0 ** (self.scene.noise_db / 20.0) * math.sqrt(0.5)
        return bank

    def _depth_gain_db(self) -> Floats:
        scene = self.scene
        part = np.linspace(0.0, 1.0, scene.samples, dtype=np.float32)[:, None]
        focus = np.square((part * scene.depth_mm - scene.focus_mm) / (0.35 * scene.depth_mm))
        gain = part * (scene.loss_db_mm * scene.depth_mm + scene.gain_tilt_db)
        return gain + scene.gain_db + 2.5 * np.exp(-focus)

    def _ringing(self) -> Floats:
        """Bands that the probe shows of itself just below its face; they never move."""
        scene = self.scene
        rows = max(8, scene.samples // 24)
        row = np.arange(rows, dtype=np.float32)[:, None]
        rng = patient_rng(scene, 0x41A2)
        along = cv2.GaussianBlur(
            rng.standard_normal((rows, scene.lines), dtype=np.float32), (0, 0), sigmaX=12, sigmaY=1.0
        )
        along *= 0.3 / max(float(along.std()), 1e-6)
        fading = np.exp(-row / (rows / 4.0)) * (1 + 0.6 * np.cos(row * 2.4))
        return (10.0 ** (scene.haze_db / 20.0) * 4.0) * fading * (1 + along)

    # --- made for each frame --------------------------------------------------------------------------------

    def _echoes(self, index: int) -> tuple[Floats, Floats, Floats]:
        """Real and imaginary echoes, and the truth in dB, all before gain."""
        scene, t = self.scene, index / self.scene.fps
        turn = math.pi * scene.turnover_hz * t
        cv2.addWeighted(self._speckle[0], math.cos(turn), self._speckle[1], math.sin(turn), 0.0, dst=self._mixed)
        cv2.add(self._mixed, self._constant, dst=self._mixed)
        where = self._moving.at(self.displacements_mm(t))
        # Cubic: between samples a linear mean takes energy from scatterers, and tissue would darken as it moves.
        moved = cv2.remap(self._mixed, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)  # type: ignore[arg-type]
        real, imaginary, truth_db = cv2.split(moved)
        real, imaginary = self._spread.blur(real, imaginary)
        if self._needle is not None:
            self._put_needle(self._needle, t, real, truth_db)
        real[: self._haze.shape[0]] += self._haze
        noise = self._bank.at(frame_rng(scene, index))
        real += noise[:, : scene.lines]
        imaginary += noise[:, scene.lines :]
        if scene.streaks:
            self._interfere(index, real)
        return real, imaginary, truth_db

    def displacements_mm(self, t: float) -> list[float]:
        """How far each mode of motion has gone at a time."""
        scene = self.scene
        return [
            scene.breathing_mm * breath(t, scene.breathing_hz),
            scene.sway_mm * math.sin(2 * math.pi * scene.sway_hz * t),
            scene.press_mm * math.sin(2 * math.pi * scene.press_hz * t + 1.0),
            -scene.pulsation_mm * heartbeat(t, scene.heart_hz),
        ]

    def _put_needle(self, needle: Needle, t: float, real: Floats, truth_db: Floats) -> None:
        scene = self.scene
        shaft, where = needle.shaft(t)
        weaker_db = np.arange(scene.samples, dtype=np.float32)[:, None] * (self.beams.sample_mm * scene.loss_db_mm)
        level = np.power(10.0, (scene.needle_db - weaker_db) / 20.0)
        real[where] += shaft * level[where[0]]
        clean = (2 * _DB) * np.log(shaft * level[where[0]] + 1e-6)
        truth_db[where] = np.maximum(truth_db[where], clean)
        tail, where = needle.bounces(t)
        real[where] += tail * level[where[0]]

    def _interfere(self, index: int, real: Floats) -> None:
        """Bursts of another device: each fills a few neighbouring lines over a stretch of depth."""
        scene = self.scene
        rng = frame_rng(scene, index, purpose=7)
        level = 10.0 ** ((scene.noise_db + _BURST_DB) / 20.0)
        for _ in range(rng.poisson(14 * scene.streaks)):
            line, wide = int(rng.integers(0, scene.lines)), int(rng.integers(1, 4))
            top, tall = int(rng.integers(0, scene.samples)), int(rng.integers(scene.samples // 16, scene.samples // 2))
            burst = real[top : top + tall, line : line + wide]
            burst += (level * rng.uniform(0.4, 1.6)) * rng.standard_normal(burst.shape, dtype=np.float32)

    def _beam_pictures(self, index: int) -> tuple[Pixels, Pixels]:
        """Depth gain and log compression: what is shown and the truth, still as beams."""
        scene = self.scene
        real, imaginary, truth_db = self._echoes(index)
        strength = cv2.magnitude(real, imaginary)
        strength += 1e-7
        shown = cv2.log(strength)
        shown *= 2 * _DB
        if scene.smoothing > 0.2:
            shown = cv2.GaussianBlur(shown, (0, 0), scene.smoothing)
        return self._compressed(shown), self._compressed(truth_db)

    def _compressed(self, decibel: Floats) -> Pixels:
        scene = self.scene
        decibel += self._gain_db
        scale = ((1 << scene.bits) - 1) / scene.dynamic_range_db
        offset = _MIDDLE * ((1 << scene.bits) - 1) + 0.5
        decibel *= scale
        decibel += offset
        return as_levels(np.clip(decibel, 0, (1 << scene.bits) - 1, out=decibel), scene.bits)

    def _persist(self, index: int, picture: Pixels) -> Pixels:
        """Mix in the picture before, as scanners do to calm the speckle; a jump recomputes it."""
        if self._last is not None and self._last[0] == index - 1:
            before = self._last[1]
        else:
            before = self._beam_pictures(index - 1)[0]
        self._last = (index, picture)
        kept = self.scene.persistence
        return as_levels(cv2.addWeighted(picture, 1.0 - kept, before, kept, 0.0), self.bits)


def _bounced(shine: Floats, kept: float) -> Floats:
    """Echoes that went to and fro several times: the same lines at twice and thrice the depth."""
    rows, columns = shine.shape
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    out = np.zeros_like(shine)
    near = shine.copy()
    near[rows // 5 :] = 0.0
    for bounce in (2, 3, 4):
        again = cv2.remap(near, column, row / bounce, cv2.INTER_LINEAR)
        out += (kept ** (bounce - 1)) * again
    return out


def _modes(scene: UltrasoundScene, beams: Beams) -> list[Mode]:
    """Breathing, sliding, pressing and pulsation, in the order of `displacements_mm`."""
    rows, columns = max(4, scene.samples // 16), max(4, scene.lines // 8)
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    sample = (row + 0.5) * (scene.samples / rows) - 0.5
    line = (column + 0.5) * (scene.lines / columns) - 0.5
    x, z = beams.to_mm(sample, line)
    deep = sample / scene.samples
    free = 1 - np.exp(-deep / 0.12)  # the skin sticks to the probe
    rng = patient_rng(scene, 0x40DE)
    heart_x, heart_z = beams.to_mm(
        np.array([scene.samples * rng.uniform(0.4, 0.7)], np.float32),
        np.array([scene.lines * rng.uniform(0.3, 0.7)], np.float32),
    )
    away_x, away_z = x - heart_x, z - heart_z
    far = np.hypot(away_x, away_z) + (1e-3)
    size = 0.12 * scene.depth_mm
    beat = free * np.exp(-np.square((far - size) / size)) / far
    directions = (
        (0.35 * free, free),
        (free, 0.15 * free * np.sin(x / (0.3 * scene.depth_mm))),
        (0.3 * deep * x / beams.half_width_mm, -deep),
        (beat * away_x, beat * away_z),
    )
    modes: list[Mode] = []
    for across, down in directions:
        there, beside = beams.from_mm(x + across, z + down)
        modes.append(Mode(np.dstack((beside - line, there - sample)).astype(np.float32)))
    return modes
