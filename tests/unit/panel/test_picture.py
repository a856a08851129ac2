"""What is seen of a frame, pixel by pixel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import fidelity
from edge.frame import Box, Frame, PixelFormat, Treatment, Why
from edge.panel.picture import (
    AWAKE,
    NARROWEST,
    PLAIN,
    WIDEST,
    Composer,
    Look,
    Tone,
    auto_tone,
    change_map,
    fit,
    levels,
)
from edge.wire import Report
from tests.unit.panel.scenes import grey, report, smooth

AREA = Box(0, 0, 640, 480)


def drawn(what: Report, look: Look | None = None, place: Box | None = None) -> np.ndarray:
    place = place or Box(0, 0, what.pixels.shape[1], what.pixels.shape[0])  # type: ignore[union-attr]
    canvas = np.full((place.y + place.height + 10, place.x + place.width + 10, 4), 77, np.uint8)
    Composer().compose(canvas, place, what, look or Look())
    outside = canvas.copy()
    outside[place.slices] = 77
    assert np.all(outside == 77), "only its own place is written"
    return canvas[place.slices][:, :, :3]


def test_at_its_own_size_every_pixel_is_the_engines() -> None:
    what = report(1, 0)
    seen = drawn(what)
    assert np.array_equal(seen, np.repeat(what.pixels[:, :, None], 3, axis=2))  # type: ignore[index]


def test_the_original_is_the_original_of_the_same_frame() -> None:
    what = report(1, 0)
    assert np.array_equal(drawn(what, Look(original=True))[:, :, 1], what.original)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0.0, 0.25, 0.5, 1.0])
def test_split_has_the_original_on_the_left_and_the_picture_on_the_right(at: float) -> None:
    what = report(1, 0)
    seen, cut = drawn(what, Look(split_at=at))[:, :, 0], round(at * 640)
    assert np.array_equal(seen[:, :cut], what.original[:, :cut])  # type: ignore[index]
    assert np.array_equal(seen[:, cut:], what.pixels[:, cut:])  # type: ignore[index]


def test_a_picture_that_is_the_original_has_no_other_side_and_no_changes() -> None:
    what = report(1, 0, treatment=Treatment.ORIGINAL, why=Why.HOT)
    plain = drawn(what)
    assert np.array_equal(drawn(what, Look(split_at=0.5)), plain)
    assert np.array_equal(drawn(what, Look(changes=True)), plain)
    assert np.array_equal(drawn(replace(what, original=None), Look(original=True)), plain)


@pytest.mark.parametrize("kind", [PixelFormat.RGB8, PixelFormat.BGR8])
def test_colour_comes_out_as_the_scanner_meant_it(kind: PixelFormat) -> None:
    red = np.zeros((96, 128, 3), np.uint8)
    red[:, :, 0 if kind is PixelFormat.RGB8 else 2] = 200
    what = report(1, 0, original=red, pixels=red.copy(), format=kind)
    assert np.all(drawn(what) == (0, 0, 200))
    assert np.all(drawn(what, Look(changes=True)) == (0, 0, 200))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_the_change_map_is_the_daemons_own(bits: int) -> None:
    original = grey(12).astype(np.uint16) >> 2 if bits == 10 else grey(bits)
    pixels = smooth(original)
    kind = PixelFormat.GREY8 if bits == 8 else PixelFormat.GREY16
    frame = Frame(original, "s", 1, 0, 0, format=kind, bits=bits)
    what = report(1, 0, original=original, pixels=pixels, bits=bits, format=kind)
    theirs = fidelity.change_map(frame, pixels).astype(int)
    assert np.abs(change_map(what).astype(int) - theirs).max() <= 1  # rounded, not cut


def test_changes_are_orange_where_brighter_and_blue_where_darker() -> None:
    original = np.full((96, 128), 120, np.uint8)
    pixels = original.copy()
    pixels[:, :40] += 20
    pixels[:, 80:] -= 20
    seen = drawn(report(1, 0, original=original, pixels=pixels), Look(changes=True)).astype(int)
    assert np.all(seen[:, :40, 2] > seen[:, :40, 0] + 50)
    assert np.all(seen[:, 80:, 0] > seen[:, 80:, 2] + 50)
    assert np.all(seen[:, 40:80] == 120), f"differences up to {AWAKE} levels of the map stay uncoloured"


@pytest.mark.parametrize("bits", [8, 12])
def test_window_and_level_reach_from_black_to_white(bits: int) -> None:
    full = (1 << bits) - 1
    table = levels(Tone(centre=0.5, width=0.5), bits)
    assert table[0] == table[int(full * 0.24)] == 0
    assert table[full] == table[int(full * 0.76)] == 255
    assert table[full // 2] == pytest.approx(127, abs=1)
    assert np.array_equal(levels(PLAIN, 8), np.arange(256))


@settings(deadline=None)
@given(st.lists(st.floats(-30, 30), max_size=20), st.lists(st.floats(-60, 60), max_size=20))
def test_however_one_turns_the_picture_stays_visible_somewhere(brighter: list[float], steeper: list[float]) -> None:
    tone = PLAIN
    for steps in brighter:
        tone = tone.brighter(steps)
    for steps in steeper:
        tone = tone.steeper(steps)
    assert 0 <= tone.centre <= 1
    assert NARROWEST <= tone.width <= WIDEST
    table = levels(tone, 12)
    assert np.all(np.diff(table.astype(int)) >= 0)
    assert table[0] < table[-1]


def test_auto_puts_the_images_own_levels_between_black_and_white() -> None:
    dark = (grey(12) // 8 + 100).astype(np.uint16)
    dark[:40] = 4095  # text at the edge, outside the image
    what = report(1, 0, original=dark, region=Box(0, 40, 640, 440))
    seen = drawn(what, Look(original=True, tone=auto_tone(what)))[40:, :, 0]
    assert np.percentile(seen, 5) < 40
    assert np.percentile(seen, 95) > 200


@pytest.mark.parametrize(
    ("size", "spacing", "place"),
    [
        ((640, 480), None, (640, 480)),
        ((512, 512), None, (480, 480)),
        ((640, 480), (0.2, 0.2), (640, 480)),
        ((320, 480), (0.4, 0.2), (640, 480)),
        ((1920, 1080), None, (640, 360)),
        ((64, 4096), None, (8, 480)),
    ],
)
def test_it_is_as_large_as_can_be_and_a_circle_stays_a_circle(
    size: tuple[int, int], spacing: Any, place: tuple[int, int]
) -> None:
    box = fit(AREA, *size, spacing)
    assert (box.width, box.height) == place
    assert box.inside(640, 480)
    assert abs(2 * box.x + box.width - 640) <= 1


def test_scaling_keeps_what_is_seen_and_where() -> None:
    what = report(1, 0)
    small, large = drawn(what, place=Box(5, 7, 320, 240)), drawn(what, place=Box(0, 0, 1440, 1080))
    assert small.mean() == pytest.approx(large.mean(), abs=1.0)
    assert abs(int(small[120, 160, 0]) - int(large[540, 720, 0])) < 25
