"""Painting a patient for an ultrasound probe: how strongly each spot scatters, shines and attenuates.

The plane is painted once, in millimetres, and then sampled where the beams pass. Runs when a phantom is made.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge.phantom._exposure import Floats
from edge.phantom._noise import patient_rng
from edge.phantom._scan import Beams
from edge.phantom._ultrasound_scene import UltrasoundScene

_DEEPER = {  # what lies below the fat under the skin
    "muscle": ("fibre", "fibre", "fat"),
    "abdomen": ("fibre", "fat", "organ"),
    "neck": ("fibre", "organ", "organ"),
}
_FINER = 1.1  # rows of the plane for each sample of a beam


@dataclass(frozen=True, eq=False)
class Tissue:
    """On the beam grid, or on the plane before it."""

    echo_db: Floats  # diffuse scattering against the tissue at the middle of the scale
    shine: Floats  # amplitude of smooth interfaces, which reflect like mirrors and carry no speckle
    loss_db_mm: Floats  # attenuation beyond that of healthy tissue, there and back


class _Plane:
    """A canvas in millimetres, with the patient's own random numbers."""

    def __init__(self, scene: UltrasoundScene, half_width: float, top: float, bottom: float) -> None:
        self.scene = scene
        self.rng = patient_rng(scene, 0x7155)
        rows = round(_FINER * scene.samples)
        self.mm = (bottom - top) / rows
        self.top, self.left = top, -half_width
        columns = math.ceil(2 * half_width / self.mm)
        row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
        self.x: Floats = column * self.mm + self.left
        self.z: Floats = row * self.mm + self.top
        self.echo: Floats = np.zeros_like(self.x)
        self.shine: Floats = np.zeros_like(self.x)
        self.loss: Floats = np.zeros_like(self.x)

    def texture(self, across_mm: float, along_mm: float, angle: float = 0.0) -> Floats:
        """Smooth noise, of unit spread in an ordinary patient, drawn out along a direction."""
        height, width = self.x.shape
        # Drawn as coarse as its finest direction allows, and enlarged: a wide blur of a fine grid is slow.
        coarse = min(16.0, max(2.0, across_mm / self.mm))
        reach = math.hypot(height, width) / coarse + 4
        noise = self.rng.standard_normal((int(reach), int(reach)), dtype=np.float32)
        step = 1.0 / (coarse * self.mm)
        noise = cv2.GaussianBlur(noise, (0, 0), max(0.3, along_mm * step), sigmaY=max(0.3, across_mm * step))
        noise -= float(noise.mean())
        noise *= self.scene.texture / max(float(noise.std()), 1e-6)
        turn = cv2.getRotationMatrix2D((reach / 2, reach / 2), -math.degrees(angle), coarse)
        turn[:, 2] += (width / 2 - reach / 2, height / 2 - reach / 2)
        size = (width, height)
        return cv2.warpAffine(noise, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)

    def blob(self, x: float, z: float, rx: float, rz: float, ragged: float) -> Floats:
        """Distance to a rounded outline in millimetres, negative inside."""
        u, v = (self.x - x) / rx, (self.z - z) / rz
        angle = np.arctan2(v, u)
        edge = np.ones_like(u)
        for lobes in (2, 3, 5, 7):
            edge += (ragged * self.rng.normal() / lobes) * np.cos(lobes * angle + self.rng.uniform(0, 6.3))
        return (np.hypot(u, v) - edge) * min(rx, rz)


