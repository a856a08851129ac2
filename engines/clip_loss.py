"""The loss of a step: all that is asked of a net, over a batch of clips, or of stills for super-resolution."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from engines.implants import answer_loss, ghosts
from engines.losses import alike, brightness, edges, frame_loss, gate_loss, noise_of, steadiness, swing
from engines.nets import BLOCK, Clarity, State, Upscale, of_pixels
from engines.recipes import Recipe


def clip_loss(
    net: Clarity, recipe: Recipe, clips: tuple[Tensor, Tensor], ahead: int, listening: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Over a batch of clips, shown and true [n, frames, h, w], and what `ghosts` finds in all of them: frames before
    `ahead` only bring the state up.

    The second half of the batch is the first with discs in it; `listening` is the weight of the answer to them.
    """
    shown, true = clips
    state, trail, frames = None, None, shown.unbind(1)
    with torch.no_grad():
        for number in range(ahead):
            state = net(frames[number][:, None], state)[1]
            trail = followed(trail, true[:, number, None], state)
    total, passed, before = shown.new_zeros(()), shown.new_zeros(2), None
    for number in range(ahead, ahead + recipe.clip):
        past = state
        picture, state = net(frames[number][:, None], state)
        truth = true[:, number, None]
        total = total + frame_loss(picture, truth, recipe)
        total = total + recipe.bright * brightness(picture, frames[number][:, None])
        total = total + listening * recipe.kept * answer_loss(picture, truth, recipe.forgiven)
        if past is not None and trail is not None:
            stale = trail - functional.pixel_unshuffle(truth, BLOCK)
            noise = noise_of(frames[number][:, None], recipe)
            total = total + recipe.gate * gate_loss(_moved(past, state), stale, noise, recipe.missed)
        if before is not None:
            total = total + steadiness(picture, before, truth, true[:, number - 1, None])
            passed = passed + ghosts(picture, truth, true[:, number - 1, None])
        before, trail = picture, followed(trail, truth, state)
    return total / recipe.clip, passed


def _moved(past: State, state: State) -> Tensor:
    """How surely a net took each pixel for moved, told from the age that it gave it."""
    fresh = 1 / (past[1] + 1)
    return of_pixels((1 / state[1] - fresh) / (1 - fresh))


@torch.no_grad()
def followed(trail: Tensor | None, truth: Tensor, state: State) -> Tensor:
    """What a net's mean would hold had it been given truths, in blocks."""
    blocks = functional.pixel_unshuffle(truth, BLOCK)
    return blocks if trail is None else trail + (blocks - trail) * of_pixels(1 / state[1])


def upscale_loss(net: Upscale, recipe: Recipe, given: Tensor, wanted: Tensor) -> Tensor:
    """From half the sides back to the whole picture."""
    picture = net(functional.avg_pool2d(given, 2))
    return recipe.alike * alike(picture, wanted) + 0.4 * edges(picture, wanted) + swing(picture, wanted)


def with_detail_of(true: Tensor, shown: Tensor) -> Tensor:
    """A grainy picture whose pixels differ within each 2x2 as the clean ones do. Grain that is made sharp again can
    look like a structure that the small picture did not show.
    """
    return true + functional.interpolate(functional.avg_pool2d(shown - true, 2), scale_factor=2, mode="nearest")
