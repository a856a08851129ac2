"""The last seconds, original and enhanced of the same frames, for scrolling back while frozen.

Written by the pictures thread; main takes a snapshot when it freezes. Bounded by seconds and by bytes: the oldest goes.
"""

from __future__ import annotations

from dataclasses import replace

from edge.clock import SECOND
from edge.frame import Treatment
from edge.panel.watch import Seen
from edge.slot import Ring
from edge.wire import Report


class Cine:
    def __init__(self, seconds: float, megabytes: int) -> None:
        self._longest_ns = int(seconds * SECOND)
        self._most_bytes = megabytes << 20
        self._layout: tuple[object, ...] | None = None
        self._ring = self._fresh()

    def _fresh(self) -> Ring[Seen]:
        def too_old(oldest: Seen, newest: Seen) -> bool:
            return newest.captured_ns - oldest.captured_ns > self._longest_ns

        return Ring(self._most_bytes, _bytes_of, too_old)

    def add(self, seen: Seen) -> None:
        """Another sender, another size: another clip. What was before may be another patient's."""
        if seen.layout != self._layout:
            self._layout, self._ring = seen.layout, self._fresh()
        self._ring.add(seen)

    def snapshot(self) -> list[Seen]:
        return self._ring.snapshot()

    @property
    def bytes(self) -> int:
        return self._ring.bytes


def slim(report: Report) -> Report:
    """An original that is shown as it is lies in memory once."""
    return report if report.treatment is Treatment.ENHANCED else replace(report, original=report.pixels)


def _bytes_of(seen: Seen) -> int:
    pictures = {id(one): one.nbytes for one in (seen.report.pixels, seen.report.original) if one is not None}
    return sum(pictures.values())
