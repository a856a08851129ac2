"""Which screen, and how. Plain facts, known without SDL."""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = (800, 480)  # where nothing else is said


@dataclass(frozen=True, slots=True)
class Screen:
    fullscreen: bool = True
    index: int = 0
    size: tuple[int, int] = (0, 0)  # zeros: the screen's own
    vsync: bool = True
    driver: str = ""  # as SDL names them; empty: what it finds
