"""Likeness to the truth, edges and flicker on scenes drawn at random, as a whole and by strata."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.judging.clips import Clip, Field, Floats, Scene, film
from calibration.judging.contestants import INPUT, Kind
from calibration.judging.holding import Mixed
from calibration.judging.plan import HELD_OUT, Plan
from calibration.judging.progress import Tell, quiet, told
from calibration.judging.strata import strata_of
from calibration.measures import edge_preservation, flicker, psnr_db, ssim
from edge.phantom import FluoroscopyScene, UltrasoundScene

_FEWEST = 2  # scenes that make a stratum


@dataclass(frozen=True)
class Row:
    """One contestant on one scene."""

    contestant: str
    scene: int
    strata: tuple[str, ...]
    psnr_db: float
    ssim: float
    edges: float
    flicker: float


@dataclass(frozen=True)
class Stratum:
    """One contestant in one group of scenes, beside the unprocessed picture."""

    scenes: int
    psnr_db: float
    psnr_input_db: float
    ssim: float
    edges: float

    @property
    def gain_db(self) -> float:
        return self.psnr_db - self.psnr_input_db


def examine(field: Field, kind: Kind, plan: Plan, mixed: Mixed | None = None, tell: Tell = quiet) -> list[Row]:
    rows: list[Row] = []
    for number, clip in enumerate(told(clips(kind, plan), _count(kind, plan), tell)):
        for contestant, results in field.show(clip):
            rows.append(_row(contestant.key, number, clip, results))
            if mixed is not None:
                for shown, came, truth in zip(results, clip.inputs, clip.truths, strict=True):
                    mixed.note("psnr_db", contestant, shown, came, functools.partial(_likeness, truth, clip.mask))
    return rows


def _likeness(truth: Floats, mask: NDArray[np.bool_], picture: Floats) -> float:
    return psnr_db(picture, truth, mask)


def clips(kind: Kind, plan: Plan) -> Iterator[Clip]:
    """Films of random scenes; for super-resolution of their truth alone, which holds no speckle."""
    for number in range(_count(kind, plan)):
        scene = draw(kind, number, plan.width)
        warm_up = 0 if kind == "superres" else plan.warm_up
        positions = tuple(range(warm_up, warm_up + plan.general_frames))
        start = 11 * number % 60
        clip = film(scene, range(start, start + positions[-1] + 1), positions, strata_of(scene))
        yield _of_truth(clip) if kind == "superres" else clip


def _count(kind: Kind, plan: Plan) -> int:
    return plan.enlarging_scenes if kind == "superres" else plan.general_scenes


def draw(kind: Kind, number: int, width: int = 640) -> Scene:
    """The n-th held-out scene; both modalities in turn for super-resolution, which serves both."""
    seed = HELD_OUT + number
    if kind == "fluoroscopy" or (kind == "superres" and number % 2):
        return FluoroscopyScene.random(seed, width, 3 * width // 4)
    return dataclasses.replace(UltrasoundScene.random(seed, width, 3 * width // 4), furniture=False)


def _of_truth(clip: Clip) -> Clip:
    pictures = [np.rint(truth * clip.full_scale).astype(clip.pictures[0].dtype) for truth in clip.truths]
    return dataclasses.replace(clip, pictures=pictures)


def _row(key: str, number: int, clip: Clip, results: list[Floats]) -> Row:
    pairs = list(zip(results, clip.truths, strict=True))
    last, true = pairs[-1]  # neighbours in time are too alike for the dearer figures to tell more
    return Row(
        key,
        number,
        clip.strata,
        psnr_db=statistics.fmean(psnr_db(result, truth, clip.mask) for result, truth in pairs),
        ssim=ssim(last, true, clip.mask),
        edges=edge_preservation(last, true, clip.mask),
        flicker=flicker(np.stack(results), np.stack(clip.truths), clip.mask) if len(results) > 1 else 0.0,
    )


def means(rows: list[Row], measure: str) -> dict[str, float]:
    """Contestant -> its mean over all scenes."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        found[row.contestant].append(getattr(row, measure))
    return {name: statistics.fmean(values) for name, values in found.items()}


def strata(rows: list[Row], contestant: str) -> dict[str, Stratum]:
    """Group -> figures of one contestant; groups of too few scenes are left out."""
    inputs = {row.scene: row for row in rows if row.contestant == INPUT}
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.contestant == contestant:
            for name in row.strata:
                groups[name].append(row)
    return {
        name: Stratum(
            len(members),
            statistics.fmean(row.psnr_db for row in members),
            statistics.fmean(inputs[row.scene].psnr_db for row in members),
            statistics.fmean(row.ssim for row in members),
            statistics.fmean(row.edges for row in members),
        )
        for name, members in sorted(groups.items())
        if len(members) >= _FEWEST
    }


def worst(groups: dict[str, Stratum]) -> str:
    """The group in which a picture gains least over the unprocessed one."""
    return min(groups, key=lambda name: groups[name].gain_db, default="")
