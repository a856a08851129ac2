"""`limpid audit ...`: what was done on this appliance, by whom, and whether the logs are what was written. No patient.

Each command is one function that gives its exit status: 0, or 1 where something is wrong.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from rich.console import Console
from rich.table import Table

from edge import config as configs
from edge import durable
from edge.activation import login
from edge.audit import Audit, Entry, Verdict
from edge.config import Config
from edge.errors import ConfigError
from edge.places import audit_logs, note_system, system_folder
from edge.reporter import TOLD, Mark, behind, read_told
from edge.signing import load_public, load_signer, make_key

WRONG = 1
FACT_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Desk:
    config: Config
    logs: dict[str, Audit]
    as_json: bool

    def answer(self, facts: dict[str, Any], words: str) -> None:
        print(json.dumps(facts) if self.as_json else words)


def open_desk(path: Path | None, only: Sequence[str], *, as_json: bool) -> Desk:
    config = configs.load(path)
    logs = audit_logs(config)
    if strange := [name for name in only if name not in logs]:
        raise ConfigError(f"no audit log is called {', '.join(strange)}: there are {', '.join(logs)}")
    chosen = {name: log for name, log in logs.items() if not only or name in only}
    for name, log in chosen.items():
        _refuse_if_closed(name, log)
    return Desk(config, chosen, as_json)


def _refuse_if_closed(name: str, log: Audit) -> None:
    """An empty answer must not come from a missing right."""
    try:
        for file in log.files():
            file.open("rb").close()
        if log.path.parent.exists():
            next(log.path.parent.iterdir(), None)
    except PermissionError as error:
        raise ConfigError(
            f"the log {name} may not be read ({error.filename}): run this as the service's user or as root"
        ) from error


# ------------------------------------------------ list


def list_(desk: Desk, last: int, did: Sequence[str], about: str) -> int:
    """The newest last, all logs as one by their times."""
    told = ([(name, entry) for entry in _wanted(log, did, about, last)] for name, log in desk.logs.items())
    newest = heapq.merge(*told, key=lambda one: one[1].when, reverse=True)
    shown = list(itertools.islice(newest, last))[::-1]
    if desk.as_json:
        desk.answer({"entries": [{"log": name, **msgspec.to_builtins(entry)} for name, entry in shown]}, "")
        return 0
    table = Table(box=None, pad_edge=False)
    for name in ("when", "log", "n", "who", "did", "to", "facts"):
        table.add_column(name, overflow="fold", justify="right" if name == "n" else "left")
    for name, entry in shown:
        facts = _shortened(entry.facts)
        table.add_row(entry.when[:19], name, str(entry.n), entry.who, entry.did, entry.to, facts)
    Console(highlight=False, markup=False).print(table if shown else "nothing was written down yet")
    return 0


def _wanted(log: Audit, did: Sequence[str], about: str, most: int) -> list[Entry]:
    fitting = (
        entry for entry in log.newest_first() if (not did or entry.did in did) and (not about or about in entry.to)
    )
    return list(itertools.islice(fitting, most))


def _shortened(facts: dict[str, Any]) -> str:
    text = "; ".join(f"{key}: {value}" for key, value in facts.items())
    return text if len(text) <= FACT_WIDTH else f"{text[: FACT_WIDTH - 1]}…"


# ------------------------------------------------ verify


def verify(desk: Desk, key: Path | None, heads: Sequence[str], files: Sequence[Path]) -> int:
    public = _public(desk.config, key)
    logs = {str(file): _exported(file) for file in files} or desk.logs
    verdicts = {name: log.verify(public, _heads(heads, name, logs)) for name, log in logs.items()}
    good = all(not verdict.faults for verdict in verdicts.values())
    told = {name: _told(verdict) for name, verdict in verdicts.items()}
    lines = [_in_words(name, verdict) for name, verdict in verdicts.items()]
    lines += ["all logs are as they were written" if good else "NOT all logs are as they were written"]
    if public is None:
        lines += ["no key was given: only the chains were checked, and a log written anew would not be seen"]
    desk.answer({"ok": good, "sealed": public is not None, "logs": told}, "\n".join(lines))
    return 0 if good else WRONG


def _exported(file: Path) -> Audit:
    """A log that was exported, called after its file: as outbox.jsonl."""
    if not file.is_file():
        raise ConfigError(f"there is no file {file}")
    return Audit(file, _no_time, "reader", name=file.stem)


def _no_time() -> Any:
    raise AssertionError("a log that is only read")


def _heads(heads: Sequence[str], name: str, logs: dict[str, Audit]) -> list[str]:
    """LOG:SUM, or SUM alone where there is one log."""
    found = list[str]()
    for one in heads:
        log, _, total = one.rpartition(":")
        if not log and len(logs) > 1:
            raise ConfigError(f"--head {one}: of which log? as outbox:{one[:16]}...")
        if log and log not in logs:
            raise ConfigError(f"--head {one}: no log is called {log}")
        if log in ("", name):
            found.append(total.lower())
    return found


def _public(config: Config, key: Path | None) -> Ed25519PublicKey | None:
    """The given one; the configured one; the private key's own, where we may read it."""
    settings = config.audit
    if key is not None or settings.public_key:
        return load_public(key or Path(settings.public_key))
    if settings.key_file:
        with contextlib.suppress(ConfigError):
            return load_signer(Path(settings.key_file)).key.public_key()
    return None


