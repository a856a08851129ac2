"""`limpid engine list`, `keys list`, `log`: what there is, and what was done. Nothing here changes anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.catalog import Engine, as_chosen, shipped_folder
from edge.commands.engine import Desk
from edge.engine_store import Version
from edge.plans import PlanCache, default_folder

COLOURS = {"active": "green", "previous": "cyan", "refused": "red"}


def list_(desk: Desk) -> int:
    rows = sorted(_rows(desk), key=lambda row: (row["family"], row["size"], row["name"], row["version"], row["state"]))
    verdict = desk.store.audit.verify()
    facts = {
        "backend": desk.config.engines.backend, "store": str(desk.store.root), "in_force": desk.in_force,
        "engines": rows, "audit": msgspec.to_builtins(verdict),
    }  # fmt: skip
    if desk.as_json:
        print(json.dumps(facts))
    else:
        console = Console(highlight=False)
        console.print(_table(desk, rows))
        for row in rows:  # a reason does not fit into a column
            if row["fault"]:
                console.print(f"refused: {row['fault']}", markup=False)
    return 0


def _rows(desk: Desk) -> list[dict[str, Any]]:
    """Installed versions first: they overrule what is shipped under the same name."""
    catalog, store = desk.catalog, desk.store
    installed = [version for name in store.names() for version in store.versions(name)]
    rows = [_version_row(desk, version) for version in installed]
    homes = {version.home for version in installed}
    others = [engine for engine in catalog.engines.values() if engine.folder not in homes]
    rows += [_row(desk, engine, "shipped" if _is_shipped(engine) else "active", "", "") for engine in others]
    refused = {Path(folder): why for folder, why in catalog.refused.items()}
    rows += [_unreadable(home.name, "refused", why) for home, why in refused.items() if home.resolve() not in homes]
    return rows


def _is_shipped(engine: Engine) -> bool:
    return engine.folder.parent == shipped_folder()


def _version_row(desk: Desk, version: Version) -> dict[str, Any]:
    state = "active" if version.active else "previous" if version.previous else "installed"
    trial = desk.store.trial(version.name) if version.active else None
    if version.fault or version.engine is None:
        return {**_unreadable(version.name, "refused", version.fault), "was": state, "version": version.number}
    row = _row(desk, version.engine, state, version.signed_by, version.home.name)
    return {**row, "trial": trial.state if trial is not None else ""}


def _row(desk: Desk, engine: Engine, state: str, signed_by: str, folder: str) -> dict[str, Any]:
    manifest, judged = engine.manifest, engine.manifest.judged
    runs = as_chosen(engine, desk.config.engines.backend).manifest
    return {
        "name": manifest.name, "family": manifest.family, "size": manifest.size, "version": manifest.version,
        "sha256": manifest.sha256, "state": state, "signed_by": signed_by, "folder": folder or str(engine.folder),
        "judged": "no" if judged is None else "in full" if judged.full else "quickly",
        "backend": desk.config.engines.backend, "precision": runs.precision,
        "why": engine.choice.verdict if engine.choice is not None else "not verified on this device",
        "plans": _plans(runs.sha256), "fault": "",
    }  # fmt: skip


def _unreadable(name: str, state: str, why: str) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("family", "size", "version", "sha256", "signed_by", "folder", "judged", "backend", "precision", "why"), ""
    )
    return {**empty, "name": name, "state": state, "plans": [], "fault": why}


def _plans(sha256: str) -> list[str]:
    """What was built for this very model, whatever machine it was built for."""
    entries = PlanCache(default_folder()).entries()
    return [entry.path.name for entry in entries if entry.key is not None and entry.key.model == sha256]


def _table(desk: Desk, rows: list[dict[str, Any]]) -> Table:
    caption = escape(f"on {desk.config.engines.backend}; installed in {desk.store.root}")
    view = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption=caption)
    for column in ("engine", "version", "sha256", "judged", "state", "runs", "signed by"):
        view.add_column(column, no_wrap=column == "engine", overflow="fold")
    for row in rows:
        colour = COLOURS.get(row["state"], "white")
        state = f"[{colour}]{row['state']}[/]" + (f" (trial {escape(row['trial'])})" if row.get("trial") else "")
        runs = row["precision"] + (f", {len(row['plans'])} plans" if row["plans"] else "")
        view.add_row(
            escape(row["name"]), escape(row["version"]), escape(row["sha256"][:8]), row["judged"], state, escape(runs),
            escape(row["signed_by"][:8]),
        )  # fmt: skip
    return view


def keys(desk: Desk) -> int:
    states = desk.store.keys.states()
    words = "\n".join(f"{key}  {state}" for key, state in states.items()) or "no key: no bundle is taken here"
    desk.answer({"folder": str(desk.store.keys.folder), "keys": states}, words)
    return 0


def log(desk: Desk, last: int) -> int:
    """What was done with engines here. Exit status 1 where the log was altered."""
    verdict = desk.store.audit.verify()
    entries = [msgspec.to_builtins(entry) for entry in desk.store.audit.entries()][-last:]
    lines = [
        f"{one['when']}  {one['who']}  {one['did']}  {one['to']}  {one['facts'].get('version', '')}"
        f"  {one['facts'].get('why', '')}".rstrip()
        for one in entries
    ]
    lines += [f"the log is not what was written: {fault}" for fault in verdict.faults]
    desk.answer({"entries": entries, "verdict": msgspec.to_builtins(verdict)}, "\n".join(lines) or "nothing yet")
    return 1 if verdict.faults else 0
