"""Are lesions kept at their contrast, and is any invented where there is none?"""

from __future__ import annotations

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from calibration.judging.clips import Clip, Field, Floats, Scene, film
from calibration.judging.contestants import INPUT, Kind, given
from calibration.judging.lesions import HALF, Condition, Pair, Placed, background, crop, pairs, sizes_mm
from calibration.judging.observer import QUARTER, SIDE, SURE, watcher
from calibration.judging.plan import HELD_OUT, Plan
from calibration.judging.progress import Tell, quiet, told
from calibration.measures import Invented, Search, Template, calibrated, contrast_recovery, invented, lesion_mask
from edge.phantom import UltrasoundScene

_SEEDS = HELD_OUT + 300_000
_SEARCHED = 3  # sizes, from the smallest: a blob as large as the largest is anatomy
_APART = 3  # frames between two that are searched: noise in them is hardly the same
_A_CLIP = 10  # frames searched in one clip
_REMEMBERED = 8
BACKGROUNDS = ("even", "anatomy")


# ------------------------------------------------ kept


@dataclass(frozen=True)
class Recovery:
    """Lesions of one size and contrast under one condition: contrast after treatment over the true one."""

    condition: str
    lesion: str
    count: int
    value: float
    stderr: float
    plain: bool = True  # to be seen in a single frame

    @property
    def interval(self) -> tuple[float, float]:
        return self.value - SURE * self.stderr, self.value + SURE * self.stderr


class Kept:
    """Listens to the observer's pairs and gathers what became of each lesion."""

    def __init__(self) -> None:
        # condition, lesion, contestant -> where it was, in turn: (true contrast, recovery)
        self._found: dict[tuple[str, str, str], dict[int, tuple[float, float]]] = defaultdict(dict)
        self._turn = 0
        self._plain: set[str] = set()  # lesions

    def listen(self, condition: Condition, pair: Pair, shown: dict[str, tuple[Floats, Floats]]) -> None:
        true = pair.present.truths[0], pair.absent.truths[0]
        self._turn += 1
        for placed in pair.lesions:
            squares = [crop(picture, placed) for picture in true]
            if squares[0] is None or squares[1] is None:
                continue
            mask = lesion_mask(squares[0], squares[1])
            contrast = float((squares[0] - squares[1])[mask].mean()) if mask.any() else 0.0
            if contrast == 0.0:
                continue
            self._plain |= {placed.label} if placed.plain else set()
            for key, (present, absent) in shown.items():
                treated = _square(present, placed), _square(absent, placed)
                recovery = contrast_recovery(*treated, squares[0], squares[1], mask)
                self._found[condition.words, placed.label, key][self._turn] = (contrast, recovery)

    def of(self, contestant: str, shown_to: str | None = None) -> list[Recovery]:
        """Of the lesions that this other was shown as well: some are shown a few of them."""
        found = {
            (condition, lesion): self._both(condition, lesion, contestant, shown_to or contestant)
            for condition, lesion, key in self._found
            if key == contestant
        }
        return [
            dataclasses.replace(_pooled(condition, lesion, values), plain=lesion in self._plain)
            for (condition, lesion), values in found.items()
            if len(values) > 1
        ]

    def _both(self, condition: str, lesion: str, contestant: str, other: str) -> list[tuple[float, float]]:
        theirs = self._found.get((condition, lesion, other), {})
        return [value for turn, value in self._found[condition, lesion, contestant].items() if turn in theirs]


def _square(picture: Floats, placed: Placed) -> Floats:
    found = crop(picture, placed)
    assert found is not None  # the truth has the same sides
    return found


def _pooled(condition: str, lesion: str, found: list[tuple[float, float]]) -> Recovery:
    """Quotient of sums, so that noise does not bias it, and the error of such a quotient."""
    true, kept = (np.array(values) for values in zip(*((t, t * r) for t, r in found), strict=True))
    value = float(kept.sum() / true.sum())
    residual = float(np.std(kept - value * true, ddof=1))
    return Recovery(condition, lesion, len(found), value, residual / (abs(float(true.mean())) * len(found) ** 0.5))


def spread(recoveries: list[Recovery]) -> tuple[float, float, float]:
    """Minimum, median and maximum over sizes, contrasts and conditions."""
    values = [recovery.value for recovery in recoveries]
    return (min(values), statistics.median(values), max(values)) if values else (np.nan, np.nan, np.nan)


# ------------------------------------------------ invented


class _Remembering(Template):
    """A template that keeps its last few scores: the input and the truth are scored once for all engines."""

    def over(self, picture: Floats) -> Floats:
        last: list[tuple[Floats, Floats]] = self.__dict__.setdefault("last", [])
        for seen, score in last:
            if seen is picture:
                return score
        score = super().over(picture)
        last.insert(0, (picture, score))
        del last[_REMEMBERED:]
        return score


