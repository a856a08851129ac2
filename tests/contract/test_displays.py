"""One contract for every file of `edge/displays`: fed by the live thread, and never making it wait."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edge.displays
from edge import plugins
from edge.displays import Display, open_display
from edge.errors import ConfigError
from edge.frame import EngineId, Frame, Modality, PixelFormat, Shown, Treatment, Why, original
from edge.wire import Flag
from tests.fakes import SHA, frame

KINDS = plugins.kinds(edge.displays)
PATIENCE_S = 20.0
PICTURES = 100
LONGEST_NAME = "a.stream-with_a.name-of-forty-eight-characters.0"
BIG = np.random.default_rng(1).integers(0, 255, (1024, 1024), np.uint8)


def options(kind: str, home: Path) -> dict[str, object]:
    known: dict[str, dict[str, object]] = {
        "publish": {"bind": f"ipc://{home}/pictures"},
        "openigtlink": {"port": 0},
    }
    return known[kind]  # a new display comes here with the options that a test can open it with


@pytest.fixture(params=KINDS)
def display(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Display]:
    if request.param == "openigtlink":
        pytest.importorskip("pyigtl", reason="the extra `igtl` is not installed")
    made = open_display(request.param, options(request.param, tmp_path))
    yield made
    made.close()


def every_kind() -> list[Frame]:
    rng = np.random.default_rng(1)
    return [
        frame(1),
        frame(2, stream=LONGEST_NAME, pixels=rng.integers(0, 4095, (33, 35), np.uint16)),
        frame(3, pixels=rng.integers(0, 255, (40, 30, 3), np.uint8), format=PixelFormat.RGB8),
        frame(4, pixels=rng.integers(0, 255, (40, 30, 3), np.uint8), format=PixelFormat.BGR8),
        frame(5, pixels=rng.integers(0, 65535, (32, 32), np.uint16), bits=16, modality=Modality.FLUOROSCOPY),
        frame(6, pixels=rng.integers(0, 255, (64, 128), np.uint8)[:, ::2], spacing_mm=(0.2, 0.3)),
    ]  # fmt: skip


def in_time(work: Callable[[], None]) -> bool:
    """Whether it came to its end at all; on a busy machine nothing sharper can be asked."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return not thread.is_alive()


def feed(display: Display, pixels: np.ndarray = BIG) -> None:
    shown = Shown(frame(1, pixels=pixels), pixels, Treatment.ENHANCED, engine=EngineId("e", SHA, "fake", "int8"))
    for seq in range(1, PICTURES + 1):
        display.show(replace(shown, frame=replace(shown.frame, seq=seq)), Flag.LIVE, seq)
        display.notice(shown, Flag.FROZEN, seq)


def test_with_nobody_there_nothing_waits(display: Display) -> None:
    assert in_time(lambda: feed(display))


def test_with_somebody_there_who_says_and_reads_nothing_nothing_waits(display: Display, tmp_path: Path) -> None:
    port = getattr(display, "port", None)
    family = socket.AF_UNIX if port is None else socket.AF_INET
    with socket.socket(family) as peer:
        peer.connect(str(tmp_path / "pictures") if port is None else ("127.0.0.1", port))
        assert in_time(lambda: feed(display))


@pytest.mark.parametrize("came", every_kind(), ids=lambda came: f"{came.format.name}-{came.bits}")
def test_every_kind_of_picture_is_taken(display: Display, came: Frame) -> None:
    display.show(original(came, Why.LATE), Flag.LIVE | Flag.STAND_IN, came.captured_ns)
    enhanced = Shown(came, came.pixels.copy(), Treatment.ENHANCED, engine=EngineId("e", SHA, "fake", "int8"))
    display.show(enhanced, Flag.LIVE, came.captured_ns)
    display.notice(enhanced, Flag(0), came.captured_ns)


def test_a_notice_may_come_before_any_picture(display: Display) -> None:
    display.notice(original(frame(1), Why.OPENING), Flag.FROZEN, 0)


def test_what_it_is_shown_is_left_alone(display: Display) -> None:
    shown = original(frame(1), Why.LATE)
    before = shown.pixels.copy()
    display.show(shown, Flag.LIVE, 0)
    assert np.array_equal(shown.pixels, before)
    assert not shown.pixels.flags.writeable


@pytest.mark.parametrize("kind", KINDS)
def test_its_place_is_free_again_once_it_is_closed(kind: str, tmp_path: Path) -> None:
    where = options(kind, tmp_path)
    for _ in range(3):
        assert in_time(open_display(kind, where).close)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stranger_among_its_options_is_told(kind: str) -> None:
    with pytest.raises(ConfigError, match=rf'unknown key "colour" in \[display.{kind}\]'):
        open_display(kind, {"colour": "green"})
