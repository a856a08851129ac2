"""How each process of the appliance is, in a small file that the console and the support bundle read.

A process writes its own every few seconds, on a thread of its own: what it costs, since when it runs, how often it was
started since the machine was, and figures that only it knows. Whole or not at all, but not durably: after a power cut
nobody wants it. Nothing in it is of a patient.

thread  runs
report  Reporter.run
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil

from edge.clock import SECOND, Clock
from edge.errors import LimpidError
from edge.health import Event, Events

EVERY_S = 5.0
STALE = 20 * SECOND  # a process that has not reported for so long is not up
LAST_EVENTS = 60
LARGEST = 512 << 10
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
Figures = dict[str, Any]


class Report(msgspec.Struct, frozen=True):
    process: str
    pid: int
    boot: str  # of the machine: starts are counted since then
    starts: int
    started_ns: int  # monotonic, as the next: one clock for all processes of this machine
    at_ns: int
    ended: bool = False  # it was asked to
    rss_bytes: int = 0
    cpu_s: float = 0.0
    descriptors: int = 0
    threads: int = 0
    figures: Figures = {}
    events: list[Event] = []  # the last ones

    def is_up(self, now_ns: int) -> bool:
        return not self.ended and 0 <= now_ns - self.at_ns < STALE and psutil.pid_exists(self.pid)


@dataclass(frozen=True, slots=True)
class Own:
    """What the process that reports is and knows."""

    process: str
    figures: Callable[[], Figures] = dict[str, Any]


class Reporter:
    def __init__(self, folder: Path, own: Own, clock: Clock, events: Events) -> None:
        self._path = folder / f"{own.process}.json"
        self._own = own
        self._clock = clock
        self._events = events
        self._boot = boot_id()
        self._started_ns = clock.now()
        before = read(self._path)
        self._starts = 1 + (before.starts if before is not None and before.boot == self._boot else 0)
        self._told = False  # that it cannot be written
        self._last: deque[Event] = deque(maxlen=LAST_EVENTS)  # added to by the events thread
        events.listen(self._last.append)

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.write()
            stop.wait(EVERY_S)
        self.write(ended=True)

    def write(self, *, ended: bool = False) -> None:
        try:
            self._path.parent.mkdir(0o700, parents=True, exist_ok=True)
            _replace(self._path, msgspec.json.encode(self._report(ended=ended)))
        except OSError as error:
            if not self._told:
                self._told = True
                reason = error.strerror or type(error).__name__
                self._events.emit("report.not-written", process=self._own.process, reason=reason)

    def _report(self, *, ended: bool) -> Report:
        me = psutil.Process()
        with me.oneshot():
            times = me.cpu_times()
            return Report(
                self._own.process, me.pid, self._boot, self._starts, self._started_ns, self._clock.now(), ended,
                me.memory_info().rss, round(times.user + times.system, 2), me.num_fds(), me.num_threads(),
                self._figures(), list(self._last),
            )  # fmt: skip

    def _figures(self) -> Figures:
        """What cannot be told now is left out: a report is no reason for a process to end."""
        try:
            return self._own.figures()
        except (OSError, LimpidError, RuntimeError):
            return {}


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
    new.replace(path)


def read(path: Path) -> Report | None:
    """None where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(LARGEST), type=Report)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def read_all(folder: Path) -> dict[str, Report]:
    """By process, in the order of their names."""
    reports: dict[str, Report] = {}
    with contextlib.suppress(OSError):
        for path in sorted(folder.glob("*.json")):
            report = read(path)
            if report is not None and report.process == path.stem:
                reports[report.process] = report
    return reports


def boot_id() -> str:
    with contextlib.suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""


def as_facts(report: Report, now_ns: int) -> dict[str, Any]:
    """For people and for /metrics."""
    facts: dict[str, Any] = json.loads(msgspec.json.encode(report))
    up = report.is_up(now_ns)
    age_s = {"uptime_s": round((report.at_ns - report.started_ns) / SECOND, 1)} if up else {}
    return {"up": up, **{key: facts[key] for key in _TOLD}, **age_s}


_TOLD = ("pid", "starts", "rss_bytes", "cpu_s", "descriptors", "threads", "figures")
