"""Events to the systemd journal, with their priority and each fact as a field of its own. Used by the events thread.

The journal's own protocol: one datagram an entry, `FIELD=value` a line; a value of more than one line is told with its
length before it. The socket never waits: where the journal does not take an entry, the caller counts it as lost.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
from collections.abc import Mapping
from typing import Any, TextIO

from edge.event_table import PRIORITY

SOCKET = "/run/systemd/journal/socket"
LONGEST_VALUE = 4 << 10  # of one fact; an event is names and numbers, not a document
SEND_BUFFER = 1 << 20
_NOT_OF_A_FIELD = re.compile(r"[^A-Z0-9_]+")
_LENGTH = struct.Struct("<Q")


def is_journal(out: TextIO, stream: str) -> bool:
    """Whether what is written to `out` goes to the journal: systemd names its file in JOURNAL_STREAM."""
    try:
        about = os.fstat(out.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{about.st_dev}:{about.st_ino}"


class Journal:
    def __init__(self, process: str, address: str = SOCKET) -> None:
        self._process = process
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    def send(self, event: Mapping[str, Any]) -> bool:
        """False: not taken, now or ever; the journal was full, or is being restarted."""
        try:
            self._socket.sendto(entry(event, self._process), self._address)
        except OSError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


def entry(event: Mapping[str, Any], process: str) -> bytes:
    """One event in the journal's protocol."""
    facts = {key: value for key, value in event.items() if key not in ("event", "severity")}
    name = str(event["event"])
    fields = {
        "MESSAGE": " ".join([name, *(f"{key}={_text(value)}" for key, value in facts.items() if key != "t_ns")]),
        "PRIORITY": str(PRIORITY[event["severity"]]),
        "SYSLOG_IDENTIFIER": process,
        "LIMPID_EVENT": name,
        **{f"LIMPID_{_field(key)}": _text(value) for key, value in facts.items()},
    }
    return b"".join(_line(key, value) for key, value in fields.items())


def _field(key: str) -> str:
    return _NOT_OF_A_FIELD.sub("_", key.upper())[:48].strip("_") or "FACT"


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:LONGEST_VALUE]


def _line(key: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" not in data:
        return key.encode() + b"=" + data + b"\n"
    return key.encode() + b"\n" + _LENGTH.pack(len(data)) + data + b"\n"
