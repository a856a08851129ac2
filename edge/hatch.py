"""Takes jobs to the darkroom and brings its answers back. Runs on the hatch thread of the live process.

The darkroom is started with the first job, started again when it ends on its own, and ended with us. A job on which it
ends twice is given up. A capture that could not be compressed, for whatever reason, is let go as it is.
"""

from __future__ import annotations

import contextlib
import queue
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import msgspec

from edge.config import Config
from edge.darkroom import Correct, Develop, Outcome, Setting
from edge.errors import OutboxFault
from edge.health import Events
from edge.turns import thread_yields
from edge.way import RightOfWay

TRIES = 2
LOOK_S = 0.2
LONGEST_HELD_S = 300.0  # on a machine that is too busy
GRACE_S = 1.0
Job = Develop | Correct


@dataclass(frozen=True, slots=True)
class _Errand:
    job: Job
    outcome: Future[Outcome] = field(default_factory=Future[Outcome])
    handed_in_s: float = field(default_factory=time.monotonic)
    not_before_s: float = 0.0


class Hatch:
    def __init__(
        self, config: Config, events: Events, let_go: Callable[[str], None], command: Sequence[str] = (),
        way: RightOfWay | None = None,
    ) -> None:  # fmt: skip
        self._way = way if way is not None and way.fd >= 0 else None
        self._first_line = msgspec.json.encode(Setting(config, self._way.fd if self._way else -1)) + b"\n"
        self._events = events
        self._let_go = let_go  # release a capture as it is
        self._command = command or [sys.executable, "-m", "edge.darkroom"]
        self._errands: queue.SimpleQueue[_Errand] = queue.SimpleQueue()
        self._later: list[_Errand] = []  # of the hatch thread
        self._child: subprocess.Popen[bytes] | None = None

    def hand_in(self, job: Job, after_s: float = 0.0) -> Future[Outcome]:
        """From any thread; never waits."""
        errand = _Errand(job, not_before_s=time.monotonic() + after_s)
        self._errands.put(errand)
        return errand.outcome

    def run(self, stop: threading.Event) -> None:
        thread_yields(10)
        try:
            while not stop.is_set():
                if (errand := self._next()) is not None:
                    self._go(errand, stop)
        finally:
            self._end()

    def _next(self) -> _Errand | None:
        now = time.monotonic()
        due = next((one for one in self._later if one.not_before_s <= now), None)
        if due is not None:
            self._later.remove(due)
            return due
        try:
            errand = self._errands.get(timeout=LOOK_S)
        except queue.Empty:
            return None
        if errand.not_before_s <= time.monotonic():
            return errand
        self._later.append(errand)
        return None

    def _go(self, errand: _Errand, stop: threading.Event) -> None:
        waited_s = time.monotonic() - errand.handed_in_s
        if isinstance(errand.job, Develop) and errand.job.plain and waited_s > LONGEST_HELD_S:
            self._let_go_plain(errand.job)  # compressing must not keep a capture from leaving
            errand.outcome.set_result(Outcome(ok=True))
            return
        for _ in range(TRIES):
            answer = self._ask(msgspec.json.encode(errand.job) + b"\n", stop)
            if stop.is_set() and answer is None:
                return
            if answer is not None:
                self._bring(errand, msgspec.json.decode(answer, type=Outcome))
                return
            self._events.emit("darkroom.ended", status=self._end())
        self._bring(errand, Outcome(ok=False, error="the darkroom ended over it"))

    def _let_go_plain(self, job: Develop) -> None:
        if not job.plain:
            return
        self._events.emit("darkroom.skipped", captures=[job.capture])
        with contextlib.suppress(OutboxFault, OSError):
            if not job.provisional:
                self._let_go(job.capture)

    def _bring(self, errand: _Errand, outcome: Outcome) -> None:
        if not outcome.ok:
            captures = [errand.job.capture] if isinstance(errand.job, Develop) else list(errand.job.captures)
            self._events.emit("darkroom.failed", captures=captures, reason=outcome.error)
            if isinstance(errand.job, Develop):
                self._let_go_plain(errand.job)
        errand.outcome.set_result(outcome)

    def _ask(self, line: bytes, stop: threading.Event) -> bytes | None:
        """One line there, one line back; None where the child ended, or we are to stop."""
        try:
            child = self._running()
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(line)
            child.stdin.flush()
        except OSError:
            return None
        while not stop.is_set():
            ready, _, _ = select.select([child.stdout], [], [], LOOK_S)
            if ready:
                return child.stdout.readline() or None
        return None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            inherited = (self._way.fd,) if self._way else ()
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=inherited
            )
            assert self._child.stdin is not None
            self._child.stdin.write(self._first_line)
        return self._child

    def _end(self) -> int | None:
        child, self._child = self._child, None
        if child is None:
            return None
        assert child.stdin is not None
        assert child.stdout is not None
        child.kill()  # whatever it was doing can be done again
        status = child.wait(GRACE_S)
        child.stdout.close()
        with contextlib.suppress(OSError):
            child.stdin.close()
        return status
