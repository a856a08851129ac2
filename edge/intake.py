"""Source -> the newest frame of each stream. Runs on the live thread: between two frames it reads what has come.

Here it is decided whether a frame may join its stream at all: one sender a stream, the sequence only ever rising.
Every message is counted as it comes, so that nothing can be lost without a number.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace

from edge.clock import SECOND, Clock
from edge.errors import BadFrame, SourceUnavailable
from edge.frame import Frame
from edge.health import Events, Tally
from edge.sources import Source

TAKEOVER = SECOND // 2  # a silent sender's stream may be taken over by another after this,
TAKEOVER_PAUSES = 2  # or after so many of its own pauses: between two frames of a slow sender another is no heir
LONGEST_PAUSE = 2 * SECOND  # a sender that has once been away for longer has no claim to be away so long again
FORGOTTEN = 10 * SECOND  # a silent stream's place may be given to another after this
MOST_AT_ONCE = 64  # messages read before a frame is treated: a flood may not keep the live thread reading for ever


@dataclass(slots=True)
class _Sender:
    session: int
    seq: int
    heard_ns: int
    pause_ns: int = 0  # between its last two frames, or before its first

    def hear(self, frame: Frame) -> None:
        self.pause_ns = min(frame.received_ns - self.heard_ns, LONGEST_PAUSE)
        self.session, self.seq, self.heard_ns = frame.session, frame.seq, frame.received_ns

    def has_left(self, now_ns: int) -> bool:
        return now_ns - self.heard_ns >= max(TAKEOVER, TAKEOVER_PAUSES * self.pause_ns)


class Intake:
    """Everything here is written by the live thread; control reads the tallies."""

    def __init__(self, source: Source, clock: Clock, events: Events, max_streams: int) -> None:
        self._source = source
        self._clock = clock
        self._events = events
        self._max_streams = max_streams
        self._senders: dict[str, _Sender] = {}
        self._waiting: OrderedDict[str, Frame] = OrderedDict()  # one a stream, the longest-waiting stream first
        self._cut: set[str] = set()  # streams whose next frame has no past
        self._idle = threading.Event()  # never set: something to wait on while a source is away
        self.tallies: dict[str, Tally] = {}
        self.past = Tally()  # the sums of streams that are gone
        self.refused: Counter[str] = Counter()  # messages that belong to no stream, by reason

    def tally(self, stream: str) -> Tally:
        tally = self.tallies.get(stream)
        if tally is None:
            tally = self.tallies[stream] = Tally()
        return tally

    @property
    def ended(self) -> bool:
        return self._source.ended and not self._waiting

    def take(self, timeout_s: float) -> Frame | None:
        """The newest frame of the stream that has waited longest, or None when nothing came in time."""
        if not self._waiting:
            self._receive(timeout_s)
        for _ in range(MOST_AT_ONCE):
            if not self._receive(0.0):
                break
        return self._waiting.popitem(last=False)[1] if self._waiting else None

    def _receive(self, timeout_s: float) -> bool:
        """Read one message, whatever it is. False when there is none."""
        try:
            frame = self._source.next(timeout_s)
        except BadFrame as error:
            self.refused[error.reason] += 1
            self._events.emit("frame.refused", reason=error.reason, detail=error.detail)
            return True
        except SourceUnavailable as error:
            self._events.emit("source.unavailable", reason=str(error))
            self._idle.wait(timeout_s)
            return False
        if frame is None:
            return False
        self.admit(frame)
        return True

    def admit(self, frame: Frame) -> None:
        reason = self._objection(frame)
        if reason == "too-many-streams":
            self.refused[reason] += 1
            self._events.emit("stream.refused", stream=frame.stream, reason=reason)
            return
        tally = self.tally(frame.stream)
        tally.came += 1
        if reason is not None:
            tally.dropped[reason] += 1
            self._events.emit("frame.dropped", stream=frame.stream, reason=reason, seq=frame.seq)
            return
        waiting = self._waiting.get(frame.stream)
        if waiting is not None:
            tally.dropped["superseded"] += 1
            if waiting.cut:
                self._cut.add(frame.stream)  # a scene that began with a frame nobody saw has begun all the same
        if frame.stream in self._cut:
            self._cut.remove(frame.stream)
            frame = replace(frame, cut=True)
        # A stream keeps its turn: a newer frame must not send it to the back of the queue.
        self._waiting[frame.stream] = frame

    def _objection(self, frame: Frame) -> str | None:
        """Why this frame may not join its stream, or None."""
        sender = self._senders.get(frame.stream)
        if sender is None:
            return self._first_of_stream(frame)
        if frame.session != sender.session:
            return self._newcomer(frame, sender)
        if frame.seq <= sender.seq:
            return self._begun_again(frame, sender)
        if frame.seq > sender.seq + 1:
            self.tally(frame.stream).lost_on_the_way += frame.seq - sender.seq - 1
        sender.hear(frame)
        return None

    def _first_of_stream(self, frame: Frame) -> str | None:
        if not self._room(self._clock.now()):
            return "too-many-streams"
        self._senders[frame.stream] = _Sender(frame.session, frame.seq, frame.received_ns)
        self._events.emit("stream.opened", stream=frame.stream, width=frame.width, height=frame.height)
        return None

    def _newcomer(self, frame: Frame, sender: _Sender) -> str | None:
        # Two senders in one stream would mix two patients in one picture: the first keeps it while it speaks.
        return self._begin(frame, sender) if sender.has_left(frame.received_ns) else "other-sender"

    def _begun_again(self, frame: Frame, sender: _Sender) -> str | None:
        # A sender that counts from the start again without a new session number must not be shut out for ever.
        return self._begin(frame, sender) if sender.has_left(frame.received_ns) else "backwards"

    def _begin(self, frame: Frame, sender: _Sender) -> None:
        sender.hear(frame)
        self._cut.add(frame.stream)  # what came before is not its past, even where the session says so
        self._events.emit("stream.new-session", stream=frame.stream)

    def _room(self, now: int) -> bool:
        if len(self._senders) < self._max_streams:
            return True
        for name, sender in self._senders.items():
            if now - sender.heard_ns > FORGOTTEN:
                del self._senders[name]
                self.past.add(self.tallies.pop(name, Tally()))
                return True
        return False
