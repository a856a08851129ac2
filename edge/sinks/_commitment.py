"""Storage commitment's other half: what archives report, on our association or on one that they open to us.

The handler runs on pynetdicom's threads; the forwarder's thread collects with `take()`. An answer that is lost with
this process costs nothing but time: after the deadline the forwarder asks again.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.sop_class import (  # type: ignore[attr-defined] - made when it is imported
    StorageCommitmentPushModel,  # pyright: ignore[reportAttributeAccessIssue]
    Verification,  # pyright: ignore[reportAttributeAccessIssue]
)

from edge.dicom.services import PLAIN_SYNTAXES
from edge.errors import ConfigError
from edge.sinks import Answer

REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance do not fit",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
CALLER_S = 60.0
MOST_WAITING = 1000  # reports that nobody collected; the oldest goes, and is asked for again


class Reports:
    """Reports that came, until the forwarder collects them. Written by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: list[Answer] = []

    def handle(self, event: evt.Event) -> tuple[int, None]:
        """N-EVENT-REPORT: taken note of, and acknowledged."""
        try:
            answer = read_report(event.event_information)
        except (AttributeError, KeyError, ValueError):
            return 0x0110, None  # processing failure: it has no transaction UID, or cannot be read
        with self._lock:
            self._answers = [*self._answers, answer][-MOST_WAITING:]
        return 0x0000, None

    def take(self) -> list[Answer]:
        with self._lock:
            answers, self._answers = self._answers, []
            return answers


def read_report(report: Dataset) -> Answer:
    safe = {str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence") or []}
    lost = {
        str(item.ReferencedSOPInstanceUID): _reason(item.get("FailureReason"))
        for item in report.get("FailedSOPSequence") or []
    }
    verdicts: dict[str, bool | str] = dict.fromkeys(safe, True)
    return Answer(str(report.TransactionUID), {**verdicts, **lost})


def _limit(event: evt.Event) -> None:
    """A caller that stops in the middle of a message costs a time-out, not a thread for ever."""
    connection = event.assoc.dul.socket
    if connection is not None and connection.socket is not None:
        connection.socket.settimeout(CALLER_S)


def _reason(code: Any) -> str:
    number = int(code) if code is not None else 0
    return f"{REASONS.get(number, 'not committed')} (0x{number:04X})"


class ReportServer:
    """The small SCP that an archive calls back. Listens from when it is made until `close`."""

    def __init__(self, listen: str, title: str, reports: Reports, tls: ssl.SSLContext | None) -> None:
        host, _, port = listen.rpartition(":")
        if not port.isdigit():
            raise ConfigError(f'"{listen}" is not HOST:PORT')
        entity = ApplicationEntity(title)
        entity.network_timeout = CALLER_S
        syntaxes = list(PLAIN_SYNTAXES)
        entity.add_supported_context(Verification, syntaxes)
        entity.add_supported_context(StorageCommitmentPushModel, syntaxes, scu_role=True, scp_role=True)
        try:
            self._server = entity.start_server(
                (host or "0.0.0.0", int(port)),
                block=False,
                ssl_context=tls,
                evt_handlers=[(evt.EVT_CONN_OPEN, _limit), (evt.EVT_N_EVENT_REPORT, reports.handle)],
            )
        except OSError as error:
            raise ConfigError(f"cannot listen for the archive's reports on {listen}: {error.strerror}") from error

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])  # type: ignore[union-attr]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown()  # type: ignore[union-attr]
