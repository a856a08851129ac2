"""Word of how far a long part has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Tell = Callable[[str], None]
T = TypeVar("T")
_EVERY_S = 15.0


def quiet(_words: str) -> None:
    """For who asks for a part alone."""


def told(items: Iterable[T], total: int, tell: Tell, now: Callable[[], float] = time.monotonic) -> Iterator[T]:
    """The items as they come; every so often it is told how many of them are done."""
    last = now()
    for done, item in enumerate(items):
        if (moment := now()) - last >= _EVERY_S:
            last = moment
            tell(f"{done} of {total}")
        yield item
