"""What stays behind: the ghost of a wire or needle that has moved on, how wide it is drawn while it moves, and how
much is left of single artefacts.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from calibration.judging.clips import Clip, Field, Floats, Scene, film
from calibration.judging.contestants import Kind
from calibration.judging.lesions import HEIGHT, STILL, WIDTH
from calibration.judging.plan import HELD_OUT, Plan
from calibration.judging.progress import Tell, quiet, told
from calibration.measures import footprint, fwhm, ghost_percent, trail_mask
from edge.phantom import FluoroscopyScene, UltrasoundScene

_SEEDS = HELD_OUT + 400_000
_MEASURED = 12  # consecutive moments
_AGES = (1, 2, 3)  # frames since the wire was there; the worst counts
CROSSING_PX = 10.0
_QUARTER = 0.25


@dataclass(frozen=True)
class Passed:
    """What one contestant makes of something that passes."""

    ghost_percent: float
    width_ratio: float  # of the moving wire, against the unprocessed picture's; NaN where not told
    added_percent: float = 0.0  # beyond what the unprocessed picture shows there at the same age
    added_stderr: float = 0.0
    kept: float = math.nan  # of its contrast, of what the unprocessed picture shows. A needle slides along itself


def examine(contestants: Field, kind: Kind, plan: Plan, tell: Tell = quiet) -> dict[str, Passed]:
    ghosts: dict[str, list[list[float]]] = defaultdict(list)
    widths: dict[str, list[float]] = defaultdict(list)
    contrasts: dict[str, list[float]] = defaultdict(list)
    for number in told(range(plan.passing_scenes), plan.passing_scenes, tell):
        taking_part = contestants if number < plan.passing_peers else contestants.without("peer")
        with_it, without = _films(kind, number, plan.warm_up)
        signal = np.stack(with_it.truths) - np.stack(without.truths)
        contrast = 0.0
        there = {who.key: results for who, results in taking_part.show(with_it)}
        for who, absent in taking_part.show(without):
            left = np.stack(there[who.key]) - np.stack(absent)
            if who.role == "input":
                contrast = _shown_contrast(left, signal)
            ghosts[who.key].append([_ghost(left, signal, contrast, age) for age in _AGES])
            widths[who.key].append(_width(left) if kind == "fluoroscopy" else math.nan)
            contrasts[who.key].append(_shown_contrast(left, signal) / contrast)
    usual = _mean(widths["input"])
    given = ghosts["input"]
    return {
        key: Passed(_worst(ages), _mean(widths[key]) / usual, *_most_added(ages, given), _mean(contrasts[key]))
        for key, ages in ghosts.items()
    }


def _films(kind: Kind, number: int, warm_up: int) -> tuple[Clip, Clip]:
    """With the thing that passes and without it; all else, noise too, is the same."""
    if kind == "fluoroscopy":
        # No lag of the detector's own here: what is left behind is the contestant's.
        still = FluoroscopyScene.of(
            "cardiac", seed=_SEEDS + number, width=WIDTH, height=HEIGHT, dose=_QUARTER, wire=False, lag=0.0
        )
        scenes: tuple[Scene, Scene] = (dataclasses.replace(still, crossing_px=CROSSING_PX), still)
        first = 2
    else:
        tissue = UltrasoundScene.of("linear", seed=_SEEDS + number, width=WIDTH, height=HEIGHT, needle_period_s=3.0)
        calm = dataclasses.replace(tissue, **STILL, furniture=False, needle=False)
        scenes = (dataclasses.replace(calm, needle=True), calm)
        first = 62 - warm_up  # the needle is drawn back, at its fastest, in the measured frames
    measured = tuple(range(warm_up, warm_up + _MEASURED))
    with_it, without = (film(scene, range(first, first + measured[-1] + 1), measured) for scene in scenes)
    return with_it, without


def _shown_contrast(left: Floats, signal: Floats) -> float:
    """The wire's contrast where it is, as a picture shows it: the detector has blurred it."""
    return statistics.fmean(float(shown[footprint(true)].mean()) for shown, true in zip(left, signal, strict=True))


