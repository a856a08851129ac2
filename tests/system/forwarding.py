"""A real forward process, for the tests that watch it or kill it. Not a test itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.outbox import Outbox, Settings, State
from tests.archives import until
from tests.system.process import ROOT


def settings(folder: Path) -> Settings:
    return Settings(folder=str(folder), watermark_percent=100, least_free_mb=0, retention_hours=1000)


def config_text(outbox: Path, destination: str) -> str:
    return f"""
[outbox]
folder = "{outbox}"
watermark_percent = 100
least_free_mb = 0
retention_hours = 1000
{destination}
"""


@dataclass
class Forward:
    """Start, kill and start it again as often as you like; what it says goes into one log."""

    home: Path
    destination: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.home / "outbox"

    @property
    def log(self) -> Path:
        return self.home / "forward.log"

    def outbox(self) -> Outbox:
        return Outbox(self.folder, settings(self.folder))

    def start(self) -> None:
        self.home.mkdir(exist_ok=True)
        config = self.home / "limpid.toml"
        config.write_text(config_text(self.folder, self.destination))
        with self.log.open("ab") as log:
            line = [sys.executable, "-m", "edge", "forward", "--config", str(config)]
            self.process = subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)

    def events(self, name: str = "") -> list[dict[str, Any]]:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if not name or event["event"] == name]

    def wait_for(
        self, state: State, count: int, outbox: Outbox, patience_s: float = 40.0, look_every_s: float = 0.02
    ) -> None:
        """Whoever waits for thousands looks seldom: looking costs what sending could use."""
        met = lambda: states(outbox).count(state) >= count  # noqa: E731
        until(met, f"{count} {state}; log: {self.tail()}", patience_s, look_every_s)

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-1500:] if self.log.exists() else ""


def states(outbox: Outbox) -> list[State]:
    """Of every object, for the destination "pacs", as it is on the disk now."""
    return [capture.state(stored, "pacs") for capture in outbox.captures() for stored in capture.objects]
