"""The subscriber: accounts for each picture by its number, its age and what was done to it. A process of its own.

python -m tools.soak.eye ADDRESS    # one JSON line every second, and a last one when its input ends
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from edge import wire
from edge.client import Viewer
from edge.clock import SECOND
from edge.errors import BadFrame
from edge.frame import Treatment
from edge.wire import Flag, Report

BIN_NS = 100_000  # latencies are counted by tenths of a millisecond
TELL_EVERY = SECOND
QUEUE = 256  # pictures: eight seconds of a subscriber that is kept from the processor


@dataclass(slots=True)
class Account:
    """Where each picture of one sender went, as its subscriber saw it."""

    received: int = 0
    enhanced: Counter[str] = field(default_factory=Counter)
    original: Counter[str] = field(default_factory=Counter)
    stand_ins: int = 0
    held_back: int = 0  # flagged: heat holds the enhancement back
    missing: int = 0  # numbers that were never seen
    twice: int = 0
    out_of_order: int = 0
    sessions: int = 0
    unreadable: int = 0
    not_live: int = 0
    first: int | None = None
    last: int | None = None
    most_ns: int = 0
    longest_gap_ns: int = 0  # between two pictures
    bins: Counter[int] = field(default_factory=Counter)
    _session: int | None = None
    _seen_ns: int | None = None

    def take(self, report: Report, now_ns: int) -> None:
        if report.pixels is None:
            self.not_live += not report.flags & Flag.LIVE
            return
        if self._session != report.session:
            self._session, self.first, self.last = report.session, report.seq, None
            self.sessions += 1
        if self.last is not None and report.seq <= self.last:
            self.twice += report.seq == self.last
            self.out_of_order += report.seq < self.last
            return
        if self.last is not None:
            self.missing += report.seq - self.last - 1
        self.last = report.seq
        self._count(report, now_ns)

    def _count(self, report: Report, now_ns: int) -> None:
        self.received += 1
        if report.treatment is Treatment.ENHANCED:
            self.enhanced[report.engine.name] += 1
        else:
            self.original[report.why.words] += 1
        self.stand_ins += bool(report.flags & Flag.STAND_IN)
        self.held_back += bool(report.flags & Flag.WARM)
        latency = max(0, now_ns - report.stamped_ns)
        self.bins[latency // BIN_NS] += 1
        self.most_ns = max(self.most_ns, latency)
        if self._seen_ns is not None:
            self.longest_gap_ns = max(self.longest_gap_ns, now_ns - self._seen_ns)
        self._seen_ns = now_ns

    def as_dict(self) -> dict[str, Any]:
        plain = (
            "received", "stand_ins", "held_back", "missing", "twice", "out_of_order", "sessions", "unreadable",
            "not_live", "first", "last",
        )  # fmt: skip
        return {
            **{name: getattr(self, name) for name in plain},
            "enhanced": dict(self.enhanced), "original": dict(self.original),
            "max_ms": round(self.most_ns / 1e6, 3), "longest_gap_ms": round(self.longest_gap_ns / 1e6, 1),
            "bins": {str(number): count for number, count in sorted(self.bins.items())},
        }  # fmt: skip


def percentiles(bins: dict[str, int]) -> dict[str, float]:
    """The upper edge of the tenth of a millisecond in which each lies."""
    ordered = sorted((int(number), count) for number, count in bins.items())
    total = sum(count for _, count in ordered)
    found: dict[str, float] = {}
    for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        passed = 0
        for number, count in ordered:
            passed += count
            if passed >= part * total:
                found[name] = round((number + 1) * BIN_NS / 1e6, 1)
                break
    return found


def watch(address: str) -> None:
    viewer, account = Viewer(address, hwm=QUEUE), Account()
    told_ns = time.monotonic_ns()
    try:
        while not select.select([sys.stdin], [], [], 0)[0]:
            parts = viewer.receive(0.2)
            now = time.monotonic_ns()
            if parts is not None:
                try:
                    account.take(wire.decode_shown([part.buffer for part in parts]), now)
                except BadFrame:
                    account.unreadable += 1
            if now - told_ns >= TELL_EVERY:
                told_ns = now
                print(json.dumps(account.as_dict()), flush=True)
    finally:
        viewer.close()
    print(json.dumps(account.as_dict()), flush=True)


if __name__ == "__main__":
    watch(sys.argv[1])
