"""Tells the audit repository, and seals the logs. Both on one thread of the forward process, which owns the network.

The logs themselves are the queue: nothing is copied, so nothing can be dropped. How far the repository was told is one
small file, `told.json`. Syslog gives no answers, so a line counts as told when the other machine has acknowledged every
byte and the connection was still there some seconds later, or when it was closed in good order. Whatever is less sure
is sent again, byte for byte the same: host, log and sequenceId show that it is.
"""

from __future__ import annotations

import contextlib
import random
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge import durable
from edge.audit import Audit, Follower, Mark, dicom
from edge.audit.chain import Line as Logged
from edge.backoff import wait_ns
from edge.clock import SECOND, Clock
from edge.config import AuditTrail
from edge.errors import SinkUnavailable
from edge.forwarder import Emits
from edge.signing import Signer
from edge.syslog import Header, Line, Untrusted, open_line, record

TOLD = "told.json"
AHEAD = 16  # lines of one log that are read before they can be sent
LOOK_EVERY_S = 0.5
GOODBYE_S = 2.0
HOUR_NS = 3600 * SECOND
ALARM_AGAIN_NS = 24 * HOUR_NS
Note = Callable[[str, str], None]  # (did, to): a line in the appliance's own log


@dataclass(frozen=True, slots=True)
class World:
    """What the reporter needs, injected."""

    events: Emits
    clock: Clock
    wall: Callable[[], datetime]  # aware
    note: Note
    chance: Callable[[], float] = random.random
    open_line: Callable[..., Line] = open_line


class _Sent(NamedTuple):
    log: str
    mark: Mark
    at_ns: int
    when: str


