"""Flicker that is in the treatment and not in the scene, and ghosts of a wire, with their sign."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calibration.measures import flicker, footprint, ghost_percent, trail_mask, wire_contrast
from calibration.measures._arrays import Floats

FRAMES, HEIGHT, WIDTH, SPEED = 6, 48, 160, 10


def scene(seed: int = 1) -> Floats:
    return np.random.default_rng(seed).random((FRAMES, HEIGHT, WIDTH))


@pytest.mark.parametrize("cell", [0, 1, 16])
def test_what_the_scene_does_is_no_flicker_and_neither_is_a_constant_error(cell: int) -> None:
    error = np.random.default_rng(2).random((HEIGHT, WIDTH))
    assert flicker(scene() + error, scene(), cell=cell) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("cell", [0, 1, 16])
def test_brightness_that_pumps_to_and_fro_is_told_in_levels(cell: int) -> None:
    pumping = 0.02 * (np.arange(FRAMES) % 2)[:, None, None]
    assert flicker(scene() + pumping, scene(), cell=cell) == pytest.approx(0.02)


def test_local_pumping_that_the_whole_mean_hides_is_seen_in_cells() -> None:
    sides = np.where(np.arange(WIDTH) < WIDTH // 2, 1.0, -1.0)
    rocking = 0.02 * (np.arange(FRAMES) % 2)[:, None, None] * sides
    assert flicker(scene() + rocking, scene(), cell=0) == pytest.approx(0.0, abs=1e-12)
    assert flicker(scene() + rocking, scene(), cell=16) == pytest.approx(0.02)


def test_pixel_noise_averages_out_in_cells() -> None:
    rng = np.random.default_rng(3)
    noisy = scene() + 0.1 * rng.standard_normal((FRAMES, HEIGHT, WIDTH))
    assert flicker(noisy, scene(), cell=1) == pytest.approx(0.1 * math.sqrt(2), rel=0.02)
    assert flicker(noisy, scene(), cell=16) == pytest.approx(0.1 * math.sqrt(2) / 16, rel=0.15)


def test_only_pixels_inside_the_mask_flicker_and_slivers_of_cells_are_left_out() -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[:, : WIDTH // 2] = 255
    pumping = np.where(mask, 0.02, 0.5) * (np.arange(FRAMES) % 2)[:, None, None]
    assert flicker(scene() + pumping, scene(), mask) == pytest.approx(0.02)
    sliver = np.zeros((HEIGHT, WIDTH), np.uint8)
    sliver[:, :4] = 1
    with pytest.raises(ValueError, match="no cell"):
        flicker(scene(), scene(), sliver)


def test_one_frame_cannot_flicker() -> None:
    with pytest.raises(ValueError, match="two frames"):
        flicker(scene()[:1], scene()[:1])


def wire(shape: float = -0.3) -> Floats:
    """A dark upright wire, four pixels wide, that goes ten pixels right in every frame."""
    signal = np.zeros((FRAMES, HEIGHT, WIDTH))
    for index in range(FRAMES):
        left = 20 + SPEED * index
        signal[index, :, left : left + 4] = shape
    return signal


def lagging(clip: Floats, kept: float) -> Floats:
    """Each frame keeps so much of the one before: a recursive filter, and its ghosts."""
    out = clip.copy()
    for index in range(1, len(clip)):
        out[index] = (1 - kept) * clip[index] + kept * out[index - 1]
    return out


def test_the_trail_is_the_footprint_that_the_wire_has_just_left() -> None:
    trail = trail_mask(wire(), 3)
    assert np.array_equal(trail, footprint(wire()[2]))
    assert np.array_equal(trail_mask(wire(), 3, age=2), footprint(wire()[1]))
    assert wire_contrast(wire()[3]) == pytest.approx(-0.3)


def test_a_wire_that_hardly_moves_leaves_only_what_is_clear_of_it() -> None:
    slow = wire()[:, :, ::SPEED]
    assert not trail_mask(np.repeat(slow[:1], 3, axis=0), 1).any()
    shifted = np.stack([np.roll(wire()[0], 3 * index, axis=1) for index in range(3)])
    assert np.flatnonzero(trail_mask(shifted, 1, margin=1)[0]).tolist() == [20, 21]


@pytest.mark.parametrize("darkness", [-0.3, 0.2])
@pytest.mark.parametrize("kept", [0.1, 0.4])
def test_a_recursive_filter_leaves_its_share_in_the_trail(kept: float, darkness: float) -> None:
    """One frame behind, a steady recursion of weight k still shows k (1 - k) of the wire."""
    signal, background = wire(darkness), scene(5)
    with_wire, without = lagging(background + signal, kept), lagging(background, kept)
    found = ghost_percent(with_wire[4], without[4], trail_mask(signal, 4), wire_contrast(signal[4]))
    assert found == pytest.approx(100 * kept * (1 - kept))
    older = ghost_percent(with_wire[4], without[4], trail_mask(signal, 4, age=2), wire_contrast(signal[4]))
    assert older == pytest.approx(100 * kept**2 * (1 - kept))


def test_a_print_of_the_other_sign_is_below_zero() -> None:
    signal, trail = wire(), trail_mask(wire(), 4)
    found = ghost_percent(scene()[4] + 0.03 * trail, scene()[4], trail, wire_contrast(signal[4]))
    assert found == pytest.approx(-10.0)


def test_what_the_wire_rightly_does_to_its_surroundings_is_no_ghost() -> None:
    veil = 0.05
    signal, trail = wire(), trail_mask(wire(), 4)
    treated, true = scene()[4] + signal[4] + veil, signal[4] + veil
    assert ghost_percent(treated, scene()[4], trail, -0.3, true) == pytest.approx(0.0, abs=1e-9)
    assert ghost_percent(treated, scene()[4], trail, -0.3) == pytest.approx(-100 * veil / 0.3)


def test_a_clip_is_measured_with_a_trail_for_each_frame() -> None:
    signal, background = wire(), scene(6)
    with_wire, without = lagging(background + signal, 0.3), lagging(background, 0.3)
    trails = np.stack([trail_mask(signal, index) for index in range(2, FRAMES)])
    assert ghost_percent(with_wire[2:], without[2:], trails, -0.3) == pytest.approx(21.0)


def test_no_trail_no_figure_and_no_wire_no_question() -> None:
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    assert math.isnan(ghost_percent(scene()[0], scene()[0], nothing, -0.3))
    with pytest.raises(ValueError, match="without contrast"):
        ghost_percent(scene()[0], scene()[0], ~nothing, 0.0)
    with pytest.raises(ValueError, match="before it"):
        trail_mask(wire(), 0)
    assert not footprint(np.zeros((4, 4))).any()
