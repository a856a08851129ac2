"""The forward process's audit thread, put together: which logs, which key, which repository, whose study it is."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge import reporter
from edge.audit import Audit, Entry, dicom
from edge.clock import SECOND
from edge.config import AuditTrail, Config, Tls
from edge.errors import ConfigError, LimpidError, OutboxFault
from edge.exam_book import BOOK, Pages
from edge.forwarder import Surroundings
from edge.outbox import Outbox
from edge.outbox.record import CAPTURE_ID
from edge.places import Places, audit_logs, note_system, places_of, system_folder
from edge.reporter import Reporter, Sealing, World
from edge.routing import parse_route
from edge.signing import Signer, load_signer
from edge.sinks._tls import client_context

WHO = "forward"
OLDEST_LOOKED_AT = 20_000  # lines of the outbox's log, for a capture that is gone


def open_keeper(config: Config, around: Surroundings) -> Callable[[threading.Event], None] | None:
    """What the audit thread runs; None where there is neither a key nor a repository. Raises ConfigError."""
    settings = config.audit
    logs = audit_logs(config, WHO)
    for name in [name for name, log in logs.items() if not log.is_open_to_us()]:
        around.events.emit("audit.unreadable", log=name)
        del logs[name]
    note: reporter.Note = lambda did, to: _note(config, around, did, to)  # noqa: E731
    world = World(around.events, around.clock, around.wall, note)
    signer = signer_of(settings)
    sealing = None
    if signer is not None:
        sealing = Sealing(logs, signer, int(settings.seal_minutes * 60 * SECOND), world)
    telling = _open_reporter(config, logs, around, world) if settings.host else None
    if sealing is None and telling is None:
        return None
    return functools.partial(reporter.run, telling, sealing)


def _note(config: Config, around: Surroundings, did: str, to: str) -> None:
    if reason := note_system(config, WHO, did, to):
        around.events.emit("audit.not-written", reason=reason)


def _open_reporter(config: Config, logs: dict[str, Audit], around: Surroundings, world: World) -> Reporter:
    settings = config.audit
    context = client_context(settings.tls or Tls(), "audit.tls") if settings.protocol == "tls" else None
    studies = Studies(around.outbox, places_of(config))
    about = dicom.About(
        config.station.ae_title, socket.gethostname(), settings.site, settings.patients == "required",
        _peers(config), studies.of,
    )  # fmt: skip
    return Reporter(settings, logs, system_folder(config), about, context, world)


def _peers(config: Config) -> dict[str, str]:
    """The destinations' hosts, where they have one."""
    routes = [parse_route(name, table) for name, table in config.destination.items()]
    return {route.name: str(route.options["host"]) for route in routes if "host" in route.options}


def signer_of(settings: AuditTrail) -> Signer | None:
    """Raises ConfigError where the key cannot be had."""
    if settings.key_credential:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigError("[audit] key_credential: systemd gave no credentials (LoadCredential= is missing)")
        return load_signer(Path(folder) / settings.key_credential, shared=True)
    return load_signer(Path(settings.key_file)) if settings.key_file else None


class Studies:
    """What a line is about: from the outbox, or from the log where the capture is gone; the patient from the exams."""

    def __init__(self, outbox: Outbox, places: Places) -> None:
        self._outbox, self._places = outbox, places

    def of(self, entry: Entry) -> dicom.Study:
        if CAPTURE_ID.fullmatch(entry.to):
            exam, study, classes = self._of_capture(entry)
        else:
            exam, study, classes = entry.to, "", dict[str, int]()
        found = self._pages().entries.get(exam)
        if found is None:
            return dicom.Study(study, classes)
        return dicom.Study(study or found.exam.study_uid, classes, found.exam.patient.id)

    def _of_capture(self, entry: Entry) -> tuple[str, str, dict[str, int]]:
        with contextlib.suppress(OutboxFault):
            capture = self._outbox.capture(entry.to)
            name = entry.facts.get("object")
            objects = [one for one in capture.objects if not name or one.name == name] or list(capture.objects)
            return capture.exam_uid, objects[0].study_uid, dict(Counter(one.sop_class for one in objects))
        for told, _ in zip(self._outbox.audit.newest_first(), range(OLDEST_LOOKED_AT), strict=False):
            if told.to == entry.to and told.did in ("stored", "replaced"):
                classes = told.facts.get("classes")
                counted = {str(uid): int(n) for uid, n in classes.items()} if isinstance(classes, dict) else {}
                return str(told.facts.get("exam", "")), str(told.facts.get("study", "")), counted
        return "", "", {}

    def _pages(self) -> Pages:
        with contextlib.suppress(OSError, LimpidError, msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode(self._places.exams.read(BOOK), type=Pages)
        return Pages()
