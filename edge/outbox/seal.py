"""Sealed files: AES-256-GCM in chunks, written and read as streams, so that a plain copy never lies on a disk.

    magic "LIMPID\\0" + version 1 | key id, 8 bytes | salt, 32 bytes | nonce prefix, 7 bytes | chunk length, 4 bytes
    chunk | tag, 16 bytes, again and again

Each file has a key of its own, HKDF-SHA-256 of the spool's key, the salt and the whole header, so that no two files can
share a nonce and no byte of the header can be changed. A chunk's nonce is the prefix, the chunk's number (4 bytes) and
whether it is the last one (1 byte): chunks that are exchanged, left out, repeated or cut off are not accepted.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.errors import ConfigError, OutboxFault
from edge.outbox.settings import Settings

MAGIC = b"LIMPID\0\x01"
HEADER = struct.Struct(">8s8s32s7sI")
CHUNK = 256 << 10
TAG = 16
MOST_CHUNKS = 1 << 32
LARGEST_CHUNK = 16 << 20
KEY_BYTES = 32


class Key:
    """The spool's key. It is never shown; its id says which one it is."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ConfigError(f"[outbox] the key has {len(secret)} bytes, not {KEY_BYTES}")
        self._secret = secret
        self._id = hashlib.sha256(b"limpid spool key" + secret).digest()[:8]

    @property
    def id(self) -> str:
        return self._id.hex()

    def __repr__(self) -> str:
        return f"Key({self.id})"

    def new_header(self) -> bytes:
        return HEADER.pack(MAGIC, self._id, secrets.token_bytes(32), secrets.token_bytes(7), CHUNK)

    def cipher(self, header: bytes) -> AESGCM:
        salt = HEADER.unpack(header)[2]
        derived = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=b"limpid spool" + header)
        return AESGCM(derived.derive(self._secret))


def load_key(settings: Settings) -> Key | None:
    """The key the settings name, or None where they name none."""
    if settings.key_file and settings.key_credential:
        raise ConfigError("[outbox] has both key_file and key_credential: one of them, please")
    if settings.key_credential:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigError(
                "[outbox] key_credential: systemd gave no credentials (LoadCredentialEncrypted= is missing)"
            )
        # systemd keeps this folder to the service alone, by an access list that looks like group permissions.
        return Key(_secret_in(Path(folder) / settings.key_credential))
    if settings.key_file:
        path = Path(settings.key_file)
        _refuse_open_to_others(path)
        return Key(_secret_in(path))
    return None


def _refuse_open_to_others(path: Path) -> None:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise ConfigError(f"[outbox] the key {path}: {error.strerror}") from error
    if mode & 0o077:
        raise ConfigError(f"[outbox] the key {path} can be read by others (mode {mode:04o}): chmod 600 {path}")


def _secret_in(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"[outbox] the key {path}: {error.strerror}") from error
    if len(content) == KEY_BYTES:
        return content
    try:
        return bytes.fromhex(content.decode("ascii").strip())
    except ValueError as error:
        raise ConfigError(f"[outbox] the key {path} is neither 32 bytes nor 64 hexadecimal digits") from error


class Sealer(io.RawIOBase):
    """Write-only: seals what it is given and hands it on. `finish` writes the last chunk, and only then it opens."""

    def __init__(self, key: Key, hand_on: Callable[[bytes], None]) -> None:
        self._header = key.new_header()
        self._cipher = key.cipher(self._header)
        self._prefix = HEADER.unpack(self._header)[3]
        self._hand_on = hand_on
        self._pending = bytearray()
        self._chunks = 0
        self._plain = 0
        hand_on(self._header)

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._plain

    def write(self, data: object, /) -> int:
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self._pending += view
        while len(self._pending) > CHUNK:  # a full one is kept back: it may be the last
            self._seal(bytes(self._pending[:CHUNK]), last=False)
            del self._pending[:CHUNK]
        self._plain += len(view)
        return len(view)

    def finish(self) -> None:
        self._seal(bytes(self._pending), last=True)
        self._pending.clear()

    def _seal(self, plain: bytes, *, last: bool) -> None:
        if self._chunks >= MOST_CHUNKS:
            raise OSError("too large to be sealed")
        self._hand_on(self._cipher.encrypt(_nonce(self._prefix, self._chunks, last), plain, None))
        self._chunks += 1


class Unsealer(io.RawIOBase):
    """The plain bytes of a sealed file, seekable; one chunk at a time lies in memory, none on a disk."""

    def __init__(self, file: BinaryIO, key: Key) -> None:
        self._file = file
        self.name = getattr(file, "name", "")  # pydicom asks every buffered file for it
        header = file.read(HEADER.size)
        if len(header) != HEADER.size or not header.startswith(MAGIC):
            raise OutboxFault("it is not a sealed file")
        _, key_id, _, self._prefix, self._chunk = HEADER.unpack(header)
        if key_id.hex() != key.id:
            raise ConfigError(f"[outbox] it was sealed with key {key_id.hex()}; the one at hand is {key.id}")
        if not 0 < self._chunk <= LARGEST_CHUNK:
            raise OutboxFault("its header was altered")
        self._cipher = key.cipher(header)
        self._measure()
        self._at = 0
        self._number, self._plain = -1, b""
        self._open_chunk(self._chunks - 1)  # a file that was cut shows here, not halfway through a transfer

    def _measure(self) -> None:
        sealed = self._file.seek(0, os.SEEK_END) - HEADER.size
        self._chunks = max(1, -(-sealed // (self._chunk + TAG)))
        self.size = sealed - self._chunks * TAG
        if self.size < 0:
            raise OutboxFault("it was cut short")

    def _open_chunk(self, number: int) -> bytes:
        if number != self._number:
            self._file.seek(HEADER.size + number * (self._chunk + TAG))
            sealed = self._file.read(self._chunk + TAG)
            try:
                self._plain = self._cipher.decrypt(
                    _nonce(self._prefix, number, number == self._chunks - 1), sealed, None
                )
            except (InvalidTag, ValueError) as error:
                raise OutboxFault(f"chunk {number} of {self._chunks} was altered or cut") from error
            self._number = number
        return self._plain

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        if self._at >= self.size:
            return 0
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        number, start = divmod(self._at, self._chunk)
        piece = self._open_chunk(number)[start : start + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("negative position")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._plain = b""
        super().close()


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])
