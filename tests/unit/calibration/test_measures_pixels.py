"""PSNR and SSIM: what arithmetic says, what another implementation says, and what a mask leaves out."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.measures import levels, psnr_db, ssim
from calibration.measures._arrays import Floats
from edge.frame import Pixels


def noise(seed: int, shape: tuple[int, ...] = (48, 64)) -> Floats:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def disc(height: int = 48, width: int = 64, radius: int = 20) -> Floats:
    row, column = np.mgrid[0:height, 0:width]
    return np.hypot(row - height // 2, column - width // 2) <= radius


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_full_scale_is_one_at_every_depth(bits: int) -> None:
    values = [[0, (1 << bits) - 1]]
    pixels: Pixels = np.array(values, np.uint8) if bits == 8 else np.array(values, np.uint16)
    assert levels(pixels, bits).tolist() == [[0.0, 1.0]]
    assert levels(pixels, bits).dtype == np.float32


def test_an_error_of_a_hundredth_everywhere_is_forty_decibel() -> None:
    truth = np.full((20, 30), 0.5)
    assert psnr_db(truth + 0.01, truth) == pytest.approx(40.0)


def test_nothing_differs_means_infinite() -> None:
    assert psnr_db(noise(1), noise(1)) == math.inf


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_psnr_is_symmetrical_and_blind_to_an_added_level(seed: int) -> None:
    one, other = noise(seed, (9, 7)), noise(seed + 1, (9, 7))
    assert psnr_db(one, other) == psnr_db(other, one)
    assert psnr_db(one + 0.25, other + 0.25) == pytest.approx(psnr_db(one, other), abs=1e-4)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.9))
def test_an_error_half_as_large_is_six_decibel_better(seed: int, share: float) -> None:
    truth, error = noise(seed, (9, 7)).astype(float), share * noise(seed + 1, (9, 7)).astype(float)
    gained = psnr_db(truth + error / 2, truth) - psnr_db(truth + error, truth)
    assert gained == pytest.approx(20 * math.log10(2))


def test_what_lies_outside_the_mask_does_not_count() -> None:
    truth, mask = noise(2), disc()
    spoilt = np.where(mask, truth, 1.0 - truth)
    assert psnr_db(spoilt, truth, mask) == math.inf
    assert ssim(spoilt, truth, mask) == pytest.approx(1.0)
    assert psnr_db(spoilt, truth) < 20


def test_a_picture_mask_serves_every_frame_of_a_clip() -> None:
    truth, mask = noise(3, (4, 48, 64)), disc()
    clip = truth + 0.1 * mask
    assert psnr_db(clip, truth, mask) == pytest.approx(20.0, abs=1e-3)


@pytest.mark.parametrize("measure", [psnr_db, ssim])
def test_shapes_that_differ_and_masks_that_are_empty_are_refused(measure: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        measure(noise(1), noise(1)[:-1])
    with pytest.raises(ValueError, match="empty"):
        measure(noise(1), noise(1), np.zeros((48, 64), np.uint8))
    with pytest.raises(ValueError, match="does not fit"):
        psnr_db(noise(1), noise(1), np.ones((3, 64)))


@pytest.mark.parametrize("strength", [0.02, 0.2, 1.0])
def test_ssim_is_that_of_scikit_image(strength: float) -> None:
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    ramp = np.linspace(0, 1, 64, dtype=np.float64)[None, :] * np.ones((48, 1))
    spoilt = ramp + strength * (noise(5).astype(np.float64) - 0.5)
    _, local = metrics.structural_similarity(
        spoilt, ramp, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert ssim(spoilt, ramp) == pytest.approx(float(local.mean()), abs=1e-9)


def test_ssim_is_one_for_the_same_and_falls_with_noise() -> None:
    truth = np.kron(noise(6, (6, 8)), np.ones((8, 8), np.float32))
    figures = [ssim(truth + strength * noise(7), truth) for strength in (0.0, 0.05, 0.2, 0.8)]
    assert figures[0] == pytest.approx(1.0)
    assert figures == sorted(figures, reverse=True)


def test_the_black_around_a_sector_makes_nothing_look_alike() -> None:
    """Within the mask the pictures have nothing in common; with the black in its windows the border would."""
    mask = disc(radius=8)
    one, other = noise(8) * mask, noise(9) * mask
    assert ssim(one, other, mask) < 0.1
    assert ssim(one, other) > 0.5
