"""The outbox to the archives: next -> send -> sent / confirmed / parked.

One `Courier` a destination. Its sending threads (`sink.lanes` of them) run `step`; its settling thread runs `settle`
(settling.py): what was sent is asked after until the archive has it safe. A slow or dead archive costs the others
nothing. The outbox on the disk is the truth; what is remembered here (failures, waits) may be lost at any moment.
"""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Protocol, cast

from edge.backoff import wait_ns
from edge.clock import SECOND, Clock
from edge.copies import Copies
from edge.dicom.deidentify import UncleanPixels
from edge.errors import ConfigError, LimpidError, OutboxFault, SinkRejected, SinkUnavailable
from edge.outbox import Item, Outbox
from edge.pace import Bucket, Paced
from edge.progress import Watched
from edge.routing import Rules, allowance
from edge.sinks import Parcel, Receipt, Sink

LOOK_EVERY_S = 0.2  # for new captures, while there is nothing to send
LONGER = 2  # doublings of an object's wait over its destination's
IDLE_NS = 5 * SECOND  # then associations are released


class Emits(Protocol):
    def emit(self, event: str, **facts: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Destination:
    name: str
    sink: Sink
    rules: Rules


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every courier needs of the world, injected."""

    outbox: Outbox
    events: Emits
    clock: Clock
    wall: Callable[[], datetime]  # local time, for schedules and ages
    is_metered: Callable[[], bool]
    stop: threading.Event
    chance: Callable[[], float] = random.random
    unannounced: Callable[[], Set[str]] = frozenset  # exams of which the archive is yet to be told (MPPS)
    beat: Callable[[], None] = lambda: None  # the calling thread moves: for the watchdog


class Courier:
    """One destination's sending. Any of its threads may call anything; the lock is never held while sending."""

    def __init__(self, destination: Destination, around: Surroundings) -> None:
        self.name, self.sink, self.rules = destination.name, destination.sink, destination.rules
        self._around = around
        self._lock = threading.Lock()
        self._busy: set[tuple[str, str]] = set()  # being sent now
        self._tries: dict[tuple[str, str], int] = {}  # of objects that did not get through
        self._not_before: dict[tuple[str, str], int] = {}  # likewise
        self._failures = 0  # in a row, of any object
        self._pause_until = 0
        self._used_ns = around.clock.now()
        kbps = self.rules.bandwidth_kbps
        self._bucket = Bucket(kbps * 125, around.clock) if kbps else None
        self._copies = Copies(around.outbox.folder, self.rules.key_file) if self.rules.deidentify else None
        self.resting = True  # nothing is held open

    def step(self) -> bool:
        """One object on its way. False: there is nothing to do now."""
        item = self._take()
        if item is None:
            return False
        try:
            receipt = self.sink.send(self.parcel(item))
        except (SinkRejected, UncleanPixels) as refusal:
            self._park(item, str(refusal))
        except (SinkUnavailable, ConfigError, OSError) as trouble:
            self._later(item, trouble)
        except OutboxFault as damage:
            self._set_aside(item, str(damage))
        else:
            self._sent(item, receipt)
        finally:
            with self._lock:
                self._busy.discard(item.key)
        return True

    def parcel(self, item: Item) -> Parcel:
        stored, opened = item.object, functools.partial(self._around.outbox.open, item)
        if self._copies is not None:
            opened = functools.partial(self._copies.make, opened)
        return Parcel(
            item.capture.id, stored.name, stored.sop_class, self.sop_uid(item), stored.transfer_syntax, stored.size,
            lambda: self._paced(opened()), urgent=item.capture.priority == "stat",
        )  # fmt: skip

    def sop_uid(self, item: Item) -> str:
        """By which the destination knows it."""
        uid = item.object.sop_uid
        return uid if self._copies is None else self._copies.sop_uid(uid)

    def run(self, stop: threading.Event) -> None:
        """A sending thread."""
        while not stop.is_set():
            self._around.beat()
            try:
                if self.step():
                    continue
            except OutboxFault as error:  # the disk does not take our notes: the object waits, and is sent again
                self._around.events.emit("outbox.trouble", destination=self.name, reason=str(error))
                self.pause()
            stop.wait(LOOK_EVERY_S)

    def rest_if_idle(self) -> None:
        """By the settling thread."""
        with self._lock:
            idle = not self._busy and self._around.clock.now() - self._used_ns > IDLE_NS
        if idle and not self.resting:
            self.sink.rest()
            self.resting = True

    def pause(self) -> None:
        """After a failure that says more about the destination than about an object."""
        with self._lock:
            self._failures += 1
            self._pause_until = self._around.clock.now() + self._wait(self._failures)

    def hold(self, key: tuple[str, str], tries: int) -> None:
        """An object that did not get through waits for longer every time, and for longer than its destination: what
        comes after it in the queue is tried before it is again."""
        with self._lock:
            self._not_before[key] = self._around.clock.now() + self._wait(tries + LONGER)

    def _wait(self, failures: int) -> int:
        first, longest = self.rules.first_retry_s * SECOND, self.rules.longest_retry_s * SECOND
        return wait_ns(failures, self._around.chance(), int(first), int(longest))

    def _take(self) -> Item | None:
        """The first that waits and may go now: stat before routine, then the oldest."""
        around = self._around
        with self._lock:
            now = around.clock.now()
            # While the destination fails one thread tries it; the others would only wait for the same time-outs.
            if now < self._pause_until or (self._failures and self._busy):
                return None
            allowed = allowance(self.rules, around.wall(), is_metered=around.is_metered())
            if allowed == "nothing":
                return None
            item = around.outbox.next(self.name, _Passed(self._busy, self._not_before, now))
            if item is None or (allowed == "stat" and item.capture.priority != "stat"):
                return None
            self._busy.add(item.key)
            self._used_ns, self.resting = now, False
            return item

    def _paced(self, file: BinaryIO) -> BinaryIO:
        watched = cast(BinaryIO, Watched(file, self._around.beat))
        return cast(BinaryIO, Paced(watched, self._bucket, self._around.stop.wait)) if self._bucket else watched

    def _sent(self, item: Item, receipt: Receipt) -> None:
        outbox = self._around.outbox
        outbox.sent(item, receipt.status, receipt.warning)
        if self.rules.trust and not self.sink.confirms:
            outbox.confirmed(item, "taken at its word")
        facts = {"warning": receipt.warning} if receipt.warning else {}
        self._emit("object.sent", item, bytes=item.object.size, **facts)
        with self._lock:
            self._used_ns = self._around.clock.now()
            if self._failures > 1:  # it was the destination that was away: nobody waits any longer for it
                self._not_before.clear()
            if self._failures:
                self._around.events.emit("destination.back", destination=self.name, failures=self._failures)
            self._failures = 0
            self._tries.pop(item.key, None)
            self._not_before.pop(item.key, None)

    def _park(self, item: Item, reason: str) -> None:
        self._around.outbox.parked(item, reason)
        self._emit("object.parked", item, reason=reason)

    def _later(self, item: Item, trouble: LimpidError | OSError) -> None:
        if self._around.stop.is_set():
            return  # we are being stopped ourselves: no failure of anyone
        with self._lock:
            tries = self._tries[item.key] = self._tries.get(item.key, 0) + 1
        self.hold(item.key, tries)
        self.pause()
        self._emit("object.later", item, kind=type(trouble).__name__, reason=str(trouble), tries=tries)

    def _set_aside(self, item: Item, reason: str) -> None:
        """The outbox has seen to it, unless only this courier could tell that something is wrong with the object."""
        outbox = self._around.outbox
        try:
            state = outbox.capture(item.capture.id).state(item.object, self.name)
        except OutboxFault:
            state = "damaged"  # the whole capture is gone or unreadable
        if state == "waiting":
            outbox.parked(item, reason)
        self._emit("object.damaged", item, reason=reason)

    def _emit(self, event: str, item: Item, **facts: Any) -> None:
        where = {"destination": self.name, "capture": item.capture.id, "object": item.object.name}
        self._around.events.emit(event, **where, **facts)


class _Passed:
    """Which objects `next` passes over: those on their way, and those that wait for another try."""

    def __init__(self, busy: set[tuple[str, str]], not_before: dict[tuple[str, str], int], now: int) -> None:
        self._busy, self._not_before, self._now = busy, not_before, now

    def __contains__(self, key: object) -> bool:
        return key in self._busy or self._not_before.get(cast("tuple[str, str]", key), 0) > self._now
