"""How large and how good a client's pictures may be, from how long they are on their way to it. Pure.

A client acknowledges each message. At most two are on their way, so what it sees is never older than these two; and
the time an acknowledgement takes says how fast its line is.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.clock import MS, SECOND

LONG = 100 * MS  # on its way for longer: smaller pictures
SHORT = 40 * MS  # the next larger step would still be in time
VERY_LONG = 300 * MS
MOST_ON_THE_WAY = 2
CALM = SECOND  # that long between two steps up
_OLD, _NEW = 0.7, 0.3  # weights of the smoothed drain time


@dataclass(frozen=True, slots=True)
class Step:
    """A size and a JPEG quality."""

    scale: float
    quality: int


STEPS = (
    Step(1.0, 88), Step(1.0, 72), Step(0.75, 68), Step(0.5, 72), Step(0.5, 52), Step(0.35, 52), Step(0.25, 45)
)  # fmt: skip
FIRST = 2  # cautious: a slow line shows at once what it can carry


class Pacing:
    """One client's. Owned by the event loop."""

    def __init__(self, now: int) -> None:
        self.step = FIRST
        self.drain_ns = 0  # smoothed
        self.sent = 0  # the number of the last message
        self._on_the_way: dict[int, tuple[int, int]] = {}  # number -> when sent, at which step
        self._changed_ns = now

    @property
    def may_send(self) -> bool:
        crowded = self.step == len(STEPS) - 1 and self.drain_ns > VERY_LONG
        return len(self._on_the_way) < (1 if crowded else MOST_ON_THE_WAY)

    def send(self, now: int) -> int:
        """The number of the message that goes out now."""
        self.sent += 1
        self._on_the_way[self.sent] = (now, self.step)
        return self.sent

    def got(self, number: int, now: int) -> None:
        """An acknowledgement; one of a message that is not on its way means nothing."""
        if number not in self._on_the_way:
            return
        sent_ns, step = self._on_the_way[number]
        for earlier in [n for n in self._on_the_way if n <= number]:
            del self._on_the_way[earlier]  # messages arrive in order
        drain = now - sent_ns
        self.drain_ns = round(_OLD * self.drain_ns + _NEW * drain) if self.drain_ns else drain
        if step == self.step:  # what was sent before the last change says nothing about this step
            self._judge(drain, now)

    def _judge(self, drain: int, now: int) -> None:
        if drain > LONG and self.step < len(STEPS) - 1:
            self._move(min(len(STEPS) - 1, self.step + (2 if drain > VERY_LONG else 1)), now)
        elif self.drain_ns < SHORT and self.step > 0 and now - self._changed_ns > CALM:
            self._move(self.step - 1, now)

    def _move(self, step: int, now: int) -> None:
        self.step = step
        self._changed_ns = now
