"""Engines: what there is, what the judge found, what runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec

from edge.catalog import Catalog, Engine, open_catalog, shipped_folder
from edge.console.calls import Answer, Asked, Blob, Call
from edge.console.errors import not_found, refused
from edge.engine_store import EngineStore, Version, home_of, keyring_of

CARD = "CARD.md"
LARGEST_CARD = 256 << 10
VERIFY_PATIENCE_S = 600.0  # on a busy device
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{0,47}\Z")]
SHOWN = (
    "name", "family", "size", "version", "task", "modalities", "scale", "precision", "sha256", "kmac_per_px", "licence",
    "limits",
)  # fmt: skip


class Activate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    version: Annotated[str, msgspec.Meta(pattern=r"^([0-9][0-9a-z.+]{0,63})?\Z")] = ""  # empty: the newest


class RollBack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^-]")] = "from the console"


def _list(asked: Asked) -> Answer:
    engines = asked.office.config.engines
    catalog, running = _catalog(asked), _running(asked)
    return {
        "engines": [_as_dict(engine, running) for engine in catalog.engines.values()],
        "refused": [{"name": Path(folder).name, "reason": reason} for folder, reason in catalog.refused.items()],
        "families": catalog.families,
        "chosen": {kind: getattr(engines, kind) for kind in ("ultrasound", "fluoroscopy", "unknown")},
        "store": _store(asked),
    }


def _catalog(asked: Asked) -> Catalog:
    engines = asked.office.config.engines
    return open_catalog([one for one in engines.folders if Path(one).expanduser().is_dir()], engines.keys)


def _store(asked: Asked) -> dict[str, Any]:
    """What was installed on this appliance, version by version."""
    engines = asked.office.config.engines
    store = EngineStore(home_of(engines), keyring_of(engines), "console")
    installed = [version for name in store.names() for version in store.versions(name)]
    return {
        "in_force": bool(engines.folders),
        "versions": [
            {
                "name": one.name, "version": one.number, "signed_by": one.signed_by, "fault": one.fault,
                "state": _state(one), "family": one.engine.manifest.family if one.engine is not None else "",
                "way_back": _way_back(store, one),
            }
            for one in installed
        ],
    }  # fmt: skip


def _state(version: Version) -> str:
    if version.fault:
        return "refused"
    return "active" if version.active else "previous" if version.previous else "installed"


def _way_back(store: EngineStore, version: Version) -> str:
    """Of the active one, where no installed version is the way back: the engine shipped under its name, or none."""
    if not version.active or not store.goes_back_to_shipped(version.name):
        return ""
    return "shipped" if (shipped_folder() / version.name).is_dir() else "none"


def _activate(asked: Asked) -> Answer:
    """By the command itself, in a process of its own: it runs the engine, and looks at what comes out."""
    body: Activate = asked.body
    done = _command(asked, "activate", body.name, *(["--version", body.version] if body.version else []))
    asked.note("engine-activate", body.name, version=done["version"])
    return done


def _roll_back(asked: Asked) -> Answer:
    done = _command(asked, "rollback", asked.body.name, "--reason", asked.body.reason)
    asked.note("engine-rollback", asked.body.name, version=done["version"])
    return done


def _command(asked: Asked, *words: str) -> dict[str, Any]:
    path = asked.office.config_path
    config = [] if path is None else ["--config", str(path)]
    command = [sys.executable, "-m", "edge", "engine", *words, "--json", *config]
    who = {**os.environ, "USER": f"console {asked.session.who}", "SUDO_USER": ""}
    try:
        done = subprocess.run(
            command, env=who, stdin=subprocess.DEVNULL, capture_output=True, timeout=VERIFY_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise refused(f"the engine was not verified within {VERIFY_PATIENCE_S:g} s: nothing was changed") from None
    asked.office.pulse.refresh(0.0)
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise refused(told[-1].removeprefix("limpid: ") if told else "the engine was refused")
    answer: dict[str, Any] = msgspec.json.decode(done.stdout)
    return answer


def _running(asked: Asked) -> set[str]:
    """The sums of the models that treat pictures now."""
    streams = asked.office.pulse.refresh().status.get("streams", {})
    return {facts["engine"]["sha256"] for facts in streams.values() if "engine" in facts}


def _as_dict(engine: Engine, running: set[str]) -> dict[str, Any]:
    manifest: dict[str, Any] = msgspec.to_builtins(engine.manifest)
    judged = manifest["judged"]
    return {
        **{key: manifest[key] for key in SHOWN},
        "shipped": engine.folder.parent == shipped_folder(),
        "running": manifest["sha256"] in running,
        "card": (engine.folder / CARD).is_file(),
        "judged": None if judged is None else {key: value for key, value in judged.items() if key != "sha256"},
    }


def _card(asked: Asked) -> Answer:
    engine = _catalog(asked).engines.get(asked.path["name"])
    path = engine.folder / CARD if engine is not None else None
    if path is None or not path.is_file():
        raise not_found("there is no such engine, or it has no card")
    with path.open("rb") as file:
        return Blob(file.read(LARGEST_CARD), "text/plain; charset=utf-8")


CALLS = (
    Call("GET", "/engines", "view", "Engines, what the judge found, what runs", _list),
    Call("GET", "/engines/{name}/card", "view", "An engine's card", _card, gives="text/plain"),
    Call("POST", "/engines/activate", "administer", "Verify an installed engine here, and switch to it", _activate,
         body=Activate, pool="slow"),
    Call("POST", "/engines/rollback", "administer", "Back to the version before", _roll_back, body=RollBack,
         pool="slow"),
)  # fmt: skip
