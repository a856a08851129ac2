"""The outbox, looked at, and a person's hand in it. Any thread; what identifies a patient stays inside the objects.

The console is one of those who look: the live process puts, the forwarder sends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from edge.config import Config, parse_section
from edge.console.errors import not_found, refused
from edge.errors import ConfigError, OutboxFault
from edge.outbox import Capture, Item, Outbox, Settings, Stored
from edge.outbox.record import CAPTURE_ID, DESTINATION, OBJECT_NAME
from edge.routing import Rules, parse_route, wants

RETRIED = ("parked", "damaged", "sent", "asked")
TROUBLES = ("parked", "damaged")


class Archive:
    def __init__(self, config: Config) -> None:
        self.settings = parse_section(config.outbox, Settings, "outbox")
        self.rules: dict[str, Rules] = {
            name: parse_route(name, table).rules for name, table in config.destination.items()
        }
        self.key_fault = ""  # why what is sealed cannot be read here
        try:
            self.box = Outbox(self.settings.place, self.settings, who="console")
        except ConfigError as error:
            self.key_fault = str(error)
            self.settings = msgspec.structs.replace(self.settings, key_file="", key_credential="")
            self.box = Outbox(self.settings.place, self.settings, who="console")

    @property
    def is_there(self) -> bool:
        return self.box.folder.is_dir()

    def is_served(self) -> bool:
        """Whether somebody holds the lock of the one who sends. Only looked at: to try it could keep him out."""
        try:
            inode = (self.box.folder / "send.lock").stat().st_ino
            locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
        except OSError:
            return False
        return any(" FLOCK " in line and f":{inode} " in line for line in locks)

    # ------------------------------------------------ the listing

    def captures(self) -> list[Capture]:
        """The newest first."""
        return self.box.captures()[::-1]

    def capture(self, name: str) -> Capture:
        if not CAPTURE_ID.fullmatch(name):
            raise not_found("there is no such capture")
        try:
            return self.box.capture(name)
        except OutboxFault:
            raise not_found("this capture is not in the outbox, or cannot be read") from None

    def object(self, capture: Capture, name: str) -> Stored:
        """By the name it has, or had when it was listed: while a clip is played it may be compressed, or put right."""
        found = [stored for stored in capture.objects if _place(stored.name) == _place(name)]
        if not OBJECT_NAME.fullmatch(name) or not found:
            raise not_found("the capture has no such object")
        return found[0]

    def read(self, capture: Capture, stored: Stored) -> BinaryIO:
        if stored.sealed and self.key_fault:
            raise refused(f"what is sealed cannot be read here: {self.key_fault}")
        return self.box.read(capture, stored)

    def items(self, capture: Capture, only: Sequence[str] = ()) -> Iterator[Item]:
        """Each object with each destination it is meant for, or has been sent to."""
        for stored in capture.objects:
            for destination in only or self.destinations(capture):
                rules = self.rules.get(destination, Rules())
                meant = wants(rules, stored.role, stored.modality, capture.priority)
                if meant or (stored.name, destination) in capture.marks:
                    yield Item(capture, stored, destination)

    def destinations(self, *captures: Capture) -> list[str]:
        return sorted({*self.rules, *(name for capture in captures for name in capture.destinations)})

    def states(self, capture: Capture) -> Counter[str]:
        return Counter(item.state for item in self.items(capture))

    def summary(self) -> dict[str, Any] | None:
        """Counts alone; None where there is no outbox yet."""
        if not self.is_there:
            return None
        captures, states = self.box.captures(), Counter[str]()
        for capture in captures:
            states += self.states(capture)
        damaged, broken = sum(len(capture.damaged) for capture in captures), len(self.box.broken())
        return {
            "captures": len(captures), "states": dict(states), "held": sum(capture.held for capture in captures),
            "damaged": damaged, "broken": broken, "trouble": _trouble(states["parked"], damaged, broken),
        }  # fmt: skip

    # ------------------------------------------------ a person's hand

    def by(self, who: str) -> Outbox:
        """The same folder in somebody's name."""
        return Outbox(self.settings.place, self.settings, who=f"console {who}")

    def check_destinations(self, capture: Capture, only: Sequence[str]) -> None:
        known = self.destinations(capture)
        for name in only:
            if not DESTINATION.fullmatch(name) or name not in known:
                raise refused(f"no such destination; there are: {', '.join(known) or 'none'}")

    def retry(self, who: str, capture: Capture, only: Sequence[str], wanted: Sequence[str] = RETRIED) -> dict[str, Any]:
        """What is not confirmed waits again. A damaged object has to be what was written after all."""
        self.check_destinations(capture, only)
        box, faults = self.by(who), list[str]()
        for stored in (stored for stored in capture.objects if stored.name in capture.damaged):
            faults += _tried(lambda s=stored: box.mend(capture, s), stored.name)
        now = box.capture(capture.id)
        again = len(capture.damaged) - len(now.damaged)
        for item in self.items(now, only):
            if item.state in wanted and item.object.name not in now.damaged:
                failed = _tried(lambda i=item: box.retry(i), item.object.name)
                faults += failed
                again += not failed
        return {"retried": again, "faults": faults}

    def park(self, who: str, capture: Capture, only: Sequence[str], reason: str) -> int:
        self.check_destinations(capture, only)
        box = self.by(who)
        items = [item for item in self.items(capture, only) if item.state not in ("confirmed", "parked")]
        for item in items:
            box.parked(item, reason)
        return len(items)


def _tried(work: Callable[[], None], name: str) -> list[str]:
    try:
        work()
    except OutboxFault as error:
        return [f"{name}: {error}"]
    return []


def _trouble(parked: int, damaged: int, broken: int) -> str:
    told = [(parked, "parked"), (damaged, "damaged"), (broken, "unreadable")]
    return ", ".join(f"{number} {_objects(number, what)} {what}" for number, what in told if number)


def _objects(number: int, what: str) -> str:
    noun = "capture" if what == "unreadable" else "object"
    return noun if number == 1 else f"{noun}s"


def _place(name: str) -> str:
    """What stays of an object's name when its file is replaced by another of the same pictures."""
    return name.partition(".")[0]
