"""What is told for a while at the foot of the picture. Pure; used by main alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.clock import SECOND

MOST = 2
BRIEF, LONG = 3 * SECOND, 15 * SECOND
PENDING = 120 * SECOND  # until its answer comes


class Mood(Enum):
    """How a plate looks: what it says is always in its words as well."""

    PLAIN = "plain"
    GOOD = "good"
    CAUTION = "caution"
    ALARM = "alarm"
    COLD = "cold"


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    mood: Mood
    until_ns: int
    about: str = ""  # of several about one thing the last one counts


class Notes:
    def __init__(self) -> None:
        self._notes: list[Note] = []

    def say(self, text: str, mood: Mood, now_ns: int, *, about: str = "", lasting_ns: int | None = None) -> None:
        lasting_ns = lasting_ns or (LONG if mood is Mood.ALARM else BRIEF)
        others = [note for note in self._notes if not (about and note.about == about)]
        self._notes = [*others, Note(text, mood, now_ns + lasting_ns, about)]
        while len(self._notes) > MOST:
            # What was refused stays longest: first goes what says least.
            self._notes.remove(min(self._notes[:-1], key=lambda note: note.mood is Mood.ALARM))

    def now(self, now_ns: int) -> tuple[Note, ...]:
        self._notes = [note for note in self._notes if note.until_ns > now_ns]
        return tuple(self._notes)

    def due_ns(self) -> int | None:
        return min((note.until_ns for note in self._notes), default=None)

    def dismiss(self) -> None:
        """But for what is still waiting for its answer."""
        self._notes = [note for note in self._notes if note.mood is Mood.PLAIN and note.about]