def paint(scene: UltrasoundScene, beams: Beams, samples: int, pad_lines: int) -> Tissue:
    """The patient where the beams pass, with spare lines on both sides and spare samples below."""
    sample, line = np.mgrid[0:samples, -pad_lines : beams.lines + pad_lines].astype(np.float32)
    x, z = beams.to_mm(sample, line)
    plane = _Plane(scene, float(np.abs(x).max()) + 1.0, float(z.min()) - 1.0, float(z.max()) + 1.0)
    _layers(plane)
    _lesions(plane)
    _vessels(plane)
    _cysts(plane)
    _stones(plane)
    if scene.bone:
        _bone(plane)
    for insert in scene.inserts:
        plane.echo += insert.change * insert.shape(plane.x, plane.z)
    columns, rows = (x - plane.left) / plane.mm, (z - plane.top) / plane.mm

    def at_beams(painted: Floats) -> Floats:
        return cv2.remap(painted, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    shine = at_beams(plane.shine)
    _points(shine, scene, beams, pad_lines)
    return Tissue(at_beams(plane.echo), shine, at_beams(plane.loss))


def _points(shine: Floats, scene: UltrasoundScene, beams: Beams, pad_lines: int) -> None:
    """Wires across the plane: each shared among the four samples around it, so that it may lie anywhere."""
    for x, z in scene.wires:
        samples, lines = beams.from_mm(np.array([x], np.float32), np.array([z], np.float32))
        row, column = float(samples[0]), float(lines[0]) + pad_lines
        top, left = math.floor(row), math.floor(column)
        if not (0 <= top < shine.shape[0] - 1 and 0 <= left < shine.shape[1] - 1):
            continue
        down, right = row - top, column - left
        share = np.outer((1 - down, down), (1 - right, right))
        shine[top : top + 2, left : left + 2] += 10.0 ** (scene.wire_db / 20.0) * share


def _ramp(distance: Floats, soft_mm: float) -> Floats:
    """1 inside (negative distance), 0 outside, soft between."""
    return np.clip(0.5 - distance / soft_mm, 0.0, 1.0)


def _line(plane: _Plane, distance: Floats, thick_mm: float) -> Floats:
    return np.exp(-0.5 * np.square(distance / max(thick_mm, 0.7 * plane.mm)))


def _depth_below_face(plane: _Plane) -> Floats:
    """Layers follow the face of the probe, which presses the patient into its shape."""
    scene = plane.scene
    if scene.probe == "linear":
        return plane.z
    return np.hypot(plane.x, plane.z + scene.radius_mm) - scene.radius_mm


def _layers(plane: _Plane) -> None:
    scene, rng = plane.scene, plane.rng
    depth = _depth_below_face(plane)
    reach = scene.depth_mm * (0.8 if scene.tissue == "muscle" else 0.3)
    unit = scene.depth_mm / 40.0
    plane.echo += 1.6 * plane.texture(0.25 * unit, 0.5 * unit) + 1.8 * plane.texture(3 * unit, 5 * unit)
    _fill(plane, np.ones_like(depth), "fibre" if scene.tissue == "muscle" else "organ")
    cuts = np.sort(rng.uniform(0.08, 1.0, scene.layers)) * reach
    wave = plane.x / scene.depth_mm
    for number, cut in reversed(list(enumerate(cuts))):
        slope, swing = rng.normal(0, 0.1), rng.uniform(0.005, 0.02)
        bend = slope * plane.x + (swing * scene.depth_mm) * np.sin(wave * rng.uniform(3, 8) + rng.uniform(0, 6.3))
        distance = depth - cut - bend * min(1.0, cut / reach)
        above = _ramp(distance, 0.02 * scene.depth_mm)
        _fill(plane, above, "fat" if number == 0 else str(rng.choice(_DEEPER[scene.tissue])))
        _fascia(plane, distance, unit)
    skin = 1.6 * math.sqrt(unit)
    plane.echo += 5.0 * _ramp(depth - skin, 0.4)
    plane.shine += 1.2 * _line(plane, depth - skin, 0.12)


def _fascia(plane: _Plane, distance: Floats, unit: float) -> None:
    """A bright sheet, of one to three leaves, that comes and goes along its length."""
    rng = plane.rng
    strength = float(rng.uniform(0.5, 3.5))
    presence = np.clip(0.55 + 0.55 * plane.texture(1.5 * unit, 6 * unit), 0.02, 1.6)
    for leaf in range(int(rng.integers(1, 4))):
        offset = leaf * rng.uniform(0.5, 1.0) * unit
        sheet = _line(plane, distance + offset, 0.1 * unit)
        plane.shine += (strength * 0.7**leaf) * presence * sheet
        plane.echo += 6.0 * presence * _line(plane, distance + offset, 0.2 * unit)


def _fill(plane: _Plane, where: Floats, kind: str) -> None:
    """Give one layer its texture: muscle has bright septa along its fibres, fat few and faint ones."""
    rng, unit = plane.rng, plane.scene.depth_mm / 40.0
    if kind == "organ":
        level = rng.uniform(-4, 0)
        patches = 1.0 * plane.texture(0.8 * unit, 1.0 * unit) + 1.3 * plane.texture(2.2 * unit, 3 * unit)
        strands = np.clip(plane.texture(0.2 * unit, 0.7 * unit, float(rng.normal(0, 0.4))) - 1.7, 0, None)
        inner = level + patches + 6.0 * strands
        shine = 0.8 * np.clip(strands - 0.5, 0, 2)
    else:
        muscle = kind == "fibre"
        angle = float(rng.normal(0, 0.22) if muscle else rng.normal(0, 0.06))
        length = float(rng.uniform(1.2, 3.0)) * unit
        septa = plane.texture(0.16 * unit, length, angle)
        fibrils = plane.texture(0.13 * unit, 0.6 * length, angle + 0.06)
        septa = np.clip(septa - (0.7 if muscle else 1.5), 0, None)
        patch = plane.texture(1.2 * unit, 4.0 * unit, angle)
        level = float(rng.uniform(-9, -5) if muscle else rng.uniform(-13, -9))
        fine = (2.6 if muscle else 1.0) * fibrils + 2.4 * patch
        inner = level + fine + 6.0 * septa
        shine = 0.55 * np.clip(septa - 0.3, 0, 2) * np.clip(1 + patch, 0, 2)
    plane.echo += where * (inner - plane.echo)
    plane.shine += where * (shine - plane.shine)


def _place(plane: _Plane, from_depth: float = 0.25) -> tuple[float, float]:
    """Somewhere the beams pass: a random line, a random depth."""
    scene, rng = plane.scene, plane.rng
    depth = float(rng.uniform(from_depth, 0.88)) * scene.depth_mm
    across = float(rng.uniform(-0.75, 0.75)) * scene.span
    if scene.probe == "linear":
        return across, depth
    radius = scene.radius_mm + depth
    return radius * math.sin(across), radius * math.cos(across) - scene.radius_mm


def _vessels(plane: _Plane) -> None:
    """Dark, with bright walls where the beam meets them squarely; some cut across, some along."""
    scene, rng = plane.scene, plane.rng
    for _ in range(scene.vessels):
        x, z = _place(plane)
        radius = float(rng.uniform(0.025, 0.06)) * scene.depth_mm
        along = float(rng.choice([1.0, 1.15, 1.3, 7.0, 11.0]))
        tilt = float(rng.normal(0, 0.25)) if along > 2 else 0.0
        u = (plane.x - x) * math.cos(tilt) + (plane.z - z) * (math.sin(tilt))
        v = (plane.z - z) * math.cos(tilt) - (plane.x - x) * (math.sin(tilt))
        v = v + (0.2 * radius) * np.sin(u / (2.6 * radius))
        beyond = np.maximum(np.abs(u) - (along - 1) * radius, 0)
        distance = np.hypot(beyond, v) - _narrowing(u, radius, along)
        inside = _ramp(distance, 0.2 * radius)
        squarely = np.square(np.square(v) / np.maximum(np.square(beyond) + np.square(v), (1e-3)))
        wall = _line(plane, distance - (0.1 * radius), 0.06 * radius)
        bright = rng.uniform(0.2, 1.0) * np.clip(0.7 + 0.4 * plane.texture(1.5 * radius, 2 * radius), 0, 2)
        plane.echo += inside * (-32.0 - plane.echo) + 5.0 * bright * wall
        plane.shine *= 1 - inside
        plane.shine += 1.6 * bright * wall * squarely
        plane.loss -= inside * (0.6 * scene.loss_db_mm)


def _narrowing(along_axis: Floats, radius: float, length: float) -> Floats:
    """A vessel's radius along its way: it wavers a little, and is narrower at one end."""
    part = np.clip(along_axis / (length * radius), -1, 1)
    wavering = 0.06 * np.sin(along_axis / (1.9 * radius))
    return radius * (0.8 - (0.35 if length > 2 else 0.0) * part + wavering)


def _cysts(plane: _Plane) -> None:
    """Without echoes, and brighter behind: clear fluid takes nothing from the beam."""
    scene, rng = plane.scene, plane.rng
    for _ in range(scene.cysts):
        x, z = _place(plane)
        radius = float(rng.uniform(0.04, 0.11)) * scene.depth_mm
        distance = plane.blob(x, z, radius * float(rng.uniform(1.0, 1.5)), radius, 0.06)
        inside = _ramp(distance, 0.06 * radius)
        plane.echo += inside * (-45.0 - plane.echo)
        plane.shine *= 1 - inside
        squarely = np.square((plane.z - z) / np.maximum(np.hypot(plane.x - x, plane.z - z), 0.1))
        plane.shine += 2.5 * _line(plane, distance, 0.03 * radius) * np.square(squarely)
        plane.loss -= inside * (1.0 * scene.loss_db_mm)


def _lesions(plane: _Plane) -> None:
    """Lighter or darker than what surrounds them, and ragged; dark ones often cast a faint shadow."""
    scene, rng = plane.scene, plane.rng
    for _ in range(scene.lesions):
        x, z = _place(plane)
        radius = float(rng.uniform(0.03, 0.1)) * scene.depth_mm
        distance = plane.blob(x, z, radius * float(rng.uniform(1.0, 1.6)), radius, 0.14)
        inside = _ramp(distance, float(rng.uniform(0.08, 0.4)) * radius)
        change = float(rng.choice([-1, 1])) * float(rng.uniform(4, 11))
        unit = scene.depth_mm / 40.0
        texture = 1.5 * plane.texture(0.6 * unit, 0.8 * unit)
        plane.echo += inside * (change + texture)
        plane.shine *= 1 - inside
        if change < 0:
            plane.loss += inside * (float(rng.uniform(0, 0.5)) * scene.loss_db_mm)


def _stones(plane: _Plane) -> None:
    """Small, very bright on the near side, and black behind."""
    scene, rng = plane.scene, plane.rng
    for _ in range(scene.stones):
        x, z = _place(plane, 0.3)
        radius = float(rng.uniform(0.015, 0.035)) * scene.depth_mm
        distance = plane.blob(x, z, radius * 1.3, radius, 0.1)
        near = np.clip((z - plane.z) / radius + 0.3, 0, 1)
        plane.echo += 14.0 * _ramp(distance, 0.4 * radius) * near
        plane.shine += 5.0 * _line(plane, distance, 0.15 * radius) * near
        plane.loss += _ramp(distance, 0.3 * radius) * (30.0 / (2.0 * radius))


def _bone(plane: _Plane) -> None:
    """A surface that reflects nearly everything: bright, and a clean shadow below it."""
    scene, rng = plane.scene, plane.rng
    x, z = _place(plane, 0.45)
    radius = float(rng.uniform(0.18, 0.4)) * scene.depth_mm
    distance = plane.blob(x, z + radius, radius, radius, 0.04)
    upper = np.clip(((z + 0.9 * radius) - plane.z) / (0.4 * radius), 0, 1)
    inside = _ramp(distance, 0.02 * radius)
    plane.echo += inside * (-12.0 - plane.echo)
    plane.shine *= 1 - inside
    plane.shine += 5.0 * _line(plane, distance, 0.004 * scene.depth_mm) * upper
    plane.echo += 8.0 * _line(plane, distance, 0.007 * scene.depth_mm) * upper
    plane.loss += inside * (40.0 / (0.1 * scene.depth_mm))
