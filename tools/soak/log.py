"""What the appliance said while it ran: the events that all its processes write into one file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEPT = ("heat.changed", "heat.known", "heat.not-known", "process.ended", "watchdog.restart", "treatment.changed")
MOST_KEPT = 2000


@dataclass(slots=True)
class Log:
    """Read on from where it was left; a line that is still being written waits."""

    path: Path
    began_ns: int  # the monotonic clock when the soak began: events carry the same clock
    counts: Counter[str] = field(default_factory=Counter)
    kept: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    unread: Counter[str] = field(default_factory=Counter)  # lines that are no events, by how they begin
    _at: int = 0

    def read(self) -> None:
        try:
            with self.path.open("rb") as file:
                file.seek(self._at)
                text = file.read()
        except OSError:
            return
        whole = text.rfind(b"\n") + 1
        self._at += whole
        for line in text[:whole].splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            name = str(event["event"])
        except (ValueError, KeyError, TypeError):
            if len(self.unread) < 50:
                self.unread[line[:80].decode(errors="replace")] += 1
            return
        self.counts[name] += 1
        if name in KEPT and len(self.kept) < MOST_KEPT:
            at_s = round((int(event.pop("t_ns", self.began_ns)) - self.began_ns) / 1e9, 1)
            self.kept.append({"at_s": at_s, **event})

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.kept if event["event"] == name]