def search(contestants: Field, kind: Kind, plan: Plan, tell: Tell = quiet) -> dict[str, Invented]:
    """Contestant -> structures found in lesion-free frames that the truth does not hold."""
    found: dict[str, Invented] = defaultdict(Invented)
    blank = _searches(kind, plan)
    unprocessed = Field([given(kind)], contestants.enlarges)
    each = max(1, plan.free_frames // len(BACKGROUNDS))
    for ground in BACKGROUNDS:
        searches = _with_thresholds(blank, unprocessed, kind, ground, plan.calibration_frames)
        films = told(_free(kind, ground, 0, each, plan.warm_up), -(-each // _A_CLIP), _in(ground, tell))
        for clip in films:
            itself = dict(_results(unprocessed, clip))[INPUT]
            treated = dict(_results(contestants.without("input", "peer", "float"), clip))
            for at, (before, truth) in enumerate(zip(itself, clip.truths, strict=True)):
                for key, results in treated.items():
                    found[key] += invented(results[at], before, truth, searches, clip.mask)
    return dict(found)


def _in(ground: str, tell: Tell) -> Tell:
    return lambda words: tell(f"{ground}, {words}")


def _results(contestants: Field, clip: Clip) -> Iterator[tuple[str, list[Floats]]]:
    return ((who.key, results) for who, results in contestants.show(clip))


def _searches(kind: Kind, plan: Plan) -> list[Search]:
    """Observers trained to find each size in the unprocessed picture."""
    condition = _condition(kind)
    films = list(pairs(condition, plan.template_pairs, 0))
    found: list[Search] = []
    for size in range(_SEARCHED):
        radius = sizes_mm(kind)[size] / films[0].present.spacing_mm[0]
        present, absent, signal = _training(films, size)
        template = watcher(radius).template(present, absent)
        search_of = Search.for_lesion(template, signal, radius)
        found.append(dataclasses.replace(search_of, template=_Remembering(search_of.template.weights)))
    return found


def _condition(kind: Kind) -> Condition:
    return Condition(kind, True, QUARTER if kind == "fluoroscopy" else 1.0)


def _training(films: list[Pair], size: int) -> tuple[Floats, Floats, Floats]:
    """Patches with and without lesions of a size, all bright, and their mean true signal."""
    present: list[Floats] = []
    absent: list[Floats] = []
    signals: list[Floats] = []
    for pair in films:
        for placed in pair.lesions:
            if placed.size != size or crop(pair.absent.truths[0], placed) is None:
                continue
            sign = 1.0 if placed.change > 0 else -1.0
            given = _square(pair.present.inputs[0], placed), _square(pair.absent.inputs[0], placed)
            true = _square(pair.present.truths[0], placed) - _square(pair.absent.truths[0], placed)
            present.append(sign * given[0])
            absent.append(sign * given[1])
            if placed.variant < 2:
                signals.append(sign * true)
    assert present[0].shape == (SIDE, SIDE) == (2 * HALF + 1, 2 * HALF + 1)
    return np.stack(present), np.stack(absent), np.mean(signals, axis=0)


def _with_thresholds(
    searches: list[Search], unprocessed: Field, kind: Kind, ground: str, frames: int
) -> tuple[Search, ...]:
    """What the input's own noise exceeds in one frame of twenty, told from other seeds than those searched later."""
    shown: list[Floats] = []
    truths: list[Floats] = []
    mask = None
    for clip in _free(kind, ground, 50_000, frames, 0):
        shown += next(_results(unprocessed, clip))[1]
        truths += clip.truths
        mask = clip.mask
    assert mask is not None
    return calibrated(searches, shown, truths, mask)


def _free(kind: Kind, ground: str, offset: int, frames: int, warm_up: int) -> Iterator[Clip]:
    """Clips without lesions that hold so many frames to search in all."""
    for number in range(-(-frames // _A_CLIP)):
        count = min(_A_CLIP, frames - number * _A_CLIP)
        scene = _without_lesions(kind, ground, _SEEDS + offset + number)
        measured = tuple(warm_up + _APART * at for at in range(count))
        yield film(scene, range(measured[-1] + 1), measured)


def _without_lesions(kind: Kind, ground: str, seed: int) -> Scene:
    even = background(_condition(kind), seed)
    if ground == "even":
        return even
    if isinstance(even, UltrasoundScene):
        return dataclasses.replace(even, texture=1.0, layers=3, vessels=2, turnover_hz=0.5)
    return dataclasses.replace(even, bone=1.0, offset_mm=(0.0, 0.0))
