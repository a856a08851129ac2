"""`limpid demo` as a newcomer sees it: in a terminal, with a screen; its console at the address that it says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pydicom
import pytest

pytest.importorskip("pygame", reason="the panel's extra is not installed")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
from edge.panel.glass import GROUNDS
from edge.panel.notes import Mood
from tests.archives import until
from tests.system.process import ROOT
from tests.system.screen import Screen, has, screen

pytestmark = pytest.mark.timeout(240)


class Terminal:
    """What a process writes on a terminal of its own."""

    def __init__(self, line: list[str], on: Screen) -> None:
        ours, theirs = os.openpty()
        self._ours = ours
        environment = {**on.environment, "TERM": "xterm", "COLUMNS": "160", "LINES": "60"}
        self.process = subprocess.Popen(
            line, cwd=ROOT, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.said = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(self._ours, 65536):
                self.said += data.decode(errors="replace")

    def finds(self, pattern: str) -> str:
        found: list[str] = []

        def there() -> bool:
            assert self.process.poll() is None, self.said
            found[:] = [match[0] for match in [re.search(pattern, self.said)] if match]
            return bool(found)

        until(there, f"{pattern} on the terminal", 60)
        return found[0]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()  # all that it started ends with it
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self._reader.join(5)
        os.close(self._ours)


@contextlib.contextmanager
def demo(home: Path, on: Screen, *more: str) -> Iterator[Terminal]:
    line = [sys.executable, "-m", "edge", "demo", "--out", str(home / "out"), *more]
    terminal = Terminal(line, on)
    try:
        yield terminal
    finally:
        terminal.close()


def asked(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"{address}api/v1/{path}", timeout=20) as answer:
        return json.loads(answer.read())


def safe_objects(address: str) -> int:
    """How many of what was captured the archive has confirmed, by the console."""
    with contextlib.suppress(OSError):
        captures = asked(address, "captures")["captures"]
        details = [asked(address, f"captures/{one['id']}") for one in captures]
        return sum(set(each["states"].values()) == {"confirmed"} for one in details for each in one["objects"])
    return 0


def test_it_opens_panel_and_console_and_a_capture_arrives_while_one_watches(tmp_path: Path) -> None:
    with screen(tmp_path) as glass, demo(tmp_path, glass, "--modality", "fluoroscopy") as terminal:
        address = terminal.finds(r"http://127\.0\.0\.1:\d+/")
        terminal.finds("panel: in a window of its own")
        until(lambda: safe_objects(address) == 2, "a pair is safe in the archive, and the console says so", 90)
        greens = (GROUNDS[Mood.GOOD][1], GROUNDS[Mood.CAUTION][1])
        until(lambda: any(has(glass.look(), one) for one in greens), "the picture on the panel", 60)
        started = psutil.Process(terminal.process.pid).children(recursive=True)
        terminal.process.send_signal(signal.SIGHUP)  # the terminal is closed; Ctrl-C goes the same way
        assert terminal.process.wait(60) == 0, terminal.said[-2000:]
    assert len(started) >= 6, "scanner, archive, daemon, forwarder, console, panel"
    assert psutil.wait_procs(started, 20)[1] == [], "nothing of it is left"
    assert (tmp_path / "out" / "fluoroscopy-before-after.png").stat().st_size > 0
    archived = [pydicom.dcmread(path) for path in (tmp_path / "out" / "archive").glob("*.dcm")]
    assert [one.Modality for one in archived] == ["RF", "RF"]
