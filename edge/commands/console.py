"""`limpid console`: the web page and its API, alone. And its users, by hand."""

from __future__ import annotations

import contextlib
import getpass
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edge import __version__
from edge import config as configs
from edge.activation import login
from edge.audit import Audit
from edge.config import Config
from edge.errors import ConfigError
from edge.outbox import utc_now
from edge.places import console_folder, note_system

if TYPE_CHECKING:
    from edge.console.access.users import Users


def run(path: Path | None) -> int:
    config = configs.load(path)
    _need_libraries()
    from edge.console import server

    note_system(config, "console", "started", "console", version=__version__)
    try:
        return server.run(config, path)
    finally:
        note_system(config, "console", "stopped", "console")


def _need_libraries() -> None:
    for name in ("argon2", "starlette", "uvicorn", "wsproto"):
        if find_spec(name) is None:
            raise ConfigError(f"the console needs {name}, which is not installed: pip install 'limpid-edge[console]'")


def users_of(config: Config) -> Users:
    _need_libraries()
    from edge.console.access.users import Users

    return Users(console_folder(config) / "users.json")


def _note(config: Config, did: str, name: str, **facts: object) -> None:
    """Into the console's audit log. What has happened has happened, whether or not it can be written."""
    with contextlib.suppress(OSError):
        Audit(console_folder(config) / "audit.jsonl", utc_now, f"operator {login()}").append(did, name, facts)


def add(path: Path | None, name: str, role: str, *, from_stdin: bool) -> None:
    config = configs.load(path)
    users_of(config).add(name, role, _new_password(from_stdin=from_stdin))
    _note(config, "user-added", name, role=role)
    print(f"{name} may {role}")


def change_password(path: Path | None, name: str, *, from_stdin: bool) -> None:
    config = configs.load(path)
    users_of(config).change_password(name, _new_password(from_stdin=from_stdin))
    _note(config, "password-changed", name)
    print(f"{name} has a new password, and is logged out everywhere")


def remove(path: Path | None, name: str) -> None:
    config = configs.load(path)
    users_of(config).remove(name)
    _note(config, "user-removed", name)
    print(f"{name} is no user any more, and is logged out everywhere")


def list_(path: Path | None, *, as_json: bool) -> None:
    users = users_of(configs.load(path)).all().values()
    if as_json:
        print(json.dumps({"users": [{"name": user.name, "role": user.role} for user in users]}))
        return
    for user in users:
        print(f"{user.name:32} {user.role}")
    if not users:
        print("no users: on this machine the console is open to everybody, and it listens nowhere else")


def _new_password(*, from_stdin: bool) -> str:
    """Never an argument: those can be read by everybody on the machine."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise ConfigError("no terminal to ask for the password: give it with --stdin")
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise ConfigError("the two were not the same: nothing was changed")
    return password
