"""The first administrator: whoever reads the one-time token off the device. Any thread.

`limpid setup` prints it, once, and keeps its hash alone; it opens the console for one log-in within a day, as long as
there are no users. Nothing that ships with the software opens anything.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.durable import make_folder, remove_durably, write_durably
from edge.errors import ConfigError

GOOD_FOR_S = 24 * 3600
BYTES = 15


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    until: float  # seconds since 1970


class FirstToken:
    def __init__(self, folder: Path, wall: Callable[[], float] = time.time) -> None:
        self._path = folder / "first.json"
        self._wall = wall

    def make(self) -> str:
        """A new one; an older one opens nothing any more. The only time that it is told."""
        token = secrets.token_urlsafe(BYTES)
        file = _File(_hash(token), self._wall() + GOOD_FOR_S)
        try:
            make_folder(self._path.parent)
            write_durably(self._path, msgspec.json.encode(file))
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror}") from error
        return token

    @property
    def waits(self) -> bool:
        """Is there one that is still good?"""
        file = self._read()
        return file is not None and self._wall() < file.until

    def opens(self, token: str) -> bool:
        file = self._read()
        return file is not None and self._wall() < file.until and hmac.compare_digest(file.sha256, _hash(token))

    def spend(self) -> None:
        remove_durably(self._path)

    def _read(self) -> _File | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_File)
        except (OSError, msgspec.MsgspecError):
            return None


def _hash(token: str) -> str:
    return hashlib.sha256(b"limpid first administrator" + token.encode()).hexdigest()
