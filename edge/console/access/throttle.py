"""A brake on guessing passwords. Pure: the time is handed in.

Wrong tries are counted by address and name together (a growing pause, up to 15 minutes), by address (a thief tries many
names) and by name (many thieves try one). A name that is tried from everywhere is slowed, never locked: the clinician
whose name it is must still get in.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from edge.clock import SECOND

MOST_KEYS = 4096
FORGOTTEN = 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Brake:
    free: int  # wrong tries that cost nothing
    first: int  # the pause after one more
    longest: int

    def pause(self, wrong: int) -> int:
        over = wrong - self.free
        return 0 if over <= 0 else min(self.longest, self.first << min(over - 1, 20))


PAIR = Brake(5, SECOND, 900 * SECOND)
ADDRESS = Brake(20, SECOND, 300 * SECOND)
NAME = Brake(10, SECOND, 2 * SECOND)


@dataclass(slots=True)
class _Count:
    wrong: int = 0
    last_ns: int = 0
    earlier_ns: int = 0  # the last but one


class Throttle:
    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def wait(self, address: str, name: str, now: int) -> int:
        """Nanoseconds until another try is listened to; 0: now."""
        return max(self._left(key, brake, now) for key, brake in _keys(address, name))

    def _left(self, key: tuple[str, str], brake: Brake, now: int) -> int:
        count = self._counts.get(key)
        if count is None or now - count.last_ns > FORGOTTEN:
            return 0
        return max(0, count.last_ns + brake.pause(count.wrong) - now)

    def wrong(self, address: str, name: str, now: int) -> None:
        for key, _ in _keys(address, name):
            count = self._counts.pop(key, None)
            if count is None or now - count.last_ns > FORGOTTEN:
                count = _Count()
            count.wrong += 1
            count.earlier_ns, count.last_ns = count.last_ns, now
            self._counts[key] = count
        while len(self._counts) > MOST_KEYS:
            self._counts.popitem(last=False)

    def refused(self, address: str, name: str, now: int) -> None:
        """The pause begins with the answer: on a busy machine, checking a password may take longer than a pause."""
        for key, _ in _keys(address, name):
            count = self._counts.get(key)
            if count is not None:
                count.last_ns = now

    def right(self, address: str, name: str) -> None:
        """What was mistyped is forgotten, by the address too; what the address has done to other names is not."""
        tries = self._counts.pop((address, name), _Count()).wrong
        self._counts.pop(("", name), None)
        count = self._counts.get((address, ""))
        if count is None:
            return
        # Each try is counted before it is known to be right: many people at one workstation must not lock it.
        count.wrong -= tries
        count.last_ns = count.earlier_ns
        if count.wrong <= 0:
            del self._counts[address, ""]


def _keys(address: str, name: str) -> tuple[tuple[tuple[str, str], Brake], ...]:
    return ((address, name), PAIR), ((address, ""), ADDRESS), (("", name), NAME)
