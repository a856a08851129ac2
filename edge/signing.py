"""Whose engines and whose updates this appliance takes: Ed25519 keys, those trusted here and those that were revoked.

A private key is a PEM file of its owner alone; it belongs to the ML engineer and never comes to an appliance. What an
appliance trusts is a folder, one file a key: `ID.pub` is trusted, `ID.revoked` is not, whatever else lies there. Its
id is the beginning of the SHA-256 of the public key, so that no file can claim to be another one. Called by commands,
and at start and at each activation by the daemon; never by the live thread.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edge.durable import create_durably, sync_folder, write_durably
from edge.errors import ConfigError, EngineRefused, LimpidError

ID_DIGITS = 16
KEY_ID = re.compile(r"[0-9a-f]{16}")
LARGEST_KEY = 16 << 10
TRUSTED, REVOKED = ".pub", ".revoked"


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key. It is never shown; its id says which one it is."""

    key: Ed25519PrivateKey

    @property
    def id(self) -> str:
        return key_id(self.key.public_key())

    @property
    def public_pem(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)

    def __repr__(self) -> str:
        return f"Signer({self.id})"


def key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:ID_DIGITS]


def make_key(path: Path) -> Signer:
    """A new key pair: PATH, for its owner alone, and PATH.pub beside it. Neither may be there."""
    public = path.with_name(path.name + TRUSTED)
    if public.exists():
        raise ConfigError(f"{public} is there already")
    signer = Signer(Ed25519PrivateKey.generate())
    private = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _create(path, private, 0o600)
    _create(public, signer.public_pem, 0o644)
    return signer


def _create(path: Path, content: bytes, mode: int) -> None:
    try:
        create_durably(path, content, mode=mode)
        sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def load_signer(path: Path, *, shared: bool = False) -> Signer:
    """A private key, refused where others can read it; `shared`: systemd's folder of credentials keeps them out."""
    content = _content(path)
    if not shared and path.stat().st_mode & 0o077:
        raise ConfigError(f"the private key {path} can be read by others: chmod 600 {path}")
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is not an Ed25519 key: make one with `limpid engine keys make`")
    return Signer(key)


def load_public(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(_content(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path} is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path} is not an Ed25519 key")
    return key


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_KEY)
    except OSError as error:
        raise ConfigError(f"the key {path}: {error.strerror}") from error


class Keyring:
    """The keys of one appliance for one purpose: a folder. What is on the disk counts, at each question anew.

    NOUN is the purpose as the commands name it; REFUSED is raised where a signature does not count.
    """

    def __init__(self, folder: Path, noun: str = "engine", refused: type[LimpidError] = EngineRefused) -> None:
        self.folder = folder
        self._noun = noun
        self._refused = refused

    def trust(self, public: Path) -> str:
        """Take up a public key. Gives its id. One that was revoked stays so."""
        key = load_public(public)
        name = key_id(key)
        if self._is_revoked(name):
            raise ConfigError(f"key {name} was revoked here, and is not taken up again")
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self._write(name + TRUSTED, pem)
        return name

    def revoke(self, name: str) -> None:
        """From now on nothing signed with this key is taken, or opened again."""
        if not KEY_ID.fullmatch(name):
            raise ConfigError(f'"{name}" is no key id: 16 hexadecimal digits, as `keys list` shows them')
        self._write(name + REVOKED, b"")

    def states(self) -> dict[str, str]:
        """Key id -> "trusted" or "revoked"."""
        if not self.folder.is_dir():
            return {}
        names = [path.name for path in self.folder.iterdir()]
        found = {name.removesuffix(TRUSTED): "trusted" for name in names if name.endswith(TRUSTED)}
        found |= {name.removesuffix(REVOKED): "revoked" for name in names if name.endswith(REVOKED)}
        return {name: found[name] for name in sorted(found) if KEY_ID.fullmatch(name)}

    def check(self, name: str, message: bytes, signature: bytes) -> None:
        """Raises, as for this purpose, unless a key that is trusted here signed the message."""
        if not KEY_ID.fullmatch(name):
            raise self._refused("it names no key")
        if self._is_revoked(name):
            raise self._refused(f"it was signed with key {name}, which was revoked here")
        path = self.folder / (name + TRUSTED)
        if not path.is_file():
            raise self._refused(
                f"it was signed with key {name}, which is not trusted here: once its owner has confirmed the id to "
                f"you, `limpid {self._noun} keys trust FILE`"
            )
        key = load_public(path)
        if key_id(key) != name:
            raise self._refused(f"{path} holds another key than its name says")
        try:
            key.verify(signature, message)
        except InvalidSignature:
            raise self._refused(f"its signature is not that of key {name}: it was altered, or forged") from None

    def _is_revoked(self, name: str) -> bool:
        return os.path.lexists(self.folder / (name + REVOKED))

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_durably(path, content, mode=0o644)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
