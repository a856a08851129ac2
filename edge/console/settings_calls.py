"""The configuration file: read, checked as the daemon would, written whole. Nothing is restarted from here."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from edge import config as configs
from edge.access.exposure import check_exposure
from edge.config import Config
from edge.console.calls import Answer, Asked, Call
from edge.console.errors import Refusal, refused
from edge.durable import write_durably
from edge.errors import ConfigError
from edge.places import places_of
from edge.routing import parse_route

LARGEST = 256 << 10
RESTARTS: dict[str, tuple[str, ...]] = {
    "live": ("live",), "engines": ("live",), "source": ("live",), "display": ("live",), "preset": ("live",),
    "capture": ("live",), "worklist": ("live", "console"), "mpps": ("live", "forward"), "station": ("live", "forward"),
    "outbox": ("live", "forward", "console"), "audit": ("live", "forward", "console"),
    "destination": ("forward", "console"),
    "sockets": ("live", "console", "display"), "console": ("console",), "panel": ("display",),
    "health": ("live",), "heat": ("live",), "sensors": ("live",), "keys": ("live", "console", "display"),
}  # fmt: skip
EVERYTHING = ("live", "forward", "console", "display")
Text = Annotated[str, msgspec.Meta(max_length=LARGEST)]


class Proposed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Text


class Chosen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: Text
    digest: Annotated[str, msgspec.Meta(max_length=64)]


def _show(asked: Asked) -> Answer:
    path, text = asked.office.config_path, _read(asked)
    running: Any = msgspec.to_builtins(asked.office.config)
    try:
        effective, fault = msgspec.to_builtins(_parse(asked, text)), ""
    except ConfigError as error:
        effective, fault = running, str(error)
    return {
        "path": "" if path is None else str(path), "text": text, "digest": _sum(text),
        "writable": path is not None and os.access(path.parent, os.W_OK), "effective": effective, "error": fault,
        "restart_needed": effective != running,
    }  # fmt: skip


def _check(asked: Asked) -> Answer:
    try:
        return {"ok": True, "error": "", "changes": _changes(asked, _parse(asked, asked.body.text))}
    except ConfigError as error:
        return {"ok": False, "error": str(error), "changes": []}


def _write(asked: Asked) -> Answer:
    path, body = asked.office.config_path, asked.body
    if path is None:
        raise refused("the console runs without a configuration file: start it with --config")
    before = _read(asked)
    if body.digest != _sum(before):
        raise refused("the file has changed meanwhile: read it again")
    try:
        changes = _changes(asked, _parse(asked, body.text))
    except ConfigError as error:
        raise Refusal(422, "invalid", str(error)) from None
    _replace(path.with_name(path.name + ".before"), before, path)
    _replace(path, body.text, path)
    asked.note("settings", path.name, keys=[change["key"] for change in changes], digest=_sum(body.text))
    return {"ok": True, "error": "", "changes": changes, "digest": _sum(body.text)}


def _read(asked: Asked) -> str:
    path = asked.office.config_path
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise refused(f"{path}: not UTF-8 text") from None


def _parse(asked: Asked, text: str) -> Config:
    """All that can be known to be wrong before a process is started with it."""
    config = configs.parse(text)
    for name, table in config.destination.items():
        parse_route(name, table)
    places_of(config)
    check_exposure(config.console, asked.office.users.all())
    return config


def _changes(asked: Asked, new: Config) -> list[dict[str, Any]]:
    """Against what is in the file now."""
    try:
        before = configs.parse(_read(asked))
    except ConfigError:
        before = asked.office.config
    return list(_differences(msgspec.to_builtins(before), msgspec.to_builtins(new), ()))


def _differences(old: Any, new: Any, where: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(key), new.get(key), (*where, str(key)))
    elif old != new:
        yield {"key": ".".join(where), "from": old, "to": new, "restart": list(RESTARTS.get(where[0], EVERYTHING))}


def _replace(path: Path, text: str, like: Path) -> None:
    """Whole or not at all, with the rights and the owner of the file that is there."""
    mode, owner = 0o600, None
    with contextlib.suppress(FileNotFoundError):
        facts = like.stat()
        mode, owner = stat.S_IMODE(facts.st_mode), (facts.st_uid, facts.st_gid)
    write_durably(path, text.encode("utf-8"), mode=mode, owner=owner)


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


CALLS = (
    Call("GET", "/settings", "administer", "The configuration file, and what it comes to", _show),
    Call("POST", "/settings/check", "administer", "What is wrong with a configuration, and what it would change",
         _check, body=Proposed, largest=LARGEST),
    Call("PUT", "/settings", "administer", "Write it, where it is right and nobody else did meanwhile", _write,
         body=Chosen, largest=LARGEST),
)  # fmt: skip
