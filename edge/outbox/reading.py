"""Opening what is stored: checked against its sum first, and unsealed on the way out. Any thread."""

from __future__ import annotations

import errno
import hashlib
import io
from pathlib import Path
from typing import BinaryIO, cast

from edge.errors import ConfigError, OutboxFault
from edge.outbox.record import Stored
from edge.outbox.seal import CHUNK, Key, Unsealer

_DAMAGE = (errno.ENOENT, errno.EIO, errno.EUCLEAN, errno.EISDIR)
_PIECE = 1 << 20


def open_checked(folder: Path, stored: Stored, key: Key | None) -> BinaryIO:
    """The whole DICOM file, seekable. OutboxFault: it is not what was written. ConfigError: the key is not its own.

    The sum is taken over the very file that is then read, so that nothing can come between.
    """
    if stored.sealed and key is None:
        raise ConfigError(f"[outbox] this object is sealed with key {stored.sealed}, and there is no key at hand")
    if stored.sealed and key is not None and key.id != stored.sealed:
        raise ConfigError(f"[outbox] this object is sealed with key {stored.sealed}; the one at hand is {key.id}")
    try:
        file = (folder / stored.file).open("rb", buffering=0)
    except OSError as error:
        raise _damage(error) from error
    try:
        _check(file, stored)
        if not stored.sealed:
            return io.BufferedReader(file)
        assert key is not None
        return cast("BinaryIO", io.BufferedReader(Unsealer(cast("BinaryIO", file), key), CHUNK))
    except BaseException:
        file.close()
        raise


def check_stored(folder: Path, stored: Stored) -> None:
    """As `open_checked`, without a key and without opening."""
    try:
        with (folder / stored.file).open("rb", buffering=0) as file:
            _check(file, stored)
    except OSError as error:
        raise _damage(error) from error


def _check(file: io.FileIO, stored: Stored) -> None:
    sha256, piece, size = hashlib.sha256(), memoryview(bytearray(_PIECE)), 0
    try:
        while count := file.readinto(piece):
            sha256.update(piece[:count])
            size += count
        file.seek(0)
    except OSError as error:
        raise _damage(error) from error
    if size != stored.stored_size:
        raise OutboxFault(f"{stored.file} has {size} bytes of {stored.stored_size}")
    if sha256.hexdigest() != stored.sha256:
        raise OutboxFault(f"{stored.file} is not what was written: its SHA-256 differs")


def _damage(error: OSError) -> Exception:
    """A missing or unreadable file is damage; too many open files, or no right to read it, are not."""
    if error.errno in _DAMAGE:
        return OutboxFault(f"a stored file cannot be read ({error.strerror})")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(f"the outbox's files may not be read by this user ({error.strerror})")
    return error