def _ghost(left: Floats, signal: Floats, contrast: float, age: int) -> float:
    """Per cent of the wire's contrast where it was `age` frames ago; the mean of all moments."""
    moments = range(max(_AGES), len(signal))
    trails = np.stack([trail_mask(signal, index, age) for index in moments])
    if not trails.any():
        return math.nan
    late = slice(max(_AGES), None)
    return ghost_percent(left[late], np.zeros_like(left[late]), trails, contrast, signal[late])


def _worst(ages_by_scene: list[list[float]]) -> float:
    """The age at which most is left. Scenes even out before its size is told: noise is no ghost."""
    by_age = [_mean(list(ages)) for ages in zip(*ages_by_scene, strict=True)]
    return max((abs(value) for value in by_age if not math.isnan(value)), default=math.nan)


def _most_added(ages_by_scene: list[list[float]], given: list[list[float]]) -> tuple[float, float]:
    """By what a contestant adds to a trail, with its sign, scene by scene and at the same age: the mean of the age that
    is worst, without its sign, and its standard error. A needle's own echoes lie where it was a moment ago, in the
    unprocessed picture too: they are no ghost.
    """
    more = np.array(ages_by_scene) - np.array(given[: len(ages_by_scene)])
    found = [known[~np.isnan(known)] for known in more.T]
    by_age = [(abs(float(known.mean())), _error_of(known)) for known in found if len(known)]
    return max(by_age, default=(math.nan, 0.0))


def _error_of(values: Floats) -> float:
    """Of a mean; of one value nothing is known."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf


def _width(left: Floats) -> float:
    """Of the upright wire, in pixels: from its mean profile across in each moment."""
    widths: list[float] = []
    for frame in left:
        profile = -frame[frame.shape[0] // 10 : -(frame.shape[0] // 10)].mean(axis=0)
        at = int(np.argmax(profile))
        if 16 <= at < len(profile) - 16:
            widths.append(fwhm(profile[at - 16 : at + 17]))
    return _mean(widths)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan


# ------------------------------------------------ artefacts

_OF_ULTRASOUND: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "interference streaks": ({"streaks": 0.0}, {"streaks": 0.7}),
    "reverberation": ({"reverberation": 0.0}, {"reverberation": 0.35}),
    "near-field haze": ({"haze_db": -40.0}, {"haze_db": 2.0}),
}
_OF_FLUOROSCOPY: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "lag": ({"lag": 0.0}, {"lag": 0.3}),
    "flicker": ({"flicker": 0.0}, {"flicker": 0.03}),
}


def artefacts(contestants: Field, kind: Kind, plan: Plan) -> dict[str, dict[str, float]]:
    """Artefact -> contestant -> per cent of it that is left; 100 is all of it."""
    kinds = _OF_FLUOROSCOPY if kind == "fluoroscopy" else _OF_ULTRASOUND
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for name, (without, with_it) in kinds.items():
        for number in range(plan.artefact_scenes):
            scene = _busy(kind, number)
            clean, spoilt = (
                film(dataclasses.replace(scene, **changes), range(plan.warm_up + 1), (plan.warm_up,))  # type: ignore[arg-type]
                for changes in (without, with_it)
            )
            there = {who.key: results[0] for who, results in contestants.show(spoilt)}
            for who, results in contestants.show(clean):
                found[name][who.key].append(float(np.square(there[who.key] - results[0])[clean.mask].mean()))
    return {name: _against_input(powers) for name, powers in found.items()}


def _busy(kind: Kind, number: int) -> Scene:
    seed = _SEEDS + 50_000 + number
    if kind == "fluoroscopy":
        return FluoroscopyScene.of("cardiac", seed=seed, width=WIDTH, height=HEIGHT)
    scene = UltrasoundScene.of("linear", seed=seed, width=WIDTH, height=HEIGHT)
    return dataclasses.replace(scene, furniture=False, needle=False)


def _against_input(powers: dict[str, list[float]]) -> dict[str, float]:
    whole = statistics.fmean(powers["input"])
    return {key: 100.0 * math.sqrt(statistics.fmean(values) / whole) for key, values in powers.items()}
