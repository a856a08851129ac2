"""`python -m tests.system.supervised COMMAND...`: the real supervisor over any live process."""

from __future__ import annotations

import signal
import sys
import threading

from edge.clock import MonotonicClock
from edge.health import Events
from edge.supervisor import Supervisor

if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    clock = MonotonicClock()
    events = Events(clock)
    events.start()
    status = Supervisor({"live": sys.argv[1:]}, clock, events).run(stop)
    events.close()
    sys.exit(status)
