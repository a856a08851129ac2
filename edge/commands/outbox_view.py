"""`limpid outbox list` and `show`: what waits, and what became of it. Nothing here shows a patient."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from rich import box as boxes
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.commands.outbox import WRONG, Desk, find
from edge.outbox import Capture, Item

COLOURS = {
    "waiting": "cyan", "held": "yellow", "sent": "blue", "asked": "blue",
    "confirmed": "green", "parked": "red", "damaged": "red",
}  # fmt: skip


def list_(desk: Desk, states: Sequence[str]) -> int:
    captures = [capture for capture in desk.box.captures() if not states or _states(desk, capture) & set(states)]
    broken = desk.box.broken() if not states or "damaged" in states else []
    counts = Counter(item.state for capture in captures for item in desk.items(capture))
    if desk.as_json:
        rows = [_as_dict(desk, capture) for capture in captures]
        unreadable = [{"id": one.id, "reason": one.reason} for one in broken]
        print(json.dumps({"captures": rows, "damaged": unreadable, "states": dict(counts)}))
        return WRONG if broken else 0
    view = _table(desk, captures)
    for one in broken:
        view.add_row(
            escape(one.id),  # the name of a folder, whoever made it
            "",
            "",
            "",
            "",
            "",
            *[""] * len(desk.destinations(captures)),
            f"[red]damaged[/]: {escape(one.reason)}",
        )
    summary = ", ".join(f"{number} {state}" for state, number in counts.items()) or "no destinations"
    console = Console(highlight=False)
    console.print(view if captures or broken else "the outbox is empty")
    if captures:
        console.print(f"{len(captures)} captures; objects by destination: {summary}")
    return WRONG if broken else 0


def _states(desk: Desk, capture: Capture) -> set[str]:
    found: set[str] = {item.state for item in desk.items(capture)}
    return found | ({"held"} if capture.held else set()) | ({"damaged"} if capture.damaged else set())


def _table(desk: Desk, captures: Sequence[Capture]) -> Table:
    view = Table(box=boxes.SIMPLE_HEAD, padding=(0, 1))
    destinations = desk.destinations(captures)
    for column in ("capture", "kind", "modality", "priority"):
        view.add_column(column, overflow="fold")
    view.add_column("objects", justify="right")
    view.add_column("MB", justify="right")
    for destination in destinations:
        view.add_column(escape(destination), overflow="fold")
    view.add_column("note", overflow="fold")
    for capture in captures:
        size = sum(stored.stored_size for stored in capture.objects) / 1e6
        record = capture.record
        view.add_row(
            capture.id, record.kind, record.modality, "[red]stat[/]" if record.priority == "stat" else "routine",
            str(len(capture.objects)), f"{size:.1f}",
            *(_summed_up(desk, capture, destination) for destination in destinations), _note(capture),
        )  # fmt: skip
    return view


def _summed_up(desk: Desk, capture: Capture, destination: str) -> str:
    counts = Counter(item.state for item in desk.items(capture) if item.destination == destination)
    return ", ".join(f"[{COLOURS[state]}]{number} {state}[/]" for state, number in counts.items())


def _note(capture: Capture) -> str:
    notes = ["[yellow]held: provisional identity[/]"] if capture.held else []
    return "; ".join([*notes, *(f"[red]{escape(name)} is damaged[/]" for name in sorted(capture.damaged))])


def _as_dict(desk: Desk, capture: Capture) -> dict[str, Any]:
    record = capture.record
    objects = [
        {
            "name": stored.name, "role": stored.role, "sop_uid": stored.sop_uid, "size": stored.size,
            "frames": stored.frames, "sealed": bool(stored.sealed), "damaged": stored.name in capture.damaged,
            "states": {item.destination: item.state for item in desk.items(capture) if item.object is stored},
        }
        for stored in capture.objects
    ]  # fmt: skip
    return {
        "id": capture.id, "exam": record.exam_uid, "modality": record.modality, "kind": record.kind,
        "priority": record.priority, "captured": record.captured, "held": capture.held, "objects": objects,
    }  # fmt: skip


def show(desk: Desk, name: str) -> int:
    (capture,) = find(desk, [name])
    steps = [_step(desk, item) for item in desk.items(capture)]
    history = [msgspec.to_builtins(entry) for entry in desk.box.audit.entries() if entry.to == capture.id]
    damage = {
        stored.name: desk.box.damage(capture, stored) for stored in capture.objects if stored.name in capture.damaged
    }
    if desk.as_json:
        more = {"steps": steps, "history": history, "damage": damage}
        print(json.dumps(_as_dict(desk, capture) | more))
        return WRONG if damage else 0
    console, record = Console(highlight=False, soft_wrap=True), capture.record
    console.print(f"{capture.id}  {record.kind}, {record.modality}, {record.priority}, exam {record.exam_uid}")
    console.print(f"captured {record.captured}{'; ' + _note(capture) if _note(capture) else ''}")
    for stored in capture.objects:
        sealed = f", sealed with key {stored.sealed}" if stored.sealed else ""
        console.print(f"  {stored.name}  {stored.sop_uid}  {stored.frames} frames, {stored.size / 1e6:.2f} MB{sealed}")
        if stored.name in damage:
            console.print(f"    [red]damaged[/]: {escape(damage[stored.name])}")
        for step in (step for step in steps if step["object"] == stored.name):
            told = (f"{key} {value}" for key, value in step["facts"].items() if key != "served_s")
            details = escape(", ".join(told))  # an archive's own words
            console.print(f"    {escape(step['destination'])}: [{COLOURS[step['state']]}]{step['state']}[/] {details}")
    for entry in history:
        console.print(f"  {entry['when']}  {entry['who']}: {entry['did']}", style="dim", markup=False)
    return WRONG if damage else 0


def _step(desk: Desk, item: Item) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if item.state in ("sent", "asked", "confirmed", "parked"):
        facts = msgspec.to_builtins(desk.box.facts(item, item.state))
    return {"object": item.object.name, "destination": item.destination, "state": item.state, "facts": facts}
