"""`python -m tests.system.odd_live CONFIG MOOD`: the real live process with an engine of changing mood.

The engine is the real one; the file MOOD says how it behaves from the next frame on: "well", "slow MS", "hang" or
"raise".
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from edge import config as configs
from edge.backends import Backend, Session, Shape, open_backend
from edge.catalog import Engine
from edge.clock import MS
from edge.daemon import run_live
from edge.errors import EngineFault
from edge.frame import EngineId, Pixels

FOREVER = 10**18


class MoodySession:
    def __init__(self, session: Session, mood: Path) -> None:
        self._session = session
        self._mood = mood
        self._ready_ns = 0
        self._raises = False
        self._started_ns = 0

    @property
    def id(self) -> EngineId:
        return self._session.id

    @property
    def shape(self) -> Shape:
        return self._session.shape

    @property
    def took_ns(self) -> int:
        return max(self._session.took_ns, min(self._ready_ns, time.monotonic_ns()) - self._started_ns)

    @property
    def change(self) -> float | None:
        return self._session.change

    def start(self, grey: Pixels, strength: float) -> None:
        word, _, number = self._mood.read_text().partition(" ")
        self._started_ns = self._ready_ns = time.monotonic_ns()
        self._raises = word == "raise"
        if word == "slow":
            self._ready_ns += int(float(number) * MS)
        if word == "hang":
            self._ready_ns = FOREVER
        self._session.start(grey, strength)

    def wait(self, timeout_ns: int) -> bool:
        until = min(time.monotonic_ns() + timeout_ns, self._ready_ns)
        done = self._session.wait(timeout_ns)
        left = until - time.monotonic_ns()
        if left > 0:
            threading.Event().wait(left / 1e9)
        return done and time.monotonic_ns() >= self._ready_ns

    def result(self) -> Pixels:
        if self._raises:
            raise EngineFault("raised", "in a bad mood")
        return self._session.result()

    def forget(self) -> None:
        self._session.forget()

    def close(self) -> None:
        self._session.close()


class MoodyBackend:
    def __init__(self, backend: Backend, mood: Path) -> None:
        self._backend = backend
        self._mood = mood

    def open(self, engine: Engine | None, shape: Shape) -> Session:
        return MoodySession(self._backend.open(engine, shape), self._mood)


def main() -> int:
    config, mood = configs.load(Path(sys.argv[1])), Path(sys.argv[2])

    def moody(kind: str, threads: int) -> Backend:
        backend = open_backend(kind, threads)
        return backend if kind == "classical" else MoodyBackend(backend, mood)

    return run_live(config, threading.Event(), moody)


if __name__ == "__main__":
    sys.exit(main())
