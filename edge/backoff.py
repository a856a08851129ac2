"""How long to wait after a failure. Pure: the same failures and the same chance give the same wait."""

from __future__ import annotations

from edge.clock import SECOND

FIRST = 2 * SECOND
LONGEST = 300 * SECOND


def wait_ns(failures: int, chance: float, first: int = FIRST, longest: int = LONGEST) -> int:
    """Twice as long after every failure in a row, up to `longest`, for ever.

    `chance`, from 0 to 1, spreads the wait over its upper half: devices that lost the same archive at the same moment
    do not all come back in the same moment.
    """
    if failures <= 0:
        return 0
    doublings = min(failures - 1, 40)  # far past any sensible `longest`, and far from a number without end
    return int(min(first << doublings, longest) * (0.5 + 0.5 * chance))
