"""How the outbox is: a look into its folder now and then. The tray thread's; what it finds is frozen, main reads it.

The daemon's control socket is not asked: the outbox is whole on the disk, whoever runs or does not.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edge.clock import MonotonicClock
from edge.config import Config, parse_section
from edge.errors import CaptureRefused, LimpidError
from edge.turns import thread_yields

if TYPE_CHECKING:
    from edge.outbox import Outbox
    from edge.routing import Rules

EVERY_S = 2.0
NICE = 10
ON_THE_WAY = ("waiting", "sent", "asked", "held", "damaged", "parked")  # of an object that no archive has confirmed


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts are of captures."""

    here: int = 0
    on_the_way: int = 0  # not yet safe in every archive they are meant for
    held: int = 0
    parked: int = 0
    damaged: int = 0
    oldest_hours: float = 0.0  # of what waits, where it has waited beyond an archive's alarm
    is_full: bool = False
    archives: int = 0
    readable: bool = True


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Tray:
    """`tell` hears the figures each time they were looked at."""

    def __init__(self, config: Config, tell: Callable[[Figures], None], wall: Callable[[], datetime] = _now) -> None:
        self._config = config
        self._tell = tell
        self._wall = wall
        self._outbox: Outbox | None = None
        self._rules: Mapping[str, Rules] = {}

    def run(self, stop: threading.Event) -> None:
        thread_yields(NICE)
        while not stop.is_set():
            self._tell(self.look())
            stop.wait(EVERY_S)

    def look(self) -> Figures:
        try:
            outbox = self._open()
            if outbox is None:
                return Figures(archives=len(self._rules))
            return self._count(outbox)
        except (OSError, LimpidError):
            return Figures(readable=False, archives=len(self._rules))

    def _open(self) -> Outbox | None:
        """None: there is none yet, as nothing was ever stored. Loaded here, after the first picture."""
        from edge.outbox import Outbox, Settings
        from edge.routing import parse_route

        if self._outbox is None:
            settings = parse_section(
                {k: v for k, v in self._config.outbox.items() if "key" not in k}, Settings, "outbox"
            )
            self._rules = {name: parse_route(name, table).rules for name, table in self._config.destination.items()}
            if not settings.place.exists():
                return None
            self._outbox = Outbox(settings.place, settings, clock=MonotonicClock(), who="panel")
        os.scandir(self._outbox.folder).close()  # PermissionError: not ours to see
        return self._outbox

    def _count(self, outbox: Outbox) -> Figures:
        from edge.routing import wants

        captures = outbox.captures()
        counts: Counter[str] = Counter(damaged=len(outbox.broken()))
        oldest = 0.0
        for capture in captures:
            states: set[Any] = set()
            for name, rules in self._rules.items():
                meant = [one for one in capture.objects if wants(rules, one.role, one.modality, capture.priority)]
                own = {capture.state(one, name) for one in meant}
                states |= own
                waited = _age_hours(capture.id, self._wall())
                if "waiting" in own and waited > rules.alarm_hours:
                    oldest = max(oldest, waited)
            counts["on_the_way"] += any(state in ON_THE_WAY for state in states)
            counts["held"] += capture.held
            counts["parked"] += "parked" in states
            counts["damaged"] += bool(capture.damaged)
        return Figures(
            here=len(captures), on_the_way=counts["on_the_way"], held=counts["held"], parked=counts["parked"],
            damaged=counts["damaged"], oldest_hours=oldest, is_full=_is_full(outbox), archives=len(self._rules),
        )  # fmt: skip


def _is_full(outbox: Outbox) -> bool:
    with contextlib.suppress(OSError):
        try:
            outbox.check_room()
        except CaptureRefused:
            return True
    return False


def _age_hours(capture: str, now: datetime) -> float:
    made = datetime.strptime(capture[:15], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    return (now - made).total_seconds() / 3600
