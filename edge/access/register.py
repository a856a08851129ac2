"""Which client may do what: a folder, one file a client. Written by `limpid keys`, read by the guard.

    clients/NAME       {"public", "role", "since", "streams"}: may connect; a scanner may send into these streams alone
    revoked/PRINT      {"public", "role", "since", "name", "revoked"}: this key, never again, under whatever name

`judge` is pure: who asks at which door, and may they. Files that cannot be read let nobody in.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from edge.access.curve import checked_public, fingerprint
from edge.durable import make_folder, remove_durably, touch, write_durably
from edge.errors import ConfigError

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
FRAMES, PICTURES, CONTROL, EVENTS = "frames", "pictures", "control", "events"
ROLES: dict[str, frozenset[str]] = {
    "scanner": frozenset({FRAMES}),
    "display": frozenset({PICTURES, EVENTS}),
    "viewer": frozenset({PICTURES, EVENTS}),
    "operator": frozenset({PICTURES, EVENTS, CONTROL}),
}
NOT_ENROLLED, REVOKED, WRONG_ROLE = "not-enrolled", "revoked", "wrong-role"


class Client(msgspec.Struct, frozen=True):
    public: str
    role: str
    since: str
    name: str = ""
    revoked: str = ""  # when
    streams: tuple[str, ...] = ()  # that a scanner may send into; empty: any


@dataclass(frozen=True, slots=True)
class Verdict:
    """`name` is known also of one that is refused, but for a stranger."""

    name: str
    refused: str = ""  # why; empty: come in


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What was on the disk at one moment."""

    clients: dict[str, Client] = field(default_factory=dict[str, Client])  # by public key
    revoked: dict[str, Client] = field(default_factory=dict[str, Client])  # by fingerprint
    unreadable: tuple[str, ...] = ()

    def judge(self, door: str, public: str) -> Verdict:
        """Whether whoever holds this key may come in at this door."""
        gone = self.revoked.get(fingerprint(public))
        if gone is not None:
            return Verdict(gone.name, REVOKED)
        client = self.clients.get(public)
        if client is None:
            return Verdict("", NOT_ENROLLED)
        return Verdict(client.name, "" if door in ROLES[client.role] else WRONG_ROLE)

    def is_held(self, name: str) -> bool:
        """To some streams, and no others."""
        return any(client.name == name and client.streams for client in self.clients.values())

    def may_send(self, name: str, stream: str) -> bool:
        """One that has just been revoked is on no list any more, and sends nothing while it is being cut off."""
        client = next((client for client in self.clients.values() if client.name == name), None)
        return client is not None and (not client.streams or stream in client.streams)


Stamp = tuple[tuple[str, int, int], ...]


class Register:
    """The folder. What is on the disk counts."""

    def __init__(self, folder: Path) -> None:
        self._clients = folder / "clients"
        self._revoked = folder / "revoked"

    def stamp(self) -> Stamp:
        """Differs once anything has changed."""
        return tuple(sorted(_entries(self._clients) + _entries(self._revoked)))

    def read(self) -> Enrolled:
        unreadable: list[str] = []
        clients: dict[str, Client] = {}
        for path in _files(self._clients):
            client = _load(path)
            if client is None or client.role not in ROLES or NAME.fullmatch(path.name) is None:
                unreadable.append(path.name)
            else:
                clients[client.public] = msgspec.structs.replace(client, name=path.name)
        # Of a mark that cannot be read the name is enough: the key stays out.
        revoked = {path.name: _load(path) or Client("", "", "") for path in _files(self._revoked)}
        return Enrolled(clients, revoked, tuple(unreadable))

    def enrol(self, name: str, public: str, role: str, now: str, streams: tuple[str, ...] = ()) -> Client:
        """Let this key in. Raises ConfigError."""
        if NAME.fullmatch(name) is None:
            raise ConfigError(f'"{name}" is no name for a client: a-z 0-9 -, 32 at most, and nothing about a patient')
        if role not in ROLES:
            raise ConfigError(f'"{role}" is no role; there are: {", ".join(ROLES)}')
        if streams and FRAMES not in ROLES[role]:
            raise ConfigError(f"a {role} sends no frames: streams are for a scanner")
        now_in = self.read()
        if fingerprint(checked_public(public)) in now_in.revoked:
            raise ConfigError("this key was revoked here, and is not let in again: make a new one")
        if any(client.name == name for client in now_in.clients.values()):
            raise ConfigError(f"{name} is enrolled already: `limpid keys revoke {name}` first, or choose another name")
        if public in now_in.clients:
            raise ConfigError(f"this key is enrolled already, as {now_in.clients[public].name}")
        client = Client(public, role, now, streams=streams)
        self._write(self._clients / name, client)
        return msgspec.structs.replace(client, name=name)

    def revoke(self, name: str, now: str) -> Client:
        """From now on this client's key opens nothing. First it is marked, then taken off the list."""
        client = next((one for one in self.read().clients.values() if one.name == name), None)
        if client is None:
            raise ConfigError(f"no client {name} is enrolled: `limpid keys list` shows who is")
        client = msgspec.structs.replace(client, revoked=now)
        self._write(self._revoked / fingerprint(client.public), client)
        remove_durably(self._clients / name)
        touch(self._clients)
        return client

    def _write(self, path: Path, client: Client) -> None:
        try:
            make_folder(path.parent)
            owner = path.parent.stat()
            ids = (owner.st_uid, owner.st_gid) if os.geteuid() == 0 else None
            write_durably(path, msgspec.json.encode(client), owner=ids)
            touch(path.parent)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.endswith(".tmp"))
    except FileNotFoundError:
        return []


def _entries(folder: Path) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for path in _files(folder):
        try:
            facts = path.lstat()
        except FileNotFoundError:
            continue
        found.append((str(path), facts.st_mtime_ns, facts.st_ino))
    return found


def _load(path: Path) -> Client | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Client)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