def _told(verdict: Verdict) -> dict[str, Any]:
    first = min((fault.line for fault in verdict.details if fault.line), default=None)
    return {
        "entries": verdict.entries, "head": verdict.head, "sealed_up_to": verdict.sealed, "first": first,
        "faults": [msgspec.to_builtins(fault) for fault in verdict.details],
    }  # fmt: skip


def _in_words(name: str, verdict: Verdict) -> str:
    lines = [f"{name}: {verdict.entries} lines" + (f", the last is {verdict.head}" if verdict.entries else "")]
    if verdict.sealed is not None and verdict.entries:
        unsealed = verdict.entries - verdict.sealed
        lines[0] += f"; sealed up to line {verdict.sealed}" + (f", {unsealed} since" if unsealed else "")
    lines += [f"  {fault}" for fault in verdict.faults[:20]]
    lines += [f"  and {len(verdict.faults) - 20} more"] if len(verdict.faults) > 20 else []
    return "\n".join(lines)


# ------------------------------------------------ export, status, key


def export(desk: Desk, into: Path) -> int:
    """Every log whole, as it is: each line can be checked again wherever it is. That it was done is written down."""
    try:
        into.mkdir(parents=True, exist_ok=True)
        if any(into.iterdir()):
            raise ConfigError(f"{into} is not empty")
        written = {name: _copy(log, into / f"{name}.jsonl") for name, log in desk.logs.items() if log.files()}
        heads = {name: log.verify().head for name, log in desk.logs.items() if name in written}
        durable.write_durably(into / "heads.json", json.dumps(heads, indent=1).encode() + b"\n")
    except OSError as error:
        raise ConfigError(f"{into}: {error.strerror}") from error
    for name in written:
        note_system(desk.config, f"operator {login()}", "audit-exported", name, lines=written[name])
    words = [f"{name}.jsonl  {count} lines" for name, count in written.items()]
    words += [f"in {into}; `limpid audit verify --file {into}/outbox.jsonl` checks one of them"]
    desk.answer({"folder": str(into), "lines": written, "heads": heads}, "\n".join(words))
    return 0


def _copy(log: Audit, to: Path) -> int:
    count = 0
    fd = durable.create(to)
    with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
        for line in log.lines():
            file.write(line + b"\n")
            count += 1
    return count


def status(desk: Desk) -> int:
    """How many lines there are, and how many the repository was not told yet."""
    settings = desk.config.audit
    told = read_told(system_folder(desk.config) / TOLD)
    logs: dict[str, Any] = {}
    for name, log in desk.logs.items():
        mark = told.get(name, Mark())
        waiting = behind(log, mark) if settings.host else 0
        logs[name] = {"lines": log.end()[0], "told": mark.n, "waiting": waiting, "files": len(log.files())}
    to = f"{settings.protocol}://{settings.host}:{settings.port}" if settings.host else ""
    lines = [
        f"{name:8} {one['lines']} lines in {one['files']} files" + (f", {one['waiting']} wait" if to else "")
        for name, one in logs.items()
    ]
    lines += [f"the repository is {to}" if to else "no repository is told: [audit] host is empty"]
    desk.answer({"repository": to, "logs": logs}, "\n".join(lines))
    return 0


def key(path: Path, *, as_json: bool) -> int:
    signer = make_key(path)
    public = path.with_name(path.name + ".pub")
    words = f"{path} seals the logs: name it in [audit] key_file, for the forward process alone.\n"
    words += f"{public} checks the seals: keep a copy of it away from this machine (key {signer.id})."
    print(json.dumps({"key": signer.id, "private": str(path), "public": str(public)}) if as_json else words)
    return 0
