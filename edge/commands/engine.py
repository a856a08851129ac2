"""`limpid engine ...`: from a model to a signed bundle, from the bundle to the picture, and back again. What only shows
is in `engine_view.py`, building and verifying plans in `engine_build.py`. Each command gives its exit status.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge import activation, bundle, bundle_source
from edge import config as configs
from edge.activation import Verify, Waivers
from edge.catalog import Catalog, Engine, open_catalog, read_engine, shipped_folder
from edge.client import reachable
from edge.commands.identity import key_for
from edge.config import Config
from edge.engine_store import EngineStore, check_content, home_of, is_older, keyring_of
from edge.errors import ConfigError, EngineRefused, LimpidError
from edge.signing import load_signer

REFUSED = 1
LEFT_OUT = (bundle.HEAD_FILE, "learning.png", "veil.png", "verified.json")  # what a bundle has no need of


@dataclass(frozen=True, slots=True)
class Desk:
    """The configured engines, the store among them, and how to answer."""

    config: Config
    store: EngineStore
    as_json: bool

    @property
    def catalog(self) -> Catalog:
        """As a daemon with this configuration would find it; a store that is not there yet is an empty one."""
        folders = [folder for folder in self.config.engines.folders if Path(folder).expanduser().is_dir()]
        return open_catalog(folders, self.config.engines.keys)

    @property
    def in_force(self) -> bool:
        return bool(self.config.engines.folders)

    def answer(self, facts: dict[str, Any], words: str) -> None:
        print(json.dumps(facts) if self.as_json else words)


def open_desk(config: Path | None, *, as_json: bool) -> Desk:
    found = configs.load(config)
    store = EngineStore(home_of(found.engines), keyring_of(found.engines), activation.login())
    return Desk(found, store, as_json)


# ------------------------------------------------ the ML engineer's


def make_bundle(name: str, folder: Path | None, key: Path, to: Path, *, as_json: bool) -> int:
    """Sign what lies in an engine's folder. Refuses what an appliance would refuse."""
    engine = _source_engine(name, folder)
    manifest = engine.manifest
    signer = load_signer(key)
    files = {path.name: path.read_bytes() for path in _files_of(engine)}
    content = bundle.pack(manifest.name, manifest.version, manifest.contract, files, signer)
    place = to / f"{manifest.name}-{manifest.version}{bundle.SUFFIX}" if to.is_dir() else to
    new = place.with_name(f".{place.name}.tmp")
    try:
        new.write_bytes(content)
        new.replace(place)
    except OSError as error:
        raise ConfigError(f"{place}: {error.strerror}") from error
    facts = {
        "bundle": str(place), "name": manifest.name, "version": manifest.version, "sha256": manifest.sha256,
        "key": signer.id, "bytes": len(content), "judged": manifest.is_judged, "files": sorted(files),
    }  # fmt: skip
    words = f"{place}: {manifest.name} {manifest.version}, {len(files)} files, {len(content)} bytes, key {signer.id}"
    print(json.dumps(facts) if as_json else words)
    return 0


def _source_engine(name: str, folder: Path | None) -> Engine:
    home = (folder or shipped_folder()) / name
    if not home.is_dir() and folder is not None and (folder / "manifest.toml").is_file():
        home = folder
    engine = read_engine(home)
    if engine.manifest.name != name:
        raise ConfigError(f"{home} holds {engine.manifest.name}, not {name}")
    is_older(engine.manifest.version, engine.manifest.version)  # one that cannot be compared is refused here already
    listed = bundle.Listing(bundle.FORMAT, engine.manifest.contract, name, engine.manifest.version, "0" * 16, ())
    check_content(engine.folder, listed)
    return engine


def _files_of(engine: Engine) -> list[Path]:
    found = sorted(path for path in engine.folder.iterdir() if path.is_file() and path.name not in LEFT_OUT)
    return [path for path in found if not path.name.startswith(".")]


# ------------------------------------------------ the appliance's


def install(desk: Desk, source: str, *, downgrade: bool) -> int:
    """Every bundle that SOURCE stands for, beside what is there. One that is refused keeps no other one out."""
    told = [_installed(desk, one, downgrade=downgrade) for one in bundle_source.bundles_at(source)]
    lines = [_install_line(each) for each in told]
    if any(each["ok"] for each in told):
        lines.append("Not active yet: limpid engine activate NAME")
        lines += [] if desk.in_force else [_not_in_force(desk)]
    desk.answer(
        {"ok": all(each["ok"] for each in told), "bundles": told, "store": str(desk.store.root)}, "\n".join(lines)
    )
    return 0 if all(each["ok"] for each in told) else REFUSED


