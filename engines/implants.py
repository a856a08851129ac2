"""Discs and wires put into clips, so that a net learns to pass them on: the loss looks at its answer to them.

A denoiser that minimises its error shrinks what it is unsure of. On a logarithmic grey map a lesion adds the same to
what is shown and to what is true, grain and all. So each clip is seen twice, with and without discs, and the difference
of the two results should be the discs, whole. They are two to five times as strong as can just be seen for their size
in the grain of their own clip: to ask the same of fainter ones is to ask that grain be left as it is.

A wire sweeps across some clips, several pixels a frame. Where it was a moment ago there must be no answer at all: that
would be its ghost.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engines.gpu import sent
from engines.losses import noise_of
from engines.nets import BLOCK
from engines.recipes import Recipe

VISIBLE = 3.5  # of one frame's noise, for a radius of one pixel
PLAINLY = (2.0, 5.0)  # times that
FAINTEST, STRONGEST = 0.012, 0.3  # of full scale
# Radii in pixels. Larger ones keep their contrast by themselves in ultrasound; there small dark ones fill with grain.
SMALLEST, LARGEST = {"ultrasound": 2.5, "fluoroscopy": 1.8}, {"ultrasound": 9.0, "fluoroscopy": 22.0}
SMALL_AREA = 64  # pixels: two discs of three across, and less than any wire that crosses a crop
FASTEST = 0.7  # pixels a frame
WIRES = {"ultrasound": 0.3, "fluoroscopy": 0.5}  # of the clips have one
WIRE_SPEED, WIRE_HALF, WIRE_DEPTH = (1.5, 14.0), (0.6, 2.0), (0.1, 0.35)  # pixels a frame, pixels, of full scale
BESIDE = 3  # pixels
GHOST_MEMORY = 0.98  # of the running mean, from step to step
GHOST_LEAST = 0.01  # of what has passed; weaker ghosts are pushed against less


def with_implants(shown: Tensor, true: Tensor, recipe: Recipe, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same clips [n, frames, h, w] with something in each, where there is a picture at all."""
    draw = _Drawing(shown.shape, shown.device, rng)
    wired = draw.given(rng.random(len(shown)) < WIRES[recipe.task])
    noise = _usual_noise(shown[:, :1], recipe)
    added = torch.where(wired, draw.wires(), draw.discs(recipe.task, noise)) * (true > 0.01)
    return (shown + added).clamp(0, 1), (true + added).clamp(0, 1)


