"""`limpid run`: the supervisor and, under it, every process of the appliance."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from edge import config as configs
from edge.clock import MonotonicClock
from edge.config import Config
from edge.durable import write_durably
from edge.health import Events
from edge.supervisor import Supervisor, own_command
from edge.threads import stop_on_signals
from edge.update.processes import RECORD, Ran


@dataclass(frozen=True, slots=True)
class Updates:
    """Where updates have their state and their versions."""

    state: Path
    root: Path


def run(path: Path | None, updates: Updates | None = None) -> int:
    config = configs.load(path)  # a mistake is told here, once, not by each process
    stop = threading.Event()
    stop_on_signals(stop)
    clock = MonotonicClock()
    events = Events(clock, process="limpid-run")
    events.start()

    def commands() -> dict[str, Sequence[str]]:
        options = [] if path is None else ["--config", str(path)]
        return {name: own_command(name, *options) for name in processes(config)}

    try:
        if updates is None:
            return Supervisor(commands(), clock, events).run(stop)
        record = _Record(updates.state / RECORD)
        supervisor = Supervisor(commands(), clock, events, commands, record.write)
        signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=supervisor.again.set).start())
        record.then = lambda: _settle(updates, path)
        return supervisor.run(stop)
    finally:
        events.close()


class _Record:
    """What `limpid update` needs to know of this process. Written by the supervisor's thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._born = psutil.Process().create_time()
        self.then = lambda: None  # once, after the first

    def write(self, round_: int, ends: dict[str, int]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self._path, msgspec.json.encode(Ran(os.getpid(), self._born, round_, ends)), mode=0o644)
        then, self.then = self.then, lambda: None
        then()


def _settle(updates: Updates, config: Path | None) -> None:
    """A trial that was cut off goes on, watched by the version before, in a process of its own."""
    if not (updates.state / "trial.json").exists():
        return
    good = updates.root / "good" / "venv" / "bin" / "python"
    line = [str(good if good.exists() else sys.executable), "-m", "edge", "update", "settle",
            "--root", str(updates.root), "--state", str(updates.state)]  # fmt: skip
    line += ["--config", str(config)] if config is not None else []
    subprocess.Popen(line, stdin=subprocess.DEVNULL, start_new_session=True)


def processes(config: Config) -> list[str]:
    """The commands that this configuration needs: without anybody to send to, nobody sends."""
    sends = bool(config.destination) or bool(config.mpps.host)
    needed = {"live": True, "forward": sends, "display": config.panel.enabled, "console": config.console.enabled}
    return [name for name, is_needed in needed.items() if is_needed]
