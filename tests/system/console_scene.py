"""A daemon, a scanner whose frames carry their number where it can be seen, and the console, as real processes. Not a
test itself.

The number of a frame stands twice, as eight dark or lighter squares at the top left and at the top right, outside the
region that is enhanced: so the halves of a split view can be read from the screen, and compared. The squares are
neither background nor marks to the region finder, or each frame would be a new layout to it.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.client import Pusher
from edge.frame import Box, Frame, Modality
from tests.archives import free_port, is_listening, until
from tests.system.process import ROOT, Daemon, config_text

WIDTH, HEIGHT = 640, 480
SQUARE, TOP = 24, 8  # of the number; its bits from the left, the lowest first
DARK, LIGHTER = 18, 52
REGION = Box(64, 64, 512, 352)
LEFT, RIGHT = 8, WIDTH - 8 - 8 * SQUARE


def picture(number: int, grain: np.ndarray) -> np.ndarray:
    pixels = grain.copy()
    for bit in range(8):
        level = LIGHTER if number >> bit & 1 else DARK
        for x in (LEFT, RIGHT):
            pixels[TOP : TOP + SQUARE, x + bit * SQUARE : x + (bit + 1) * SQUARE] = level
    return pixels


class NumberedScanner(threading.Thread):
    """Sends whether somebody listens or not; `pause` lets it fall silent."""

    def __init__(self, address: str, stream: str = "probe-1", fps: float = 10.0) -> None:
        super().__init__(daemon=True)
        self._address, self._fps = address, fps
        rng = np.random.default_rng(5)
        self._grains = [np.zeros((HEIGHT, WIDTH), np.uint8) for _ in range(4)]
        for grain in self._grains:
            grain[REGION.slices] = np.clip(rng.normal(110, 18, (REGION.height, REGION.width)), 0, 255)
        now = time.monotonic_ns()
        self._frame = Frame(
            self._grains[0], stream, 0, now, now, modality=Modality.ULTRASOUND, session=7, region=REGION
        )
        self._ended = threading.Event()
        self.pause = threading.Event()
        self.number = 0

    def run(self) -> None:
        pusher = Pusher(self._address)
        while not self._ended.wait(1 / self._fps):
            if not self.pause.is_set():
                self.number += 1
                now = time.monotonic_ns()
                pixels = picture(self.number, self._grains[self.number % len(self._grains)])
                pusher.push(replace(self._frame, pixels=pixels, seq=self.number, captured_ns=now, stamped_ns=now))
        pusher.close(0)

    def end(self) -> None:
        self._ended.set()
        self.join()


@dataclass
class Console:
    """Its process, and its API without a browser."""

    home: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home / "console.log").read_text(errors="replace")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=20) as answer:
            return json.loads(answer.read())

    def post(self, path: str, body: object) -> Any:
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self.get("session")["csrf"]}
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None

    def is_up(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, OSError):
            return bool(urllib.request.urlopen(f"{self.url}/healthz", timeout=5).status == 200)
        return False


@contextlib.contextmanager
def started(home: Path, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """`limpid NAME` with the home's configuration, until the block ends."""
    line = [sys.executable, "-m", "edge", name, *words, "--config", str(home / "limpid.toml")]
    with (home / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Scene:
    """Everything behind the page. The daemon can be ended and started again."""

    home: Path
    console: Console
    daemon: Daemon | None = None

    @contextlib.contextmanager
    def live(self) -> Iterator[Daemon]:
        with started(self.home, "live") as process:
            self.daemon = Daemon(self.home, process, self.home / "live.log")
            yield self.daemon


def configured(home: Path, more: str = "") -> Scene:
    """Writes the configuration; nothing runs yet."""
    home.mkdir(exist_ok=True, parents=True)
    port = free_port()
    console = f'[console]\nport = {port}\nfolder = "{home}/console"\n'
    outbox = f'[outbox]\nfolder = "{home}/outbox"\nleast_free_mb = 0\nwatermark_percent = 100\n'
    (home / "limpid.toml").write_text(config_text(home, f"{more}\n{outbox}{console}"))
    return Scene(home, Console(home, port))


@contextlib.contextmanager
def console_of(scene: Scene) -> Iterator[Console]:
    with started(scene.home, "console"):
        until(
            lambda: is_listening(scene.console.port) and scene.console.is_up(), f"the console: {scene.console.log}", 60
        )
        yield scene.console
