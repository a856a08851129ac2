"""`limpid run`: the supervisor and, under it, every process of the appliance."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

from edge import config as configs
from edge.clock import MonotonicClock
from edge.health import Events
from edge.supervisor import Supervisor, own_command


def run(path: Path | None) -> int:
    configs.load(path)  # a mistake is told here, once, not by each process
    options = [] if path is None else ["--config", str(path)]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    clock = MonotonicClock()
    events = Events(clock)
    events.start()
    try:
        return Supervisor({"live": own_command("live", *options)}, clock, events).run(stop)
    finally:
        events.close()
