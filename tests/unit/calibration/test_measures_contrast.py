"""Contrast: analytic overlaps, the invariances that make gCNR worth reporting, and the grain of true speckle."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.measures import cnr, gcnr, speckle_snr
from calibration.measures._arrays import Floats

UNIT = NormalDist()


def gaussian(seed: int, count: int = 60_000, mean: float = 0.0, deviation: float = 1.0) -> Floats:
    return np.random.default_rng(seed).normal(mean, deviation, count)


@pytest.mark.parametrize("apart", [0.5, 1.0, 2.0, 4.0])
def test_gcnr_of_two_gaussians_is_one_less_their_overlap(apart: float) -> None:
    overlap = 2 * UNIT.cdf(-apart / 2)
    assert gcnr(gaussian(1, mean=apart), gaussian(2)) == pytest.approx(1 - overlap, abs=0.02)


def test_gcnr_sees_a_difference_of_width_alone() -> None:
    """Equal means, one three times as wide: their densities cross at x² = 2 ln 3 / (1 - 1/9)."""
    cross = math.sqrt(2 * math.log(3) / (1 - 1 / 9))
    wanted = 2 * (UNIT.cdf(cross) - UNIT.cdf(cross / 3))
    assert gcnr(gaussian(3), gaussian(4, deviation=3)) == pytest.approx(wanted, abs=0.02)


def test_gcnr_is_one_apart_and_nothing_for_the_same() -> None:
    assert gcnr(gaussian(5), gaussian(6) + 100) == 1.0
    assert gcnr(gaussian(5), gaussian(5)) == 0.0
    assert gcnr(np.zeros(50), np.zeros(70)) == 0.0


@pytest.mark.parametrize("count", [300, 3_000, 30_000])
def test_patches_of_one_tissue_differ_little_however_few_their_samples(count: int) -> None:
    chance = [gcnr(gaussian(seed, count), gaussian(seed + 500, count)) for seed in range(20)]
    assert float(np.mean(chance)) < (0.11 if count < 1000 else 0.06)


def test_one_bright_pixel_changes_next_to_nothing() -> None:
    inside, outside = gaussian(7, mean=1.0), gaussian(8)
    spoilt = np.append(outside, 1e6)
    assert gcnr(inside, spoilt) == pytest.approx(gcnr(inside, outside), abs=1e-3)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 400), st.integers(20, 400), st.floats(-2, 2), st.integers(2, 256))
def test_gcnr_is_unmoved_by_any_strictly_rising_change_of_grey(
    seed: int, first: int, second: int, apart: float, bins: int
) -> None:
    inside, outside = gaussian(seed, first, apart), gaussian(seed + 1, second)
    before = gcnr(inside, outside, bins)
    for change in (np.exp, np.cbrt, lambda level: 5 * level - 3):
        assert gcnr(change(inside), change(outside), bins) == before


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(8, 300))
def test_gcnr_lies_within_its_range_and_does_not_ask_which_is_the_lesion(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    inside, outside = rng.integers(0, 9, count), rng.integers(3, 14, 2 * count)
    figure = gcnr(inside, outside)
    assert 0 <= figure <= 1
    assert gcnr(outside, inside) == pytest.approx(figure, abs=1e-12)


def test_gcnr_needs_both_patches() -> None:
    with pytest.raises(ValueError, match="both"):
        gcnr(np.empty(0), np.ones(3))


def test_cnr_is_the_difference_over_the_joint_deviation() -> None:
    assert cnr(np.array([4.0, 6.0]), np.array([0.0, 2.0])) == pytest.approx(4 / math.sqrt(2))
    assert cnr(np.ones(4), np.ones(4)) == 0.0
    assert cnr(np.ones(4), np.zeros(4)) == math.inf


def test_cnr_moves_with_the_grey_scale_where_gcnr_does_not() -> None:
    inside, outside = np.exp(gaussian(9, mean=2)), np.exp(gaussian(10))
    assert cnr(np.log(inside), np.log(outside)) > 2 * cnr(inside, outside)
    assert gcnr(np.log(inside), np.log(outside)) == gcnr(inside, outside)


def rayleigh(count: int = 200_000) -> Floats:
    return np.random.default_rng(11).rayleigh(0.1, count)


def shown(amplitudes: Floats, dynamic_range_db: float = 60.0) -> Floats:
    """Log compression: 20 dB is a third of the grey scale, and tissue at amplitude 0.1 lies at two thirds."""
    return 1.0 + 20.0 * np.log10(amplitudes) / dynamic_range_db


def test_full_speckle_has_its_known_snr_as_amplitudes_and_as_logarithms() -> None:
    known = math.sqrt(math.pi / (4 - math.pi))
    assert speckle_snr(rayleigh()) == pytest.approx(known, rel=0.01)
    assert speckle_snr(shown(rayleigh()), dynamic_range_db=60.0) == pytest.approx(known, rel=0.01)


def test_brightening_calms_logarithmic_levels_but_not_the_speckle() -> None:
    before, after = shown(rayleigh()), shown(rayleigh()) + 0.3
    assert speckle_snr(after) > 1.3 * speckle_snr(before)
    assert speckle_snr(after, 60.0) == pytest.approx(speckle_snr(before, 60.0), rel=1e-9)


def test_the_grain_alone_is_what_is_left_of_a_patch_that_is_not_flat() -> None:
    slope = np.linspace(-0.3, 0.3, rayleigh().size)
    flat, sloping = shown(rayleigh()), shown(rayleigh()) + slope
    assert speckle_snr(sloping, 60.0) < 0.8 * speckle_snr(flat, 60.0)
    assert speckle_snr(sloping - slope, 60.0) == pytest.approx(speckle_snr(flat, 60.0), rel=1e-9)


def test_a_patch_without_any_grain_is_infinitely_calm() -> None:
    assert speckle_snr(np.full(100, 0.5), 60.0) == math.inf
