"""Milliseconds a frame at 640x480, all contestants in turn within one run, so that a busy machine slows all alike.

A turn is as many frames long that its first ones, for which memory is cold, need not count: on a device one engine
computes picture after picture.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from calibration.judging.clips import Field, film, halved
from calibration.judging.contestants import Kind
from calibration.judging.general import draw
from calibration.judging.plan import Plan
from calibration.treatment import Rememberer, Treatment
from edge import processor
from edge.clock import MS
from edge.frame import Pixels

TURN, COLD = 12, 2  # frames of a turn that count, and those before them that do not
_LONGEST_MEMORY = 12  # frames that a peer may hold
_PATIENCE_S = 1.5  # what takes longer than this for its rounds gets fewer


@dataclass(frozen=True)
class Cost:
    """The middle of the runs, and what nine of ten stayed below."""

    median_ms: float
    p90_ms: float
    runs: int


def examine(contestants: Field, kind: Kind, plan: Plan) -> dict[str, Cost]:
    pictures, bits = screen(kind)
    took: dict[str, list[float]] = {who.key: [] for who in contestants.contestants if who.role != "input"}
    _fill_memories(contestants, pictures, bits)
    for _ in range(math.ceil(plan.timing_rounds / TURN)):
        for who in contestants.contestants:
            runs = took.get(who.key)
            left = math.inf if runs is None or who.role != "peer" else 1000 * _PATIENCE_S - sum(runs)
            if runs is not None and left > 0:
                runs += turn(contestants.treatment(who, bits), pictures, 0 if who.slow else COLD, left)
    return {key: _cost(runs) for key, runs in took.items()}


def turn(treatment: Treatment, pictures: Sequence[Pixels], cold: int = COLD, most_ms: float = math.inf) -> list[float]:
    """Milliseconds of each frame that counts; fewer where they take longer than `most_ms` in all, but one at least."""
    took: list[float] = []
    for number in range(cold + TURN):
        began = time.perf_counter_ns()
        treatment(pictures[number % len(pictures)])
        if number >= cold:
            took.append((time.perf_counter_ns() - began) / MS)
        if sum(took) >= most_ms:
            break
    return took


def _fill_memories(contestants: Field, pictures: list[Pixels], bits: int) -> None:
    """A peer that looks back is timed with its memory full: the slowest would not get there within their few runs."""
    for who in contestants.contestants:
        if who.role == "peer" and who.remembers:
            treatment = contestants.treatment(who, bits)
            take_in = treatment.remember if isinstance(treatment, Rememberer) else treatment
            for at in range(_LONGEST_MEMORY):
                take_in(pictures[at % len(pictures)])


def screen(kind: Kind) -> tuple[list[Pixels], int]:
    """Every pixel of 640x480 counts: the cost does not depend on what is shown."""
    clip = film(draw(kind, 0), range(4), (0,))
    large = [_filling(picture) for picture in clip.pictures]
    return [halved(picture) for picture in large] if kind == "superres" else large, clip.bits


def _filling(picture: Pixels) -> Pixels:
    """A picture mirrored until it fills the screen."""
    rows, columns = picture.shape
    room = ((0, max(0, 480 - rows)), (0, max(0, 640 - columns)))
    return cast("Pixels", np.ascontiguousarray(np.pad(picture, room, mode="symmetric")[:480, :640]))


def _cost(runs: list[float]) -> Cost:
    return Cost(statistics.median(runs), float(np.quantile(runs, 0.9)), len(runs))


def machine(threads: int) -> dict[str, object]:
    """What the times were measured on."""
    return {
        "processor": processor.exactly(processor.described()),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }
