"""`limpid run`: keeps the processes running where there is no systemd. One thread, no shared memory with any of them.

A process that ends on its own is started again, at once the first time and with a growing pause if it keeps ending.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.clock import SECOND, Clock
from edge.health import Events

STEADY = 30 * SECOND  # a process that ran this long starts with a clean record
PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
GRACE_S = 2.0
CONFIG_ERROR = 2  # the process said that the operator must act: starting it again would only repeat it


@dataclass(slots=True)
class _Child:
    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_ns: int = 0
    failures: int = 0
    due_ns: int = field(default=0)


class Supervisor:
    def __init__(self, commands: dict[str, Sequence[str]], clock: Clock, events: Events) -> None:
        self._children = [_Child(name, command) for name, command in commands.items()]
        self._clock = clock
        self._events = events

    def run(self, stop: threading.Event) -> int:
        try:
            while not stop.is_set():
                for child in self._children:
                    if self._mind(child) == CONFIG_ERROR:
                        return CONFIG_ERROR
                stop.wait(0.05)
            return 0
        finally:
            self._take_down()

    def _mind(self, child: _Child) -> int | None:
        now = self._clock.now()
        if child.process is None:
            if now >= child.due_ns:
                self._start(child, now)
            return None
        status = child.process.poll()
        if status is None:
            return None
        child.process = None
        if status == CONFIG_ERROR:
            return CONFIG_ERROR
        self._plan_restart(child, status, now)
        return status

    def _start(self, child: _Child, now: int) -> None:
        child.process = subprocess.Popen(child.command, stdin=subprocess.DEVNULL)
        child.started_ns = now
        self._events.emit("process.started", process=child.name, pid=child.process.pid)

    def _plan_restart(self, child: _Child, status: int, now: int) -> None:
        steady = now - child.started_ns > STEADY
        child.failures = 1 if steady else child.failures + 1
        pause = PAUSES_S[min(child.failures - 1, len(PAUSES_S) - 1)]
        child.due_ns = now + int(pause * SECOND)
        self._events.emit("process.ended", process=child.name, status=status, again_in_s=pause)

    def _take_down(self) -> None:
        running = [child.process for child in reversed(self._children) if child.process is not None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def own_command(*arguments: str) -> list[str]:
    """The command line of one of our own processes, with this very interpreter."""
    return [sys.executable, "-m", "edge", *arguments]
