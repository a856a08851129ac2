"""What all calls share: made once, handed to each of them. Which thread owns what stands beside it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from edge.access.homes import is_loopback, own_key
from edge.audit import Audit
from edge.client import reachable
from edge.clock import SECOND, Clock
from edge.config import Config
from edge.console.access.first import FirstToken
from edge.console.access.sessions import Session, Sessions, everybody
from edge.console.access.throttle import Throttle
from edge.console.access.users import Users
from edge.console.archive import Archive
from edge.console.exports import Exports
from edge.console.gallery import Gallery
from edge.console.pools import Pools
from edge.console.pulse import Pulse
from edge.console.shelf import Shelf
from edge.errors import ConfigError
from edge.health import Events
from edge.outbox import utc_now
from edge.places import console_folder, quality_of, reports_of
from edge.process_report import Own, Reporter
from edge.quality_book import Book

OPEN_NOTICE = (
    "Open to everybody on this machine: there are no users. "
    "`limpid console user add NAME --role administer` makes the first, and from then on everybody has to log in."
)


@dataclass(slots=True)
class Office:
    config: Config
    config_path: Path | None
    folder: Path  # users and the audit log
    clock: Clock
    events: Events
    users: Users
    first: FirstToken
    sessions: Sessions  # the event loop's
    throttle: Throttle  # the event loop's
    gallery: Gallery  # the event loop's
    pulse: Pulse
    archive: Archive
    shelf: Shelf  # the images thread's
    exports: Exports
    pools: Pools
    reporter: Reporter
    reports: Path  # where every process of the appliance reports
    quality: Book
    local: Session = field(default_factory=everybody)
    audit_failures: int = 0
    started_ns: int = 0

    @property
    def is_open(self) -> bool:
        """Without users, to this host alone. A file of users that cannot be read lets nobody in."""
        try:
            return is_loopback(self.config.console.host) and not self.users.all()
        except ConfigError:
            return False

    def session_of(self, cookie: str, *, counts: bool = True) -> Session | None:
        if self.is_open:
            return self.local
        with contextlib.suppress(ConfigError):
            return self.sessions.of(cookie, counts=counts)
        return None

    def note(self, who: str, did: str, to: str = "", **facts: object) -> None:
        """A line in the audit log. Writes to the disk: not on the event loop. What has happened has happened: a log
        that cannot be written is counted, and told, but takes nothing back."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.audit(who).append(did, to, facts)
        except OSError as error:
            self.audit_failures += 1
            self.events.emit("audit.not-written", reason=error.strerror or type(error).__name__)

    def audit(self, who: str = "console") -> Audit:
        return Audit(self.folder / "audit.jsonl", utc_now, who)

    @property
    def uptime_s(self) -> float:
        return (self.clock.now() - self.started_ns) / SECOND


def open_office(config: Config, path: Path | None, clock: Clock, events: Events) -> Office:
    """Raises ConfigError. Nothing runs yet."""
    console = config.console
    archive = Archive(config)
    folder = console_folder(config)
    users = Users(folder / "users.json")
    sessions = Sessions(
        users, clock, int(console.idle_minutes * 60 * SECOND), int(console.session_hours * 3600 * SECOND)
    )
    pulse = Pulse(config, archive)
    pictures = config.sockets.pictures
    gallery = Gallery(reachable(pictures), own_key(config, pictures))
    return Office(
        config, path, folder, clock, events, users, FirstToken(folder), sessions, Throttle(), gallery, pulse,
        archive, Shelf(archive), Exports(archive, console.export_folders), Pools(),
        Reporter(reports_of(config), Own("console"), clock, events), reports_of(config), Book(quality_of(config)),
        started_ns=clock.now(),
    )  # fmt: skip
