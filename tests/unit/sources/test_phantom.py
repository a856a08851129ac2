"""The phantom source: due when it says, gaps told, never longer than asked."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from edge.clock import MS, SECOND, ManualClock
from edge.errors import ConfigError
from edge.frame import Modality, PixelFormat
from edge.sources import open_source
from edge.sources.phantom import PhantomSource

SIZE = {"width": 96, "height": 80}


def source(clock: ManualClock | None = None, **options: object) -> PhantomSource:
    opened = open_source("phantom", {**SIZE, **options}, clock or ManualClock())
    assert isinstance(opened, PhantomSource)
    return opened


def test_frames_are_due_at_their_rate() -> None:
    clock = ManualClock()
    scanner = source(clock, fps=50.0)
    first = scanner.next(0.0)
    assert first is not None
    assert (first.seq, first.captured_ns) == (0, clock.now())
    assert scanner.next(0.0) is None
    clock.advance(20 * MS - 1 * MS)
    assert scanner.next(0.0) is None
    clock.advance(1 * MS)
    second = scanner.next(0.0)
    assert second is not None
    assert second.seq == 1


def test_a_late_reader_gets_what_is_due_now_and_sees_the_gap() -> None:
    clock = ManualClock()
    scanner = source(clock, fps=50.0)
    assert scanner.next(0.0) is not None
    clock.advance(5 * 20 * MS + 3 * MS)
    late = scanner.next(0.0)
    assert late is not None
    assert late.seq == 5
    assert np.array_equal(late.pixels, scanner.exposure(5).pixels)
    assert scanner.next(0.0) is None
    clock.advance(17 * MS)
    after = scanner.next(0.0)
    assert after is not None
    assert after.seq == 6


@pytest.mark.parametrize("fps", [30.0, 59.94, 7.3])
def test_a_punctual_reader_misses_nothing(fps: float) -> None:
    clock = ManualClock()
    scanner = source(clock, fps=fps, loop_frames=1)
    start, seen = clock.now(), []
    for number in range(300):
        clock.advance(start + round(number * SECOND / fps) - clock.now())
        frame = scanner.next(0.0)
        assert frame is not None
        seen.append(frame.seq)
    assert seen == list(range(300))


@pytest.mark.parametrize("paced", [True, False])
def test_it_ends_after_its_frames(paced: bool) -> None:
    clock = ManualClock()
    scanner = source(clock, frames=3, fps=10.0, paced=paced)
    seen = []
    while not scanner.ended:
        frame = scanner.next(0.0)
        assert frame is not None
        seen.append(frame.seq)
        clock.advance(SECOND // 10)
    assert seen == [0, 1, 2]
    assert scanner.next(0.0) is None


def test_a_reader_that_comes_after_the_end_still_gets_the_last_frame() -> None:
    clock = ManualClock()
    scanner = source(clock, frames=3, fps=10.0)
    assert scanner.next(0.0) is not None
    clock.advance(60 * SECOND)
    last = scanner.next(0.0)
    assert last is not None
    assert last.seq == 2
    assert scanner.ended


def test_close_wakes_the_reader() -> None:
    scanner = source(fps=1.0)
    assert scanner.next(0.0) is not None
    got: list[object] = []
    reader = threading.Thread(target=lambda: got.append(scanner.next(50.0)), daemon=True)
    reader.start()
    scanner.close()
    reader.join(20.0)
    assert not reader.is_alive()
    assert got == [None]
    assert scanner.ended


@pytest.mark.parametrize(
    ("modality", "bits", "dtype", "format_"),
    [
        ("ultrasound", 8, np.uint8, PixelFormat.GREY8),
        ("fluoroscopy", 12, np.uint16, PixelFormat.GREY16),
    ],
)
def test_a_frame_says_what_it_is(modality: str, bits: int, dtype: type, format_: PixelFormat) -> None:
    scanner = source(modality=modality, stream="theatre-2")
    frame = scanner.next(0.0)
    assert frame is not None
    assert (frame.stream, frame.bits, frame.format) == ("theatre-2", bits, format_)
    assert frame.modality is Modality[modality.upper()]
    assert frame.pixels.shape == (80, 96)
    assert frame.pixels.dtype == dtype
    assert not frame.pixels.flags.writeable
    exposure = scanner.exposure(0)
    assert np.array_equal(frame.pixels, exposure.pixels)
    assert frame.region == exposure.region
    assert frame.spacing_mm == exposure.spacing_mm


def test_region_and_spacing_can_be_kept_back() -> None:
    frame = source(tell_region=False).next(0.0)
    assert frame is not None
    assert frame.region is None
    assert frame.spacing_mm is None


def test_colour_is_the_same_picture_three_times() -> None:
    grey, colour = source().next(0.0), source(rgb=True).next(0.0)
    assert grey is not None
    assert colour is not None
    assert colour.format is PixelFormat.RGB8
    assert colour.bits == 8
    assert all(np.array_equal(colour.pixels[..., channel], grey.pixels) for channel in range(3))


def test_a_recorded_loop_plays_to_and_fro() -> None:
    clock = ManualClock()
    scanner = source(clock, loop_frames=3, paced=False)
    played = [frame.pixels for frame in (scanner.next(0.0) for _ in range(9)) if frame is not None]
    order = [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert len(played) == len(order)
    for picture, index in zip(played, order, strict=True):
        assert np.array_equal(picture, scanner.phantom.frame(index).pixels)
        assert picture is played[index]  # shown again, not made again


def test_each_run_is_a_session_of_its_own() -> None:
    sessions = {frame.session for frame in (source(seed=1).next(0.0) for _ in range(3)) if frame is not None}
    assert len(sessions) == 3
    assert 0 not in sessions


def test_variety_draws_the_scene_from_the_seed() -> None:
    usual, drawn, again = (source(seed=5, variety=variety).next(0.0) for variety in (False, True, True))
    assert usual is not None
    assert drawn is not None
    assert again is not None
    assert not np.array_equal(usual.pixels, drawn.pixels)
    assert np.array_equal(drawn.pixels, again.pixels)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modality": "sonar"}, "modality"),
        ({"rgb": True, "bits": 12}, "rgb has 8 bits"),
        ({"bits": 9}, "9 bits"),
        ({"width": 10}, "width"),
        ({"loop_frames": 10_000_000}, "over a GiB"),
        ({"fsp": 30}, 'did you mean "fps"'),
    ],
)
def test_wrong_options_are_told_to_the_operator(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        source(**options)
