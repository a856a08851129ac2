"""How well tissues part (gCNR), how calm one is (speckle SNR), and how wide points are drawn (FWHM)."""

from __future__ import annotations

import dataclasses
import functools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from calibration.judging.clips import Clip, Field, Floats, Scene, film
from calibration.judging.contestants import Kind
from calibration.judging.holding import Mixed
from calibration.judging.lesions import HEIGHT, STILL, UNIFORM, WIDTH, Condition, background, resting
from calibration.judging.plan import HELD_OUT, Plan
from calibration.measures import gcnr, speckle_snr, wire_fwhm
from edge.phantom import Insert, UltrasoundScene

Scores = dict[str, dict[str, float]]  # measure -> contestant -> value
_SEEDS = HELD_OUT + 200_000
# A cyst, then tissue a little darker and a little brighter (dB); vessels and bone in absorbance.
_ULTRASOUND = (-30.0, -6.0, -3.0, 3.0, 6.0)
_FLUOROSCOPY = (0.04, 0.08, 0.15, -0.04, -0.08)
_QUARTER = 0.25  # the dose at which fluoroscopy is looked at
_REACH_MM = 1.6  # of a wire's profile, both ways


def examine(field: Field, kind: Kind, plan: Plan, mixed: Mixed | None = None) -> Scores:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(plan.contrast_scenes):
        scene, clip = inserted(kind, number, plan.warm_up)
        assert isinstance(scene, UltrasoundScene) or kind == "fluoroscopy"
        for contestant, results in field.show(clip):
            found["gcnr"][contestant.key] += _gcnrs(results[0], scene, clip)
            if mixed is not None:
                mixed.note("gcnr", contestant, results[0], clip.inputs[0], functools.partial(_mean_gcnr, scene, clip))
            if isinstance(scene, UltrasoundScene):
                grain = _between(results[0] - clip.truths[0])
                found["speckle_snr"][contestant.key].append(speckle_snr(grain, scene.dynamic_range_db))
    if kind != "fluoroscopy":
        for scene, clip in _wire_films(plan):
            for contestant, results in field.show(clip):
                for measure, widths in _widths_mm(results[0], scene, clip).items():
                    found[measure][contestant.key] += widths
    return {measure: {who: _mean(values) for who, values in by.items()} for measure, by in found.items()}


def inserted(kind: Kind, number: int, warm_up: int) -> tuple[Scene, Clip]:
    """Even tissue with five discs, changing places from scene to scene."""
    base = background(Condition(kind, False, _QUARTER if kind == "fluoroscopy" else 1.0), _SEEDS + number)
    changes = _FLUOROSCOPY if kind == "fluoroscopy" else _ULTRASOUND
    inserts = tuple(
        _disc(base, at, changes[(at + number) % len(changes)], 4.0 if kind == "fluoroscopy" else 3.0)
        for at in range(len(changes))
    )
    scene = dataclasses.replace(base, inserts=inserts)
    return scene, film(scene, range(warm_up + 1), (warm_up,))


def _disc(scene: Scene, at: int, change: float, radius_mm: float) -> Insert:
    """Three above, two below."""
    row, column = divmod(at, 3)
    across, down = (column + 0.5 + 0.5 * row) / 3 - 0.5, 0.3 + 0.4 * row
    if isinstance(scene, UltrasoundScene):
        return Insert(across * 2 * scene.span, down * scene.depth_mm, radius_mm, change)
    x, y = scene.offset_mm
    return Insert(x + across * scene.field_mm, y + (down - 0.5) * scene.field_mm, radius_mm, change)


def _gcnrs(picture: Floats, scene: Scene, clip: Clip) -> list[float]:
    """Each disc against a ring of about its own area around it."""
    found: list[float] = []
    for insert in scene.inserts:
        away = _away_mm(picture.shape, clip, scene, insert)
        inside = away < 0.85 * insert.radius_mm  # its rim is soft
        ring = (away > 1.2 * insert.radius_mm) & (away < 1.6 * insert.radius_mm) & clip.mask
        found.append(gcnr(picture[inside], picture[ring]))
    return found


def _mean_gcnr(scene: Scene, clip: Clip, picture: Floats) -> float:
    return statistics.fmean(_gcnrs(picture, scene, clip))


def _away_mm(shape: tuple[int, ...], clip: Clip, scene: Scene, insert: Insert) -> Floats:
    column, row = resting(clip, scene, insert)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    return np.hypot(columns - column, rows - row) * clip.spacing_mm[0]


def _between(picture: Floats) -> Floats:
    """A band of even tissue between both rows of discs."""
    rows, columns = picture.shape
    return picture[round(0.46 * rows) : round(0.54 * rows), round(0.05 * columns) : round(0.95 * columns)]


def _wire_films(plan: Plan) -> Iterator[tuple[UltrasoundScene, Clip]]:
    """Points in even tissue, as in a resolution phantom."""
    for number in range(plan.wire_scenes):
        scene = UltrasoundScene.of("linear", seed=_SEEDS + 50_000 + number, width=WIDTH, height=HEIGHT)
        places = tuple((x, z) for z in (10.0, 20.0, 30.0) for x in (-15.0, -5.0, 5.0, 15.0))
        even = dataclasses.replace(scene, **UNIFORM, **STILL, haze_db=-30.0, reverberation=0.0, wires=places)
        yield even, film(even, range(plan.warm_up + 1), (plan.warm_up,))


def _widths_mm(picture: Floats, scene: UltrasoundScene, clip: Clip) -> dict[str, list[float]]:
    widths = [
        wire_fwhm(
            picture,
            round(z / clip.spacing_mm[1]),
            round((x + scene.span) / clip.spacing_mm[0]),
            round(_REACH_MM / clip.spacing_mm[0]),
            (clip.spacing_mm[1], clip.spacing_mm[0]),
        )
        for x, z in scene.wires
    ]
    return {"wire_axial_mm": [w.axial for w in widths], "wire_lateral_mm": [w.lateral for w in widths]}


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan
