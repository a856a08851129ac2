"""`limpid outbox ...`: a person's hand in what waits. What only shows it is in `outbox_view.py`. No patient in either.

Each command is one function that gives its exit status: 0, 1 where something is wrong with what was asked for.
"""

from __future__ import annotations

import getpass
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from edge import config as configs
from edge.config import parse_section
from edge.errors import ConfigError, OutboxFault
from edge.outbox import Capture, Item, Outbox, Settings
from edge.outbox.record import check_destination
from edge.routing import Rules, parse_route, wants

WRONG = 1


@dataclass(frozen=True, slots=True)
class Desk:
    """An outbox, and the destinations the configuration or the command line names."""

    box: Outbox
    rules: dict[str, Rules]
    as_json: bool

    def destinations(self, captures: Iterable[Capture]) -> list[str]:
        return sorted({*self.rules, *(name for capture in captures for name in capture.destinations)})

    def items(self, capture: Capture, only: Sequence[str] = ()) -> Iterator[Item]:
        """Each object with each destination it is meant for, or has been sent to."""
        for stored in capture.objects:
            for destination in only or self.destinations([capture]):
                rules = self.rules.get(destination, Rules())
                meant = wants(rules, stored.role, stored.modality, capture.priority)
                if meant or (stored.name, destination) in capture.marks:
                    yield Item(capture, stored, destination)

    def answer(self, facts: dict[str, Any], words: str) -> None:
        print(json.dumps(facts) if self.as_json else words)


def open_desk(
    config: Path | None, folder: Path | None, destinations: Sequence[str], *, as_json: bool, with_key: bool = False
) -> Desk:
    found = configs.load(config)
    settings = parse_section(found.outbox, Settings, "outbox")
    if not with_key:  # who only looks at the queue need not be able to read the key
        settings = msgspec.structs.replace(settings, key_file="", key_credential="")
    place = folder or settings.place
    try:
        if not place.is_dir():
            raise ConfigError(
                f"there is no outbox at {place}: name it with --folder, or the configuration with --config"
            )
        os.scandir(place).close()
    except PermissionError as error:
        raise ConfigError(f"{place} may not be read: run this as the service's user or as root") from error
    rules = {name: parse_route(name, table).rules for name, table in found.destination.items()}
    if destinations:
        rules = {check_destination(name): rules.get(name, Rules()) for name in destinations}
    return Desk(Outbox(place, settings, who=f"operator {_login()}"), rules, as_json)


def _login() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def find(desk: Desk, names: Sequence[str]) -> list[Capture]:
    """By their ids, or any part of one that is unmistakable."""
    captures = desk.box.captures()
    found: list[Capture] = []
    for name in names:
        fitting = [capture for capture in captures if name in capture.id]
        if len(fitting) != 1:
            raise OutboxFault(f"{name}: {len(fitting) or 'no'} captures with this in their id")
        found += fitting
    return found


def retry(desk: Desk, names: Sequence[str], only: Sequence[str], *, all_parked: bool) -> int:
    """Given ones wait again unless they are confirmed; with all_parked, all that are parked or damaged."""
    _some_or_all(names, everything=all_parked)
    captures = desk.box.captures() if all_parked else find(desk, names)
    wanted = ("parked", "damaged") if all_parked else ("parked", "damaged", "sent", "asked")
    retried, faults = 0, list[str]()
    for capture in captures:
        for stored in (stored for stored in capture.objects if stored.name in capture.damaged):
            faults += _tried(lambda c=capture, s=stored: desk.box.mend(c, s), capture)
        for item in desk.items(desk.box.capture(capture.id), only):
            if item.state in wanted and item.object.name not in item.capture.damaged:
                failed = _tried(lambda i=item: desk.box.retry(i), capture)
                faults += failed
                retried += not failed
        retried += sum(name not in desk.box.capture(capture.id).damaged for name in capture.damaged)
    words = "\n".join([f"{retried} objects wait again", *(f"not so: {fault}" for fault in faults)])
    desk.answer({"retried": retried, "faults": faults}, words)
    return WRONG if faults else 0


def _tried(work: Any, capture: Capture) -> list[str]:
    try:
        work()
    except OutboxFault as error:
        return [f"{capture.id}: {error}"]
    return []


