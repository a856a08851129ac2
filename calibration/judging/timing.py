"""Milliseconds a frame at 640x480, all contestants in turn within one run, so that a busy machine slows all alike."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass
from typing import cast

import numpy as np

from calibration.judging.clips import Field, film, halved
from calibration.judging.contestants import Kind
from calibration.judging.general import draw
from calibration.judging.plan import Plan
from edge import processor
from edge.frame import Pixels

_WARM_UP = 3
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
    for at in range(_WARM_UP + plan.timing_rounds):
        for who in contestants.contestants:
            runs = took.get(who.key)
            if runs is None or (who.role == "peer" and sum(runs) > 1000 * _PATIENCE_S):
                continue
            treatment = contestants.treatment(who, bits)
            began = time.perf_counter_ns()
            treatment(pictures[at % len(pictures)])
            if at >= _WARM_UP or who.slow:
                runs.append((time.perf_counter_ns() - began) / 1e6)
    return {key: _cost(runs) for key, runs in took.items()}


def _fill_memories(contestants: Field, pictures: list[Pixels], bits: int) -> None:
    """A peer that looks back is timed with its memory full: the slowest would not get there within their few runs."""
    for who in contestants.contestants:
        if who.role == "peer" and who.remembers:
            treatment = contestants.treatment(who, bits)
            for at in range(_LONGEST_MEMORY):
                treatment(pictures[at % len(pictures)])


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
