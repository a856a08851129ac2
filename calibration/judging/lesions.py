"""Pairs of films that differ in their lesions alone, on an even background: what observers and fidelity look at.

Twelve lesions lie well apart in each scene, four sizes in three contrasts, and change places from seed to seed. The
two films of a pair share speckle and noise, so their difference is the lesions themselves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.judging.clips import Clip, Floats, Scene, film
from calibration.judging.contestants import Kind
from calibration.judging.plan import HELD_OUT
from edge.phantom import FluoroscopyScene, Insert, UltrasoundScene

WIDTH, HEIGHT = 384, 288
HALF = 28  # a lesion is looked at in a square of 2 * HALF + 1 pixels
_COLUMNS, _ROWS = 4, 3
_SEEDS = HELD_OUT + 100_000
# Weakly darker, weakly brighter, and plainly darker: the weak ones are near what can be seen in one frame.
VARIANTS = (-1.0, 1.0, -4.0)
# Radius in mm and the weak contrast. The smaller a lesion, the stronger it must be to be seen at all.
_ULTRASOUND = ((0.6, 4.0), (1.0, 2.5), (1.6, 1.5), (2.4, 1.0))  # dB
_FLUOROSCOPY = ((1.0, 0.22), (1.5, 0.13), (2.25, 0.08), (3.25, 0.055))  # absorbance
_FIELD_MM = 140.0


@dataclass(frozen=True)
class Condition:
    """What a set of pairs has in common."""

    kind: Kind
    moves: bool
    dose: float = 1.0

    @property
    def words(self) -> str:
        moving = "moving" if self.moves else "still"
        return moving if self.kind != "fluoroscopy" else f"{moving}, dose {self.dose:g}"


@dataclass(frozen=True)
class Placed:
    """One lesion: what it is, and where its middle is shown in the box."""

    radius_mm: float
    change: float
    size: int  # 0 is the smallest
    variant: int
    row: int
    column: int

    @property
    def label(self) -> str:
        return f"{self.radius_mm:g} mm, {self.change:+g}"

    @property
    def plain(self) -> bool:
        """Not near what can be seen in one frame, but well above it."""
        return abs(VARIANTS[self.variant]) > 1.0


@dataclass(frozen=True, eq=False)
class Pair:
    present: Clip
    absent: Clip
    lesions: tuple[Placed, ...]
    seed: int


def sizes_mm(kind: Kind) -> tuple[float, ...]:
    return tuple(radius for radius, _ in _kinds(kind))


def pairs(condition: Condition, count: int, warm_up: int) -> Iterator[Pair]:
    for number in range(count):
        yield pair(condition, number, warm_up)


def pair(condition: Condition, number: int, warm_up: int) -> Pair:
    scene = background(condition, _SEEDS + number)
    inserts = _inserts(condition, scene, number)
    first = 7 * number % 90  # at another phase of the movements each time
    frames = range(first, first + warm_up + 1)
    absent = film(scene, frames, (warm_up,))
    present = film(dataclasses.replace(scene, inserts=inserts), frames, (warm_up,))
    signal = present.truths[0] - absent.truths[0]
    placed = tuple(_find(signal, present, scene, insert, at, number) for at, insert in enumerate(inserts))
    return Pair(present, absent, placed, scene.seed)


def background(condition: Condition, seed: int) -> Scene:
    """Even tissue: nothing in it but its own grain."""
    return _tissue(condition, seed) if condition.kind != "fluoroscopy" else _soft_parts(condition, seed)


def _tissue(condition: Condition, seed: int) -> UltrasoundScene:
    scene = UltrasoundScene.of("linear", seed=seed, width=WIDTH, height=HEIGHT, samples=320, lines=128)
    even = dataclasses.replace(scene, **UNIFORM, haze_db=-30.0, reverberation=0.0)
    if condition.moves:
        return dataclasses.replace(even, breathing_mm=2.0, sway_mm=1.5)
    return dataclasses.replace(even, **STILL)


UNIFORM: dict[str, object] = {
    "texture": 0.0, "layers": 0, "vessels": 0, "cysts": 0, "lesions": 0, "needle": False, "furniture": False,
}  # fmt: skip
STILL: dict[str, float] = {"breathing_mm": 0.0, "sway_mm": 0.0, "press_mm": 0.0, "pulsation_mm": 0.0}


def _soft_parts(condition: Condition, seed: int) -> FluoroscopyScene:
    """The soft parts beside a hip, where nothing lies but themselves."""
    return FluoroscopyScene.of(
        "hip",
        seed=seed, width=WIDTH, height=HEIGHT, field_mm=_FIELD_MM, offset_mm=(45.0, 20.0), dose=condition.dose,
        bone=0.0, implants=0, wire=False, collimator="rectangle", breathing_mm=6.0 if condition.moves else 0.0,
    )  # fmt: skip


def _kinds(kind: Kind) -> tuple[tuple[float, float], ...]:
    return _FLUOROSCOPY if kind == "fluoroscopy" else _ULTRASOUND


def _inserts(condition: Condition, scene: Scene, number: int) -> tuple[Insert, ...]:
    layer = "breathing" if condition.kind == "fluoroscopy" and condition.moves else "still"
    kinds = _kinds(condition.kind)
    found: list[Insert] = []
    for cell in range(_COLUMNS * _ROWS):
        size, variant = divmod((cell + 5 * number) % 12, len(VARIANTS))
        radius, weak = kinds[size]
        x, z = _cell_mm(scene, cell % _COLUMNS, cell // _COLUMNS)
        found.append(Insert(x, z, radius, round(weak * VARIANTS[variant], 4), layer))
    return tuple(found)


def _cell_mm(scene: Scene, column: int, row: int) -> tuple[float, float]:
    """The middle of a cell of the grid, as inserts count millimetres."""
    across, down = (column + 0.5) / _COLUMNS - 0.5, (row + 0.5) / _ROWS
    if isinstance(scene, UltrasoundScene):
        return across * 2.0 * scene.span, (0.06 + 0.9 * down) * scene.depth_mm
    wide = scene.opening * scene.field_mm
    x, y = scene.offset_mm
    return x + across * wide * scene.width / scene.height, y + (down - 0.5) * wide


def _find(signal: Floats, clip: Clip, scene: Scene, insert: Insert, at: int, number: int) -> Placed:
    """Where the lesion has moved to: the middle of its own signal around the place where it rests."""
    column, row = resting(clip, scene, insert)
    reach = HALF + 6
    top, left = max(0, round(row) - reach), max(0, round(column) - reach)
    around = np.abs(signal[top : round(row) + reach + 1, left : round(column) + reach + 1])
    seen = cv2.moments(np.ascontiguousarray(around, np.float32))
    if seen["m00"] > 0:
        row, column = top + seen["m01"] / seen["m00"], left + seen["m10"] / seen["m00"]
    size, variant = divmod((at + 5 * number) % 12, len(VARIANTS))
    return Placed(insert.radius_mm, insert.change, size, variant, round(row), round(column))


def resting(clip: Clip, scene: Scene, insert: Insert) -> tuple[float, float]:
    """Column and row in the box of an insert that has not moved."""
    mm = clip.spacing_mm[0]
    if isinstance(scene, UltrasoundScene):
        return (insert.x_mm + scene.span) / mm, insert.z_mm / mm
    x, y = scene.offset_mm
    column = (insert.x_mm - x) / mm + (scene.width - 1) / 2 - clip.box[0]
    return column, (insert.z_mm - y) / mm + (scene.height - 1) / 2 - clip.box[1]


def crop(picture: Floats, placed: Placed) -> Floats | None:
    """The square around a lesion, or None where it reaches beyond the picture."""
    top, left = placed.row - HALF, placed.column - HALF
    found = picture[max(0, top) : placed.row + HALF + 1, max(0, left) : placed.column + HALF + 1]
    return found if found.shape == (2 * HALF + 1, 2 * HALF + 1) and min(top, left) >= 0 else None
