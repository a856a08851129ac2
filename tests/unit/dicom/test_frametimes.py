"""The beat of a clip: steady, jittering, with gaps, and too long for the element that should hold it."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS
from edge.dicom.frametimes import MOST_VECTOR_BYTES, Gap, times_of
from edge.frame import Shown
from tests.unit.dicom.scenes import clip, pair, read, shown

ONE = shown("us 1 row", 1, 0)


def beat(steps_ms: list[float]) -> list[Shown]:
    at = [0.0, *accumulate(steps_ms)]
    return [
        replace(ONE, frame=replace(ONE.frame, seq=number, captured_ns=round(ms * MS))) for number, ms in enumerate(at)
    ]


def test_a_steady_clip_has_one_frame_time() -> None:
    file = read(pair(clip(frames=30, step_ms=33.3))[0])
    assert file.FrameTime == 33.3
    assert "FrameTimeVector" not in file
    assert file.FrameIncrementPointer == 0x0018_1063
    assert (file.CineRate, file.RecommendedDisplayFrameRate) == (30, 30)
    assert float(file.EffectiveDuration) == pytest.approx(29 * 0.0333, abs=0.001)


def test_a_gap_is_in_the_times_and_told() -> None:
    for made in pair(clip(frames=6, step_ms=40, gap_at=4)):
        file = read(made)
        assert [float(step) for step in file.FrameTimeVector] == [0, 40, 40, 160, 40, 40]
        assert file.FrameIncrementPointer == 0x0018_1065
        assert file.ImageComments == "Gaps: 3 missing before frame 4 (160 ms)"
        assert file.CineRate == 25


def test_a_pause_of_the_source_is_a_gap_without_missing_frames() -> None:
    times = times_of(beat([33, 33, 400, 33]))
    assert times is not None
    assert times.gaps == (Gap(4, 0, 400.0),)


def test_frames_missing_after_a_restart_of_the_sender_are_counted_by_the_live_path() -> None:
    before, after = shown("us 1 row", 900, 0), shown("us 1 row", 1, 33)
    restarted = replace(after, frame=replace(after.frame, session=8), missing_before=5)
    times = times_of([before, restarted])
    assert times is not None
    assert times.gaps == (Gap(2, 5, 33.0),)


def test_jitter_is_kept() -> None:
    times = times_of(beat([30, 36, 31, 35]))
    assert times is not None
    assert times.vector == ("0", "30", "36", "31", "35")
    assert times.gaps == ()


@given(st.lists(st.floats(0.5, 90), min_size=3, max_size=60))
def test_rounding_never_adds_up(steps: list[float]) -> None:
    times = times_of(beat(steps))
    assert times is not None
    told = list(accumulate(map(float, times.vector))) if times.vector else [
        index * times.step_ms for index in range(len(steps) + 1)
    ]  # fmt: skip
    true = [0.0, *accumulate(steps)]
    assert max(abs(a - b) for a, b in zip(told, true, strict=True)) <= 0.51


@pytest.mark.parametrize(("frames", "has_vector"), [(9_000, True), (15_000, True), (21_000, True), (40_000, False)])
def test_the_vector_never_outgrows_its_element(frames: int, has_vector: bool) -> None:
    times = times_of(beat([30.333, 36.777] * (frames // 2)))
    assert times is not None
    assert bool(times.vector) == has_vector
    assert len("\\".join(times.vector)) <= MOST_VECTOR_BYTES
    if has_vector:
        assert sum(map(float, times.vector)) == pytest.approx(times.duration_s * 1000, abs=1)


def test_a_clock_that_stands_still_or_goes_back_is_survived() -> None:
    for steps in ([0.0, 0.0], [30.0, -20.0, 30.0]):
        times = times_of(beat(steps))
        assert times is not None
        assert all(float(step) >= 0 for step in times.vector)
        assert times.step_ms > 0


def test_one_frame_has_no_beat() -> None:
    assert times_of(beat([])) is None
