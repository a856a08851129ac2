"""The panel's ends of the daemon's sockets, each on a thread of its own, so that drawing waits for none of them.

Pictures: newest wins. A drawing that takes long, or a process that was stopped, costs pictures, never time: what has
come meanwhile is drained, remembered for scrolling back, and only the newest is drawn. The daemon's publisher drops
for a subscriber that does not read; it waits for nobody.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import zmq

from edge.access.curve import ClientKey
from edge.client import Control, Viewer
from edge.clock import Clock
from edge.errors import BadFrame, LimpidError, SourceUnavailable
from edge.panel.cine import Cine, slim
from edge.panel.news import News, Reply
from edge.panel.tray import Figures
from edge.panel.watch import Dater, Seen
from edge.wire import Topic

HWM = 2
POLL_S = 0.1
QUIET_LOOKS = 30  # then a connection with a key is made anew: one that was refused or altered never is by itself
STATUS_EVERY_S = 1.0
CAPTURE_PATIENCE_S = 60.0  # a slow disk; the daemon itself says no long before
WISH_PATIENCE_S = 2.0
MOST_ERRANDS = 8
HERE = ("127.0.0.1", "localhost", "::1")


def is_local(address: str) -> bool:
    """Is the daemon's clock ours?"""
    return not address.startswith("tcp://") or urlsplit(address).hostname in HERE


@dataclass(slots=True)
class Tally:
    """What came. Written by the pictures thread."""

    pictures: int = 0
    notices: int = 0
    superseded: int = 0  # a newer one came before they were drawn
    unreadable: int = 0
    missing: int = 0  # frames the daemon itself did not show


@dataclass(slots=True)
class Inbox:
    """Between the threads and main. Bounded: of pictures, notices and figures only the newest is kept."""

    tally: Tally = field(default_factory=Tally)
    _ready: threading.Condition = field(default_factory=threading.Condition)
    _picture: Seen | None = None
    _notice: Seen | None = None
    _status: dict[str, Any] | None = None
    _tray: Figures | None = None
    _replies: list[Reply] = field(default_factory=list[Reply])

    def put(self, seen: Seen) -> None:
        with self._ready:
            if seen.report.pixels is None:
                self.tally.notices += 1
                self._notice = seen
            else:
                self.tally.pictures += 1
                self.tally.missing += seen.report.missing_before
                self.tally.superseded += self._picture is not None
                self._picture, self._notice = seen, None
            self._ready.notify()

    def put_status(self, status: dict[str, Any]) -> None:
        with self._ready:
            self._status = status
            self._ready.notify()

    def put_tray(self, figures: Figures) -> None:
        with self._ready:
            self._tray = figures
            self._ready.notify()

    def put_reply(self, reply: Reply) -> None:
        with self._ready:
            self._replies.append(reply)
            self._ready.notify()

    def wait(self, timeout_s: float) -> None:
        with self._ready:
            if not self._news().anything:
                self._ready.wait(timeout_s)

    def _news(self) -> News:
        return News(self._picture, self._notice, tuple(self._replies), self._status, self._tray)

    def take(self) -> News:
        with self._ready:
            news = self._news()
            self._picture = self._notice = self._status = self._tray = None
            self._replies = []
        return news


class Pictures:
    """Subscribes: to one stream, or to all until the first is heard."""

    def __init__(
        self,
        address: str,
        stream: str,
        inbox: Inbox,
        cine: Cine,
        clock: Clock,
        key: ClientKey | None = None,
    ) -> None:
        self._address = address
        self._key = key
        self._inbox = inbox
        self._cine = cine
        self._clock = clock
        self._wanted = stream  # written by main (`follow`)
        self._heard = ""
        self._dater = Dater(local=is_local(address))

    def follow(self, stream: str) -> None:
        self._wanted = stream

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._listen(self._wanted, stop)

    def _listen(self, stream: str, stop: threading.Event) -> None:
        """Until another stream is wanted."""
        viewer = Viewer(self._address, stream, Topic.PAIR, HWM, self._key)
        self._dater = Dater(local=is_local(self._address))
        try:
            quiet = 0  # looks in vain
            while not stop.is_set() and self._wanted == stream and not (self._key and quiet > QUIET_LOOKS):
                quiet = 0 if self._hear(viewer, POLL_S) else quiet + 1
        finally:
            viewer.close()

    def _hear(self, viewer: Viewer, timeout_s: float) -> bool:
        """Whether anything came."""
        try:
            report = viewer.next(timeout_s)
        except BadFrame:
            self._inbox.tally.unreadable += 1
            return True
        if report is None:
            return False
        if not self._wanted:
            self._wanted = report.stream  # the first heard, and from now on no other
        if report.stream != self._wanted:
            return True
        seen = self._dater.date(slim(report), self._clock.now())
        if report.pixels is not None:
            self._cine.add(seen)
        self._inbox.put(seen)
        return True


class Errands:
    """Questions to the control socket, one after the other; the answers go into the inbox."""

    def __init__(self, address: str, patience_s: float, inbox: Inbox, key: ClientKey | None = None) -> None:
        self._control = Control(address, patience_s, key)
        self._inbox = inbox
        self._errands: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue(MOST_ERRANDS)

    def ask(self, do: str, more: dict[str, Any]) -> None:
        """By main; never waits."""
        try:
            self._errands.put_nowait((do, more))
        except queue.Full:
            self._inbox.put_reply(Reply(do, None, "too much is waiting for an answer already"))

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                do, more = self._errands.get(timeout=POLL_S)
            except queue.Empty:
                continue
            self._inbox.put_reply(_reply(lambda do=do, more=more: self._control.ask(do, **more), do))


def _reply(question: Callable[[], dict[str, Any]], do: str) -> Reply:
    try:
        return Reply(do, question())
    except SourceUnavailable as error:
        return Reply(do, None, str(error), answered=False)
    except LimpidError as error:
        return Reply(do, None, str(error))
    except (ValueError, KeyError, zmq.ZMQError) as error:  # an answer that is none
        return Reply(do, None, type(error).__name__, answered=False)


class Status:
    """Asks once a second how the appliance is. No answer is no news: the watch knows by the pictures."""

    def __init__(self, address: str, inbox: Inbox, key: ClientKey | None = None) -> None:
        self._control = Control(address, STATUS_EVERY_S, key)
        self._inbox = inbox

    def run(self, stop: threading.Event) -> None:
        while not stop.wait(STATUS_EVERY_S):
            reply = _reply(lambda: self._control.ask("status"), "status")
            if reply.facts is not None:
                self._inbox.put_status(reply.facts)
