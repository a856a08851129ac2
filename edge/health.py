"""Counters, events and the watchdog. Events are written off the live thread.

`Tally` keeps the equation that is always true: in = enhanced + original (by reason) + dropped (by reason) + waiting.
`Events` takes structured events from any thread without ever making it wait; its own thread writes them out.
`Vitals` is what the live thread shows of its progress; the watchdog thread reads it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from edge.clock import SECOND, Clock
from edge.event_table import level_of
from edge.frame import Shown, Treatment
from edge.journal import SOCKET, Journal, is_journal

Event = dict[str, Any]
RATE_WINDOW = SECOND
RATE_LIMIT = 5  # of one event name and stream a second; the rest are counted, not written


class Tally:
    """Where every frame of one stream went. Written by the live thread, read by control."""

    def __init__(self) -> None:
        self.came = 0
        self.lost_on_the_way = 0  # gaps in the sequence: never arrived here
        self.enhanced: Counter[str] = Counter()  # by engine
        self.original: Counter[str] = Counter()  # by reason
        self.dropped: Counter[str] = Counter()  # by reason
        self.latencies_ns: deque[int] = deque(maxlen=600)  # received -> published

    def showed(self, shown: Shown) -> None:
        if shown.treatment is Treatment.ENHANCED:
            self.enhanced[shown.engine.name] += 1
        else:
            self.original[shown.why.words] += 1

    def add(self, other: Tally) -> None:
        """The counts of a stream that is gone; its latencies go with it."""
        self.came += other.came
        self.lost_on_the_way += other.lost_on_the_way
        self.enhanced.update(other.enhanced)
        self.original.update(other.original)
        self.dropped.update(other.dropped)

    def as_dict(self) -> dict[str, Any]:
        # Copies first: the live thread goes on counting meanwhile.
        enhanced, original, dropped, came = dict(self.enhanced), dict(self.original), dict(self.dropped), self.came
        out = sum(enhanced.values()) + sum(original.values()) + sum(dropped.values())
        return {
            "in": came,
            "enhanced": enhanced,
            "original": original,
            "dropped": dropped,
            "waiting": max(0, came - out),
            "lost_on_the_way": self.lost_on_the_way,
        }


def percentiles(values_ns: list[int] | deque[int]) -> dict[str, float]:
    """p50 .. max in milliseconds; empty where nothing was measured."""
    ordered = sorted(values_ns)
    if not ordered:
        return {}
    points = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
    at = {name: ordered[min(len(ordered) - 1, int(len(ordered) * part))] for name, part in points.items()}
    return {name: round(value / 1e6, 3) for name, value in (at | {"max": ordered[-1]}).items()}


class Events:
    """Structured events: queued without waiting by anyone, written by one thread of their own.

    No event carries pixels or anything about a patient; `emit` takes names and numbers. Where systemd has connected
    `out` to its journal they go there field by field, otherwise to `out` as JSON, one a line.
    """

    def __init__(self, clock: Clock, out: TextIO = sys.stderr, process: str = "limpid", journal: str = SOCKET) -> None:
        self._clock = clock
        self._out = out
        in_journal = is_journal(out, os.environ.get("JOURNAL_STREAM", ""))
        self._journal = Journal(process, journal) if in_journal else None  # used by the events thread
        self._queue: queue.Queue[Event | None] = queue.Queue(maxsize=1000)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._listeners: list[Callable[[Event], None]] = []
        self._recent: dict[tuple[str, str], deque[int]] = {}
        self.lost = 0
        self.muted: Counter[str] = Counter()

    def start(self) -> None:
        self._thread.start()

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Called on the events thread, with what is told from now on."""
        self._listeners = [*self._listeners, listener]

    def emit(self, event: str, **facts: Any) -> None:
        now = self._clock.now()
        if self._too_often(event, str(facts.get("stream", "")), now):
            self.muted[event] += 1
            return
        try:
            self._queue.put_nowait({"event": event, "severity": level_of(event), "t_ns": now, **facts})
        except queue.Full:
            self.lost += 1

    def _too_often(self, event: str, stream: str, now: int) -> bool:
        if len(self._recent) > 1000:
            self._recent.clear()
        times = self._recent.setdefault((event, stream), deque(maxlen=RATE_LIMIT))
        if len(times) == RATE_LIMIT and now - times[0] < RATE_WINDOW:
            return True
        times.append(now)
        return False

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            for listener in self._listeners:
                listener(event)
            self._write(event)
        if self._journal is not None:
            self._journal.close()

    def _write(self, event: Event) -> None:
        if self._journal is not None:
            self.lost += not self._journal.send(event)
            return
        # A closed terminal or a full disk must not cost the daemon its pictures.
        with contextlib.suppress(OSError, ValueError):
            self._out.write(json.dumps(event) + "\n")  # in one piece: other processes write to the same pipe
            self._out.flush()

    def close(self, timeout_s: float = 0.5) -> None:
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=timeout_s)
        if self._thread.is_alive():
            self._thread.join(timeout_s)


class Vitals:
    """The live thread's pulse. Written by live, read by the watchdog: two plain fields, no lock needed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.beat_ns = clock.now()
        self.engine_since_ns: int | None = None  # when the engine that is still computing was started

    def beat(self) -> None:
        self.beat_ns = self._clock.now()

    def trouble(self, limit_ns: int) -> str | None:
        """What hangs, in words, or None."""
        now = self._clock.now()
        if now - self.beat_ns > limit_ns:
            return f"the live thread has not moved for {(now - self.beat_ns) / 1e9:.1f} s"
        since = self.engine_since_ns
        if since is not None and now - since > limit_ns:
            return f"an engine has been computing one frame for {(now - since) / 1e9:.1f} s"
        return None


class Moves(Protocol):
    """Whoever can say what hangs: `Vitals` of the live thread and the panel, `Progress` of several threads."""

    def trouble(self, limit_ns: int) -> str | None: ...


class Watchdog:
    """Ends the process when what it watches hangs, so that the supervisor starts a fresh one.

    Under systemd it feeds WATCHDOG=1 from the very same progress.
    """

    EXIT_CODE = 75

    def __init__(self, vitals: Moves, limit_ns: int, events: Events, end: Callable[[int], None] = os._exit) -> None:
        self._vitals = vitals
        self._limit_ns = limit_ns
        self._events = events
        self._end = end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(min(0.25, self._limit_ns / SECOND / 4)):
            if not self.check():
                return

    def check(self) -> bool:
        trouble = self._vitals.trouble(self._limit_ns)
        if trouble is None:
            notify("WATCHDOG=1")
            return True
        self._events.emit("watchdog.restart", trouble=trouble)
        self._events.close()
        self._end(self.EXIT_CODE)
        return False

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(1.0)


def notify(state: str) -> None:
    """Tell systemd (READY=1, WATCHDOG=1, STOPPING=1); does nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    address = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), address)
