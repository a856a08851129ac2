"""kill -9 of each process in turn, under load and under `limpid run`: the picture is back, and nothing else noticed.

How long it takes is printed. What is asserted is that it comes back, with time to spare for a busy machine.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge.client import Viewer
from edge.errors import LimpidError
from edge.outbox import Outbox, Settings
from edge.wire import Topic
from tests.archives import free_port
from tests.system.process import ROOT, Daemon, running, wait_until

pytest.importorskip("pygame", reason="the panel's extra is not installed")
pytest.importorskip("uvicorn", reason="the console's extra is not installed")
pytestmark = pytest.mark.timeout(240)

# Live is last: the panel that counts NOT LIVE starts beside a busy machine, and must have shown a picture by then.
VICTIMS = ("forward", "console", "display", "live")
PATIENT = {"name": "PHANTOM^ONE", "id": "PH-0001"}
DUMMY = {**os.environ, "SDL_VIDEODRIVER": "dummy", "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
MORE = """
[engines]
ultrasound = "handbuilt"
fluoroscopy = "handbuilt"
[outbox]
folder = "{home}/outbox"
watermark_percent = 100.0
least_free_mb = 0
[destination.stick.folder]
path = "{home}/stick"
[panel]
enabled = true
fullscreen = false
vsync = false
driver = "dummy"
watchdog_s = 60.0
[console]
enabled = true
port = {port}
"""


@dataclass
class Watching:
    """When pictures came, on a thread of its own."""

    daemon: Daemon
    came: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        viewer = Viewer(self.daemon.pictures, "test", Topic.PAIR)
        while not self.stop.is_set():
            report = viewer.next(0.1)
            if report is not None and report.pixels is not None:
                self.came.append(time.monotonic())
        viewer.close()

    def first_after(self, moment: float) -> float:
        """Seconds; pictures that were on their way when live died do not count: it cannot be back within 50 ms."""
        wait_until(lambda: any(came > moment + 0.05 for came in self.came[-100:]), "a picture", self.daemon)
        return next(came for came in self.came if came > moment + 0.05) - moment

    def longest_gap(self, since: float) -> float:
        times = [since, *(came for came in self.came if came > since)]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


@contextlib.contextmanager
def at_work(home: Path) -> Iterator[tuple[Daemon, Watching, subprocess.Popen[str]]]:
    """All four under the supervisor, a scanner, somebody who watches, and a second panel that counts NOT LIVE."""
    (home / "stick").mkdir()
    line = [sys.executable, "-m", "edge"]
    with contextlib.ExitStack() as down:
        daemon = down.enter_context(
            running(
                home, MORE.format(home=home, port=free_port()), lambda config: [*line, "run", "--config", str(config)]
            )
        )
        panel = subprocess.Popen(
            [*line, "display", "--config", str(home / "limpid.toml"), "--json"],
            cwd=ROOT, env=DUMMY, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        down.callback(ended, panel)
        options = ("stream=test", "width=640", "height=480", "fps=30", "loop_frames=8", "furniture=false")
        feed = subprocess.Popen(
            [*line, "send", "phantom", "--to", daemon.frames, *(word for one in options for word in ("-s", one))],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        down.callback(ended, feed)
        watching = Watching(daemon)
        down.callback(watching.stop.set)
        yield daemon, watching, panel


def ended(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.communicate(timeout=20)


def pid_of(daemon: Daemon, process: str) -> int:
    return [event for event in daemon.events() if event["event"] == "process.started" and event["process"] == process][
        -1
    ]["pid"]


def ready(daemon: Daemon, process: str) -> int:
    """How often it has said so."""
    name = {"display": "panel"}.get(process, process)
    return sum(1 for event in daemon.events() if event["event"] == f"{name}.ready")


def capture(daemon: Daemon) -> list[str]:
    """As a person would: pressed again where it was not stored, as before the first picture of an exam."""
    stored: list[str] = []

    def pressed() -> bool:
        with contextlib.suppress(LimpidError):
            stored.extend(daemon.control.ask("capture-still", stream="test")["captures"])
        return bool(stored)

    wait_until(pressed, "a capture", daemon)
    return stored


def test_each_comes_back_and_costs_the_others_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with at_work(tmp_path) as (daemon, watching, panel):
        for process in VICTIMS:
            wait_until(lambda process=process: ready(daemon, process) > 0, f"{process} is ready", daemon)
        watching.first_after(time.monotonic())
        daemon.control.ask(
            "exam-open", patient=PATIENT
        )  # without one they would be held for somebody to say whose they are
        told: list[str] = []
        table: list[tuple[str, float, float]] = []
        for victim in VICTIMS:
            told += capture(daemon)
            others = {other: pid_of(daemon, other) for other in VICTIMS if other != victim}
            times = ready(daemon, victim)
            struck = time.monotonic()
            os.kill(pid_of(daemon, victim), signal.SIGKILL)
            if victim == "live":
                watching.first_after(struck)
            wait_until(lambda victim=victim, times=times: ready(daemon, victim) > times, f"{victim} is back", daemon)
            back = time.monotonic() - struck
            told += capture(daemon)
            table.append((victim, back, watching.longest_gap(struck)))
            assert {other: pid_of(daemon, other) for other in others} == others, "it took another with it"
        show(table, capsys)
        nothing_is_lost(tmp_path, told, daemon)
        panel.send_signal(signal.SIGTERM)
        figures: dict[str, Any] = json.loads(panel.communicate(timeout=60)[0])
        assert figures["not_live"] >= 1  # while live was away, the screen said so
        assert figures["pictures"]["drawn"] > 0


def show(table: list[tuple[str, float, float]], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\nkill -9 of   ready again   longest wait for a picture meanwhile")
        for victim, back, gap in table:
            print(f"{victim:10} {back:10.2f} s {gap:12.2f} s")


def nothing_is_lost(home: Path, told: list[str], daemon: Daemon) -> None:
    """Each capture that was acknowledged lies on the stick, and the outbox is whole."""
    assert len(told) == len(set(told)) >= 2 * len(VICTIMS)
    there = lambda: {path.name for path in (home / "stick").iterdir() if len(list(path.glob("*.dcm"))) == 2}  # noqa: E731
    wait_until(lambda: set(told) <= there(), f"all captures on the stick: {told}", daemon)
    outbox = Outbox(home / "outbox", Settings(folder=str(home / "outbox")), who="test")
    assert outbox.broken() == []
    assert outbox.audit.verify().faults == ()
    outbox.close()
