"""Detectability: how well a channelised Hotelling observer finds lesions of four sizes, for every contestant.

The weak lesions alone are used, those near what can be seen in one frame: d' of a plain one is large whatever is done
to the picture. Darker and brighter ones are counted together, the darker with their grey turned round.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from calibration.judging.clips import Field, Floats
from calibration.judging.contestants import INPUT, Kind, Role
from calibration.judging.lesions import HALF, Condition, Pair, Placed, crop, pairs, sizes_mm
from calibration.judging.plan import Plan
from calibration.judging.progress import Tell, quiet, told
from calibration.measures import ChannelisedObserver, Detectability, against_surroundings, laguerre_gauss, lead

SIDE = 2 * HALF + 1
CHANNELS = 6
DISPLAY_NOISE = 1 / 256  # one grey level of an 8-bit screen
SURE = 1.96  # standard errors: an interval that holds the true value 95 times in 100
_WEAK = (0, 1)  # variants
QUARTER, FULL_DOSE = 0.25, 1.0
_FEWEST = 4 * CHANNELS  # patches, for both halves to train an observer

Listener = Callable[[Condition, Pair, dict[str, tuple[Floats, Floats]]], None]


@dataclass(frozen=True)
class Task:
    condition: Condition
    spared: tuple[Role, ...] = ()  # who is not needed here


@dataclass(frozen=True, eq=False)
class Sighting:
    """One size under one condition: each contestant's detectability."""

    condition: Condition
    radius_mm: float
    found: dict[str, Detectability]
    samples: dict[str, int]

    def lead_over_input(self, contestant: str) -> tuple[float, float]:
        """How much d' lies above the unprocessed picture's, and its standard error."""
        return lead(self.found[contestant], self.found[INPUT])


@dataclass(eq=False)
class _Patches:
    present: list[Floats] = field(default_factory=list[Floats])
    absent: list[Floats] = field(default_factory=list[Floats])
    scenes: list[int] = field(default_factory=list[int])


def tasks(kind: Kind, quick: bool) -> list[Task]:
    """What is looked at: moving patients first, as they are; doses down to an eighth."""
    if kind != "fluoroscopy":
        both = [Task(Condition(kind, True)), Task(Condition(kind, False))]
        return both[:1] if quick else both
    quarter, full = Condition(kind, True, QUARTER), Condition(kind, True, FULL_DOSE)
    if quick:
        return [Task(quarter), Task(full, ("engine", "float", "peer"))]
    others = [Task(Condition(kind, True, dose), ("float", "peer")) for dose in (FULL_DOSE, 0.5, 0.125)]
    return [Task(quarter), *others, Task(Condition(kind, False, QUARTER))]


def examine(contestants: Field, kind: Kind, plan: Plan, listen: Listener, tell: Tell = quiet) -> list[Sighting]:
    """All sizes under all conditions. `listen` is given each pair with what was made of it."""
    found: list[Sighting] = []
    for task in tasks(kind, plan.quick):
        found += _under(task, contestants, plan, listen, tell)
    return found


def _under(task: Task, contestants: Field, plan: Plan, listen: Listener, tell: Tell) -> list[Sighting]:
    gathered: dict[tuple[str, int], _Patches] = defaultdict(_Patches)
    taking_part = contestants.without(*task.spared)
    spacing = 1.0
    films = pairs(task.condition, plan.pairs, plan.warm_up)
    for number, pair in enumerate(told(films, plan.pairs, lambda words: tell(f"{task.condition.words}, {words}"))):
        spacing = pair.present.spacing_mm[0]
        shown = _shown(taking_part, pair, thin=number % plan.thin > 0)
        for key, (present, absent) in shown.items():
            _gather(gathered, key, pair, present, absent)
        if "engine" not in task.spared:
            listen(task.condition, pair, shown)
    return [
        _sighting(task.condition, size, radius, radius / spacing, gathered, plan)
        for size, radius in enumerate(sizes_mm(task.condition.kind))
    ]


def _shown(contestants: Field, pair: Pair, thin: bool) -> dict[str, tuple[Floats, Floats]]:
    present = {who.key: results[0] for who, results in contestants.show(pair.present, thin)}
    absent = {who.key: results[0] for who, results in contestants.show(pair.absent, thin)}
    return {key: (present[key], absent[key]) for key in present}


def _gather(gathered: dict[tuple[str, int], _Patches], key: str, pair: Pair, present: Floats, absent: Floats) -> None:
    for placed in pair.lesions:
        if placed.variant in _WEAK:
            patches = _signed(placed, present), _signed(placed, absent)
            if patches[0] is not None and patches[1] is not None:
                of_size = gathered[key, placed.size]
                of_size.present.append(patches[0])
                of_size.absent.append(patches[1])
                of_size.scenes.append(pair.seed)


def _signed(placed: Placed, picture: Floats) -> Floats | None:
    """The square around a lesion, turned round where it is darker, so that it is bright in all of them."""
    square = crop(picture, placed)
    return None if square is None else (square if placed.change > 0 else 1.0 - square)


def watcher(radius_px: float) -> ChannelisedObserver:
    channels = against_surroundings(laguerre_gauss(SIDE, radius_px, CHANNELS))
    return ChannelisedObserver(channels, display_noise=DISPLAY_NOISE)


def _sighting(
    condition: Condition,
    size: int,
    radius_mm: float,
    radius_px: float,
    gathered: dict[tuple[str, int], _Patches],
    plan: Plan,
) -> Sighting:
    observer = watcher(radius_px)
    found: dict[str, Detectability] = {}
    samples: dict[str, int] = {}
    for (key, which), patches in gathered.items():
        if which == size and len(patches.scenes) >= _FEWEST:
            stacks = np.stack(patches.present), np.stack(patches.absent)
            found[key] = observer.detectability(*stacks, np.array(patches.scenes), plan.resamples)
            samples[key] = len(patches.scenes)
    return Sighting(condition, radius_mm, found, samples)


def main_conditions(kind: Kind, sightings: list[Sighting]) -> list[Sighting]:
    """Those that the one figure is made of: fluoroscopy at a quarter of the dose, ultrasound all."""
    if kind != "fluoroscopy":
        return sightings
    return [sighting for sighting in sightings if sighting.condition.dose == QUARTER]


def mean_d_prime(sightings: list[Sighting]) -> dict[str, float]:
    """Contestant -> mean over sizes and conditions; only who took part in all of them."""
    everywhere = set.intersection(*(set(sighting.found) for sighting in sightings)) if sightings else set[str]()
    return {key: statistics.fmean(sighting.found[key].d_prime for sighting in sightings) for key in sorted(everywhere)}
