"""What comes to main from the other threads. Plain facts, all frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge.panel.tray import Figures
from edge.panel.watch import Seen


@dataclass(frozen=True, slots=True)
class Reply:
    """What the daemon said to something that was asked."""

    do: str
    facts: dict[str, Any] | None  # None: refused, or not answered
    error: str = ""
    answered: bool = True


@dataclass(frozen=True, slots=True)
class News:
    """All that came since the last look. The notice is newer than the picture."""

    picture: Seen | None = None
    notice: Seen | None = None
    replies: tuple[Reply, ...] = ()
    status: dict[str, Any] | None = None
    tray: Figures | None = None

    @property
    def anything(self) -> bool:
        return bool(self.replies) or any(one is not None for one in (self.picture, self.notice, self.status, self.tray))
