"""Super-resolution's own questions: does an edge ring when it is enlarged (drawn steps, no speckle)? And how near does
a grainy picture come to the large one that it was halved from?
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np

from calibration.judging.clips import Clip, Field, Floats, film
from calibration.judging.general import draw
from calibration.judging.plan import Plan
from calibration.measures import overshoot, psnr_db

_SIDE = 256
_SHIFT = 4  # fractional bits of a drawn point
_FINE = 4  # drawn so many times larger and averaged: edges lie between pixels as they do in pictures


def overshoots_percent(contestants: Field, pictures: int) -> dict[str, float]:
    """Contestant -> how far it swings beyond a step, in per cent of it: at the worst place, mean of all drawings."""
    found: dict[str, list[float]] = defaultdict(list)
    for clip in _drawings(pictures):
        for who, results in contestants.show(clip):
            found[who.key].append(100.0 * overshoot(results[0], clip.truths[0], clip.mask))
    return {key: float(np.mean(values)) for key, values in found.items()}


def likeness_of_grainy(contestants: Field, plan: Plan) -> dict[str, float]:
    """Contestant -> dB. Grain finer than the small picture's pixels is lost for good, so that nobody is far ahead."""
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(plan.enlarging_scenes):
        clip = film(draw("superres", number, plan.width), (11 * number % 60,), (0,))
        for who, results in contestants.show(clip):
            found[who.key].append(psnr_db(results[0], clip.inputs[0], clip.mask))
    return {key: float(np.mean(values)) for key, values in found.items()}


def _drawings(count: int) -> Iterator[Clip]:
    for number in range(count):
        drawn = _drawing(number)
        mask = np.zeros(drawn.shape, bool)
        mask[8:-8, 8:-8] = True  # enlargers mirror or repeat the border; that is no edge
        picture = np.rint(drawn * 255).astype(np.uint8)
        yield Clip([picture], [picture.astype(np.float32) / 255], mask, (0,), 8, (1.0, 1.0), (0, 0))


def _drawing(number: int) -> Floats:
    """Discs and bars of a few levels on a plain ground."""
    rng = np.random.default_rng((0xED6E, number))
    large = np.full((_SIDE * _FINE, _SIDE * _FINE), float(rng.uniform(0.2, 0.5)), np.float32)
    for place in range(4):
        row, column = divmod(place, 2)
        middle = (np.array([column, row]) + 0.5 + rng.uniform(-0.05, 0.05, 2)) * (_SIDE * _FINE / 2)
        level = float(rng.choice([0.05, 0.12, 0.65, 0.85]))
        if place % 2 == number % 2:
            radius = float(rng.uniform(0.08, 0.16)) * _SIDE * _FINE
            centre = [round(float(value) * (1 << _SHIFT)) for value in middle]
            cv2.circle(large, centre, round(radius * (1 << _SHIFT)), level, -1, cv2.LINE_8, _SHIFT)
        else:
            size = rng.uniform(0.12, 0.3, 2) * _SIDE * _FINE
            corners = cv2.boxPoints((tuple(middle), tuple(size), float(rng.uniform(0, 90))))
            cv2.fillPoly(large, [np.round(corners * (1 << _SHIFT)).astype(np.int32)], level, cv2.LINE_8, _SHIFT)
    return cv2.resize(large, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
