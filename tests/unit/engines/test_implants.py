"""Faint discs in training clips: alike in what is shown and what is true, and the loss sees what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: nothing can be trained here")

import torch
from torch.nn import functional

from engines import implants
from engines.recipes import RECIPES

ULTRASOUND, FLUOROSCOPY = RECIPES["ultrasound-clarity-small"], RECIPES["fluoroscopy-clarity-small"]


def clip(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    true = torch.full((2, 4, 48, 48), 0.5)
    return true + 0.05 * torch.randn(true.shape, generator=generator), true


def test_discs_change_what_is_shown_and_what_is_true_alike() -> None:
    shown, true = clip()
    more = implants.with_implants(shown, true, ULTRASOUND, np.random.default_rng(1))
    added = more[1] - true
    assert torch.allclose(more[0] - shown, added, atol=1e-6)
    assert float(added.abs().max()) > implants.FAINTEST
    assert float(added.abs().max()) <= 2 * implants.STRONGEST + implants.WIRE_DEPTH[1]


def test_nothing_is_put_where_there_is_no_picture() -> None:
    shown, true = clip()
    true[..., :24] = 0
    shown[..., :24] = 0
    more = implants.with_implants(shown, true, ULTRASOUND, np.random.default_rng(1))
    assert float(more[0][..., :24].abs().max()) == 0
    assert float(more[1][..., :24].abs().max()) == 0


@pytest.mark.parametrize("sigma", [0.01, 0.03])
def test_discs_are_as_plain_in_a_calm_clip_as_in_a_grainy_one(sigma: float) -> None:
    """At a low dose a disc must be stronger to be told from grain, and less is asked there of fainter ones."""
    _, true = clip()
    noise = sigma * torch.randn(true.shape, generator=torch.Generator().manual_seed(2))
    found: list[float] = []
    for seed in range(40):
        drawing = implants._Drawing(true.shape, true.device, np.random.default_rng(seed))
        usual = implants._usual_noise((true + noise)[:, :1], FLUOROSCOPY)
        radius = np.full(2, 3.0)
        found.append(float(drawing._disc(radius, usual).abs().amax()))
    least, most = (implants.VISIBLE * times * sigma / 3.0 for times in implants.PLAINLY)
    assert max(found) <= 1.3 * most
    assert max(found) > least
    assert np.median([peak for peak in found if peak > 0]) > 0.8 * least


def test_noise_that_a_recipe_knows_is_the_same_number_for_each_clip() -> None:
    for _ in range(200):  # a median of one number that is spread over a clip was NaN now and then
        usual = implants._usual_noise(torch.rand(2, 1, 96, 96), ULTRASOUND)
        assert usual.tolist() == pytest.approx([ULTRASOUND.grain] * 2)


def test_a_disc_that_comes_through_costs_nothing_and_one_that_is_lost_costs_its_weight() -> None:
    shown, true = clip()
    more = implants.with_implants(shown, true, ULTRASOUND, np.random.default_rng(1))[1]
    truths = torch.cat((true, more))[:, 0, None]
    whole = implants.answer_loss(truths, truths, 0.0)
    lost = implants.answer_loss(torch.cat((true, true))[:, 0, None], truths, 0.0)
    half = implants.answer_loss(torch.cat((true, (true + more) / 2))[:, 0, None], truths, 0.0)
    twice = implants.answer_loss(torch.cat((true, true + 2 * (more - true)))[:, 0, None], truths, 0.0)
    assert float(whole) == 0
    assert float(lost) == pytest.approx(1.0, rel=1e-4)
    assert float(half) == pytest.approx(0.5, rel=1e-4)
    assert float(twice) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("radius", [1.8, 2.5, 6.0, 20.0])
def test_a_disc_of_any_size_counts(radius: float) -> None:
    true = torch.full((1, 1, 96, 96), 0.5)
    side = torch.arange(96.0)
    away = radius - torch.hypot(side[:, None] - 50, side - 40)
    truths = torch.cat((true, true + 0.1 * (0.5 + away).clamp(0, 1)))
    assert float(implants.answer_loss(torch.cat((true, true)), truths, 0.0)) == pytest.approx(1.0, rel=1e-3)


def test_a_wire_is_not_asked_for_whole() -> None:
    true = torch.full((1, 1, 96, 96), 0.5)
    wired = true.clone()
    wired[..., 40:42] -= 0.2
    assert float(implants.answer_loss(torch.cat((true, true)), torch.cat((true, wired)), 0.0)) == 0


def test_grain_that_is_calmed_within_a_disc_costs_nothing() -> None:
    _, true = clip()
    more = implants.with_implants(true, true, ULTRASOUND, np.random.default_rng(1))[1]
    truths = torch.cat((true, more))[:, 0, None]
    disc = truths[2:] - truths[:2]
    grain = torch.randn(disc.shape, generator=torch.Generator().manual_seed(1))
    grain -= (grain * disc).sum((1, 2, 3), keepdim=True) / disc.square().sum((1, 2, 3), keepdim=True) * disc
    calmed = torch.cat((true[:, 0, None], true[:, 0, None] + disc + 0.02 * grain))
    assert float(implants.answer_loss(calmed, truths, 0.0)) == pytest.approx(0, abs=1e-4)


def a_wire_that_moves(clips: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Without it; with it where it was, and where it is."""
    empty = torch.full((clips, 1, 32, 32), 0.5)
    was, now = empty.clone(), empty.clone()
    was[..., 10:12] -= 0.2
    now[..., 20:22] -= 0.2
    return empty, was, now


def test_a_ghost_is_what_is_left_of_what_has_passed() -> None:
    empty, was, now = a_wire_that_moves(1)
    truths, before = torch.cat((empty, now)), torch.cat((empty, was))
    faint = now.clone()
    faint[..., 10:12] -= 0.05
    left, whole = implants.ghosts(torch.cat((empty, faint)), truths, before)
    assert float(left / whole) == pytest.approx(0.25, rel=1e-4)
    assert float(implants.ghosts(truths, truths, before)[0]) == 0


def test_a_ghost_is_pushed_down_whichever_way_it_goes_and_grain_costs_nothing_in_the_mean() -> None:
    empty, was, now = a_wire_that_moves(2)
    truths, before = torch.cat((empty, now)), torch.cat((empty, was))
    generator = torch.Generator().manual_seed(4)

    def losses(ghost: float) -> tuple[float, float]:
        """The mean over many steps, and of its slope along the ghost."""
        running, found, slopes = implants.Ghosts(torch.device("cpu")), [], []
        for _ in range(400):
            strength = torch.tensor(ghost, requires_grad=True)
            grain = 0.02 * torch.randn((2, 1, 32, 2), generator=generator)
            trail = functional.pad(grain + strength * -0.2, (10, 20))
            loss = running.loss(implants.ghosts(torch.cat((empty, now + trail)), truths, before))
            loss.backward()
            found.append(float(loss.detach()))
            slopes.append(float(strength.grad or 0.0))
        return float(np.mean(found[100:])), float(np.mean(slopes[100:]))

    assert losses(0.1) == pytest.approx((0.1, 1.0), rel=0.1)
    assert losses(-0.1) == pytest.approx((0.1, -1.0), rel=0.1)
    assert losses(0.0) == pytest.approx((0.0, 0.0), abs=0.15)
    assert abs(losses(0.0)[0]) < 0.005
