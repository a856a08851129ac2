"""A frame's pixels as a picture for the screen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.console import developing
from edge.console.developing import Window
from edge.console.pacing import STEPS, Step
from edge.frame import PixelFormat


def test_eight_bits_are_shown_as_they_are() -> None:
    pixels = np.arange(64 * 256, dtype=np.uint32).reshape(64, 256).astype(np.uint8)
    shown = developing.develop(pixels, PixelFormat.GREY8, 8, developing.full(8), (256, 64))
    assert np.array_equal(shown, pixels)


def test_more_bits_go_through_the_window_level_by_level() -> None:
    pixels = np.array([[0, 100, 300, 500, 1023]], np.uint16)
    shown = developing.develop(pixels, PixelFormat.GREY16, 10, Window(100, 500), (5, 1))
    assert shown.tolist() == [[0, 0, 128, 255, 255]]
    assert shown.dtype == np.uint8


def test_the_automatic_window_takes_the_levels_that_are_there_and_follows_slowly() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(400, 600, (256, 256), dtype=np.uint16)
    window = developing.auto(pixels, 12, None)
    assert 395 < window.low < 410
    assert 590 < window.high < 605
    brighter = developing.auto(pixels + 1000, 12, window)
    assert window.high < brighter.high < window.high + 150
    for _ in range(100):
        brighter = developing.auto(pixels + 1000, 12, brighter)
    assert abs(brighter.high - 1600) < 20


def test_a_flat_picture_has_a_window_all_the_same() -> None:
    assert developing.auto(np.full((64, 64), 700, np.uint16), 12, None) == Window(0, 4095)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("size", [(640, 480), (64, 64), (4096, 64), (1024, 1024)])
def test_a_picture_is_never_enlarged_nor_distorted(step: Step, size: tuple[int, int]) -> None:
    width, height = developing.size_at(step, *size, most_width=0)
    assert width <= size[0]
    assert height <= size[1]
    assert abs(width / height - size[0] / size[1]) < 0.05 * size[0] / size[1]
    assert developing.size_at(step, *size, most_width=100)[0] <= max(100, 64 * size[0] // min(size))


@pytest.mark.parametrize("format_", [PixelFormat.RGB8, PixelFormat.BGR8])
def test_colours_keep_their_places(format_: PixelFormat) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[:, :, 0 if format_ is PixelFormat.RGB8 else 2] = 250
    image = developing.as_png(developing.develop(red, format_, 8, developing.full(8), (64, 64)))
    read = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_COLOR)
    assert read is not None
    assert read[5, 5].tolist() == [0, 0, 250]  # OpenCV reads blue first


def test_a_jpeg_says_its_size() -> None:
    image = developing.as_jpeg(np.zeros((48, 64), np.uint8), 80)
    assert (image.width, image.height) == (64, 48)
    assert image.data[:2] == b"\xff\xd8"
