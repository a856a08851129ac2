"""How a capture leaves: confirmed everywhere and kept for its time, or discarded by a person. Runs in the forwarder.

A capture is renamed first and emptied then, so that half of one is never listed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from edge import durable
from edge.outbox import markers
from edge.outbox.listing import read_capture
from edge.outbox.record import CAPTURE_ID, Capture, Facts, Item
from edge.outbox.retention import Served
from edge.outbox.spool import LEAVING, locked, scan

DISCARDED, WHEN_DISCARDED = "discarded", "discarded.json"


class Leaving:
    def __init__(self, folder: Path, retention_s: float, served: Served) -> None:
        self._captures = folder / "captures"
        self._discarded = folder / DISCARDED
        self._retention_s = retention_s
        self._served = served
        self._due: dict[str, float] = {}  # when the time of a confirmed capture is over; written by the forwarder

    def is_over(self, capture: Capture, meant: Sequence[Item]) -> bool:
        """Every object safe everywhere it is meant for, and the time gone by since the last of them was."""
        if not meant or any(item.state != "confirmed" for item in meant):
            self._due.pop(capture.id, None)
            return False
        if capture.id not in self._due:
            self._due[capture.id] = max(self._confirmed_s(item) for item in meant) + self._retention_s
        return self._served.now_s() >= self._due[capture.id]

    def _confirmed_s(self, item: Item) -> float:
        folder = self._captures / item.capture.id
        facts = markers.facts_of(folder, item.object.name, item.destination, "confirmed") or Facts()
        now = self._served.now_s()
        if facts.served_s > now:
            # The counter or the marker's content was lost: its time starts again, also after a restart.
            facts = msgspec.structs.replace(facts, served_s=now)
            markers.mark(folder, item.object.name, item.destination, "confirmed", facts)
        return facts.served_s

    def remove(self, capture: Capture, meant: Sequence[Item]) -> bool:
        """Look at the disk once more, then take it away."""
        folder = self._captures / capture.id
        with locked(folder):
            found = read_capture(folder)
            if not isinstance(found, Capture) or found.record != capture.record:
                return False
            if any(found.state(item.object, item.destination) != "confirmed" for item in meant):
                return False
            gone = folder.with_name(folder.name + LEAVING)
            durable.rename_durably(folder, gone)
        durable.remove_tree(gone)
        self._due.pop(capture.id, None)
        return True

    def sweep(self) -> None:
        """What was being removed when the power went."""
        for parent in (self._captures, self._discarded):
            for entry in scan(parent):
                if entry.name.endswith(LEAVING):
                    durable.remove_tree(Path(entry.path))

    def discard(self, name: str, facts: Facts) -> None:
        folder = self._captures / name
        durable.make_folder(self._discarded)
        with locked(folder):
            durable.write_durably(folder / WHEN_DISCARDED, _from_now(facts, self._served.now_s()))
            durable.rename_durably(folder, self._discarded / name)
        durable.touch(self._captures)

    def remove_discarded(self) -> Iterator[str]:
        for entry in scan(self._discarded):
            folder = Path(entry.path)
            if not CAPTURE_ID.fullmatch(entry.name):
                continue
            facts, now = markers.read_facts(folder / WHEN_DISCARDED), self._served.now_s()
            if facts is None or facts.served_s > now:
                # The counter or the file's content was lost, or never known to who discarded: its time starts here.
                with contextlib.suppress(OSError):
                    durable.write_durably(folder / WHEN_DISCARDED, _from_now(facts or Facts(), now))
            elif now - facts.served_s >= self._retention_s:
                gone = folder.with_name(folder.name + LEAVING)
                durable.rename_durably(folder, gone)
                durable.remove_tree(gone)
                yield entry.name


def _from_now(facts: Facts, served_s: float) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(facts, served_s=served_s))
