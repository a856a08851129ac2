"""The worklist as it was told last: for when the radiology system is away. Written and read by whoever asks for it.

It holds the names of a day, so it lies where the exams do: for the owner alone, sealed where the outbox is.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime

import msgspec

from edge.errors import ConfigError, OutboxFault
from edge.exam_book import Vault
from edge.scheduled import Item

FILE = "worklist.json"


class _Page(msgspec.Struct, frozen=True):
    asked: str  # ISO 8601, with its offset
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Last:
    """What the worklist said, and how long ago by the wall clock: below zero where that was set back since."""

    items: tuple[Item, ...]
    asked: str
    age_s: float


class DayList:
    def __init__(self, vault: Vault, keep_hours: float) -> None:
        self._vault = vault
        self._keep_s = keep_hours * 3600

    def keep(self, items: tuple[Item, ...], now: datetime) -> None:
        """The answer of now is good without it: a disk that refuses costs only the next bad day."""
        if self._keep_s:
            page = _Page(now.isoformat(timespec="seconds"), items)
            with contextlib.suppress(OSError):
                self._vault.write(FILE, msgspec.json.encode(page))

    def last(self, now: datetime) -> Last | None:
        """None where there is none that can be read, or it is too old, or nobody can tell how old it is."""
        try:
            page = msgspec.json.decode(self._vault.read(FILE), type=_Page)
            age_s = (now - datetime.fromisoformat(page.asked)).total_seconds()
        except (OSError, OutboxFault, ConfigError, msgspec.MsgspecError, ValueError, TypeError):
            return None
        if abs(age_s) > self._keep_s:
            self._forget()
            return None
        return Last(page.items, page.asked, age_s)

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            self._vault.remove(FILE)


def matching(items: tuple[Item, ...], accession: str, patient_id: str) -> tuple[Item, ...]:
    """As the worklist itself would have answered the question."""
    return tuple(
        item for item in items if accession in ("", item.order.accession) and patient_id in ("", item.patient.id)
    )
