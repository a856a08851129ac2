"""Source -> the newest frame of each stream. Runs on one receive thread a source.

Here it is decided whether a frame may join its stream at all: one sender a stream, the sequence only ever rising.
Every message is counted as it comes, so that nothing can be lost without a number.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from edge.clock import SECOND, Clock
from edge.errors import BadFrame, SourceUnavailable
from edge.frame import Frame
from edge.health import Events, Tally
from edge.slot import Latest
from edge.sources import Source

TAKEOVER = SECOND // 2  # a silent sender's stream may be taken over by another after this
FORGOTTEN = 10 * SECOND  # a silent stream's place may be given to another after this
PATIENCE_S = 0.1


@dataclass(slots=True)
class _Sender:
    session: int
    seq: int
    heard_ns: int


class Intake:
    def __init__(self, source: Source, clock: Clock, events: Events, max_streams: int) -> None:
        self._source = source
        self._clock = clock
        self._events = events
        self._max_streams = max_streams
        self._senders: dict[str, _Sender] = {}
        self.inbox: Latest[Frame] = Latest(self._superseded)  # put by receive, taken by live
        self.tallies: dict[str, Tally] = {}  # grown by receive; each tally names its writers
        self.refused: Counter[str] = Counter()  # messages that belong to no stream, by reason

    def tally(self, stream: str) -> Tally:
        return self.tallies.setdefault(stream, Tally())

    def run(self, stop: threading.Event) -> None:
        """The receive thread, until the source ends or the process stops."""
        while not stop.is_set() and not self._source.ended:
            self.receive(stop)
        if not stop.is_set():
            self._events.emit("source.ended")

    def receive(self, stop: threading.Event) -> None:
        try:
            frame = self._source.next(PATIENCE_S)
        except BadFrame as error:
            self.refused[error.reason] += 1
            self._events.emit("frame.refused", reason=error.reason, detail=error.detail)
            return
        except SourceUnavailable as error:
            self._events.emit("source.unavailable", reason=str(error))
            stop.wait(PATIENCE_S)
            return
        if frame is not None:
            self.admit(frame)

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
        self.inbox.put(frame.stream, frame)

    def _objection(self, frame: Frame) -> str | None:
        """Why this frame may not join its stream, or None."""
        now = self._clock.now()
        sender = self._senders.get(frame.stream)
        if sender is None:
            if not self._room(now):
                return "too-many-streams"
            self._senders[frame.stream] = _Sender(frame.session, frame.seq, now)
            self._events.emit("stream.opened", stream=frame.stream, width=frame.width, height=frame.height)
            return None
        if frame.session != sender.session:
            return self._newcomer(frame, sender, now)
        sender.heard_ns = now
        if frame.seq <= sender.seq:
            return "backwards"
        self.tally(frame.stream).lost_on_the_way += frame.seq - sender.seq - 1
        sender.seq = frame.seq
        return None

    def _newcomer(self, frame: Frame, sender: _Sender, now: int) -> str | None:
        # Two senders in one stream would mix two patients in one picture: the first keeps it while it speaks.
        if now - sender.heard_ns < TAKEOVER:
            return "other-sender"
        self._senders[frame.stream] = _Sender(frame.session, frame.seq, now)
        self._events.emit("stream.new-session", stream=frame.stream)
        return None

    def _room(self, now: int) -> bool:
        if len(self._senders) < self._max_streams:
            return True
        for name, sender in self._senders.items():
            if now - sender.heard_ns > FORGOTTEN:
                del self._senders[name]
                return True
        return False

    def _superseded(self, frame: Frame) -> None:
        self.tally(frame.stream).dropped["superseded"] += 1