def _usual_noise(frames: Tensor, recipe: Recipe) -> Tensor:
    """Of each clip: the median over a frame's blocks, some of which may lie beyond the picture."""
    count, _, height, width = frames.shape
    noise = noise_of(frames, recipe).expand(count, 1, height // BLOCK, width // BLOCK)
    return noise.flatten(1).contiguous().median(1).values  # a median of one number, spread, can be none


class _Drawing:
    """What is put into a batch of clips, all at once: chosen by NumPy, drawn where the clips are."""

    def __init__(self, shape: torch.Size, device: torch.device, rng: np.random.Generator) -> None:
        self.count, self.frames, self.height, self.width = shape
        self.device, self.rng = device, rng
        self.time, self.row, self.column = (
            torch.arange(length, dtype=torch.float32, device=device)
            for length in (self.frames, self.height, self.width)
        )

    def given(self, values: NDArray[Any]) -> Tensor:
        """One value a clip, to be spread over [n, frames, h, w]."""
        return sent(values, self.device)[:, None, None, None]

    def discs(self, task: str, noise: Tensor) -> Tensor:
        """One or two in each clip, alike in size: beside a large one a small one would not count."""
        radius = np.exp(self.rng.uniform(math.log(SMALLEST[task]), math.log(LARGEST[task]), self.count))
        second = self.rng.random(self.count) < 0.5
        return self._disc(radius, noise) + self._disc(radius, noise) * self.given(second)

    def _disc(self, radius: NDArray[np.float64], noise: Tensor) -> Tensor:
        """Half of them move."""
        rng, count = self.rng, self.count
        times = self.given(VISIBLE / radius * rng.uniform(*PLAINLY, count))
        change = (times * noise[:, None, None, None]).clamp(FAINTEST, STRONGEST)
        change = change * self.given(rng.choice((-1.0, 1.0), count))
        speed = rng.uniform(-FASTEST, FASTEST, (2, count)) * rng.choice((0.0, 1.0), count)
        at = rng.uniform(0, ((self.height,), (self.width,)), (2, count))
        down, across = (
            line - self.given(first) - self.given(step) * self.time[:, None, None]
            for line, first, step in zip((self.row[:, None], self.column), at, speed, strict=True)
        )
        away = self.given(radius) - torch.hypot(down, across)
        return change * (0.5 + away / self.given(np.maximum(1.0, 0.25 * radius))).clamp(0, 1)

    def wires(self) -> Tensor:
        """Straight dark lines that sweep across their own direction, and come in again on the other side."""
        rng, count = self.rng, self.count
        angle = rng.uniform(0, math.pi, count)
        along = self.row[:, None] * self.given(np.sin(angle)) + self.column * self.given(np.cos(angle))
        first = along.amin((1, 2, 3), keepdim=True)
        reach = along.amax((1, 2, 3), keepdim=True) - first
        speed = rng.uniform(*WIRE_SPEED, count) * rng.choice((-1.0, 1.0), count)
        gone = self.given(rng.uniform(0, 1, count)) * reach + self.given(speed) * self.time[:, None, None]
        away = (along - first - gone.remainder(reach)).abs()
        half, depth = rng.uniform(*WIRE_HALF, count), rng.uniform(*WIRE_DEPTH, count)
        return -self.given(depth) * (self.given(half) + 0.5 - away).clamp(0, 1)


def ghosts(pictures: Tensor, truths: Tensor, before: Tensor) -> Tensor:
    """What is left of the implants where they were a frame ago and are no longer, and what they were there: two sums,
    as a matched filter sees it. What is drawn broader than it is, beside itself, is no ghost.
    """
    half = len(pictures) // 2
    was, now = before[half:] - before[:half], truths[half:] - truths[:half]
    near = functional.max_pool2d(now.abs(), 2 * BESIDE + 1, 1, BESIDE)
    left = (was.abs() > FAINTEST) & (near < 0.1 * FAINTEST)
    gone = was * left
    return torch.stack((((pictures[half:] - pictures[:half]) * gone).sum(), gone.square().sum()))


class Ghosts:
    """What ghosts cost, from step to step.

    Where a wire has passed an average begins anew. Its grain is no ghost, but it lies there now more, now less, and one
    step's wires cannot tell the two apart: a loss that took each grain for a ghost would forbid averages. So a running
    mean over steps says how strong ghosts are and which way they go, and a step only pushes against that.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.tensor((0.0, 16 * FAINTEST**2), device=device)

    def loss(self, sums: Tensor) -> Tensor:
        with torch.no_grad():
            self.sums.mul_(GHOST_MEMORY).add_(sums)
            strength = self.sums[0] / self.sums[1]
            push = (strength / GHOST_LEAST).clamp(-1, 1)
            usual = (1 - GHOST_MEMORY) * self.sums[1]
        return push * sums[0] / usual


def answer_loss(pictures: Tensor, truths: Tensor, forgiven: float) -> Tensor:
    """The first half of a batch is without discs, the second half the same with: how much of the discs came through.

    Measured as a matched filter sees it, so that grain may be calmed inside a disc as everywhere else.
    """
    half = len(pictures) // 2
    wanted = truths[half:] - truths[:half]
    answer = pictures[half:] - pictures[:half]
    whole = wanted.square().sum((1, 2, 3))
    part = (answer * wanted).sum((1, 2, 3)) / whole.clamp_min(1e-6)
    # Of discs alone: wires are the business of the picture's own loss. Discs are broad, or small in all directions.
    peak = wanted.abs().amax((1, 2, 3))
    broad = functional.avg_pool2d(wanted, 5, 1, 2).abs().amax((1, 2, 3)) > 0.85 * peak
    small = (wanted.abs() > 0.5 * peak[:, None, None, None]).sum((1, 2, 3)) < SMALL_AREA
    there = (whole > 16 * FAINTEST**2) & (broad | small)
    return (functional.relu((part - 1).abs() - forgiven) * there).sum() / there.sum().clamp_min(1)