def park(desk: Desk, names: Sequence[str], only: Sequence[str], reason: str) -> int:
    captures = find(desk, names)
    if not only and not desk.destinations(captures):
        raise ConfigError("no destination is known: name it with --destination, or the configuration with --config")
    items = [
        item for capture in captures for item in desk.items(capture, only) if item.state not in ("confirmed", "parked")
    ]
    for item in items:
        desk.box.parked(item, reason)
    desk.answer({"parked": len(items)}, f"{len(items)} objects parked; `limpid outbox retry` sends them after all")
    return 0


def release(desk: Desk, names: Sequence[str]) -> int:
    captures = [capture for capture in find(desk, names) if capture.held]
    for capture in captures:
        desk.box.release(capture.id)
    desk.answer({"released": len(captures)}, f"{len(captures)} captures released: they will be sent")
    return 0


def discard(desk: Desk, names: Sequence[str], reason: str) -> int:
    captures = find(desk, names)
    for capture in captures:
        desk.box.discard(capture.id, reason)
    words = (
        f"{len(captures)} captures discarded; until the retention time is over they lie in {desk.box.folder}/discarded"
    )
    desk.answer({"discarded": len(captures)}, words)
    return 0


def export(desk: Desk, target: Path, names: Sequence[str], *, everything: bool, held: bool) -> int:
    from edge.outbox import fileset

    _some_or_all(names, everything=everything)
    captures = desk.box.captures() if everything else find(desk, names)
    refused = [capture.id for capture in captures if capture.held and not held]
    if refused and not everything:
        raise OutboxFault(
            f"{', '.join(refused)}: held, because the identity is provisional; --held takes them all the same"
        )
    chosen = [
        (c, stored) for c in captures if c.id not in refused for stored in c.objects if stored.name not in c.damaged
    ]
    left_out = [*refused, *(f"{c.id} {name}" for c in captures if c.id not in refused for name in sorted(c.damaged))]
    if not chosen:
        raise OutboxFault("there is nothing to export")
    total = 2 * sum(stored.size for _, stored in chosen)
    with _bar(desk, "writing and reading back", total) as bar:
        exported = fileset.export(desk.box, chosen, target, lambda count: bar.advance(bar.task_ids[0], count))
    for capture in {one.capture for one in exported}:
        desk.box.note_export(capture, sum(one.capture == capture for one in exported))
    files = [{"capture": one.capture, "object": one.object, "file": one.file, "sha256": one.sha256} for one in exported]
    words = f"{len(exported)} objects in {target}, read back and compared: it may be taken out once it is unmounted"
    words += "".join(f"\nleft out: {one}" for one in left_out)
    desk.answer({"exported": files, "left_out": left_out}, words)
    return WRONG if left_out else 0


def _bar(desk: Desk, what: str, total: int) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=desk.as_json)
    bar.add_task(what, total=total)
    return bar


def verify(desk: Desk, names: Sequence[str]) -> int:
    """Every sum of every stored file, and the chain of the audit log. Changes nothing."""
    captures = find(desk, names) if names else desk.box.captures()
    faults = [{"capture": one.id, "object": "", "reason": one.reason} for one in desk.box.broken() if not names]
    objects = [(capture, stored) for capture in captures for stored in capture.objects]
    with _bar(desk, "reading", sum(stored.stored_size for _, stored in objects)) as bar:
        for capture, stored in objects:
            try:
                desk.box.check(capture, stored)
            except OutboxFault as error:
                faults.append({"capture": capture.id, "object": stored.name, "reason": str(error)})
            bar.advance(bar.task_ids[0], stored.stored_size)
    audit = desk.box.audit.verify()
    good = not faults and not audit.faults
    log = {"entries": audit.entries, "head": audit.head, "faults": list(audit.faults)}
    lines = [f"{len(captures)} captures, {len(objects)} objects, {audit.entries} lines in the audit log"]
    lines += [f"damaged: {fault['capture']} {fault['object']}: {fault['reason']}" for fault in faults]
    lines += [f"audit log: {fault}" for fault in audit.faults]
    lines += [
        f"{'all as it was written' if good else 'NOT all as it was written'}; the audit log ends with {audit.head}"
    ]
    desk.answer({"ok": good, "objects": len(objects), "faults": faults, "audit": log}, "\n".join(lines))
    return 0 if good else WRONG


def _some_or_all(names: Sequence[str], *, everything: bool) -> None:
    if bool(names) == everything:
        raise ConfigError("name the captures, or give --all" if not names else "either names or --all")
