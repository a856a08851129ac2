"""`limpid update list`, `status`, `log`, `keys list`: what there is and what was done. Nothing is changed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.commands.update import Desk
from edge.update import processes
from edge.update.store import Version

COLOURS = {"current": "green", "previous": "cyan"}


def list_(desk: Desk) -> int:
    rows = [_row(desk, version) for version in desk.store.versions()]
    if desk.as_json:
        print(json.dumps({"root": str(desk.store.root), "current": desk.store.current, "versions": rows}))
        return 0
    console = Console(highlight=False)
    console.print(_table(desk, rows) if rows else escape(f"no version in {desk.store.root}"))
    for row in rows:  # a reason does not fit into a column
        if row["fault"]:
            console.print(f"{row['version']}: {row['fault']}", markup=False)
    return 0


def _row(desk: Desk, version: Version) -> dict[str, Any]:
    listing, trial = version.listing, desk.store.trial()
    states = [state for state in version.states if state != "good"] or ["staged"]
    states += ["on trial"] if trial is not None and trial.version == version.number else []
    return {
        "version": version.number, "states": states, "home": str(version.home), "fault": version.fault,
        "key": listing.key if listing is not None else "", "notes": listing.notes if listing is not None else "",
    }  # fmt: skip


def _table(desk: Desk, rows: list[dict[str, Any]]) -> Table:
    view = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=escape(f"in {desk.store.root}"))
    for column in ("version", "state", "signed by", "notes"):
        view.add_column(column, overflow="fold")
    for row in rows:
        state = row["states"][0] if not row["fault"] else "refused"
        words = ", ".join(row["states"])
        view.add_row(row["version"], f"[{COLOURS.get(state, 'white')}]{words}[/]", row["key"][:8] or "not a bundle",
                     escape(row["notes"].splitlines()[0]) if row["notes"] else "")  # fmt: skip
    return view


def status(desk: Desk) -> int:
    """Exit status 0 whatever is current: on trial is no fault."""
    store, trial = desk.store, desk.store.trial()
    runs = processes.found(store.state)
    facts = {
        "current": store.current, "previous": store.previous, "good": store.good, "history": store.history(),
        "trial": msgspec.to_builtins(trial) if trial is not None else None, "runs_under": runs.what,
        "audit": msgspec.to_builtins(store.audit.verify()),
    }  # fmt: skip
    lines = [f"current:  {store.current or 'none: nothing was installed by updates here'}",
             f"previous: {store.previous or 'none: there is no way back'}", f"under:    {runs.what}"]  # fmt: skip
    if trial is not None:
        lines.append(
            f"on trial: since {trial.began}, begun {trial.starts} times, for {trial.length_s:g} s; "
            f"otherwise back to {trial.before}"
        )
    desk.answer(facts, "\n".join(lines))
    return 0


def log(desk: Desk, last: int) -> int:
    """What was done with versions here. Exit status 1 where the log was altered."""
    verdict = desk.store.audit.verify()
    entries = [msgspec.to_builtins(entry) for entry in desk.store.audit.entries()][-last:]
    lines = [
        f"{one['when']}  {one['who']}  {one['did']}  {one['to']}  {one['facts'].get('why', '')}".rstrip()
        for one in entries
    ]
    lines += [f"the log is not what was written: {fault}" for fault in verdict.faults]
    desk.answer({"entries": entries, "verdict": msgspec.to_builtins(verdict)}, "\n".join(lines) or "nothing yet")
    return 1 if verdict.faults else 0


def keys(desk: Desk) -> int:
    states = desk.store.keys.states()
    words = "\n".join(f"{key}  {state}" for key, state in states.items()) or "no key: no update is taken here"
    desk.answer({"folder": str(desk.store.keys.folder), "keys": states}, words)
    return 0
