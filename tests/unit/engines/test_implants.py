"""Faint discs in training clips: alike in what is shown and what is true, and the loss sees what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: nothing can be trained here")

import torch

from engines import implants


def clip(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    true = torch.full((2, 4, 48, 48), 0.5)
    return true + 0.05 * torch.randn(true.shape, generator=generator), true


def test_discs_change_what_is_shown_and_what_is_true_alike() -> None:
    shown, true = clip()
    more = implants.with_implants(shown, true, "ultrasound", np.random.default_rng(1))
    added = more[1] - true
    assert torch.allclose(more[0] - shown, added, atol=1e-6)
    assert float(added.abs().max()) > implants.FAINTEST
    assert float(added.abs().max()) <= implants.MOST * implants.STRONGEST + implants.WIRE_DEPTH[1]


def test_nothing_is_put_where_there_is_no_picture() -> None:
    shown, true = clip()
    true[..., :24] = 0
    shown[..., :24] = 0
    more = implants.with_implants(shown, true, "ultrasound", np.random.default_rng(1))
    assert float(more[0][..., :24].abs().max()) == 0
    assert float(more[1][..., :24].abs().max()) == 0


def test_a_disc_that_comes_through_costs_nothing_and_one_that_is_lost_costs_its_weight() -> None:
    shown, true = clip()
    more = implants.with_implants(shown, true, "ultrasound", np.random.default_rng(1))[1]
    truths = torch.cat((true, more))[:, 0, None]
    whole = implants.answer_loss(truths, truths, 0.0)
    lost = implants.answer_loss(torch.cat((true, true))[:, 0, None], truths, 0.0)
    half = implants.answer_loss(torch.cat((true, (true + more) / 2))[:, 0, None], truths, 0.0)
    twice = implants.answer_loss(torch.cat((true, true + 2 * (more - true)))[:, 0, None], truths, 0.0)
    assert float(whole) == 0
    assert float(lost) == pytest.approx(1.0, rel=1e-4)
    assert float(half) == pytest.approx(0.5, rel=1e-4)
    assert float(twice) == pytest.approx(1.0, rel=1e-4)


def test_grain_that_is_calmed_within_a_disc_costs_nothing() -> None:
    _, true = clip()
    more = implants.with_implants(true, true, "ultrasound", np.random.default_rng(1))[1]
    truths = torch.cat((true, more))[:, 0, None]
    disc = truths[2:] - truths[:2]
    grain = torch.randn(disc.shape, generator=torch.Generator().manual_seed(1))
    grain -= (grain * disc).sum((1, 2, 3), keepdim=True) / disc.square().sum((1, 2, 3), keepdim=True) * disc
    calmed = torch.cat((true[:, 0, None], true[:, 0, None] + disc + 0.02 * grain))
    assert float(implants.answer_loss(calmed, truths, 0.0)) == pytest.approx(0, abs=1e-4)


def test_a_ghost_costs_what_is_left_of_what_has_passed_and_a_clean_trail_nothing() -> None:
    empty = torch.full((1, 1, 32, 32), 0.5)
    was, now = empty.clone(), empty.clone()
    was[..., 10:12] -= 0.2
    now[..., 20:22] -= 0.2
    truths, before = torch.cat((empty, now)), torch.cat((empty, was))
    faint = now.clone()
    faint[..., 10:12] -= 0.05
    assert float(implants.ghost_loss(truths, truths, before)) == 0
    ghost = float(implants.ghost_loss(torch.cat((empty, faint)), truths, before))
    assert ghost == pytest.approx(0.25, rel=1e-4)
