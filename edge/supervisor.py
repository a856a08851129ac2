"""`limpid run`: keeps the processes running where there is no systemd. One thread, no shared memory with any of them.

A process that ends on its own is started again, at once the first time and with a growing pause if it keeps ending.
Told so (`again`), it starts all of them again, live first, with the version that is current by then (`limpid update`).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    ends: int = 0  # by itself, in this round


Commands = dict[str, Sequence[str]]
Told = Callable[[int, dict[str, int]], None]  # the round, and how often each process has ended by itself in it


class Supervisor:
    def __init__(
        self,
        commands: Commands,
        clock: Clock,
        events: Events,
        renew: Callable[[], Commands] | None = None,
        told: Told = lambda _round, _ends: None,
    ) -> None:
        self._children = [_Child(name, command) for name, command in commands.items()]
        self._clock = clock
        self._events = events
        self._renew = renew or (lambda: commands)
        self._told = told
        self._round = 0
        self.again = threading.Event()  # set by whoever wants everything started again

    def run(self, stop: threading.Event) -> int:
        try:
            for child in self._children:
                self._mind(child)
            self._tell()
            while not stop.is_set():
                if self.again.is_set():
                    self._start_again()
                for child in self._children:
                    if self._mind(child) == CONFIG_ERROR and not self._round:
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
        child.ends += 1
        if status != CONFIG_ERROR or self._round:  # of a version that was switched to, it is for its trial to judge
            self._plan_restart(child, status, now)
        self._tell()
        return status

    def _start_again(self) -> None:
        """One after the other, so that each is away for as short as it can be."""
        self.again.clear()
        self._round += 1
        commands = self._renew()
        self._events.emit("processes.start-again", round=self._round)
        known = {child.name: child for child in self._children}
        for name in known.keys() - commands.keys():
            _end([known[name]])
        self._children = [known.get(name) or _Child(name, command) for name, command in commands.items()]
        for child in self._children:
            _end([child])
            child.command, child.failures, child.ends, child.due_ns = commands[child.name], 0, 0, 0
            self._start(child, self._clock.now())
        self._tell()

    def _tell(self) -> None:
        self._told(self._round, {child.name: child.ends for child in self._children})

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
        _end(self._children[::-1])


def _end(children: Sequence[_Child]) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for child in children:
        child.process = None


def own_command(*arguments: str) -> list[str]:
    """The command line of one of our own processes: with this very interpreter, or where this is an installed version,
    with that of the version that is current."""
    return [str(current_python(Path(sys.executable))), "-m", "edge", *arguments]


def current_python(mine: Path) -> Path:
    """ROOT/versions/1.0/venv/bin/python -> that of ROOT/current, by its own path: a process whose modules are found
    through the link would load those of another version once it is turned."""
    parts = mine.parts
    if len(parts) < 6 or parts[-5] != "versions" or parts[-3] != "venv":
        return mine
    current = (Path(*parts[:-5]) / "current").resolve()
    python = current / "venv" / "bin" / mine.name
    return python if python.exists() else mine
