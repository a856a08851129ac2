"""Several trainings at once, in turn, until their time is over."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

if TYPE_CHECKING:
    from engines.train import Training

SAVE_EVERY_S = 60


def run_together(trainings: Sequence[Training]) -> None:
    """A step of each in turn until their time is over. A GPU is filled by several nets at once, not by one of these."""
    if trainings[0].stream:
        torch.cuda.synchronize()  # nets were made outside their streams
    clock = _Clock(trainings)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(clock.name, total=clock.budget)
        while clock.runs():
            for number, training in enumerate(trainings):
                with training.on_its_stream():
                    clock.took(number, training.step())
            progress.update(bar, completed=clock.seconds, description=f"{clock.name} {trainings[0].at.step}")
    clock.end()


class _Clock:
    """The time that trainings share, and what is noted of each once a minute. `run_together` alone holds it."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self.trainings = trainings
        self.name = trainings[0].recipe.name if len(trainings) == 1 else f"{len(trainings)} engines"
        self.budget = max(training.budget for training in trainings)
        self.seconds = max(training.at.seconds for training in trainings)
        self._began = time.monotonic() - self.seconds
        self._noted = time.monotonic()
        self._losses = [torch.zeros((), device=training.device) for training in trainings]  # summed since the last note
        self._steps = [training.at.step for training in trainings]

    def runs(self) -> bool:
        self.seconds = time.monotonic() - self._began
        for training in self.trainings:
            training.at.seconds = self.seconds
        if time.monotonic() - self._noted > SAVE_EVERY_S:
            self._note()
        return self.seconds < self.budget

    def took(self, number: int, loss: Tensor) -> None:
        """Losses are summed where they are: to look at one is to wait for a GPU."""
        self._losses[number] += loss

    def end(self) -> None:
        self._note()

    def _note(self) -> None:
        for number, training in enumerate(self.trainings):
            with training.on_its_stream():
                steps = training.at.step - self._steps[number]
                if not steps:
                    continue  # since the last note, or at all: its time was over before it began
                training.note(float(self._losses[number]) / steps)
                self._losses[number].zero_()
                self._steps[number] = training.at.step
        self._noted = time.monotonic()
