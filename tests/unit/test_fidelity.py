"""The bound on what an engine may change: what passes, what is refused, and the map of where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import EngineFault
from edge.fidelity import change_map, check, mean_change
from edge.frame import Pixels
from tests.fakes import frame

DEPTHS = {8: np.uint8, 10: np.uint16, 12: np.uint16, 16: np.uint16}


def levels(value: int, bits: int = 8) -> Pixels:
    return np.full((12, 20), value, DEPTHS[bits])


@pytest.mark.parametrize("bits", DEPTHS)
def test_from_black_to_white_is_all_of_full_scale_at_every_depth(bits: int) -> None:
    full = (1 << bits) - 1
    assert mean_change(levels(0, bits), levels(full, bits), full) == pytest.approx(1.0)
    assert mean_change(levels(full, bits), levels(0, bits), full) == pytest.approx(1.0)
    assert mean_change(levels(full, bits), levels(full, bits), full) == 0


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(DEPTHS)))
def test_the_mean_change_is_what_arithmetic_says(seed: int, bits: int) -> None:
    rng, full = np.random.default_rng(seed), (1 << bits) - 1
    before = rng.integers(0, full, (9, 13), dtype=DEPTHS[bits], endpoint=True)
    after = rng.integers(0, full, (9, 13), dtype=DEPTHS[bits], endpoint=True)
    by_hand = np.abs(before.astype(float) - after.astype(float)).mean() / full
    assert mean_change(before, after, full) == pytest.approx(by_hand)


def test_a_change_up_to_the_bound_passes_and_is_told() -> None:
    assert check(levels(100), levels(110), 255, most=10 / 255) == pytest.approx(10 / 255)


def test_a_change_beyond_the_bound_is_refused() -> None:
    with pytest.raises(EngineFault) as caught:
        check(levels(100), levels(111), 255, most=10 / 255)
    assert caught.value.reason == "fidelity"


def test_what_a_backend_has_measured_is_held_to_the_same_bound() -> None:
    assert check(levels(100), levels(100), 255, most=0.1, measured=0.09) == 0.09
    with pytest.raises(EngineFault) as caught:
        check(levels(100), levels(100), 255, most=0.1, measured=0.11)
    assert caught.value.reason == "fidelity"


@pytest.mark.parametrize(
    "after", [np.zeros((12, 21), np.uint8), np.zeros((12, 20), np.uint16), np.zeros((12, 20, 1), np.uint8)]
)
def test_another_shape_or_depth_is_refused_before_it_is_compared(after: Pixels) -> None:
    with pytest.raises(EngineFault) as caught:
        check(levels(0), after, 255, most=1.0)
    assert caught.value.reason == "shape"


@pytest.mark.parametrize("bits", [8, 12])
def test_the_map_is_grey_where_nothing_changed_brighter_where_raised_darker_where_lowered(bits: int) -> None:
    full = (1 << bits) - 1
    before = frame(pixels=levels(full // 2, bits), bits=bits)
    after = before.pixels.copy()
    after[0, 0], after[1, 1] = full // 2 + full // 20, full // 2 - full // 20
    drawn = change_map(before, after)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (12, 20)
    assert drawn[0, 0] > 140
    assert drawn[1, 1] < 116
    drawn[0, 0] = drawn[1, 1] = 128
    assert (drawn == 128).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_the_map_does_not_wrap_around_at_its_ends(bits: int) -> None:
    full = (1 << bits) - 1
    low, high = frame(pixels=levels(0, bits), bits=bits), frame(pixels=levels(full, bits), bits=bits)
    assert (change_map(low, levels(full, bits)) == 255).all()
    assert (change_map(high, levels(0, bits)) == 0).all()


def test_the_map_of_a_colour_frame_is_one_plane() -> None:
    before = frame(pixels=np.full((12, 20, 3), 90, np.uint8))
    assert change_map(before, np.full((12, 20, 3), 100, np.uint8)).shape == (12, 20)
