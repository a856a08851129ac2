"""What is on the disk is the truth; this reads it, and remembers what it has read.

`read_capture` reads one folder. `Index` keeps what was read and the queues made of it, so that asking for the next
object costs the same whether ten captures wait or ten thousand. It belongs to one `Outbox`, and to its lock.
"""

from __future__ import annotations

import bisect
import contextlib
import os
from collections.abc import Container, Iterator
from pathlib import Path
from typing import cast

from edge.outbox.record import (
    CAPTURE_ID,
    LATEST_FIRST,
    MARK,
    OBJECT_NAME,
    Broken,
    Capture,
    Item,
    Record,
    State,
    Step,
    Wants,
)

CAPTURE_FILE, RELEASED, DAMAGED = "capture.json", "released", ".damaged"
_LATER = {step: rank for rank, step in enumerate(reversed(LATEST_FIRST))}
Place = tuple[int, str, int]  # stat first, then the oldest capture, then the object's position in it
NOTHING: Container[tuple[str, str]] = frozenset()


def read_capture(folder: Path) -> Capture | Broken | None:
    """None where there is no such folder (any more)."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        record = Record.decoded((folder / CAPTURE_FILE).read_bytes())
    except FileNotFoundError:
        return Broken(folder.name, "capture.json is missing") if folder.exists() else None
    except (OSError, ValueError) as error:
        return Broken(folder.name, getattr(error, "strerror", None) or "capture.json was altered or cut short")
    if record.id != folder.name:
        return Broken(folder.name, "capture.json is another capture's")
    marks = _marks_in(names)
    damaged = frozenset(name.removesuffix(DAMAGED) for name in names if _tells_damage(name))
    return Capture(record, marks, RELEASED in names, damaged)


def _tells_damage(name: str) -> bool:
    return name.endswith(DAMAGED) and OBJECT_NAME.fullmatch(name.removesuffix(DAMAGED)) is not None


def _marks_in(names: list[str]) -> dict[tuple[str, str], Step]:
    latest: dict[tuple[str, str], Step] = {}
    for name in names:
        found = MARK.fullmatch(name)
        if found is None or found["step"] not in _LATER:
            continue
        key, step = (found["object"], found["destination"]), cast("Step", found["step"])
        if key not in latest or _LATER[step] > _LATER[latest[key]]:
            latest[key] = step
    return latest


class Index:
    """All captures, and for each served destination and state the objects in order."""

    def __init__(self, captures: Path) -> None:
        self._folder = captures
        self.captures: dict[str, Capture] = {}
        self.broken: dict[str, Broken] = {}
        self.wants: dict[str, Wants] = {}
        self._stamps: dict[str, int] = {}
        self._queues: dict[tuple[str, State], list[Place]] = {}
        self._places: dict[str, list[tuple[tuple[str, State], Place]]] = {}
        self._seen = -1

    def serve(self, destination: str, wants: Wants) -> None:
        self.wants[destination] = wants
        for capture in self.captures.values():
            self._unqueue(capture.id)
            self._queue(capture)

    def refresh(self, *, thorough: bool = False) -> None:
        """See what came, went or changed. Costs one look at the folder where nothing did."""
        stamp = self._stamp()
        if stamp == self._seen and not thorough:
            return
        stamps = dict(self._scan())
        for name in self._stamps.keys() - stamps.keys():
            self._forget(name)
        for name in sorted(name for name, stamp in stamps.items() if self._stamps.get(name) != stamp):
            self._take(name, stamps[name])
        self._seen = stamp

    def _stamp(self) -> int:
        try:
            return self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _scan(self) -> Iterator[tuple[str, int]]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if CAPTURE_ID.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError):
                        yield entry.name, entry.stat().st_mtime_ns

    def reread(self, name: str) -> None:
        """One capture, now: after a change of our own."""
        try:
            stamp = (self._folder / name).stat().st_mtime_ns
        except FileNotFoundError:
            self._forget(name)
        else:
            self._take(name, stamp)

    def _take(self, name: str, stamp: int) -> None:
        found = read_capture(self._folder / name)
        self._forget(name)
        if found is None:
            return
        self._stamps[name] = stamp
        if isinstance(found, Broken):
            self.broken[name] = found
        else:
            self.captures[name] = found
            self._queue(found)

    def _forget(self, name: str) -> None:
        self._unqueue(name)
        self._stamps.pop(name, None)
        self.captures.pop(name, None)
        self.broken.pop(name, None)

    def _queue(self, capture: Capture) -> None:
        rank = 0 if capture.priority == "stat" else 1
        places = self._places[capture.id] = []
        for position, stored in enumerate(capture.objects):
            for destination, wants in self.wants.items():
                if wants(capture, stored):
                    where: tuple[str, State] = (destination, capture.state(stored, destination))
                    place = (rank, capture.id, position)
                    bisect.insort(self._queues.setdefault(where, []), place)
                    places.append((where, place))

    def _unqueue(self, name: str) -> None:
        for where, place in self._places.pop(name, ()):
            queue = self._queues[where]
            del queue[bisect.bisect_left(queue, place)]

    def first(self, destination: str, state: State, busy: Container[tuple[str, str]] = NOTHING) -> Item | None:
        return next((item for item in self.items(destination, state) if item.key not in busy), None)

    def items(self, destination: str, state: State) -> Iterator[Item]:
        """In order. Only to be used up before anything else is asked of this index."""
        for _, name, position in self._queues.get((destination, state), ()):
            capture = self.captures[name]
            yield Item(capture, capture.objects[position], destination)

    def count(self, destination: str, state: State) -> int:
        return len(self._queues.get((destination, state), ()))

    def meant(self, capture: Capture) -> list[Item]:
        """Every object with every served destination it is meant for."""
        return [
            Item(capture, stored, destination)
            for stored in capture.objects
            for destination, wants in self.wants.items()
            if wants(capture, stored)
        ]
