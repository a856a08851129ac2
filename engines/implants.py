"""Discs and wires put into clips, so that a net learns to pass them on: the loss looks at its answer to them.

A denoiser that minimises its error shrinks what it is unsure of. On a logarithmic grey map a lesion adds the same to
what is shown and to what is true, grain and all. So each clip is seen twice, with and without discs, and the difference
of the two results should be the discs, whole. They are two to five times as strong as can just be seen for their size:
to ask the same of fainter ones is to ask that grain be left as it is.

A wire sweeps across some clips, several pixels a frame. Where it was a moment ago there must be no answer at all: that
would be its ghost.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

VISIBLE = {"ultrasound": 0.3, "fluoroscopy": 0.14}  # of full scale, for a radius of one pixel
PLAINLY = (2.0, 5.0)  # times that
FAINTEST, STRONGEST = 0.012, 0.3  # of full scale
SMALLEST, LARGEST = {"ultrasound": 3.0, "fluoroscopy": 1.8}, 22.0  # radius in pixels
FASTEST = 0.7  # pixels a frame
WIRES = {"ultrasound": 0.3, "fluoroscopy": 0.5}  # of the clips have one
WIRE_SPEED, WIRE_HALF, WIRE_DEPTH = (1.5, 14.0), (0.6, 2.0), (0.1, 0.35)  # pixels a frame, pixels, of full scale
MOST = 2


def with_implants(shown: Tensor, true: Tensor, task: str, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same clips [n, frames, h, w] with something in each, where there is a picture at all."""
    added = torch.stack([_implants(shown.shape[1:], task, rng) for _ in range(len(shown))]).to(shown.device)
    added = added * (true > 0.01)
    return (shown + added).clamp(0, 1), (true + added).clamp(0, 1)


def _implants(shape: torch.Size, task: str, rng: np.random.Generator) -> Tensor:
    """One clip's discs, or a wire instead: [frames, h, w]."""
    frames, height, width = shape
    time = torch.arange(frames, dtype=torch.float32)[:, None, None]
    row = torch.arange(height, dtype=torch.float32)[None, :, None]
    column = torch.arange(width, dtype=torch.float32)[None, None, :]
    total = torch.zeros(frames, height, width)
    for _ in range(int(rng.integers(1, MOST + 1))):
        radius = math.exp(rng.uniform(math.log(SMALLEST[task]), math.log(LARGEST)))
        change = min(STRONGEST, max(FAINTEST, VISIBLE[task] / radius * float(rng.uniform(*PLAINLY)))) * float(
            rng.choice((-1, 1))
        )
        down, across = (float(v) for v in rng.uniform(-FASTEST, FASTEST, 2) * float(rng.choice((0, 1))))
        y, x = float(rng.uniform(0, height)), float(rng.uniform(0, width))
        away = torch.hypot(row - y - down * time, column - x - across * time)
        total += change * (0.5 + (radius - away) / max(1.0, 0.25 * radius)).clamp(0, 1)
    return _wire(shape, rng) if rng.random() < WIRES[task] else total


def _wire(shape: torch.Size, rng: np.random.Generator) -> Tensor:
    """A straight dark line that sweeps across its own direction, and comes in again on the other side."""
    frames, height, width = shape
    angle = float(rng.uniform(0, math.pi))
    row, column = torch.arange(height, dtype=torch.float32)[:, None], torch.arange(width, dtype=torch.float32)
    along = row * math.sin(angle) + column * math.cos(angle)
    reach = float(along.max() - along.min())
    speed, half = float(rng.uniform(*WIRE_SPEED)) * float(rng.choice((-1, 1))), float(rng.uniform(*WIRE_HALF))
    at = float(along.min()) + (float(rng.uniform(0, reach)) + speed * torch.arange(frames)) % reach
    away = (along[None] - at[:, None, None]).abs()
    return -float(rng.uniform(*WIRE_DEPTH)) * (half + 0.5 - away).clamp(0, 1)


def ghost_loss(pictures: Tensor, truths: Tensor, before: Tensor) -> Tensor:
    """What is left of the implants where they were a frame ago and are no longer, against what they were there.

    As a matched filter sees it: where a wire has passed an average begins anew, and its grain is no ghost.
    """
    half = len(pictures) // 2
    was, now = before[half:] - before[:half], truths[half:] - truths[:half]
    left = (was.abs() > FAINTEST) & (now.abs() < 0.1 * FAINTEST)
    gone = was * left
    whole = gone.square().sum((1, 2, 3))
    ghost = ((pictures[half:] - pictures[:half]) * gone).sum((1, 2, 3)) / whole.clamp_min(1e-6)
    there = whole > 16 * FAINTEST**2
    return (ghost.abs() * there).sum() / there.sum().clamp_min(1)


def answer_loss(pictures: Tensor, truths: Tensor, forgiven: float) -> Tensor:
    """The first half of a batch is without discs, the second half the same with: how much of the discs came through.

    Measured as a matched filter sees it, so that grain may be calmed inside a disc as everywhere else.
    """
    half = len(pictures) // 2
    wanted = truths[half:] - truths[:half]
    answer = pictures[half:] - pictures[:half]
    whole = wanted.square().sum((1, 2, 3))
    part = (answer * wanted).sum((1, 2, 3)) / whole.clamp_min(1e-6)
    # Of discs alone: wires of a pixel's width are the business of the picture's own loss.
    still = functional.avg_pool2d(wanted, 5, 1, 2).abs().amax((1, 2, 3)) > 0.85 * wanted.abs().amax((1, 2, 3))
    there = (whole > 16 * FAINTEST**2) & still
    return (functional.relu((part - 1).abs() - forgiven) * there).sum() / there.sum().clamp_min(1)
