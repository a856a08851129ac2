"""De-identified copies on their way out. The outbox keeps the original; a copy lives while it is being sent.

The same key gives the same copy with the same UIDs, so a copy can be sent again, and asked after, like any object.
While it lives it lies on the disk sealed, under a key that nobody keeps: a freed block tells nothing.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, cast

from edge import durable
from edge.dicom import uids
from edge.dicom.deidentify import deidentified
from edge.errors import ConfigError
from edge.outbox.seal import CHUNK, Key, Sealer, Unsealer
from edge.sinks._plain import readable

KEY_BYTES = 32


class Copies:
    """One key's. Used by the sending threads of one destination."""

    def __init__(self, folder: Path, key_file: str) -> None:
        self._folder = folder
        self._key = read_key(Path(key_file)) if key_file else own_key(folder)

    def sop_uid(self, original: str) -> str:
        return uids.keyed(self._key, original)

    def make(self, opened: Callable[[], BinaryIO]) -> BinaryIO:
        """The copy, in a file without a name: gone when it is closed, or when this process ends, however it ends."""
        key = Key(secrets.token_bytes(KEY_BYTES))
        with opened() as original, contextlib.ExitStack() as undo:
            made = deidentified(readable(original), self._key)
            file = cast(BinaryIO, tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 - whoever sends it closes it
            undo.callback(file.close)
            sealer = Sealer(key, lambda data: durable.write_all(file.fileno(), data))
            with io.BufferedWriter(sealer, CHUNK) as to:
                made.write(cast(BinaryIO, to))
                to.flush()
                sealer.finish()
            file.seek(0)
            copy = io.BufferedReader(Unsealer(file, key), CHUNK)
            undo.pop_all()
            return cast(BinaryIO, copy)


def read_key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the key of the pseudonyms in {path} cannot be read: {error.strerror}") from error
    if len(key) < KEY_BYTES:
        raise ConfigError(f"the key of the pseudonyms in {path} is shorter than {KEY_BYTES} bytes")
    return key


def own_key(folder: Path) -> bytes:
    path = folder / "pseudonyms.key"
    if not path.exists():
        durable.make_folder(folder)
        durable.write_durably(path, secrets.token_bytes(KEY_BYTES))
    return read_key(path)
