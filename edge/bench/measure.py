"""The bench's receiver: what came out of a daemon or of the bare script, frame by frame."""

from __future__ import annotations

import contextlib
import struct
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol

import zmq

from edge import wire
from edge.access.curve import ClientKey
from edge.client import Viewer
from edge.clock import SECOND
from edge.frame import Treatment
from edge.wire import Flag

QUIET_NS = SECOND // 2  # nothing for this long after the sender has ended: all is in


@dataclass(slots=True)
class Seen:
    """One segment's pictures."""

    latency_ns: list[int] = field(default_factory=list)  # of all pictures
    enhanced_ns: list[int] = field(default_factory=list)  # of the enhanced ones
    engine_ns: list[int] = field(default_factory=list)  # of the enhanced ones
    overhead_ns: list[int] = field(default_factory=list)  # of the enhanced ones: latency less the engine
    stages_ns: dict[str, list[int]] = field(default_factory=lambda: {name: [] for name in STAGES})
    enhanced: int = 0
    original: dict[str, int] = field(default_factory=dict)
    not_live: int = 0
    age_max_ns: int = 0
    engine: dict[str, str] = field(default_factory=dict)


IN_THE_DAEMON = ("queued", "prepared", "engine", "composed")  # as it says itself
STAGES = ("way_in", *IN_THE_DAEMON, "way_out", "own")  # own: received to published, less the engine


class Eye(Protocol):
    """Sees one picture, or nothing in time."""

    def see(self, seen: Seen, timeout_s: float) -> bool: ...

    def close(self) -> None: ...


class DaemonEye:
    def __init__(self, address: str, key: ClientKey | None = None) -> None:
        self._viewer = Viewer(address, hwm=64, key=key)

    def see(self, seen: Seen, timeout_s: float) -> bool:
        parts = self._viewer.receive(timeout_s)
        now = time.monotonic_ns()
        if parts is None:
            return False
        report = wire.decode_shown([part.buffer for part in parts])
        if report.pixels is None:
            seen.not_live += not report.flags & Flag.LIVE
            return False
        latency = now - report.stamped_ns
        seen.latency_ns.append(latency)
        seen.age_max_ns = max(seen.age_max_ns, latency)
        if report.treatment is not Treatment.ENHANCED:
            seen.original[report.why.words] = seen.original.get(report.why.words, 0) + 1
            return True
        seen.enhanced += 1
        seen.enhanced_ns.append(latency)
        seen.engine_ns.append(report.timings.engine)
        seen.overhead_ns.append(latency - report.timings.engine)
        for name in IN_THE_DAEMON:
            seen.stages_ns[name].append(getattr(report.timings, name))
        # One host, one clock: the ways through the sockets can be told from what the daemon does.
        seen.stages_ns["way_in"].append(report.received_ns - report.stamped_ns)
        seen.stages_ns["way_out"].append(now - report.published_ns)
        seen.stages_ns["own"].append(report.published_ns - report.received_ns - report.timings.engine)
        engine = report.engine
        seen.engine = {
            "name": engine.name, "sha256": engine.sha256, "backend": engine.backend, "precision": engine.precision
        }  # fmt: skip
        return True

    def close(self) -> None:
        self._viewer.close()


class BareEye:
    def __init__(self, address: str) -> None:
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVBUF, 4 << 20)
        self._socket.subscribe(b"bare")
        self._socket.connect(address)

    def see(self, seen: Seen, timeout_s: float) -> bool:
        if not self._socket.poll(int(timeout_s * 1000)):
            return False
        _, header, engine, _ = self._socket.recv_multipart(copy=False)
        now = time.monotonic_ns()
        latency = now - wire.decode_header(header.bytes).stamped_ns
        (engine_ns,) = struct.unpack("<Q", engine.bytes)
        seen.latency_ns.append(latency)
        seen.enhanced_ns.append(latency)
        seen.engine_ns.append(engine_ns)
        seen.overhead_ns.append(latency - engine_ns)
        seen.enhanced += 1
        return True

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def watching(eye: Eye) -> Generator[Seen]:
    """Sees everything on a thread of its own until the block is left and all is quiet."""
    seen, ended = Seen(), threading.Event()

    def look() -> None:
        last = time.monotonic_ns()
        while not ended.is_set() or time.monotonic_ns() - last < QUIET_NS:
            if eye.see(seen, 0.05):
                last = time.monotonic_ns()

    thread = threading.Thread(target=look, name="bench-eye")
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()
