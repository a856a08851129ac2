"""Painting a patient for X-rays: what is still, what breathes, and what beats. Runs when a phantom is made.

All in absorbance: a picture is the exponential of minus the sum of the layers.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from edge.phantom._exposure import Floats
from edge.phantom._fluoroscopy_scene import FluoroscopyScene
from edge.phantom._noise import patient_rng
from edge.phantom._shapes import Plate, ball, band, box, texture, tube


@dataclass(frozen=True, eq=False)
class Body:
    still: Floats
    breathing: Floats
    beating: Floats


def paint(scene: FluoroscopyScene, plate: Plate) -> Body:
    rng = patient_rng(scene, 0xB0DE)
    body = Body(plate.blank(), plate.blank(), plate.blank())
    if scene.view == "hip":
        _hip(scene, plate, body, rng)
    else:
        _thorax(scene, plate, body, rng)
    body.still[...] += 0.05 * texture(plate, 22, rng) + 0.02 * texture(plate, 5, rng)
    _implants(scene, plate, body, rng)
    layers = {"still": body.still, "breathing": body.breathing, "beating": body.beating}
    for insert in scene.inserts:
        layers[insert.layer][...] += insert.change * insert.shape(plate.x, plate.y)
    return body


def _thorax(scene: FluoroscopyScene, plate: Plate, body: Body, rng: np.random.Generator) -> None:
    oblique = float(rng.normal(0, 12)) if scene.view == "cardiac" else 0.0
    trunk = np.sqrt(np.clip(1 - np.square(plate.x / 172), 0, 1))
    body.still[...] += (1.25 * scene.thickness) * trunk
    _spine(scene, plate, body.still, oblique, rng)
    for side in (-1, 1):
        lung = ball(plate, side * 64 + oblique, -20, 54, 165, side * 0.1)
        body.breathing[...] -= 0.75 * lung * (1 + 0.06 * texture(plate, 4, rng))
        for number in range(-7, 8):
            _rib(scene, plate, body.breathing, side, number * 26.0 + rng.normal(0, 1.5), oblique)
    _diaphragm(plate, body.breathing, trunk, rng)
    heart = ball(plate, 28, 25, 62, 76, 0.6, 0.04, scene.seed)
    body.beating[...] += (0.55 * scene.thickness) * heart
    body.beating[...] += 0.25 * ball(plate, 4, -60, 26, 60, 0.05)


def _spine(scene: FluoroscopyScene, plate: Plate, layer: Floats, x0: float, rng: np.random.Generator) -> None:
    dense = scene.bone
    grain = 1 + 0.12 * texture(plate, 1.2, rng) + 0.06 * texture(plate, 3.5, rng)
    lean = float(rng.normal(0, 0.02))
    for number in range(-9, 10):
        y, x = number * 26.0, x0 + number * 26.0 * lean
        half = (17.0 + 0.25 * number, 11.2)
        inside = box(plate, x, y, half, lean, 1.6)
        layer += dense * 0.25 * inside * grain
        for end in (-1, 1):  # end plates: dense, slightly dished
            edge = plate.y - (y + end * (half[1] - 0.8)) + (end * 1.4) * (1 - np.square((plate.x - x) / (half[0])))
            layer += dense * 0.2 * band(edge, 0.9) * inside
        for side in (-1, 1):  # pedicles: rings on either side
            away = np.hypot((plate.x - (x + side * 10.5)) / 0.8, plate.y - (y - 3)) - 3.8
            layer += dense * 0.2 * band(away, 1.1)
        layer += dense * 0.22 * ball(plate, x, y + 9, 3.2, 9.5) * grain
        layer += dense * 0.1 * ball(plate, x, y - 2, 30, 4.5, lean)


def _rib(scene: FluoroscopyScene, plate: Plate, layer: Floats, side: int, y0: float, x0: float) -> None:
    """Its back part runs outwards and down, its front part returns, lower and fainter."""
    reach = 122.0 * math.sqrt(max(0.2, 1 - ((y0 - 40) / 330.0) ** 2))
    part = np.linspace(0, 1, 15, dtype=np.float32)
    back = np.stack(
        (x0 + side * (16 + (reach - 16) * np.sin(part * 1.57)), y0 - 10 * np.sin(part * 3.1) + 38 * part**2),
        axis=1,
    )
    front = np.stack(
        (x0 + side * (reach - (reach - 42) * (1 - np.cos(part * 1.35))), y0 + 38 + 58 * np.sin(part * 1.5)),
        axis=1,
    )
    path = np.concatenate((back, front[1:])).astype(np.float32)
    through, along = tube(plate, path, np.full(len(path), 5.2, np.float32), 0.74)
    fading = 1 - 0.5 * np.clip((along - reach) / 60, 0, 1)
    layer += (0.3 * scene.bone) * through * fading


def _diaphragm(plate: Plate, layer: Floats, trunk: Floats, rng: np.random.Generator) -> None:
    """Liver and stomach under two domes; gas below the left one."""
    for side, top in ((-1, 92.0), (1, 104.0)):
        dome = top + 0.0032 * np.square(plate.x - (side * 62))
        own = np.clip(0.5 + side * plate.x / 24, 0, 1)
        layer += 0.75 * trunk * own * np.clip((plate.y - dome) / 5 + 0.5, 0, 1)
    layer -= 0.3 * ball(plate, 60 + float(rng.normal(0, 6)), 130, 24, 14, -0.2, 0.1, 5)


def _hip(scene: FluoroscopyScene, plate: Plate, body: Body, rng: np.random.Generator) -> None:
    layer, dense = body.still, scene.bone
    skin = plate.x + 78 - 0.0016 * np.square(plate.y + 30)
    inside = np.clip(skin / 3, 0, 1)
    layer += (1.5 * scene.thickness) * np.sqrt(np.clip(skin / 120, 0, 1)) + 0.25 * inside
    fat = plate.x + 48 - 0.12 * plate.y
    layer += 0.16 * np.clip(fat / 4, 0, 1)
    grain = 1 + 0.14 * texture(plate, 1.3, rng) + 0.08 * texture(plate, 4, rng)
    for bone in (_FEMUR, _PELVIS):
        whole = plate.blank()
        for (
            path,
            radius,
            hollow,
            weight,
        ) in bone:  # parts of one bone are one body: the denser counts, not the sum
            part = tube(plate, np.array(path, np.float32), np.array(radius, np.float32), hollow)[0]
            np.maximum(whole, weight * part, out=whole)
        layer += dense * cv2.GaussianBlur(whole, (0, 0), max(0.5, 0.9 / plate.mm)) * grain
    layer += dense * 0.3 * ball(plate, 18, -27, 24.5, 24.5) * grain
    away = np.hypot(plate.x - 18, plate.y + 27) - 28
    roof = np.clip((-8 - plate.y + 0.4 * plate.x) / 10, 0, 1)
    layer += dense * 0.4 * band(away, 1.7) * roof
    layer += dense * 0.42 * ball(plate, 52, -118, 78, 72, -0.5, 0.03, 3) * grain


# Tubes of cortical bone: points in mm, radius at each, how hollow, how dense.
_FEMUR = (
    (((-28, 14), (-33, 40), (-36, 70), (-37, 130), (-38, 190)), (15, 20, 15.5, 14, 14), 0.66, 1.0),
    (((-32, 26), (-8, -4), (16, -26)), (20, 14.5, 19), 0.8, 1.1),
    (((-40, 0), (-42, 16), (-34, 46)), (8, 14, 18), 0.84, 0.85),
)
_PELVIS = (
    (
        ((10, -96), (34, -66), (54, -44), (60, -14), (54, 26), (62, 48), (80, 62), (104, 50)),
        (34, 20, 15, 11, 10, 11, 9, 7),
        0.82,
        0.55,
    ),
    (((50, -34), (84, -6), (116, 4)), (12, 8, 8), 0.8, 0.5),
)


def _implants(scene: FluoroscopyScene, plate: Plate, body: Body, rng: np.random.Generator) -> None:
    """Clips, wires and screws: small and nearly black."""
    for number in range(scene.implants):
        x, y = (float(value) for value in rng.uniform(-0.4, 0.4, 2) * scene.field_mm)
        angle, length = float(rng.uniform(0, 3.1)), float(rng.uniform(3, 9))
        step = np.array([math.cos(angle), math.sin(angle)], np.float32) * length
        middle = np.array([x, y], np.float32) + np.asarray(scene.offset_mm, np.float32)
        if number % 3 == 2:
            path, radius = np.stack((middle - 2.2 * step, middle + 2.2 * step)), 1.7
        else:
            turn = np.linspace(0, 5.2, 12, dtype=np.float32)
            path, radius = (
                middle + np.stack((np.cos(turn), 0.6 * np.sin(turn)), axis=1) * (length / 2),
                0.45,
            )
        through, _ = tube(plate, path.astype(np.float32), np.full(len(path), radius, np.float32))
        (body.still if number % 2 else body.breathing)[...] += 2.0 * through
