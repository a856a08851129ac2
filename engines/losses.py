"""What a net is asked for: near the truth, edges as sharp as the truth's, and no movement that the truth has not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engines.nets import BLOCK
from engines.recipes import Recipe

EDGES, COARSE, STEADY, SWING = 0.4, 0.5, 0.3, 5.0
LEAST = 1e-6  # of full scale, squared: a quarter of a level of 255
UNNOTICED = 1.5 / 255  # of full scale: a crop's mean may change by so much

GONE, STILL = 1.5, 0.3  # of a frame's noise: the truth has changed by more, or by less
FEW = 100.0  # pixels
BLURRED = 1.15  # a detector's blur lets the pixels of a block spread less than those of a picture do
LEAST_NOISE, MOST_NOISE = 1 / 1024, 0.1  # of full scale


def near(picture: Tensor, truth: Tensor, soft: float = 0.01) -> Tensor:
    """Of full scale. Differences below `soft` count as their square, so grain and outliers weigh alike."""
    return _softly(picture - truth, soft)


def _softly(error: Tensor, soft: float) -> Tensor:
    return torch.sqrt(error.square() + soft**2).mean() - soft


def alike(picture: Tensor, truth: Tensor) -> Tensor:
    """By the order of magnitude of each picture's own error: a smooth one, which any filter enlarges nearly right, then
    counts as much as one full of detail.
    """
    errors = (picture - truth).square().mean((1, 2, 3))
    return torch.log10(errors + LEAST).mean()


def brightness(picture: Tensor, shown: Tensor) -> Tensor:
    """A crop as a whole stays as bright as it was shown. Noise, haze and a grey map's bend make phantoms brighter than
    their truths; a net that learns so much as a mean makes clean pictures darker than they are.
    """
    return functional.relu((picture - shown).mean((1, 2, 3)).abs() - UNNOTICED).mean()


def edges(picture: Tensor, truth: Tensor) -> Tensor:
    """Slopes across and down."""
    error = picture - truth
    across, down = error[..., :, 1:] - error[..., :, :-1], error[..., 1:, :] - error[..., :-1, :]
    return across.abs().mean() + down.abs().mean()


def coarse(picture: Tensor, truth: Tensor, soft: float) -> Tensor:
    """Local means: what keeps a faint lesion's contrast when its grain is gone, and takes a veil of noise away."""
    error = picture - truth
    means = (functional.avg_pool2d(error, side) for side in (4, 8, 16))
    return sum((_softly(mean, soft) for mean in means), start=error.new_zeros(()))


def frame_loss(picture: Tensor, truth: Tensor, recipe: Recipe) -> Tensor:
    likeness = near(picture, truth, recipe.soft) + COARSE * coarse(picture, truth, recipe.soft)
    loss = recipe.likeness * likeness + EDGES * edges(picture, truth)
    return loss + recipe.alike * alike(picture, truth) if recipe.alike else loss


def steadiness(picture: Tensor, before: Tensor, truth: Tensor, truth_before: Tensor) -> Tensor:
    """Change from frame to frame that the truth does not have: flicker, boiling grain, ghosts that fade."""
    return STEADY * ((picture - before) - (truth - truth_before)).abs().mean()


def gate_loss(moved: Tensor, stale: Tensor, noise: Tensor, missed: float) -> Tensor:
    """Whether a net saw what has moved, as a classifier is asked. `stale`: how far the truth of its mean is off by now.

    Each side is a mean of its own, as if half of all pixels moved: a wire covers few. Without it a gate that begins
    nearly closed stays so: averages pay at once, what passes is shown by corrections alone, and leaves a ghost.
    """
    moved = moved.float().clamp(1e-3, 1 - 1e-3)
    off = stale.abs() / noise
    gone, still = (off > GONE).float(), (off < STILL).float()
    unseen = -(moved.log() * gone).sum() / (gone.sum() + FEW)
    alarmed = -((1 - moved).log() * still).sum() / (still.sum() + FEW)
    return missed * unseen + alarmed


@torch.no_grad()
def noise_of(shown: Tensor, recipe: Recipe) -> Tensor:
    """Of one frame, of full scale; where a dose decides it, as it is around each block."""
    if recipe.grain:
        return shown.new_full((), recipe.grain)  # drawn where it is: a recorded step may copy nothing there
    return BLURRED * noise_around(functional.pixel_unshuffle(shown, BLOCK))


def noise_around(x: Tensor) -> Tensor:
    """How far the pixels of a block spread, the least of it nearby, where there is a picture at all.

    Means are over five blocks and the least is taken over seven: some of those lie clear of an edge.
    """
    spread = (x - x.mean(1, keepdim=True)).square().mean(1, keepdim=True).sqrt()
    there = (5000 * spread).clamp(max=1)
    part = functional.avg_pool2d(there, 5, 1, 2)
    usual = functional.avg_pool2d(spread * there, 5, 1, 2) / part.clamp_min(0.05) + (1 - 5 * part).clamp_min(0)
    return (-functional.max_pool2d(-usual, 7, 1, 3)).clamp(LEAST_NOISE, MOST_NOISE)


def swing(picture: Tensor, truth: Tensor) -> Tensor:
    """How far a picture goes beyond what the truth has within a pixel: rings along edges."""
    above = picture - functional.max_pool2d(truth, 3, 1, 1)
    below = -functional.max_pool2d(-truth, 3, 1, 1) - picture
    return SWING * (functional.relu(above) + functional.relu(below)).mean()
