"""How long the outbox has been served: the clock by which confirmed captures are kept, and then removed.

A wall clock cannot do it: a device whose battery is flat comes up ten years early, and is put right an hour later. So
time is counted while the forwarder runs, on the monotonic clock, and what was counted is kept on the disk. A clock that
jumps changes nothing; a power cut loses the last minute at most; a device that was off keeps its captures for longer.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from edge import durable
from edge.clock import SECOND, Clock

KEEP_EVERY_S = 60.0
LOST_S = 1e12  # where the count cannot be read: ahead of any count, so that time starts again; JSON has no infinity


class _Kept(msgspec.Struct, frozen=True):
    served_s: float


def kept_s(path: Path) -> float | None:
    """The count as it was written down last, in any run; None where it cannot be read."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return max(0.0, msgspec.json.decode(path.read_bytes(), type=_Kept).served_s)
    return None


class Served:
    """Seconds. Only the process that forwards counts and keeps them; the others read what it kept."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._start_ns: int | None = None
        self._base_s = self._kept_s = 0.0

    def start(self) -> None:
        """From now on this process counts."""
        if self._start_ns is None:
            self._base_s = self._kept_s = kept_s(self._path) or 0.0
            self._start_ns = self._clock.now()

    def now_s(self) -> float:
        if self._start_ns is None:
            # Read anew each time: a count of days ago would end the time of what is stamped with it at once.
            kept = kept_s(self._path)
            return LOST_S if kept is None else kept
        return self._base_s + (self._clock.now() - self._start_ns) / SECOND

    def keep(self) -> None:
        """Write the count down, once a minute at most. Raises OSError where the disk does."""
        if self._start_ns is None:
            return
        now = self.now_s()
        if now - self._kept_s >= KEEP_EVERY_S:
            durable.write_durably(self._path, msgspec.json.encode(_Kept(now)))
            self._kept_s = now