class Reporter:
    """Owned by the thread that calls `step`."""

    def __init__(
        self,
        settings: AuditTrail,
        logs: Mapping[str, Audit],
        folder: Path,
        about: dicom.About,
        context: ssl.SSLContext | None,
        world: World,
    ) -> None:
        self._settings, self._about, self._context, self._world = settings, about, context, world
        self._path = folder / TOLD
        self.told: dict[str, Mark] = read_told(self._path)
        self._followers = {name: Follower(log, self.told.get(name, Mark())) for name, log in logs.items()}
        self._waiting: deque[tuple[str, Logged]] = deque()  # read, and not sent
        self._sent: deque[_Sent] = deque()  # and not known to be there
        self._taken = 0  # of them, whose every byte was acknowledged
        self._line: Line | None = None
        self._failures, self._due_ns = 0, 0
        self._untrusted = False
        self._stuck_ns: int | None = None  # since when something waits
        self._alarmed_ns: int | None = None

    def step(self) -> bool:
        """Send what waits; True where there may be more to do at once."""
        self._read_ahead()
        self._mind_alarm()
        if self._line is None and not self._connect():
            return False
        try:
            return self._tell()
        except SinkUnavailable as error:
            self._hang_up()
            self._pause("audit.repository-away", str(error))
            return False

    def finish(self) -> None:
        """The last of it where the line is open, then hang up in good order: then what was sent has arrived."""
        if self._line is not None:
            self.step()
        if self._line is not None and self._line.close(GOODBYE_S):
            self._confirm(len(self._sent))
            self._line = None
        self.drop()

    def drop(self) -> None:
        """Let go of everything as it is."""
        self._hang_up()
        for follower in self._followers.values():
            follower.close()

    def _read_ahead(self) -> None:
        for name, follower in self._followers.items():
            room = AHEAD - sum(log == name for log, _ in self._waiting)
            for _ in range(room):
                line = follower.next()
                if line is None:
                    break
                self._waiting.append((name, line))
            if follower.is_lost:
                follower.is_lost = False
                self._world.events.emit("audit.altered", log=name)
                self._world.note("audit-altered", name)

    def _connect(self) -> bool:
        now, settings = self._world.clock.now(), self._settings
        if not self._waiting or now < self._due_ns:
            return False
        name = settings.tls.server_name if settings.tls is not None else ""
        try:
            self._line = self._world.open_line(
                settings.protocol, settings.host, settings.port, self._context, name, settings.timeout_s
            )
        except Untrusted as error:
            if not self._untrusted:
                self._untrusted = True
                self._world.note("repository-untrusted", settings.host)
            self._pause("audit.repository-untrusted", str(error))
            return False
        except SinkUnavailable as error:
            self._pause("audit.repository-away", str(error))
            return False
        if self._failures:
            self._world.events.emit("audit.repository-back", failures=self._failures)
        self._failures, self._untrusted = 0, False
        return True

    def _tell(self) -> bool:
        assert self._line is not None
        busy = bool(self._waiting)
        while self._waiting:
            log, line = self._waiting[0]
            message = self._message(log, line)
            if message is not None:
                self._line.send(message)
            self._sent.append(_Sent(log, Mark(line.entry.n, line.sum), self._world.clock.now(), line.entry.when))
            self._waiting.popleft()
        if self._sent and self._line.is_taken():
            self._taken = len(self._sent)
        settled = self._world.clock.now() - int(self._settings.settle_s * SECOND)
        count = sum(1 for one in list(self._sent)[: self._taken] if one.at_ns <= settled)
        self._confirm(count)
        return busy

    def _message(self, log: str, line: Logged) -> bytes | None:
        body = dicom.message(log, line.entry, self._about)
        if body is None:
            return None
        return record(Header(line.entry.when, self._about.host, log, line.entry.n), body)

    def _confirm(self, count: int) -> None:
        if not count:
            return
        for _ in range(count):
            one = self._sent.popleft()
            self.told[one.log] = one.mark
        self._taken -= min(count, self._taken)
        with contextlib.suppress(OSError):  # a full disk: they are sent once more after the next start
            durable.make_folder(self._path.parent)
            durable.write_durably(self._path, msgspec.json.encode(self.told))

    def _hang_up(self) -> None:
        """What is not known to have arrived is read, and sent, again."""
        if self._line is not None:
            self._line.close()
        self._line = None
        self._waiting.clear()
        self._sent.clear()
        self._taken = 0
        for name, follower in self._followers.items():
            follower.rewind(self.told.get(name, Mark()))

    def _pause(self, event: str, reason: str) -> None:
        self._failures += 1
        first, longest = self._settings.first_retry_s * SECOND, self._settings.longest_retry_s * SECOND
        pause = wait_ns(self._failures, self._world.chance(), int(first), int(longest))
        self._due_ns = self._world.clock.now() + pause
        self._world.events.emit(event, reason=reason, again_in_s=round(pause / SECOND, 1))

    def _mind_alarm(self) -> None:
        """By two clocks, as for captures: what waits too long is told of, again every day."""
        oldest = self._sent[0].when if self._sent else self._waiting[0][1].entry.when if self._waiting else ""
        now = self._world.clock.now()
        if not oldest:
            self._stuck_ns = None
        elif self._stuck_ns is None:
            self._stuck_ns = now
        hours = 0.0
        if self._stuck_ns is not None:
            hours = max((now - self._stuck_ns) / HOUR_NS, _age_hours(oldest, self._world.wall()))
        if hours < self._settings.alarm_hours:
            if self._alarmed_ns is not None:
                self._alarmed_ns = None
                self._world.events.emit("audit.caught-up")
        elif self._alarmed_ns is None or now - self._alarmed_ns >= ALARM_AGAIN_NS:
            self._alarmed_ns = now
            waiting = {name: behind(one.audit, self.told.get(name, Mark())) for name, one in self._followers.items()}
            self._world.events.emit("audit.behind", hours=round(hours, 1), lines=sum(waiting.values()))


def _age_hours(when: str, now: datetime) -> float:
    with contextlib.suppress(ValueError, TypeError):
        return (now - datetime.fromisoformat(when)).total_seconds() / 3600
    return 0.0


def read_told(path: Path) -> dict[str, Mark]:
    """How far the repository was told of each log. Where that is lost it is told everything again."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Mark])
    return {}


def behind(log: Audit, mark: Mark) -> int:
    return max(0, log.end()[0] - mark.n)


class Sealing:
    """Signs the logs every so often. Owned by the same thread."""

    def __init__(self, logs: Mapping[str, Audit], signer: Signer, every_ns: int, world: World) -> None:
        self._logs, self._signer, self._every_ns, self._world = logs, signer, every_ns, world
        self._due_ns = 0

    def look(self, *, now: bool = False) -> None:
        time = self._world.clock.now()
        if not now and time < self._due_ns:
            return
        self._due_ns = time + self._every_ns
        for name, log in self._logs.items():
            try:
                log.seal(self._signer)
            except OSError as error:
                self._world.events.emit("audit.not-sealed", log=name, reason=error.strerror or type(error).__name__)


def run(reporter: Reporter | None, sealing: Sealing | None, stop: threading.Event) -> None:
    """The thread."""
    while not stop.is_set():
        if sealing is not None:
            sealing.look()
        if reporter is None or not reporter.step():
            stop.wait(LOOK_EVERY_S)
    if sealing is not None:
        sealing.look(now=True)
    if reporter is not None:
        reporter.finish()
