"""The daily figures on the disk: one file a day under the state folder, the last 366 of them.

The lookout of the live process writes today's, once a minute and at its end; commands, console and support bundle read.
A day that was begun before a restart goes on. Nothing here is of a patient.
"""

from __future__ import annotations

import contextlib
import re
from datetime import date
from pathlib import Path

import msgspec

from edge import durable
from edge.quality import FORMAT, Day

KEPT_DAYS = 366
LARGEST = 1 << 20
_NAME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


class Book:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def day(self, on: date) -> Day:
        """As it was last written; a new one where there is none, or it cannot be read."""
        return self._read(on.isoformat()) or Day(on.isoformat())

    def write(self, day: Day) -> None:
        """Durable when it returns. Raises OSError where the disk does."""
        durable.make_folder(self._folder)
        durable.write_durably(self._folder / f"{day.date}.json", msgspec.json.encode(day))
        self._forget()

    def days(self) -> list[Day]:
        """The oldest first."""
        found = [self._read(name) for name in self._names()]
        return [day for day in found if day is not None][-KEPT_DAYS:]

    def _names(self) -> list[str]:
        with contextlib.suppress(OSError):
            return sorted(path.stem for path in self._folder.glob("*.json") if _NAME.match(path.stem))
        return []

    def _read(self, name: str) -> Day | None:
        try:
            with (self._folder / f"{name}.json").open("rb") as file:
                day = msgspec.json.decode(file.read(LARGEST), type=Day)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return day if day.format == FORMAT and day.date == name else None

    def _forget(self) -> None:
        """By their number, not by the date: a clock that is wrong for an hour must not cost a year."""
        for name in self._names()[:-KEPT_DAYS]:
            (self._folder / f"{name}.json").unlink(missing_ok=True)
