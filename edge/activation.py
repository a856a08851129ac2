"""The gate between an installed engine and the picture. Run by commands, beside the daemon, not in it.

Signature, contract and judgement are read again from the disk; then the engine has to show on this very device what
its maker shipped (`verification.py`). Only then is the link turned, and the daemon told. Whatever is refused is in the
audit log, and what was active still is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from edge.access.curve import ClientKey
from edge.catalog import CHOICE_FILE, Catalog, Choice, Engine
from edge.client import Control
from edge.engine_store import EngineStore, Version, is_older
from edge.errors import ConfigError, EngineRefused, SourceUnavailable

SWAP_PATIENCE_S = 90.0


class Verified(Protocol):
    """What the gate needs of a verification."""

    @property
    def passed(self) -> bool: ...

    @property
    def chosen_precision(self) -> str: ...

    @property
    def verdict(self) -> str: ...

    @property
    def backend(self) -> str: ...

    def as_dict(self) -> dict[str, Any]: ...


Verify = Callable[[Engine], Verified]


@dataclass(frozen=True, slots=True)
class Waivers:
    """What the operator takes upon himself, by name."""

    unjudged: bool = False
    downgrade: bool = False


def active_version(catalog: Catalog, name: str) -> str:
    """Of the engine that runs under this name now, installed or shipped; empty where there is none."""
    engine = catalog.engines.get(name)
    return engine.manifest.version if engine is not None else ""


def activate(store: EngineStore, version: Version, current: str, verify: Verify, waivers: Waivers) -> Verified:
    """Raises EngineRefused at the first thing that does not hold; otherwise VERSION is active when this returns."""
    try:
        verification = _verified(_checked(version, current, waivers), verify)
    except EngineRefused as error:
        store.refused(version.name, str(error), {"version": version.number, "folder": version.home.name})
        raise EngineRefused(f"{version.name} {version.number}: {error}") from error
    choice = Choice(verification.backend, verification.chosen_precision, verification.verdict)
    store.write_beside(version.home, CHOICE_FILE, msgspec.json.encode(choice))
    waived = [name for name in Waivers.__slots__ if getattr(waivers, name)]
    facts = {"backend": choice.backend, "precision": choice.precision, "verdict": choice.verdict, "waived": waived}
    store.activate(version.name, version.home, facts, trial=True)
    return verification


def _checked(version: Version, current: str, waivers: Waivers) -> Engine:
    if version.engine is None or version.fault:
        raise EngineRefused(version.fault)
    manifest = version.engine.manifest
    if not manifest.is_judged and not waivers.unjudged:
        raise EngineRefused("nobody has judged it; to use it for trying the path, --unjudged")
    if current and is_older(manifest.version, current) and not waivers.downgrade:
        raise EngineRefused(f"it is older than the active {current}; to go back on purpose, --allow-downgrade")
    return version.engine


def _verified(engine: Engine, verify: Verify) -> Verified:
    verification = verify(engine)
    if not verification.passed:
        raise EngineRefused(verification.verdict)
    return verification


def tell_daemon(control: str, name: str, key: ClientKey | None = None) -> dict[str, Any]:
    """Have a running daemon take up what is on the disk now. Raises EngineRefused where it took it back at once."""
    try:
        answer = Control(control, SWAP_PATIENCE_S, key).ask("engine-take-up", engine=name)
    except SourceUnavailable:
        return {"daemon": "none answers: it is taken up at the next start"}
    except ConfigError as error:
        raise EngineRefused(str(error)) from error
    return {"daemon": "taken up", **answer}


def login() -> str:
    """Who does this, for the audit log."""
    return f"operator {os.environ.get('SUDO_USER') or os.environ.get('USER') or os.getuid()}"
