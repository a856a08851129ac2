"""Who may use the console: names, roles and hashed passwords in one file. Any thread.

The file is written by `limpid console user`, read again whenever it has changed, and holds nothing that opens a door:
passwords are there as argon2id hashes alone.
"""

from __future__ import annotations

import os
import secrets
import threading
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from edge.durable import write_durably
from edge.errors import ConfigError

Role = Literal["view", "operate", "administer"]
ROLES: tuple[Role, ...] = ("view", "operate", "administer")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 256
VERSION = 1
UserName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}\Z")]


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: UserName
    role: Role
    hash: str = ""

    def may(self, least: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(least)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    users: tuple[User, ...]


class Users:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._hasher = PasswordHasher()  # RFC 9106, the profile for little memory: 64 MiB, three passes
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int, int], dict[str, User]] | None = None  # the file's stamp, and what it said
        self._nobody = ""  # the hash of a password that nobody has

    def all(self) -> dict[str, User]:
        """Raises ConfigError for a file that is not one of ours: then nobody gets in."""
        with self._lock:
            try:
                facts = self._path.stat()
            except FileNotFoundError:
                return {}
            except OSError as error:
                raise ConfigError(f"{self._path}: {error.strerror}") from error
            stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
            if self._read is None or self._read[0] != stamp:
                self._read = (stamp, self._load())
            return self._read[1]

    def _load(self) -> dict[str, User]:
        try:
            file = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ConfigError(f"{self._path} is not a file of users: it was altered by hand, or cut short") from None
        if file.version != VERSION:
            raise ConfigError(f"{self._path} is of version {file.version}, known is {VERSION}")
        return {user.name: user for user in file.users}

    def check(self, name: str, password: str) -> User | None:
        """Takes as long for a name that nobody has."""
        user = self.all().get(name)
        known = user.hash if user is not None else self._nobodys()
        try:
            self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return None
        return user

    def _nobodys(self) -> str:
        if not self._nobody:
            self._nobody = self._hasher.hash(secrets.token_hex())
        return self._nobody

    # ------------------------------------------------ written by the command alone

    def add(self, name: str, role: str, password: str) -> None:
        if name in self.all():
            raise ConfigError(f"there is a user {name} already: `limpid console user password` changes the password")
        self._set(name, role, password)

    def change_password(self, name: str, password: str) -> None:
        self._set(name, self._known(name).role, password)

    def remove(self, name: str) -> None:
        self._known(name)
        self._write({other: user for other, user in self.all().items() if other != name})

    def _known(self, name: str) -> User:
        try:
            return self.all()[name]
        except KeyError:
            raise ConfigError(f"there is no user {name}") from None

    def _set(self, name: str, role: str, password: str) -> None:
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise ConfigError(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
        try:
            user = msgspec.convert({"name": name, "role": role, "hash": self._hasher.hash(password)}, User)
        except msgspec.ValidationError:
            raise ConfigError(
                f"a user has a name of a-z 0-9 . _ -, 32 at most, and one of the roles {', '.join(ROLES)}"
            ) from None
        self._write({**self.all(), name: user})

    def _write(self, users: dict[str, User]) -> None:
        """Whole or not at all, and for the owner's eyes alone."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = msgspec.json.format(msgspec.json.encode(_File(VERSION, tuple(users[name] for name in sorted(users)))))
        facts = self._path.parent.stat()
        # An administrator who is root must not lock the service out.
        owner = (facts.st_uid, facts.st_gid) if os.geteuid() == 0 else None
        write_durably(self._path, data + b"\n", owner=owner)
