"""`limpid run`: the supervisor and, under it, every process of the appliance."""

from __future__ import annotations

import threading
from pathlib import Path

from edge import config as configs
from edge.clock import MonotonicClock
from edge.daemon import stop_on_signals
from edge.health import Events
from edge.supervisor import Supervisor, own_command


def run(path: Path | None) -> int:
    configs.load(path)  # a mistake is told here, once, not by each process
    options = [] if path is None else ["--config", str(path)]
    stop = threading.Event()
    stop_on_signals(stop)
    clock = MonotonicClock()
    events = Events(clock)
    events.start()
    try:
        return Supervisor({"live": own_command("live", *options)}, clock, events).run(stop)
    finally:
        events.close()
