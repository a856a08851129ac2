"""The last seconds of the panel: bounded, and one patient's."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import SECOND
from edge.frame import Treatment, Why
from edge.panel.cine import Cine, slim
from edge.panel.watch import Dater, Seen
from tests.unit.panel.scenes import report

PICTURE = np.zeros((480, 640), np.uint8)


def seen(seq: int, at: int, **more: object) -> Seen:
    return Dater(local=True).date(slim(report(seq, at, original=PICTURE, **more)), at)


@settings(deadline=None)
@given(st.lists(st.integers(1, SECOND), max_size=150))
def test_it_is_bounded_by_seconds_and_by_bytes(steps: list[int]) -> None:
    cine, at = Cine(3.0, 16), SECOND
    for seq, step in enumerate(steps):
        at += step
        cine.add(seen(seq, at))
        assert cine.bytes <= 16 << 20
    kept = cine.snapshot()
    assert not kept or kept[-1].captured_ns - kept[0].captured_ns <= 3 * SECOND
    assert [one.report.seq for one in kept] == list(range(len(steps) - len(kept), len(steps)))


def test_a_picture_that_is_the_original_takes_its_memory_once() -> None:
    cine = Cine(10.0, 64)
    cine.add(seen(1, SECOND, treatment=Treatment.ORIGINAL, why=Why.HOT))
    assert cine.bytes == PICTURE.nbytes
    cine.add(seen(2, SECOND))
    assert cine.bytes == 3 * PICTURE.nbytes


def test_another_session_or_size_begins_anew() -> None:
    for more in ({"session": 8}, {"original": np.zeros((96, 128), np.uint8)}, {"stream": "other"}):
        cine = Cine(10.0, 64)
        cine.add(seen(1, SECOND))
        cine.add(Dater(local=True).date(report(2, SECOND, **{"original": PICTURE, **more}), SECOND))
        assert [one.report.seq for one in cine.snapshot()] == [2]