def _installed(desk: Desk, source: str, *, downgrade: bool) -> dict[str, Any]:
    shown = bundle_source.shown(source)
    catalog = desk.catalog
    try:
        with bundle_source.opened(source) as stream:
            version, new = desk.store.install(
                stream, lambda name: activation.active_version(catalog, name), downgrade=downgrade
            )
    except EngineRefused as error:
        desk.store.refused(shown, str(error))
        return {"ok": False, "source": shown, "error": str(error)}
    except LimpidError as error:
        return {"ok": False, "source": shown, "error": str(error)}
    assert version.engine is not None
    manifest = version.engine.manifest
    facts = {"name": manifest.name, "version": manifest.version, "sha256": manifest.sha256, "key": version.signed_by}
    return {"ok": True, "source": shown, "new": new, **facts}


def _install_line(facts: dict[str, Any]) -> str:
    if not facts["ok"]:
        return f"refused: {facts['source']}: {facts['error']}"
    done = "installed" if facts["new"] else "here already"
    return f"{done}: {facts['name']} {facts['version']} ({facts['sha256'][:12]}), signed with key {facts['key']}"


def _not_in_force(desk: Desk) -> str:
    return f'No daemon will find it yet: add "{desk.store.root}" to folders in [engines], before others.'


def activate(desk: Desk, name: str, number: str, control: str, verify: Verify, waivers: Waivers) -> int:
    version = desk.store.find(name, number)
    verification = activation.activate(
        desk.store, version, activation.active_version(desk.catalog, name), verify, waivers
    )
    facts: dict[str, Any] = {
        "name": name, "version": version.number, "sha256": version.engine.manifest.sha256 if version.engine else "",
        "verdict": verification.verdict, "verification": verification.as_dict(),
    }  # fmt: skip
    told = activation.tell_daemon(reachable(control), name, key_for(desk.config, control))
    words = f"active: {name} {version.number}; {verification.verdict}\ndaemon: {_swap_words(told)}"
    words += "" if desk.in_force else f"\n{_not_in_force(desk)}"
    desk.answer({"ok": True, **facts, "daemon": told, "in_force": desk.in_force}, words)
    return 0


def _swap_words(told: dict[str, Any]) -> str:
    streams: dict[str, float] = told.get("streams") or {}
    words = told["daemon"]
    if streams:
        words += " by " + ", ".join(f"{stream} ({cost:g} ms a frame)" for stream, cost in streams.items())
    if told.get("waiting"):
        words += f"; not yet by {', '.join(told['waiting'])}"
    return words


def roll_back(desk: Desk, name: str, control: str, reason: str) -> int:
    desk.store.roll_back(name, reason)
    active = desk.catalog.engines.get(name)
    told = activation.tell_daemon(reachable(control), name, key_for(desk.config, control))
    version = active.manifest.version if active is not None else ""
    words = f"active: {name} {version}" if version else f"no {name} is active: the ladder takes the family's next"
    desk.answer({"ok": True, "name": name, "version": version, "daemon": told}, f"{words}\ndaemon: {_swap_words(told)}")
    return 0


def remove(desk: Desk, name: str, number: str) -> int:
    version = desk.store.find(name, number)
    desk.store.remove(name, version.home)
    desk.answer({"ok": True, "name": name, "version": number}, f"removed: {name} {number}")
    return 0


def trust(desk: Desk, public: Path) -> int:
    key = desk.store.keys.trust(public)
    desk.store.note("engine-key-trusted", key)
    desk.answer({"key": key, "state": "trusted"}, f"key {key} is trusted: compare the id with what its owner told you")
    return 0


def revoke(desk: Desk, key: str) -> int:
    desk.store.keys.revoke(key)
    desk.store.note("engine-key-revoked", key)
    hit = [version for name in desk.store.names() for version in desk.store.versions(name) if key in version.fault]
    names = [f"{version.name} {version.number or version.home.name}" for version in hit]
    words = f"key {key} is revoked"
    words += f"; no longer opened, from the daemon's next start: {', '.join(names)}" if names else ""
    desk.answer({"key": key, "state": "revoked", "engines": names}, words)
    return 0


def verifier(desk: Desk) -> Verify:
    """This device's, with what it runs engines on."""
    from edge.verification import verify_engine

    return lambda engine: verify_engine(engine, backend=desk.config.engines.backend)


def control_of(desk: Desk, given: str | None) -> str:
    return given or desk.config.sockets.control
