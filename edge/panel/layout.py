"""Where things are on a screen of any size: the picture, the buttons, the letters. Pure.

A button is a gloved finger wide: 80 x 68 pixels on 7 inches of 800 x 480, which are 15 x 13 mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from edge.frame import Box

COLUMNS = 2
ROWS = 7
LEAST_CELL, LARGEST_CELL = 72, 120
USUAL_ASPECT = 4 / 3
SMALLEST_SCREEN = (480, 320)


@dataclass(frozen=True)
class Layout:
    width: int
    height: int
    buttons: bool = True

    @property
    def is_portrait(self) -> bool:
        return self.height > self.width

    @cached_property
    def area(self) -> Box:
        """What is left for the picture."""
        if not self.buttons:
            return Box(0, 0, self.width, self.height)
        if self.is_portrait:
            return Box(0, 0, self.width, self.height - COLUMNS * self._cell[1])
        return Box(0, 0, self.width - COLUMNS * self._cell[0], self.height)

    @cached_property
    def _cell(self) -> tuple[int, int]:
        if self.is_portrait:
            return self.width // ROWS, min(max(self.width // ROWS, LEAST_CELL), LARGEST_CELL)
        spare = int(self.width - self.height * USUAL_ASPECT) // COLUMNS
        wide = min(max(spare, LEAST_CELL), LARGEST_CELL)
        return wide, min(self.height // ROWS, LARGEST_CELL)

    @cached_property
    def slots(self) -> tuple[Box, ...]:
        """Fourteen places for buttons, two by two."""
        if not self.buttons:
            return ()
        wide, high = self._cell
        if self.is_portrait:
            top = self.height - COLUMNS * high
            return tuple(
                Box(row * wide, top + column * high, wide, high) for row in range(ROWS) for column in range(COLUMNS)
            )
        left = self.width - COLUMNS * wide
        return tuple(
            Box(left + column * wide, row * high, wide, high) for row in range(ROWS) for column in range(COLUMNS)
        )

    @cached_property
    def letters(self) -> int:
        """Height of the letters on the picture, in pixels."""
        return min(max(min(self.width // 40, self.height // 24), 15), 34)

    @cached_property
    def button_letters(self) -> int:
        return min(max(self._cell[0] // 5, 13), 22)

    @property
    def large_letters(self) -> int:
        return int(self.letters * 2.4)

    @property
    def gap(self) -> int:
        return max(4, self.letters // 4)

    @cached_property
    def scroll_bar(self) -> Box:
        """Along the bottom of the picture, for a finger, while frozen."""
        high = max(44, 2 * self.letters)
        return Box(self.area.x, self.area.y + self.area.height - high, self.area.width, high)

    @property
    def reach(self) -> int:
        """How near to the divider a finger has to be to take hold of it."""
        return max(36, self.width // 20)
