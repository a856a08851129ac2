"""Widths against their formulae, edges that are kept or lost, and ringing that is seen."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.measures import edge_preservation, edge_width, fwhm, overshoot, profile_overshoot, wire_fwhm
from calibration.measures._arrays import Floats

FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian, in standard deviations
RISE = 2 * 1.2815515655446004  # of a blurred step, 10 to 90 %, likewise


def bell(sigma: float, centre: float = 0.0, reach: int = 40) -> Floats:
    return np.exp(-((np.arange(-reach, reach + 1) - centre) ** 2) / (2 * sigma**2))


def blurred_step(sigma: float, centre: float = 0.0, reach: int = 40) -> Floats:
    at = np.arange(-reach, reach + 1) - centre
    return np.array([0.5 * (1 + math.erf(x / (sigma * math.sqrt(2)))) for x in at])


@settings(deadline=None)
@given(st.floats(1.5, 6.0), st.floats(-0.5, 0.5), st.floats(-1, 1), st.floats(0.01, 10))
def test_a_gaussian_is_2_355_sigma_wide_wherever_it_lies_and_however_bright(
    sigma: float, centre: float, ground: float, height: float
) -> None:
    assert fwhm(ground + height * bell(sigma, centre)) == pytest.approx(FWHM * sigma, rel=0.03)


def test_a_width_is_in_the_unit_of_the_step() -> None:
    assert fwhm(bell(3.0), step=0.1) == pytest.approx(0.1 * fwhm(bell(3.0)))


def test_a_triangle_is_half_its_base_wide() -> None:
    assert fwhm(np.maximum(0.0, 1 - np.abs(np.arange(-40, 41)) / 8)) == pytest.approx(8.0)


@pytest.mark.parametrize(
    "profile",
    [np.zeros(50), np.full(50, 0.7), np.linspace(0, 1, 50), bell(3.0)[:43], np.ones(4), -bell(3.0)],
    ids=["black", "flat", "ramp", "cut off", "too short", "a dip"],
)
def test_there_is_no_width_where_there_is_no_peak(profile: Floats) -> None:
    assert math.isnan(fwhm(profile))


def test_noise_alone_is_hardly_ever_a_peak_and_a_peak_in_noise_keeps_its_width() -> None:
    rng = np.random.default_rng(1)
    widths = [fwhm(bell(3.0) + 0.03 * rng.standard_normal(81)) for _ in range(200)]
    assert np.nanmedian(widths) == pytest.approx(FWHM * 3, rel=0.05)
    assert not np.isnan(widths).any()


def wire(axial: float, lateral: float, row: float = 40.3, column: float = 50.6) -> Floats:
    down, across = np.mgrid[0:80, 0:100]
    return 0.2 + 0.6 * np.exp(-((down - row) ** 2) / (2 * axial**2) - (across - column) ** 2 / (2 * lateral**2))


def test_a_wire_is_measured_along_both_axes_in_pixels_or_millimetres() -> None:
    found = wire_fwhm(wire(1.5, 3.0), 40, 51, reach=20)
    assert found.axial == pytest.approx(FWHM * 1.5, rel=0.04)
    assert found.lateral == pytest.approx(FWHM * 3.0, rel=0.04)
    assert found.mean == (found.axial + found.lateral) / 2
    in_mm = wire_fwhm(wire(1.5, 3.0), 40, 51, reach=20, spacing=(0.1, 0.2))
    assert in_mm.axial == pytest.approx(0.1 * found.axial)
    assert in_mm.lateral == pytest.approx(0.2 * found.lateral)


def test_a_dark_wire_is_as_wide_as_its_negative() -> None:
    assert wire_fwhm(1 - wire(2, 2), 40, 51, reach=20, dark=True) == pytest.approx(wire_fwhm(wire(2, 2), 40, 51, 20))


def test_a_wire_that_was_shifted_a_little_is_not_blunt_for_that() -> None:
    exact, shifted = wire_fwhm(wire(2, 2), 40, 51, 20), wire_fwhm(wire(2, 2), 43, 48, 20)
    assert shifted == exact


@pytest.mark.parametrize(("row", "column"), [(10, 10), (400, 400)], ids=["no wire", "outside"])
def test_where_there_is_no_wire_there_is_no_width(row: int, column: int) -> None:
    assert all(math.isnan(width) for width in wire_fwhm(wire(2, 2), row, column, reach=8))


@settings(deadline=None)
@given(st.floats(2.0, 6.0), st.floats(-3, 3), st.floats(-1, 1), st.floats(0.01, 10), st.booleans())
def test_a_blurred_step_rises_over_2_563_sigma_up_or_down(
    sigma: float, centre: float, ground: float, height: float, falls: bool
) -> None:
    profile = ground + height * blurred_step(sigma, centre)
    width = edge_width(profile[::-1] if falls else profile, step=0.5)
    assert width == pytest.approx(0.5 * RISE * sigma, rel=0.03)


def test_a_ramp_takes_eight_tenths_of_its_length() -> None:
    assert edge_width(np.clip(np.arange(-40, 41) / 20, 0, 1)) == pytest.approx(16.0)


def test_noise_on_the_plateaus_makes_no_edge_wider() -> None:
    rng = np.random.default_rng(2)
    widths = [edge_width(blurred_step(2.0) + 0.02 * rng.standard_normal(81)) for _ in range(200)]
    assert np.median(widths) == pytest.approx(RISE * 2.0, rel=0.06)


def test_without_a_step_there_is_no_edge() -> None:
    rng = np.random.default_rng(3)
    for profile in (np.zeros(40), bell(3.0), rng.standard_normal(80), np.ones(3)):
        assert math.isnan(edge_width(profile))
        assert math.isnan(profile_overshoot(profile))


def blocks(seed: int = 4) -> Floats:
    return np.kron(np.random.default_rng(seed).random((6, 8)), np.ones((16, 16)))


def test_edges_are_wholly_kept_by_the_truth_by_brightness_and_by_contrast() -> None:
    truth = blocks()
    for same in (truth, truth + 0.3, 0.5 * truth):
        assert edge_preservation(same, truth) == pytest.approx(1.0)
    assert edge_preservation(1 - truth, truth) == pytest.approx(-1.0)
    assert edge_preservation(np.zeros_like(truth), truth) == 0.0


def test_blur_and_noise_both_lose_edges() -> None:
    truth, rng = blocks(), np.random.default_rng(5)
    softer = [edge_preservation(cv2.GaussianBlur(truth, (0, 0), s), truth) for s in (0.5, 1.0, 2.0, 4.0)]
    noisier = [edge_preservation(truth + s * rng.standard_normal(truth.shape), truth) for s in (0.05, 0.2, 0.8)]
    assert softer == sorted(softer, reverse=True)
    assert noisier == sorted(noisier, reverse=True)
    assert softer[-1] < 0.5
    assert noisier[-1] < 0.5


def test_the_border_of_the_mask_is_not_an_edge_that_was_kept() -> None:
    row, column = np.mgrid[0:96, 0:128]
    mask = np.hypot(row - 48, column - 64) < 40
    rng = np.random.default_rng(6)
    one, other = (mask * (0.7 + 0.05 * rng.random((96, 128))) for _ in range(2))
    assert edge_preservation(one, other) > 0.9
    assert abs(edge_preservation(one, other, mask)) < 0.1


def step_picture(sigma: float = 1.0) -> Floats:
    return 0.3 + 0.4 * np.tile(blurred_step(sigma), (30, 1)).astype(np.float32)


def ringing(picture: Floats, share: float) -> Floats:
    """A swing of `share` of the step (0.4) just beyond the edge."""
    out = picture.copy()
    out[:, 43] = 0.7 + share * 0.4
    return out


@pytest.mark.parametrize("share", [0.01, 0.03, 0.2])
def test_the_swing_beyond_an_edge_is_told_as_a_part_of_the_step(share: float) -> None:
    assert overshoot(ringing(step_picture(), share), step_picture()) == pytest.approx(share, abs=2e-3)
    assert profile_overshoot(ringing(step_picture(), share)[0]) == pytest.approx(share, abs=2e-3)
    upside_down = 1 - ringing(step_picture(), share)
    assert overshoot(upside_down, 1 - step_picture()) == pytest.approx(share, abs=2e-3)
    assert profile_overshoot(upside_down[0]) == pytest.approx(share, abs=2e-3)


def test_a_softer_edge_does_not_ring_and_interpolation_with_lobes_does() -> None:
    truth = np.where(np.arange(120) < 61, 0.2, 0.8).astype(np.float32) * np.ones((60, 1), np.float32)
    small = cv2.resize(truth, (60, 30), interpolation=cv2.INTER_AREA)
    soft, lanczos = (cv2.resize(small, (120, 60), interpolation=how) for how in (cv2.INTER_LINEAR, cv2.INTER_LANCZOS4))
    assert overshoot(soft, truth) < 1e-6
    assert overshoot(lanczos, truth) > 0.03


def test_only_steps_inside_the_mask_are_asked_for_ringing() -> None:
    picture, truth = ringing(step_picture(), 0.2), step_picture()
    left = np.zeros(truth.shape, bool)
    left[:, :41] = True
    assert overshoot(picture, truth, left) < 1e-3
    assert overshoot(picture, truth, least_step=0.5) == 0.0
