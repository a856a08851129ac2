"""The real `limpid display` on a real X server, before a real daemon: what is on the glass, and what fingers do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.client import Viewer
from edge.frame import Treatment
from edge.panel.notes import Mood
from edge.wire import Flag, Report, Topic
from tests.system.process import ROOT, Daemon, running, wait_until
from tests.system.screen import Screen, has, screen

pytest.importorskip("pygame", reason="the panel's extra is not installed")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
from edge.panel.glass import GROUNDS

pytestmark = pytest.mark.timeout(240)

# What is tested here is the panel, and on a busy machine too: an engine may take as long as it likes.
MORE = """
[live]
deadline_ms = 900
max_age_ms = 5000
[panel]
vsync = false
watchdog_s = 60.0
[outbox]
folder = "{home}/outbox"
watermark_percent = 100.0
least_free_mb = 0
"""
FPS = 15.0  # slow enough for a busy machine
GREEN, AMBER, RED, BLUE = (GROUNDS[mood][1] for mood in (Mood.GOOD, Mood.CAUTION, Mood.ALARM, Mood.COLD))


@dataclass
class Panel:
    process: subprocess.Popen[str]
    screen: Screen
    home: Path

    def figures(self) -> dict[str, Any]:
        """Its own, at its end."""
        self.process.terminate()
        out, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return json.loads(out)


def command(daemon: Daemon, *more: str) -> list[str]:
    return [sys.executable, "-m", "edge", "display", "--config", str(daemon.home / "limpid.toml"), "--json", *more]


@contextlib.contextmanager
def panel(daemon: Daemon, on: Screen, *more: str) -> Iterator[Panel]:
    with (daemon.home / "panel.log").open("w") as log:
        process = subprocess.Popen(
        command(daemon, *more), cwd=ROOT, env=on.environment, text=True,
        stdout=subprocess.PIPE, stderr=log,
    )  # fmt: skip
    try:
        yield Panel(process, on, daemon.home)
    finally:
        process.kill()
        process.communicate(timeout=20)


class Feed:
    """A phantom scanner in a process of its own: nothing that is looked at here can make it stumble."""

    def __init__(self, daemon: Daemon) -> None:
        options = {"stream": "test", "width": 320, "height": 240, "fps": FPS, "loop_frames": 8, "furniture": "false"}
        line = [sys.executable, "-m", "edge", "send", "phantom", "--to", daemon.frames]
        line += [word for key, value in options.items() for word in ("-s", f"{key}={value}")]
        self.process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def pause(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(20)


@contextlib.contextmanager
def at_work(home: Path) -> Iterator[tuple[Daemon, Feed, Screen]]:
    """A screen, a daemon, and a scanner whose pictures it enhances."""
    with contextlib.ExitStack() as down:
        glass = down.enter_context(screen(home))
        daemon = down.enter_context(running(home / "d", MORE.format(home=home)))
        feed = Feed(daemon)
        down.callback(feed.close)
        wait_until(lambda: is_enhanced(daemon), "enhanced pictures", daemon)
        yield daemon, feed, glass


def is_enhanced(daemon: Daemon) -> bool:
    stream = daemon.status()["streams"].get("test")
    return stream is not None and bool(stream["frames"]["enhanced"])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Feed, Screen]]:
    """One for all tests that leave it as it was."""
    with at_work(tmp_path_factory.mktemp("work")) as made:
        yield made


@contextlib.contextmanager
def shown_by(daemon: Daemon, glass: Screen, *more: str) -> Iterator[Panel]:
    """A panel that shows live, enhanced pictures."""
    with panel(daemon, glass, *more) as shown:
        sees(shown, GREEN, gone=(RED, BLUE))
        try:
            yield shown
        finally:
            if daemon.process.poll() is None:
                daemon.control.ask("unfreeze")  # the next test finds it live, whatever happened to this one


Colour = tuple[int, int, int]


def sees(shown: Panel, *there: Colour, gone: tuple[Colour, ...] = ()) -> None:
    """Until these are on the screen, and those are not."""

    def met() -> bool:
        assert shown.process.poll() is None, (shown.home / "panel.log").read_text()
        look = shown.screen.look()
        return all(has(look, one) for one in there) and not any(has(look, one) for one in gone)

    wait_until(met, f"{there} on the screen, {gone} gone")


Work = tuple[Daemon, Feed, Screen]


def test_it_shows_the_newest_picture_enhanced_and_tells_its_figures(work: Work) -> None:
    daemon, _, glass = work
    with shown_by(daemon, glass) as shown:
        before = frames(daemon)["in"]
        wait_until(lambda: frames(daemon)["in"] > before + 30, "some more pictures", daemon)
        figures = shown.figures()
    assert (figures["stream"], figures["driver"], figures["screen"]) == ("test", "x11", "800x480")
    pictures = figures["pictures"]
    assert pictures["drawn"] > 10
    assert pictures["unreadable"] == 0
    assert pictures["received"] - pictures["superseded"] - pictures["drawn"] in (0, 1)
    assert set(figures["stages_ms"]) == {"waited", "composed", "drawn", "flipped"}
    assert figures["started_ms"] > 0


def test_frozen_the_pixels_on_the_glass_are_the_daemons_of_that_very_frame(work: Work) -> None:
    daemon, _, glass = work
    viewer = Viewer(daemon.pictures, "test", Topic.PAIR, hwm=1000)
    try:
        with shown_by(daemon, glass) as shown:
            glass.point(720, 440)
            glass.key("space")
            sees(shown, BLUE, gone=(RED,))
            wait_until(lambda: daemon.status()["streams"]["test"]["frozen"], "frozen in the daemon as well", daemon)
            last = newest(viewer)
            assert last.treatment is Treatment.ENHANCED
            wait_until(lambda: np.array_equal(middle(glass), scaled(last.pixels)), "the enhanced picture")
            glass.key("e")
            sees(shown, AMBER, BLUE, gone=(GREEN,))
            wait_until(lambda: np.array_equal(middle(glass), scaled(last.original)), "the original of the same frame")
            glass.key("e", "s")
            sees(shown, AMBER, GREEN, BLUE)
            both = np.hstack([scaled(last.original)[:, :LEFT], scaled(last.pixels)[:, RIGHT:]])
            wait_until(lambda: np.array_equal(np.delete(middle(glass), slice(LEFT, RIGHT), 1), both), "both")
            glass.key("s", "c")
            wait_until(lambda: stored(daemon), "the still of what stands on the glass", daemon)
            (still,) = stored(daemon)
            assert (still["first_seq"], still["last_seq"]) == (last.seq, last.seq)
            glass.key("space")
            sees(shown, GREEN, gone=(BLUE, AMBER))
    finally:
        viewer.close()


MIDDLE = slice(120, 380), slice(8, 632)
LEFT, RIGHT = 320 - 8 - 4, 320 - 8 + 4  # of the divider


def middle(glass: Screen) -> np.ndarray:
    """Of the picture: where no words are, and no border."""
    look = glass.look()[MIDDLE]
    assert np.array_equal(look & 0xFF, look >> 16), "grey"
    return (look & 0xFF).astype(np.uint8)


def scaled(pixels: Any) -> np.ndarray:
    return cv2.resize(pixels, (640, 480), interpolation=cv2.INTER_LINEAR)[MIDDLE]


def newest(viewer: Viewer) -> Report:
    """Of all that has come, and of what may still be on its way."""
    last: Report | None = None
    while (report := viewer.next(1.0)) is not None and not report.flags & Flag.FROZEN:
        last = report if report.pixels is not None else last
    assert last is not None
    return last


def test_a_scanner_that_stops_is_not_live_until_it_sends_again(work: Work) -> None:
    daemon, feed, glass = work
    with shown_by(daemon, glass) as shown:
        feed.pause()
        try:
            sees(shown, RED)
        finally:
            feed.go_on()
        sees(shown, GREEN, gone=(RED,))
        assert shown.figures()["not_live"] >= 1


def test_a_daemon_that_dies_is_not_live_and_comes_back_without_anybodys_help(tmp_path: Path) -> None:
    with at_work(tmp_path) as (daemon, _, glass), shown_by(daemon, glass) as shown:
        daemon.process.kill()
        daemon.process.wait()
        sees(shown, RED)
        with running(tmp_path / "d", MORE.format(home=tmp_path)):
            sees(shown, GREEN, gone=(RED,))


def test_a_panel_that_stands_still_costs_the_daemon_nothing_and_returns_to_the_newest(work: Work) -> None:
    daemon, _, glass = work
    viewer = Viewer(daemon.pictures, "test", hwm=1000)
    try:
        with shown_by(daemon, glass) as shown:
            drained(viewer)
            before = frames(daemon)
            shown.process.send_signal(signal.SIGSTOP)
            wait_until(lambda: frames(daemon)["in"] >= before["in"] + 150, "frames keep passing", daemon)
            after = frames(daemon)
            seen = len(drained(viewer))
            shown.process.send_signal(signal.SIGCONT)
            sees(shown, GREEN, gone=(RED,))
            figures = shown.figures()
    finally:
        viewer.close()
    passed = after["in"] - before["in"]
    dropped = sum(after["dropped"].values()) - sum(before["dropped"].values())
    # A busy machine may cost a frame; a publisher that waits for a panel would cost nearly all of them.
    assert dropped <= passed // 5, after["dropped"]
    assert seen >= passed - dropped - 10, "another subscriber has them all"
    # Of what came while it stood still only what the sockets held is left, and of that only the newest is drawn.
    assert figures["pictures"]["received"] < frames(daemon)["in"] - before["in"] - 60 + figures["pictures"]["drawn"]


def frames(daemon: Daemon) -> dict[str, Any]:
    return daemon.status()["streams"]["test"]["frames"]


def stored(daemon: Daemon) -> list[dict[str, Any]]:
    return [event for event in daemon.events() if event["event"] == "capture.stored"]


def drained(viewer: Viewer) -> list[int]:
    seen: list[int] = []
    while (report := viewer.next(0.0)) is not None:
        if report.pixels is not None:
            seen.append(report.seq)
    return seen


def divided_at(glass: Screen, x: int, pointer_y: int) -> bool:
    """White from top to bottom, but for where the pointer lies on it: the server draws that over the picture."""
    line = glass.look()[100:400, x]
    return bool(np.all(np.delete(line, np.s_[pointer_y - 100 - 20 : pointer_y - 100 + 20]) == 0xFFFFFF))


def test_keys_and_fingers_do_what_they_say(work: Work) -> None:
    daemon, _, glass = work

    def stream() -> dict[str, Any]:
        return daemon.status()["streams"]["test"]

    with shown_by(daemon, glass, "--fullscreen") as shown:
        glass.touch(680, 30)  # Original
        sees(shown, AMBER, gone=(GREEN,))
        assert stream()["view"] == "enhanced", "only this display looks at it so"
        glass.key("e")
        sees(shown, GREEN, gone=(AMBER,))
        glass.touch(760, 306)  # Strength +
        wait_until(lambda: stream()["strength_percent"] == 90, "90 %", daemon)
        glass.key("minus", "minus")
        wait_until(lambda: stream()["strength_percent"] == 70, "70 %", daemon)
        glass.key("s")
        sees(shown, AMBER, GREEN)  # each side says what it is
        glass.drag(320, 240, 160, 240)
        wait_until(lambda: divided_at(glass, 160, pointer_y=240), "the divider", daemon)
        glass.key("s")
        sees(shown, gone=(AMBER,))
        glass.key("space")
        sees(shown, BLUE, gone=(RED,))
        wait_until(lambda: stream()["frozen"], "frozen in the daemon as well", daemon)
        glass.touch(760, 30)  # Go live
        sees(shown, GREEN, gone=(BLUE, RED))
        assert stream()["frozen"] is False
        glass.key("ctrl+q")
        wait_until(lambda: shown.process.poll() == 0, "its end", daemon)


def says_rec(look: np.ndarray) -> bool:
    """Red where REC stands, and not all around, as it would be for NOT LIVE."""
    return has(look[20:60, 520:634], RED, least=200) and not has(look[:, :4], RED)


def test_captures_are_stored_and_acknowledged_on_the_glass(work: Work) -> None:
    daemon, _, glass = work

    before = len(stored(daemon))

    def kinds() -> list[str]:
        return sorted(event["kind"] for event in stored(daemon)[before:])

    with shown_by(daemon, glass) as shown:
        glass.touch(760, 102)  # Still
        wait_until(lambda: kinds() == ["still"], "a still", daemon)
        glass.key("b")
        wait_until(lambda: kinds() == ["clip", "still"], "the last seconds", daemon)
        glass.key("r")
        wait_until(lambda: daemon.status()["recording"] == ["test"], "recording", daemon)
        began = frames(daemon)["in"]
        wait_until(lambda: says_rec(glass.look()), "REC on the glass: the button is now the one that stops it")
        wait_until(lambda: frames(daemon)["in"] >= began + 8, "pictures for the clip", daemon)
        glass.key("r")
        wait_until(lambda: kinds() == ["clip", "clip", "still"], "the clip", daemon)
        sees(shown, gone=(RED,))
        assert not any(event["event"] == "capture.refused" for event in daemon.events())


def test_a_refused_capture_is_told_on_the_glass(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("no folder can be made here")
    with at_work(tmp_path) as (daemon, _, glass), shown_by(daemon, glass) as shown:
        glass.key("c")
        wait_until(lambda: any(e["event"] == "capture.refused" for e in daemon.events()), "a refusal", daemon)
        sees(shown, RED)


@pytest.mark.parametrize("size", [(1280, 800), (1920, 1080)])
def test_a_screenshot_is_what_was_on_the_screen(work: Work, tmp_path: Path, size: tuple[int, int]) -> None:
    daemon, _, _ = work
    shot = tmp_path / "shot.png"
    with screen(tmp_path, size) as glass, panel(daemon, glass, "--frames", "20", "--screenshot", str(shot)) as shown:
        out, _ = shown.process.communicate(timeout=60)
    assert shown.process.returncode == 0
    figures = json.loads(out)
    assert (figures["screen"], figures["pictures"]["drawn"]) == (f"{size[0]}x{size[1]}", 20)
    seen = cv2.imread(str(shot)).astype(np.uint32)
    assert seen.shape == (size[1], size[0], 3)
    look = seen[:, :, 2] << 16 | seen[:, :, 1] << 8 | seen[:, :, 0]
    assert has(look, GREEN) or has(look, AMBER)


def complaint(*more: str, **environment: str) -> tuple[int, str]:
    clean = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")}
    line = [sys.executable, "-m", "edge", "display", *more]
    done = subprocess.run(
        line, cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_without_a_screen_it_says_so_and_is_worth_trying_again(tmp_path: Path) -> None:
    status, said = complaint(XDG_RUNTIME_DIR=str(tmp_path))
    assert status == 1
    assert "no screen can be opened" in said
    status, said = complaint(SDL_VIDEODRIVER="no-such-driver")
    assert status == 1
    assert "no-such-driver" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--size", "huge"], "is not WIDTHxHEIGHT"),
        (["--screenshot", "/nowhere/at/all.png"], "no such folder"),
        (["--window", "--size", "300x200"], "too small"),
    ],
)
def test_a_wrong_command_line_is_one_line_of_complaint(more: list[str], said: str) -> None:
    status, words = complaint(*more, SDL_VIDEODRIVER="dummy")
    assert status == 2
    assert said in words
