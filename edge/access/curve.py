"""CURVE key pairs and the files they lie in, each for its owner alone. No thread of its own; a secret is never shown.

A client's file holds all that a client needs, a line each, so that a program without a TOML reader can read it too:

    name = "room-3"
    role = "scanner"
    public = "40 characters"
    secret = "40 characters"
    server = "40 characters"        the appliance's public key
    next = "40 characters"          and the one it changes to, while it does
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq
from zmq.utils import z85

from edge.durable import make_folder, write_durably
from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its older name
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

KEY = re.compile(r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
LARGEST_FILE = 16 << 10
K = TypeVar("K", "Pair", "ClientKey")


class Pair(msgspec.Struct, frozen=True):
    """The appliance's own key, or the one it changes to."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"Pair({fingerprint(self.public)})"


class ClientKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client shows, and whom it expects to meet."""

    public: str
    secret: str
    server: str = ""
    next: str = ""
    name: str = ""
    role: str = ""

    def __repr__(self) -> str:
        return f"ClientKey({self.name} {fingerprint(self.public)})"

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(key for key in (self.server, self.next) if key)


def fingerprint(public: str) -> str:
    """Short enough to be read out on the telephone."""
    return hashlib.sha256(public.encode()).hexdigest()[:16]


def new_pair() -> Pair:
    """A public key that begins with a letter or a digit: nothing that a command line takes for an option."""
    public, secret = zmq.curve_keypair()
    while not public[:1].isalnum():
        public, secret = zmq.curve_keypair()
    return Pair(public.decode(), secret.decode())


def checked_public(text: str) -> str:
    """A public key as it was typed or pasted. Raises ConfigError."""
    try:
        if KEY.fullmatch(text) and len(z85.decode(text)) == 32:
            return text
    except (ValueError, KeyError):
        pass
    raise ConfigError("that is no CURVE public key: 40 characters, as `limpid keys make` prints them")


def refuse_open(path: Path, what: str) -> None:
    """Raises ConfigError where others on this machine can read a secret."""
    try:
        mode = path.stat().st_mode & 0o777
    except OSError as error:
        raise ConfigError(f"the {what} {path}: {error.strerror}") from error
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    if given and Path(given) in path.parents:
        return  # systemd keeps these to the service alone, by an access list that looks like group permissions
    if mode & 0o077:
        raise ConfigError(f"the {what} {path} can be read by others (mode {mode:04o}): chmod 600 {path}")


def load_pair(path: Path) -> Pair:
    return _checked(path, "server key", Pair)


def load_client(path: Path, *, met: bool = True) -> ClientKey:
    """A client's file, with the key of the appliance it is for, unless that is yet to be told."""
    key = _checked(path, "client key", ClientKey)
    if met and not key.server:
        raise ConfigError(
            f"the client key {path} does not say whom it is for: on the appliance `limpid keys show`, then here "
            f'the line server = "..."'
        )
    for public in key.servers:
        checked_public(public)
    return key


def load_public(path: Path) -> str:
    """The public half of a client's file, or a file with the public key alone."""
    content = _text(path, "client key").strip()
    if KEY.fullmatch(content):
        return checked_public(content)
    found = re.search(r'^public = "([^"\n]*)"', content, re.MULTILINE)
    if found is None:
        raise ConfigError(f"{path} holds no public key")
    return checked_public(found[1])


def _checked(path: Path, what: str, kind: type[K]) -> K:
    refuse_open(path, what)
    try:
        key = msgspec.convert(tomllib.loads(_text(path, what)), kind)
        public = zmq.curve_public(key.secret.encode()).decode()
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ValueError, KeyError, zmq.ZMQError):
        raise ConfigError(f"the {what} {path} is none: it was altered by hand, or cut short") from None
    if public != key.public:
        raise ConfigError(f"the {what} {path}: its two halves do not belong together")
    return key


def _text(path: Path, what: str) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(LARGEST_FILE)
    except OSError as error:
        raise ConfigError(f"the {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"the {what} {path} is none") from None


def save(path: Path, key: Pair | ClientKey) -> None:
    """Durably, mode 0600, whole or not at all."""
    fields = {name: getattr(key, name) for name in key.__struct_fields__}
    lines = [f'{name} = "{value}"\n' for name, value in fields.items() if value]
    try:
        make_folder(path.parent)
        write_durably(path, "".join(lines).encode("ascii"), owner=_owner_of(path.parent))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def _owner_of(folder: Path) -> tuple[int, int] | None:
    """An operator who is root must not lock the service out."""
    if os.geteuid() != 0:
        return None
    facts = folder.stat()
    return facts.st_uid, facts.st_gid
