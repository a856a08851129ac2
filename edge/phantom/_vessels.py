"""A branching tree of vessels, when the contrast agent reaches each part of it, and the way in for a wire."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.phantom._exposure import Floats
from edge.phantom._fluoroscopy_scene import FluoroscopyScene
from edge.phantom._noise import patient_rng
from edge.phantom._shapes import Plate, tube

LATEST_S = 2.2  # the agent reaches the last branch so long after the first


@dataclass(frozen=True, eq=False)
class Tree:
    thickness: Floats  # absorbance when full of undiluted agent
    arrival: NDArray[np.uint8]  # 0..255 for 0..LATEST_S
    way_in: Floats  # points in millimetres along which a wire goes in


@dataclass(frozen=True)
class _Root:
    x: float
    y: float
    heading: float
    length: float
    radius: float
    levels: int
    speed_mm_s: float

    def offspring(self, at: Floats, heading: float, length: float, thinner: float, younger: int) -> _Root:
        radius, levels = self.radius * thinner, self.levels - younger
        return _Root(float(at[0]), float(at[1]), heading, length, radius, levels, self.speed_mm_s)


_ROOTS = {
    "cardiac": (_Root(-2, -46, 0.35, 42, 2.0, 5, 110), _Root(-8, -44, 2.5, 40, 1.8, 4, 110)),
    "chest": (_Root(10, -50, 0.5, 55, 6.0, 5, 160), _Root(-10, -50, 2.6, 55, 6.0, 5, 160)),
    "hip": (_Root(70, -110, 1.75, 75, 3.6, 4, 140),),
}
_WAYS_IN = {
    "cardiac": ((-62, -190), (-50, -120), (-30, -92), (-10, -78), (-2, -46)),
    "chest": ((-40, -260), (-34, -160), (-26, -90), (-6, -40), (10, -50)),
    "hip": ((-130, 150), (-70, 70), (-34, 22), (-8, -4), (14, -24)),
}


def grow(scene: FluoroscopyScene, plate: Plate) -> Tree:
    rng = patient_rng(scene, 0x7EE5)
    thickness, arrival = plate.blank(), plate.blank()
    main: Floats = np.zeros((0, 2), np.float32)
    for number, root in enumerate(_ROOTS[scene.view]):
        trunk = _branch(plate, (thickness, arrival), root, 0.0, rng)
        if number == 0:
            main = trunk
    way_in = np.asarray(_WAYS_IN[scene.view], np.float32)
    if scene.view != "hip":
        way_in = np.concatenate((way_in[:-1], main))
    levels = np.clip(arrival * (255.0 / LATEST_S), 0, 255).astype(np.uint8)
    return Tree(thickness * 0.6, levels, _smooth(way_in))


def _branch(plate: Plate, onto: tuple[Floats, Floats], root: _Root, since: float, rng: np.random.Generator) -> Floats:
    """Draw one branch and all that spring from it; returns its path, prolonged by its first child's."""
    steps = 10
    bends = np.cumsum(rng.normal(0, 0.13, steps)) + 0.12 * np.sin(np.arange(steps) * rng.uniform(0.6, 1.2))
    headings = root.heading + bends
    moves = np.stack((np.cos(headings), np.sin(headings)), axis=1) * (root.length / steps)
    path = np.concatenate(([[root.x, root.y]], np.array([root.x, root.y]) + np.cumsum(moves, axis=0))).astype(
        np.float32
    )
    radius = np.linspace(root.radius, 0.72 * root.radius, steps + 1, dtype=np.float32)
    through, along = tube(plate, path, radius)
    through *= root.radius / 2.0
    thickness, arrival = onto
    new = through > thickness
    thickness[new] = through[new]
    arrival[new] = since + along[new] / root.speed_mm_s
    if root.levels <= 1:
        return path
    end, later = path[-1], since + root.length / root.speed_mm_s
    tails: list[Floats] = []
    for turn, share in ((rng.uniform(-0.45, 0.1), 0.84), (rng.uniform(0.4, 0.9), 0.62)):
        mirrored = 1 if rng.random() < 0.6 else -1
        length = root.length * share * float(rng.uniform(0.75, 1.1))
        heading = float(headings[-1]) + mirrored * float(turn)
        child = root.offspring(end, heading, length, 0.55 + 0.25 * share, 1)
        tails.append(_branch(plate, onto, child, later, rng))
    if root.levels > 3:  # a side branch half way
        middle = path[steps // 2]
        heading = float(headings[steps // 2] + rng.choice([-1, 1]) * rng.uniform(0.6, 1.1))
        twig = root.offspring(middle, heading, 0.6 * root.length, 0.55, 2)
        _branch(plate, onto, twig, since + 0.5 * root.length / root.speed_mm_s, rng)
    return np.concatenate((path, tails[0][1:]))


def concentration(scene: FluoroscopyScene, t: float) -> Floats:
    """How much agent there is at each arrival level: a rise, a plateau, a slow wash-out, once a bolus."""
    since = (t % scene.bolus_period_s) - np.linspace(0, LATEST_S, 256, dtype=np.float32) - 0.4
    washed = 0.3 * scene.bolus_period_s
    filled = np.clip(since / 0.5, 0, 1)
    left = np.exp(-np.square(np.maximum(since - washed, 0) / 0.8))
    return scene.contrast * filled * left


def _smooth(path: Floats) -> Floats:
    """Evenly spaced points along a path, its corners rounded."""
    length = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))))
    even = np.linspace(0, length[-1], max(8, math.ceil(length[-1] / 2.0)))
    dense = np.stack([np.interp(even, length, path[:, axis]) for axis in (0, 1)], axis=1)
    kernel = np.hanning(11)[1:-1]
    padded = np.pad(dense, ((4, 4), (0, 0)), mode="reflect", reflect_type="odd")
    return np.stack([np.convolve(padded[:, axis], kernel / kernel.sum(), "valid") for axis in (0, 1)], axis=1).astype(
        np.float32
    )
