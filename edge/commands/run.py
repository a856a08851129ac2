"""`limpid run`: the supervisor and, under it, every process of the appliance."""

from __future__ import annotations

import threading
from pathlib import Path

from edge import config as configs
from edge.clock import MonotonicClock
from edge.config import Config
from edge.health import Events
from edge.supervisor import Supervisor, own_command
from edge.threads import stop_on_signals


def run(path: Path | None) -> int:
    config = configs.load(path)  # a mistake is told here, once, not by each process
    options = [] if path is None else ["--config", str(path)]
    stop = threading.Event()
    stop_on_signals(stop)
    clock = MonotonicClock()
    events = Events(clock)
    events.start()
    try:
        return Supervisor({name: own_command(name, *options) for name in processes(config)}, clock, events).run(stop)
    finally:
        events.close()


def processes(config: Config) -> list[str]:
    """The commands that this configuration needs: without anybody to send to, nobody sends."""
    sends = bool(config.destination) or bool(config.mpps.host)
    needed = {"live": True, "forward": sends, "display": config.panel.enabled, "console": config.console.enabled}
    return [name for name, is_needed in needed.items() if is_needed]
