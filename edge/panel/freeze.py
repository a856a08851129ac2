"""A frozen picture and the seconds before it. Pure; used by main alone.

Pressed here, the picture stands at once, and the daemon is asked to freeze as well: what a still then stores is what
stands on the glass. The few pictures that leave the daemon before it has heard are appended; its notice FROZEN
confirms. A picture that comes after that notice means that somebody let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.clock import SECOND
from edge.panel.watch import Seen

TO_CONFIRM = SECOND  # the daemon answers in milliseconds, or not at all
TO_THAW = SECOND // 2


@dataclass(slots=True)
class Frozen:
    pictures: list[Seen]
    asked_ns: int
    confirmed: bool = False
    alone: bool = False  # the daemon did not confirm in time
    at: int = field(default=-1)  # which picture is looked at
    thawing_ns: int | None = None  # when it was asked to let go

    def __post_init__(self) -> None:
        self.at = len(self.pictures) - 1

    @classmethod
    def of(cls, pictures: Sequence[Seen], newest: Seen, now_ns: int) -> Frozen:
        """`newest` is what stands on the glass: it is the last, whatever the cine has heard meanwhile."""
        before = [seen for seen in pictures if seen.layout == newest.layout and seen.captured_ns < newest.captured_ns]
        return cls([*before, newest], now_ns)

    def confirm(self, seq: int, heard: Sequence[Seen]) -> None:
        """The daemon stands at this picture. Where it never came here, the glass shows another, and nothing is sure."""
        last = self.pictures[-1]
        later = [one for one in heard if one.layout == last.layout and last.report.seq < one.report.seq <= seq]
        for seen in later:
            self.append(seen)
        if self.pictures[-1].report.seq == seq:
            self.confirmed, self.alone = True, False

    @property
    def seen(self) -> Seen:
        return self.pictures[self.at]

    @property
    def is_at_end(self) -> bool:
        return self.at == len(self.pictures) - 1

    @property
    def back_ns(self) -> int:
        """How far before the end."""
        return self.pictures[-1].captured_ns - self.seen.captured_ns

    @property
    def part(self) -> float:
        """Where it stands between the first and the last picture."""
        return self.at / max(len(self.pictures) - 1, 1)

    def step(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), len(self.pictures) - 1)

    def scroll(self, part: float) -> None:
        self.at = round(part * (len(self.pictures) - 1))

    def append(self, seen: Seen) -> None:
        """One that left before the daemon had heard."""
        stays = not self.is_at_end
        self.pictures.append(seen)
        if not stays:
            self.at = len(self.pictures) - 1

    def due_ns(self) -> int | None:
        if self.thawing_ns is not None:
            return self.thawing_ns + TO_THAW
        return None if self.confirmed or self.alone else self.asked_ns + TO_CONFIRM
