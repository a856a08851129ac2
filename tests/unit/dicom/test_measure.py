"""The measured change, against changes that were made on purpose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edge.dicom.measure import NO_CHANGE, change_of
from edge.dicom.take import Take, look_of
from edge.frame import Box, Shown, Treatment
from tests.unit.dicom.scenes import LOOKS, STARTED, shown


def with_square(look: str, seq: int, box: Box, depth: int, region: Box) -> Shown:
    """The square is darkened, or lit, by exactly `depth` levels."""
    one = shown(look, seq, seq * 33.3)
    base = np.full_like(one.frame.pixels, one.frame.full_scale // 2)
    changed = base.copy()
    changed[box.slices] -= depth
    return replace(one, frame=replace(one.frame, pixels=base), pixels=changed, region=region)


@pytest.mark.parametrize("look", ["us ge-like", "xrf 16 bits", "us grey"])
def test_mean_and_place(look: str) -> None:
    (rows, columns), _, bits, _ = LOOKS[look]
    region = Box(0, 0, columns, rows - 8)
    box = Box(32, 32, 32, 32)
    depth = 1 << (bits - 3)
    taken = (with_square(look, 1, box, depth, region), with_square(look, 2, box, 2 * depth, region))
    change = change_of(taken, look_of(Take(taken, "clip", STARTED)))
    full = (1 << bits) - 1
    assert change.most_at == box
    assert change.most_percent == pytest.approx(100 * 1.5 * depth / full)
    assert change.percent == pytest.approx(100 * 1.5 * depth * 1024 / (columns * (rows - 8)) / full)
    assert change.outside_percent == pytest.approx(0, abs=1e-9)
    assert change.largest_frame == 2
    assert change.largest_percent == pytest.approx(change.percent / 1.5 * 2)


def test_a_change_outside_the_region_is_seen() -> None:
    one = with_square("us grey", 1, Box(96, 64, 32, 32), 10, Box(0, 0, 64, 64))
    change = change_of((one,), look_of(Take((one,), "still", STARTED)))
    assert change.percent == 0
    assert change.outside_percent == pytest.approx(100 * 10 * 1024 / (96 * 128 - 64 * 64) / 255)


def test_frames_shown_as_they_came_do_not_thin_the_mean() -> None:
    one = with_square("us grey", 1, Box(0, 0, 32, 32), 10, Box(0, 0, 128, 96))
    plain = replace(one, pixels=one.frame.pixels, treatment=Treatment.ORIGINAL)
    look = look_of(Take((one,), "still", STARTED))
    assert change_of((one, plain, plain), look).percent == change_of((one,), look).percent
    assert change_of((plain,), look) == NO_CHANGE
