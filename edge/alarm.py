"""Tells when captures wait for a destination longer than they should. Runs in the forward process's main thread.

By two clocks: the wall clock, which knows about the time before a restart, and the monotonic one, which no change of
the date can fool.
"""

from __future__ import annotations

from datetime import datetime, timezone

from edge.clock import SECOND
from edge.forwarder import Surroundings

HOUR_NS = 3600 * SECOND
TELL_AGAIN_NS = 24 * HOUR_NS


class Alarm:
    """One destination's."""

    def __init__(self, destination: str, limit_hours: float, around: Surroundings) -> None:
        self._destination = destination
        self._limit_hours = limit_hours
        self._around = around
        self._oldest = ""  # the capture that has waited longest
        self._since_ns = 0  # when it was first seen to wait
        self._told_ns: int | None = None

    def look(self) -> None:
        waiting = self._around.outbox.items(self._destination, "waiting")
        oldest = min((item.capture.id for item in waiting), default="")  # ids are ordered by time
        now = self._around.clock.now()
        if oldest != self._oldest:
            self._oldest, self._since_ns = oldest, now
        hours = max(_age_hours(oldest, self._around.wall()), (now - self._since_ns) / HOUR_NS) if oldest else 0.0
        if hours < self._limit_hours:
            if self._told_ns is not None:
                self._told_ns = None
                self._around.events.emit("queue.well", destination=self._destination)
        elif self._told_ns is None or now - self._told_ns >= TELL_AGAIN_NS:
            self._told_ns = now
            self._around.events.emit(
                "queue.old", destination=self._destination, hours=round(hours, 1), objects=len(waiting), capture=oldest
            )


def _age_hours(capture: str, now: datetime) -> float:
    """By the capture's id; below zero where the clock was set back since."""
    made = datetime.strptime(capture[:15], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    return (now - made).total_seconds() / 3600
