"""A real daemon in a real process, for the tests that talk to it over its sockets. Not a test itself."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.client import Control, Pusher, Viewer
from edge.errors import SourceUnavailable
from edge.frame import Frame, Modality, Treatment
from edge.wire import Report, Topic

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40.0


@dataclass
class Daemon:
    home: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def frames(self) -> str:
        return f"ipc://{self.home}/frames"

    @property
    def pictures(self) -> str:
        return f"ipc://{self.home}/pictures"

    @property
    def control(self) -> Control:
        return Control(f"ipc://{self.home}/control", timeout_s=5)

    def status(self) -> dict[str, Any]:
        return self.control.ask("status")

    def events(self) -> list[dict[str, Any]]:
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def mood(self, words: str) -> None:
        """Only with `odd_live`: how the engine behaves from the next frame on."""
        new = self.home / "mood.new"
        new.write_text(words)
        new.replace(self.home / "mood")


# The lightest engines: what is tested here is the process, and on a busy machine too.
LIGHT = '[engines]\nultrasound = "handbuilt"\nfluoroscopy = "handbuilt"\n'


def config_text(home: Path, more: str = "") -> str:
    more = more if "[engines]" in more else f"{LIGHT}{more}"
    more = more if "[outbox]" in more else f'{more}\n[outbox]\nfolder = "{home}/outbox"\n'  # not the user's own
    sockets = "\n".join(f'{name} = "ipc://{home}/{name}"' for name in ("pictures", "control", "events"))
    return f'{more}\n[sockets]\n{sockets}\n[source.zeromq]\nbind = "ipc://{home}/frames"\n'


@contextlib.contextmanager
def running(home: Path, more: str = "", command: Callable[[Path], list[str]] | None = None) -> Iterator[Daemon]:
    home.mkdir(exist_ok=True)
    config = home / "limpid.toml"
    config.write_text(config_text(home, more))
    (home / "mood").write_text("well")
    line = command(config) if command else [sys.executable, "-m", "edge", "live", "--config", str(config)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)
    daemon = Daemon(home, process, home / "log")
    try:
        wait_until(lambda: answers(daemon), "the daemon answers", daemon)
        yield daemon
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def odd(config: Path) -> list[str]:
    return [sys.executable, "-m", "tests.system.odd_live", str(config), str(config.parent / "mood")]


def answers(daemon: Daemon) -> bool:
    try:
        daemon.control.ask("status")
    except SourceUnavailable:
        return False
    return True


def wait_until(met: Callable[[], bool], what: str, daemon: Daemon | None = None) -> None:
    until = time.monotonic() + PATIENCE_S
    while not met():
        if time.monotonic() > until:
            log = daemon.log.read_text(errors="replace")[-2000:] if daemon else ""
            raise AssertionError(f"waited {PATIENCE_S} s in vain: {what}\n{log}")
        time.sleep(0.02)


class Scanner:
    """Sends a picture with fresh grain at a steady rate, and looks at what comes back."""

    def __init__(
        self, daemon: Daemon, stream: str = "test", session: int = 1, size: tuple[int, int] = (480, 640)
    ) -> None:
        rng = np.random.default_rng(5)
        base = np.linspace(60, 180, size[1], dtype=np.float32)[None, :] + np.zeros((size[0], 1), np.float32)
        self._pictures = [np.clip(base + rng.normal(0, 12, size), 0, 255).astype(np.uint8) for _ in range(6)]
        self.pusher = Pusher(daemon.frames)
        self.viewer = Viewer(daemon.pictures, stream, Topic.PAIR, hwm=1000)
        self.seen: list[tuple[Report, int]] = []
        self._seq = 0
        now = time.monotonic_ns()
        self._frame = Frame(self._pictures[0], stream, 0, now, now, modality=Modality.ULTRASOUND, session=session)
        assert self.pusher.wait_for_daemon(10)

    def send(self, seconds: float, fps: float = 30.0) -> list[tuple[Report, int]]:
        """Open loop, looking at pictures between frames; what was seen in this time."""
        before, start = len(self.seen), time.monotonic_ns()
        for n in range(round(seconds * fps)):
            due = start + int(n * 1e9 / fps)
            self._look(due)
            self.push()
        self._look(time.monotonic_ns() + 60_000_000)
        return self.seen[before:]

    @property
    def sent(self) -> int:
        """The number of the last frame."""
        return self._seq

    def push(self) -> None:
        self._seq += 1
        now = time.monotonic_ns()
        picture = self._pictures[self._seq % len(self._pictures)]
        self.pusher.push(replace(self._frame, pixels=picture, seq=self._seq, captured_ns=now, stamped_ns=now))

    def _look(self, until_ns: int) -> None:
        while (left := until_ns - time.monotonic_ns()) > 0:
            report = self.viewer.next(left / 1e9)
            if report is not None:
                self.seen.append((report, time.monotonic_ns()))

    def send_until_enhanced(self) -> None:
        wait_until(lambda: any(is_enhanced(r) for r, _ in self.send(0.3)[-3:]), "an enhanced picture")

    def close(self) -> None:
        self.pusher.close(0)
        self.viewer.close()


def is_enhanced(report: Report) -> bool:
    return report.pixels is not None and report.treatment is Treatment.ENHANCED
