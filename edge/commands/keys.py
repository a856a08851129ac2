"""What `limpid keys` does. Each change is a line in the audit log of the keys' folder; a secret is never printed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from edge import config as configs
from edge.access.curve import (
    ClientKey,
    checked_public,
    fingerprint,
    load_client,
    load_pair,
    load_public,
    new_pair,
    save,
)
from edge.access.homes import Home, home_of
from edge.activation import login
from edge.audit import Audit
from edge.durable import make_folder, remove_durably, rename_durably
from edge.errors import ConfigError
from edge.outbox import utc_now


@dataclass(frozen=True, slots=True)
class Desk:
    home: Home
    as_json: bool

    def answer(self, facts: dict[str, Any], words: str) -> int:
        print(json.dumps(facts) if self.as_json else words)
        return 0

    def note(self, did: str, to: str, **facts: object) -> None:
        make_folder(self.home.folder)
        Audit(self.home.audit, utc_now, login(), name="keys").append(did, to, facts)


def open_desk(config: Path | None, *, as_json: bool) -> Desk:
    return Desk(home_of(configs.load(config)), as_json)


def now() -> str:
    return utc_now().isoformat(timespec="seconds")


def make_server(desk: Desk) -> int:
    path = desk.home.server
    if path.exists():
        raise ConfigError(f"{path} is there already: `limpid keys rotate` changes it without locking anybody out")
    pair = new_pair()
    save(path, pair)
    desk.note("keys-made", fingerprint(pair.public))
    return desk.answer({"file": str(path), "public": pair.public}, f"{path}\npublic key: {pair.public}")


def make_client(desk: Desk, path: Path, server: str) -> int:
    if path.exists():
        raise ConfigError(f"{path} is there already: a key that is in use is not written over")
    meets = [checked_public(server), ""] if server else _servers(desk.home)
    pair = new_pair()
    save(path, ClientKey(pair.public, pair.secret, *meets))
    words = f"{path}\npublic key: {pair.public}\non the appliance: limpid keys enrol NAME '{pair.public}' --role ROLE"
    if not meets[0]:
        words += f"\nand here, with what `limpid keys show` says there: limpid keys server {path} 'KEY'"
    return desk.answer({"file": str(path), "public": pair.public, "server": meets[0]}, words)


def _servers(home: Home) -> list[str]:
    return [load_pair(path).public if path.exists() else "" for path in (home.server, home.next)]


def enrol(desk: Desk, name: str, public: str, role: str, streams: tuple[str, ...] = ()) -> int:
    # A key may begin as a path does; it is a key where it looks like one.
    try:
        key = checked_public(public)
    except ConfigError:
        if not Path(public).is_file():
            raise
        key = load_public(Path(public))
    client = desk.home.register.enrol(name, key, role, now(), streams)
    held_to = {"streams": list(streams)} if streams else {}
    desk.note("client-enrolled", name, role=role, key=fingerprint(key), **held_to)
    words = f"{name} may connect as {role}; its key's fingerprint is {fingerprint(key)}: compare it with the client's"
    if streams:
        words += f"\nit may send into {', '.join(streams)} and no other stream"
    return desk.answer({"name": name, "role": client.role, "fingerprint": fingerprint(key), **held_to}, words)


def list_(desk: Desk) -> int:
    enrolled = desk.home.register.read()
    rows = sorted(
        [(c.name, c.role, fingerprint(c.public), c.since, "", ", ".join(c.streams)) for c in enrolled.clients.values()]
        + [(c.name, c.role, print_, c.since, c.revoked, "") for print_, c in enrolled.revoked.items()]
    )
    columns = ("name", "role", "fingerprint", "since", "revoked", "streams")
    facts = [dict(zip(columns, row, strict=True)) for row in rows]
    if desk.as_json:
        return desk.answer({"clients": facts, "unreadable": list(enrolled.unreadable)}, "")
    table = Table(box=None, pad_edge=False)
    for column in ("client", *columns[1:]):
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console(markup=False).print(table if rows else "nobody is enrolled: no other machine may connect", soft_wrap=True)
    for name in enrolled.unreadable:
        print(f"clients/{name} cannot be read: it lets nobody in")
    return 0


def show_server(desk: Desk) -> int:
    current, coming = _servers(desk.home)
    if not current:
        raise ConfigError(f"there is no server key at {desk.home.server}: make one with `limpid setup`")
    words = f"public key:  {current}\nfingerprint: {fingerprint(current)}"
    words += f"\nnext:        {coming}\nfingerprint: {fingerprint(coming)}" if coming else ""
    return desk.answer({"public": current, "fingerprint": fingerprint(current), "next": coming}, words)


def show_client(desk: Desk, name: str) -> int:
    enrolled = desk.home.register.read()
    found = [one for one in [*enrolled.clients.values(), *enrolled.revoked.values()] if one.name == name]
    if not found:
        raise ConfigError(f"there is no client {name}: `limpid keys list` shows who there is")
    facts = [{**msgspec.to_builtins(one), "fingerprint": fingerprint(one.public)} for one in found]
    words = "\n\n".join("\n".join(f"{key:12} {value}" for key, value in one.items() if value) for one in facts)
    return desk.answer({"keys": facts}, words)


def revoke(desk: Desk, name: str) -> int:
    client = desk.home.register.revoke(name, now())
    desk.note("client-revoked", name, role=client.role, key=fingerprint(client.public))
    words = f"{name} is revoked: its key opens nothing any more, and a running daemon cuts it off within a second"
    return desk.answer({"name": name, "role": client.role, "fingerprint": fingerprint(client.public)}, words)


def rotate(desk: Desk, *, finish: bool, cancel: bool) -> int:
    home = desk.home
    if not home.server.exists():
        raise ConfigError(f"there is no server key at {home.server}: make one with `limpid setup`")
    if finish and cancel:
        raise ConfigError("--finish or --cancel: one of them")
    if (finish or cancel) and not home.next.exists():
        raise ConfigError("no change of key has begun: `limpid keys rotate` begins it")
    if finish:
        return _take_up(desk)
    if cancel:
        remove_durably(home.next)
        _tell_own(home, None)
        desk.note("key-change-cancelled", "server")
        return desk.answer({"state": "cancelled"}, "the key stays as it is; clients that learnt the other one need not")
    return _begin(desk)


def _begin(desk: Desk) -> int:
    home = desk.home
    if home.next.exists():
        raise ConfigError("a change of key has begun already: `limpid keys rotate --finish`, or --cancel")
    pair = new_pair()
    save(home.next, pair)
    _tell_own(home, pair.public)
    desk.note("key-change-begun", fingerprint(pair.public))
    words = (
        f"next public key: {pair.public}\n"
        f"1. on each client: limpid keys server FILE '{pair.public}' --next\n"
        "2. start its program anew: it connects under either key then\n"
        "3. here, once all have it: limpid keys rotate --finish"
    )
    return desk.answer({"state": "begun", "next": pair.public}, words)


def _take_up(desk: Desk) -> int:
    home = desk.home
    pair = load_pair(home.next)
    rename_durably(home.next, home.server)
    if home.own.exists():
        save(home.own, msgspec.structs.replace(load_client(home.own), server=pair.public, next=""))
    desk.note("key-changed", fingerprint(pair.public))
    words = (
        "the new key is in force: a running daemon cuts everybody off within a second, and the old one opens nothing"
    )
    return desk.answer({"state": "finished", "public": pair.public}, words)


def _tell_own(home: Home, coming: str | None) -> None:
    if home.own.exists():
        save(home.own, msgspec.structs.replace(load_client(home.own), next=coming or ""))


def meet(file: Path, public: str, *, is_next: bool, as_json: bool) -> int:
    key = load_client(file, met=False)
    checked_public(public)
    key = msgspec.structs.replace(key, next=public) if is_next else msgspec.structs.replace(key, server=public, next="")
    save(file, key)
    facts = {"file": str(file), "server": key.server, "next": key.next}
    return Desk(Home(file.parent), as_json).answer(facts, f"{file} is for the appliance {fingerprint(public)}")
