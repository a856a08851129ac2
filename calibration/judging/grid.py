"""The grid of blocks that a net works on. It must not be seen in what it makes of a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np

from calibration.judging.clips import Clip, Field, Scene, film, halved, levels
from calibration.judging.contestants import Kind
from calibration.judging.lesions import HEIGHT, WIDTH
from calibration.judging.plan import HELD_OUT, Plan
from calibration.measures import raster
from calibration.treatment import Treatment
from edge.frame import Pixels
from edge.phantom import FluoroscopyScene, UltrasoundScene

_SEEDS = HELD_OUT + 800_000
_BLOCK = 4  # pixels of the result, of every engine
_EDGE = 24  # pixels: there a picture that begins further on has other neighbours
_FRAMES = 6
_GAINS_DB = (0.0, 8.0, 16.0)  # a net that has learnt few edges as bright as a fascia shows its grid along one
_DOSES = (1.0, 0.25, 0.05)


def examine(contestants: Field, kind: Kind, plan: Plan) -> dict[str, float]:
    """Contestant -> how high its grid stands at the worst place of all films, in per cent of full scale. Peers have no
    blocks.
    """
    found: dict[str, float] = {}
    for clip in clips(kind, plan):
        pictures = [halved(picture) for picture in clip.pictures] if contestants.enlarges else clip.pictures
        for who in contestants.without("peer").contestants:
            stands = highest_percent(contestants.treatment(who, clip.bits), pictures, clip.bits, contestants.enlarges)
            found[who.key] = max(found.get(who.key, 0.0), stands)
    return found


def clips(kind: Kind, plan: Plan) -> Iterator[Clip]:
    for number in range(plan.grid_scenes):
        scene = _scene("fluoroscopy" if kind == "fluoroscopy" or (kind == "superres" and number % 2) else kind, number)
        yield film(scene, range(_FRAMES), (_FRAMES - 1,))


def _scene(kind: Kind, number: int) -> Scene:
    """Bright sheets across muscle; devices and bones at all doses."""
    seed = _SEEDS + number
    if kind == "fluoroscopy":
        dose = _DOSES[number % len(_DOSES)]
        return FluoroscopyScene.of("cardiac", seed=seed, width=WIDTH, height=HEIGHT, dose=dose)
    return UltrasoundScene.of(
        "linear", seed=seed, width=WIDTH, height=HEIGHT, furniture=False, layers=5,
        gain_db=_GAINS_DB[number % len(_GAINS_DB)], dynamic_range_db=55.0,
    )  # fmt: skip


def highest_percent(treatment: Treatment, pictures: Sequence[Pixels], bits: int, enlarges: bool) -> float:
    """At the worst place of the last picture, across or down; of full scale."""
    step = 2 if enlarges else 1  # pixels of the result for one of the picture
    places = _BLOCK // step
    rows, columns = (side - places + 1 for side in pictures[-1].shape)

    def begun_at(row: int, column: int) -> np.ndarray:
        treatment.forget()
        parts = [np.ascontiguousarray(picture[row : row + rows, column : column + columns]) for picture in pictures]
        return levels([treatment(cast("Pixels", part)) for part in parts][-1], bits)

    first = begun_at(0, 0)
    across = raster([first, *(begun_at(0, at) for at in range(1, places))], down=False, step=step)
    down = raster([first, *(begun_at(at, 0) for at in range(1, places))], down=True, step=step)
    inner = (slice(_EDGE, -_EDGE), slice(_EDGE, -_EDGE))
    return 100.0 * max(float(found[inner].max(initial=0.0)) for found in (across, down))
