"""`Outbox`: the folder that the live process puts captures into and the forwarder sends them from.

The live process owns putting, replacing and sweeping (`own_putting`); the forwarder, all that follows (`own_sending`).
Commands may look at any time and set single markers. Any thread may call any method: the lock guards what is
remembered, and is not held while a marker is written.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Container, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from edge.audit import Audit
from edge.clock import SECOND, Clock, MonotonicClock
from edge.errors import OutboxFault
from edge.outbox import markers
from edge.outbox.leaving import Leaving
from edge.outbox.listing import NOTHING, Index
from edge.outbox.reading import check_stored, open_checked
from edge.outbox.record import (
    Broken,
    Capture,
    Draft,
    Facts,
    Item,
    State,
    Step,
    Stored,
    Wall,
    Wants,
    check_destination,
    everything,
    utc_now,
)
from edge.outbox.retention import Served
from edge.outbox.seal import load_key
from edge.outbox.settings import Settings
from edge.outbox.spool import Spool, locked, sole_owner

LOOK_AGAIN = 60 * SECOND  # however little seems to have changed
HOUR_S = 3600.0


class Outbox:
    def __init__(
        self, folder: Path, settings: Settings, wall: Wall = utc_now, clock: Clock | None = None, who: str = "limpid"
    ) -> None:
        self.folder = folder
        self.audit = Audit(folder / "audit.jsonl", wall, who)
        self.audit_failures = 0
        self._wall, self._who = wall, who
        self._clock = clock or MonotonicClock()
        self._key = load_key(settings)
        self._spool = Spool(folder, settings, wall, self._key)
        self._captures = self._spool.captures
        self._served = Served(folder / "served.json", self._clock)
        self._leaving = Leaving(folder, settings.retention_hours * HOUR_S, self._served)
        self._index = Index(self._captures)  # guarded by the lock
        self._looked_ns: int | None = None  # likewise
        self._lock = threading.RLock()
        self._owned = ExitStack()
        self._sends = False

    # The live process

    def own_putting(self) -> int:
        """Before the first put: the one who puts, or ConfigError. Gives how many half-written things were swept."""
        self._owned.enter_context(sole_owner(self.folder, "put"))
        return self._spool.sweep()

    def put(self, draft: Draft) -> str:
        """Store a capture; it is durable when its id comes back. CaptureRefused: nothing of it was stored."""
        name = self._spool.put(draft)
        self._note("stored", name, **_told(draft))
        return name

    def replace(self, capture: str, draft: Draft) -> None:
        """Other objects for a held capture, nothing of which was sent: all of them, or CaptureRefused and none.

        Where the new draft is not held, this releases the capture as well.
        """
        self._spool.replace(capture, draft)
        self._changed(capture)
        self._note("replaced", capture, **_told(draft))

    def check_room(self) -> None:
        """CaptureRefused while the disk is too full for a new capture."""
        self._spool.check_room()

    # The listing

    def captures(self) -> list[Capture]:
        """All that can be read, the oldest first, as they are on the disk now."""
        with self._lock:
            self._index.refresh(thorough=True)
            return [self._index.captures[name] for name in sorted(self._index.captures)]

    def broken(self) -> list[Broken]:
        """Folders that cannot be read as they were written, as of the last look."""
        with self._lock:
            return list(self._index.broken.values())

    def capture(self, name: str) -> Capture:
        with self._lock:
            self._index.reread(name)
            try:
                return self._index.captures[name]
            except KeyError:
                raise OutboxFault(f"{name} is not in the outbox, or damaged") from None

    def facts(self, item: Item, step: Step) -> Facts | None:
        """What the marker says; None where there is none."""
        return markers.facts_of(self._captures / item.capture.id, item.object.name, item.destination, step)

    def damage(self, capture: Capture, stored: Stored) -> str:
        """Why an object is set aside, or nothing."""
        facts = markers.damage_of(self._captures / capture.id, stored.name)
        return facts.reason if facts else ""

    # The forwarder

    def own_sending(self) -> None:
        """Before anything is sent: the one who sends and removes, or ConfigError."""
        self._owned.enter_context(sole_owner(self.folder, "send"))
        self._sends = True
        self._served.start()
        self._leaving.sweep()

    def serve(self, destination: str, wants: Wants = everything) -> None:
        """A destination, and which objects are meant for it: none of them is removed before it is safe there."""
        check_destination(destination)
        with self._lock:
            self._index.serve(destination, wants)

    def next(self, destination: str, busy: Container[tuple[str, str]] = NOTHING) -> Item | None:
        """The first that waits: stat before routine, then the oldest. `busy` holds keys of items to be passed over."""
        with self._lock:
            self._look(destination)
            return self._index.first(destination, "waiting", busy)

    def items(self, destination: str, state: State) -> list[Item]:
        """All in this state, in the order in which `next` would give them."""
        with self._lock:
            self._look(destination)
            return list(self._index.items(destination, state))

    def count(self, destination: str, state: State) -> int:
        with self._lock:
            self._look(destination)
            return self._index.count(destination, state)

    def _look(self, destination: str) -> None:
        if destination not in self._index.wants:
            self.serve(destination)
        now = self._clock.now()
        thorough = self._looked_ns is None or now - self._looked_ns >= LOOK_AGAIN
        self._index.refresh(thorough=thorough)
        if thorough:
            self._looked_ns = now

    def open(self, item: Item) -> BinaryIO:
        """The whole DICOM file. A damaged one is set aside with its reason (OutboxFault), and the queue goes on."""
        try:
            return open_checked(self._captures / item.capture.id, item.object, self._key)
        except OutboxFault as error:
            self._set_aside(item.capture, item.object, str(error))
            raise

    def read(self, capture: Capture, stored: Stored) -> BinaryIO:
        """As `open`, for those who only look: nothing is set aside."""
        return open_checked(self._captures / capture.id, stored, self._key)

    def check(self, capture: Capture, stored: Stored) -> None:
        """Whether the stored file is what was written (OutboxFault where not); needs no key."""
        check_stored(self._captures / capture.id, stored)

    def _set_aside(self, capture: Capture, stored: Stored, reason: str) -> None:
        folder = self._captures / capture.id
        if not folder.is_dir():
            return  # it was removed meanwhile: no damage
        markers.mark_damaged(folder, stored.name, self._facts(reason=reason))
        self._changed(capture.id)
        self._note("damaged", capture.id, object=stored.name, reason=reason)

    # What happened to an item. All durable when they return; all may be said twice.

    def sent(self, item: Item, status: int = 0, warning: str = "") -> None:
        """The destination has it, by its own word; a warning stays visible."""
        self._mark(item, "sent", self._facts(status=status, warning=warning))

    def asked(self, items: Iterable[Item], transaction: str) -> None:
        """The destination was asked to commit to these."""
        for item in items:
            self._mark(item, "asked", self._facts(transaction=transaction))

    def confirmed(self, item: Item, how: str = "") -> None:
        """The destination has it safe."""
        folder = self._captures / item.capture.id
        if markers.has(folder, item.object.name, item.destination, "confirmed"):
            return  # its time goes on from the first word
        self._mark(item, "confirmed", self._facts(reason=how))

    def parked(self, item: Item, reason: str, status: int = 0) -> None:
        """Refused for good, or set aside by a person: not sent again before `retry`."""
        self._mark(item, "parked", self._facts(reason=reason, status=status))
        self._changed(item.capture.id, tell=True)

    def retry(self, item: Item) -> None:
        """It waits again, whatever happened, unless it is confirmed. A damaged one has to be what was written."""
        if item.state == "confirmed":
            return
        self.mend(item.capture, item.object)
        markers.take_back(self._captures / item.capture.id, item.object.name, item.destination)
        self._changed(item.capture.id, tell=True)
        self._note("retried", item.capture.id, object=item.object.name, destination=item.destination)

    def mend(self, capture: Capture, stored: Stored) -> None:
        """An object that was set aside as damaged and is what was written after all (OutboxFault where it is not)."""
        self.check(capture, stored)
        if self.damage(capture, stored):
            markers.clear_damage(self._captures / capture.id, stored.name)
            self._changed(capture.id, tell=True)
            self._note("mended", capture.id, object=stored.name)

    def release(self, capture: str) -> None:
        """The identity is right: it may be sent."""
        folder = self._captures / capture
        with locked(folder):
            markers.mark_released(folder, self._facts())
        self._changed(capture, tell=True)
        self._note("released", capture)

    def discard(self, capture: str, reason: str) -> None:
        """A person's decision: it is set apart, and removed when the retention time is over."""
        self._leaving.discard(capture, self._facts(reason=reason))
        self._changed(capture)
        self._note("discarded", capture, reason=reason)

    def note_export(self, capture: str, objects: int) -> None:
        """A copy of it has left the device."""
        self._note("exported", capture, objects=objects)

    def _mark(self, item: Item, step: Step, facts: Facts) -> None:
        markers.mark(self._captures / item.capture.id, item.object.name, item.destination, step, facts)
        self._changed(item.capture.id)
        said = {
            name: value for name in ("status", "warning", "reason", "transaction") if (value := getattr(facts, name))
        }
        self._note(step, item.capture.id, object=item.object.name, destination=item.destination, **said)

    def remove_confirmed(self) -> list[str]:
        """Take away what is confirmed wherever it is meant to be, once the retention time is over. Gives their ids."""
        self._served.start()
        self._tidy(self._served.keep)
        self._leaving.sweep()
        with self._lock:
            self._index.refresh(thorough=True)
            captures = [(capture, self._index.meant(capture)) for capture in self._index.captures.values()]
        removed = [capture.id for capture, meant in captures if self._leaves(capture, meant)]
        self._tidy(lambda: removed.extend(self._leaving.remove_discarded()))
        return removed

    def _leaves(self, capture: Capture, meant: list[Item]) -> bool:
        try:
            if not self._leaving.is_over(capture, meant) or not self._leaving.remove(capture, meant):
                return False
        except (OSError, OutboxFault):
            return False  # it stays, which is safe; the next round tries again
        self._changed(capture.id)
        self._note("removed", capture.id)
        return True

    def _tidy(self, work: Callable[[], None]) -> None:
        """What may wait for the next round when the disk refuses it."""
        with contextlib.suppress(OSError):
            work()

    # Small change

    def _facts(self, *, status: int = 0, warning: str = "", reason: str = "", transaction: str = "") -> Facts:
        when = self._wall().isoformat(timespec="milliseconds")
        return Facts(when, self._who, status, warning, reason, transaction, self._served.now_s())

    def _changed(self, capture: str, *, tell: bool = False) -> None:
        with self._lock:
            self._index.reread(capture)
        if tell and not self._sends:  # only the one who sends goes by what it remembers
            self._spool.tell(capture)

    def _note(self, did: str, to: str, **facts: object) -> None:
        """Into the audit log. What happened has happened: a log that cannot be written is counted, not raised."""
        try:
            self.audit.append(did, to, facts)
        except OSError:
            self.audit_failures += 1

    def close(self) -> None:
        """Give up what is owned."""
        self._owned.close()


def _told(draft: Draft) -> dict[str, object]:
    """Of what was stored, for the audit log: enough to say later what a line is about, when the capture is gone."""
    return {
        "objects": [str(made.sop_uid) for made in draft.objects], "held": draft.held, "exam": draft.exam_uid,
        "study": str(draft.objects[0].study_uid) if draft.objects else "",
        "classes": dict(Counter(str(made.sop_class) for made in draft.objects)),
    }  # fmt: skip
