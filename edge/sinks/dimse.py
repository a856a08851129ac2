"""DICOM over TCP: C-STORE on one to four associations, and storage commitment.

Associations stay open between objects and are opened again when they are gone. A sending thread takes one from the
pool, or opens one; nobody else touches it until it is put back. Reports on commitment come on any of them, or on
associations that the archive opens to us (`listen`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom.sop_class import StorageCommitmentPushModel  # type: ignore[attr-defined] # pyright: ignore

from edge.config import AeTitle, Port, Tls
from edge.dicom.services import STORAGE_CLASSES, STORAGE_SYNTAXES
from edge.errors import ConfigError, SinkUnavailable
from edge.sinks import Answer, Parcel, Receipt, Sink
from edge.sinks import _status as statuses
from edge.sinks._association import Data, OpenAssociation, Peer
from edge.sinks._commitment import Reports, ReportServer
from edge.sinks._plain import EXPLICIT, IMPLICIT, data_set, in_plain
from edge.sinks._tls import client_context, server_context

CLASSES = tuple(STORAGE_CLASSES)  # what we make, and so what we propose
USUAL = tuple((sop_class, syntax) for sop_class in CLASSES for syntax in STORAGE_SYNTAXES)
MOST_CONTEXTS = 126  # an association has room for 128; two are for echo and commitment
FEWER_S = 600.0  # how long we make do with fewer associations, before we try for all of them again
REPORT_WAIT_S = 30.0  # how long an association is kept for a report, where the archive cannot call us back
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86400)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str
    port: Port = 104
    called: AeTitle = "ANY-SCP"  # the archive's AE title
    calling: AeTitle = "LIMPID"  # ours: the archive knows us by it
    associations: Annotated[int, msgspec.Meta(ge=1, le=4)] = 2
    commitment: bool = True
    listen: str = ""  # HOST:PORT for the archive's reports; without it they can only come on our own association
    compressed: Literal["as stored", "never"] = "as stored"
    tls: Tls | None = None
    connect_s: Seconds = 10.0
    stall_s: Seconds = 30.0
    answer_s: Seconds = 120.0


def open_sink(name: str, options: Options) -> Sink:
    return DimseSink(name, options)


class DimseSink:
    def __init__(self, name: str, options: Options) -> None:
        self._options = options
        where = f"destination.{name}.dimse.tls"
        tls = options.tls
        if not options.host:
            raise ConfigError(f"[destination.{name}.dimse] host is empty")
        context = (client_context(tls, where), tls.server_name or options.host) if tls else None
        self._peer = Peer(
            options.host, options.port, options.called, options.calling, context,
            options.connect_s, options.stall_s, options.answer_s,
        )  # fmt: skip
        self._reports = Reports()
        self._server = None
        if options.commitment and options.listen:
            back = server_context(tls, where) if tls else None
            self._server = ReportServer(options.listen, options.calling, self._reports, back)
        self._lock = threading.Condition()
        self._idle: list[OpenAssociation] = []  # the pool; whoever takes one owns it
        self._open = 0  # associations, idle or in use, and those being asked for
        self._live = 0  # those that the archive has granted
        self._most = options.associations  # fewer for a while, where the archive takes no more at once
        self._most_until = 0.0
        in_any = options.compressed == "as stored"
        self._proposed = tuple(kind for kind in USUAL if in_any or kind[1] in (EXPLICIT, IMPLICIT))
        self._asked_at: float | None = None

    @property
    def lanes(self) -> int:
        return self._options.associations

    @property
    def confirms(self) -> bool:
        return self._options.commitment

    @property
    def report_port(self) -> int | None:
        return self._server.port if self._server else None

    def send(self, parcel: Parcel) -> Receipt:
        assoc = self._take(parcel)
        try:
            status = _store(assoc, parcel)
        finally:
            self._put_back(assoc)
        if "Status" not in status:
            raise SinkUnavailable("the archive's answer cannot be read")
        return self._receipt(int(status.Status))

    def _receipt(self, status: int) -> Receipt:
        """ "There already" comes where an answer to us was lost. The question about commitment tells whether it is."""
        if status == statuses.DUPLICATE and self.confirms:
            return Receipt(f"{statuses.words(status)} (0x{status:04X})", status)
        return statuses.receipt(status)

    def ask(self, transaction: str, parcels: Sequence[Parcel]) -> None:
        assoc = self._take()
        try:
            assoc.request_commitment(transaction, [(parcel.sop_class, parcel.sop_uid) for parcel in parcels])
            self._asked_at = time.monotonic()
        finally:
            self._put_back(assoc)

    def answers(self) -> list[Answer]:
        return self._reports.take()

    def check(self) -> str:
        assoc = self._take()
        try:
            assoc.echo()
        finally:
            self._let_go(assoc)
        names = {UID(syntax).name for sop_class, syntax in assoc.contexts if sop_class in CLASSES}
        commits = any(sop_class == StorageCommitmentPushModel for sop_class, _ in assoc.contexts)
        if not names:
            raise SinkUnavailable("it answers, but accepts none of the objects that we send")
        commitment = "commitment offered" if commits else "no commitment"
        return f"C-ECHO answered; accepts {', '.join(sorted(names))}; {commitment}"

    def rest(self) -> None:
        """An association that may still bring a report stays for a while, if it is the only way for it to come."""
        waits = self._server is None and self._asked_at is not None
        if waits and time.monotonic() - (self._asked_at or 0.0) < REPORT_WAIT_S:
            return
        self._asked_at = None
        self._release_all()

    def close(self) -> None:
        self._release_all()
        if self._server:
            self._server.close()

    def _release_all(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for assoc in idle:
            self._let_go(assoc)

    def _take(self, parcel: Parcel | None = None) -> OpenAssociation:
        """One from the pool that still lives and knows this kind of object, or a new one."""
        wanted = self._wanted(parcel)
        while True:
            assoc = self._from_pool() or self._new(wanted)
            if assoc is not None and assoc.is_open and assoc.proposed >= set(wanted):
                return assoc
            if assoc is not None:
                self._let_go(assoc)

    def _from_pool(self) -> OpenAssociation | None:
        """An idle one, waited for where there may be no more of them; None: a new one may be opened, and is counted."""
        with self._lock:
            while not self._idle:
                if time.monotonic() > self._most_until:
                    self._most = self._options.associations
                if self._open < self._most:
                    self._open += 1
                    return None
                self._lock.wait(1.0)
            return self._idle.pop()

    def _new(self, wanted: tuple[tuple[str, str], ...]) -> OpenAssociation | None:
        """None: the archive takes no more at once; those that it has taken have to do for a while."""
        assoc = None
        try:
            assoc = OpenAssociation(self._peer, wanted, self._reports.handle)
        except SinkUnavailable:
            with self._lock:
                if not self._live:
                    raise
                self._most, self._most_until = self._live, time.monotonic() + FEWER_S
        finally:
            with self._lock:
                self._open -= assoc is None
                self._live += assoc is not None
        return assoc

    def _let_go(self, assoc: OpenAssociation) -> None:
        assoc.release()
        with self._lock:
            self._open -= 1
            self._live -= 1
            self._lock.notify()

    def _put_back(self, assoc: OpenAssociation) -> None:
        """An object that could not be read costs no association; whatever else went wrong has closed it already."""
        if assoc.is_open:
            with self._lock:
                self._idle.append(assoc)
                self._lock.notify()
        else:
            self._let_go(assoc)

    def _wanted(self, parcel: Parcel | None) -> tuple[tuple[str, str], ...]:
        """What to propose: the usual, and whatever else came by until now."""
        if parcel is not None and self._options.compressed == "as stored":
            kinds = [(parcel.sop_class, syntax) for syntax in (parcel.transfer_syntax, EXPLICIT, IMPLICIT)]
        else:
            kinds = [(parcel.sop_class, syntax) for syntax in (EXPLICIT, IMPLICIT)] if parcel else []
        with self._lock:
            new = [kind for kind in dict.fromkeys(kinds) if kind not in self._proposed]
            self._proposed = (*new, *self._proposed)[:MOST_CONTEXTS]
            return self._proposed


def _store(assoc: OpenAssociation, parcel: Parcel) -> Dataset:
    context_id, syntax = _context(assoc, parcel)
    with contextlib.ExitStack() as down:
        stream = down.enter_context(parcel.open())
        if syntax != parcel.transfer_syntax:
            stream = down.enter_context(in_plain(stream, syntax))
        data_set(stream, parcel)
        return assoc.store(Data(parcel.sop_class, parcel.sop_uid, stream), context_id, urgent=parcel.urgent)


def _context(assoc: OpenAssociation, parcel: Parcel) -> tuple[int, str]:
    """As it is stored where the archive takes it so; else in plain. It concerns the archive, so it is tried again."""
    for syntax in (parcel.transfer_syntax, EXPLICIT, IMPLICIT):
        context_id = assoc.contexts.get((parcel.sop_class, syntax))
        if context_id is not None:
            return context_id, syntax
    raise SinkUnavailable(f"the archive accepts no {UID(parcel.sop_class).name} objects")
