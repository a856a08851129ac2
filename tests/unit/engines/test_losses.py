"""What a net is asked for: nothing of a perfect picture, movement where there is some, and noise told from edges."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: nothing can be trained here")

import torch
from torch.nn import functional

from engines.losses import (
    MOST_NOISE,
    UNNOTICED,
    alike,
    brightness,
    frame_loss,
    gate_loss,
    noise_around,
    noise_of,
    steadiness,
)
from engines.nets import BLOCK
from engines.recipes import RECIPES

PLAIN = RECIPES["ultrasound-clarity-small"]
CALM, NOISE = torch.zeros(1, 16, 40, 40), torch.tensor(0.02)


def test_a_perfect_picture_costs_nothing_and_flicker_costs_something() -> None:
    truth = torch.rand(1, 1, 32, 32)
    assert float(frame_loss(truth, truth, PLAIN)) == pytest.approx(0, abs=1e-6)
    assert float(frame_loss(truth + 0.1, truth, PLAIN)) > 0.05
    assert float(steadiness(truth, truth, truth, truth)) == 0
    assert float(steadiness(truth + 0.1, truth, truth, truth)) > 0.01


def test_a_crop_that_is_darker_as_a_whole_costs_that_and_calmed_grain_costs_nothing() -> None:
    shown = 0.5 + 0.05 * torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(5))
    calm = shown.mean((1, 2, 3), keepdim=True).expand_as(shown)
    assert float(brightness(calm, shown)) == pytest.approx(0, abs=1e-6)
    assert float(brightness(calm - 0.02, shown)) == pytest.approx(0.02 - UNNOTICED, abs=1e-5)
    assert float(brightness(calm + 0.02, shown)) == pytest.approx(0.02 - UNNOTICED, abs=1e-5)


def test_an_error_halved_counts_as_much_in_a_clean_picture_as_in_a_grainy_one() -> None:
    truth = torch.full((1, 1, 16, 16), 0.5)
    gains = [float(alike(truth + error, truth) - alike(truth + error / 2, truth)) for error in (0.2, 0.02)]
    assert gains[0] == pytest.approx(gains[1], rel=0.02)


def wired(depth: float) -> torch.Tensor:
    """How far a mean's truth is off: in a thin line, and nowhere else."""
    stale = CALM.clone()
    stale[:, :, 20] = depth
    return stale


def test_a_wire_that_is_not_seen_to_move_costs_as_much_as_a_picture_of_alarms() -> None:
    missed = gate_loss(CALM + 0.05, wired(0.06), NOISE, 1.0)
    seen = gate_loss(CALM + 0.05 + 0.9 * (wired(1.0) > 0), wired(0.06), NOISE, 1.0)
    assert float(missed) > 3 * float(seen)
    assert float(gate_loss(CALM + 0.5, CALM, NOISE, 1.0)) > 3 * float(gate_loss(CALM + 0.05, CALM, NOISE, 1.0))


def test_what_changes_by_less_than_the_noise_may_be_taken_either_way() -> None:
    """Beside the wire 0.5 of the noise: neither gone nor still."""
    unsure = torch.full_like(CALM, 0.01)
    assert float(gate_loss(CALM + 0.9, unsure, NOISE, 1.0)) == float(gate_loss(CALM + 0.1, unsure, NOISE, 1.0)) == 0


def noisy(level: torch.Tensor, sigma: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(4)
    return (level + sigma * torch.randn(level.shape, generator=generator))[None, None]


def around(picture: torch.Tensor) -> torch.Tensor:
    return noise_around(functional.pixel_unshuffle(picture, BLOCK))[0, 0]


@pytest.mark.parametrize("sigma", [0.004, 0.02, 0.08])
def test_noise_is_measured_within_a_fifth(sigma: float) -> None:
    found = around(noisy(torch.full((128, 128), 0.4), sigma))
    assert found.shape == (32, 32)
    assert 0.8 * sigma < float(found.min()) < float(found.max()) < 1.05 * sigma


def test_an_edge_is_no_noise_and_black_has_none() -> None:
    level = torch.full((128, 128), 0.2)
    level[:, 62:] = 0.8
    assert float(around(noisy(level, 0.02)).max()) < 0.025
    dark = noisy(level, 0.02)
    dark[..., 80:] = 0
    beside, far = around(dark)[:, 17:20], around(dark)[:, 28:]
    assert 0.014 < float(beside.min()) < float(beside.max()) < 0.025, "what is black made a picture's noise seem less"
    assert float(far.min()) == pytest.approx(MOST_NOISE), "where there is no picture nothing may seem to move"


def test_speckle_is_taken_as_it_is_and_quanta_are_measured() -> None:
    shown = noisy(torch.full((128, 128), 0.4), 0.02)
    assert float(noise_of(shown, PLAIN)) == pytest.approx(0.085)
    assert float(noise_of(shown, RECIPES["fluoroscopy-clarity-small"]).mean()) == pytest.approx(0.021, rel=0.15)
