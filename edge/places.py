"""Where the configuration keeps things on the disk, and with which key: read by live, forward and commands alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edge.access.homes import home_of as keys_of
from edge.audit import Audit
from edge.config import Config, parse_section
from edge.engine_store import home_of
from edge.exam_book import Vault
from edge.outbox import Settings, utc_now
from edge.outbox.seal import load_key


@dataclass(frozen=True, slots=True)
class Places:
    settings: Settings  # of the outbox
    outbox: Path
    exams: Vault
    steps: Vault  # notices to the archive that wait (MPPS)


def places_of(config: Config) -> Places:
    """Raises ConfigError where the key cannot be had. Nothing is made yet."""
    settings = parse_section(config.outbox, Settings, "outbox")
    key = load_key(settings)
    home, steps = exams_folder(config, settings), steps_folder(config, settings)
    return Places(settings, settings.place, Vault(home, key), Vault(steps, key))


def exams_folder(config: Config, settings: Settings) -> Path:
    return Path(config.capture.folder) if config.capture.folder else settings.place.parent / "exams"


def steps_folder(config: Config, settings: Settings) -> Path:
    return exams_folder(config, settings) / "mpps"


def console_folder(config: Config) -> Path:
    """Users, and the console's audit log."""
    return Path(config.console.folder) if config.console.folder else _beside_the_outbox(config) / "console"


def system_folder(config: Config) -> Path:
    """The appliance's own audit log, and how far the audit repository was told."""
    return Path(config.audit.folder) if config.audit.folder else _beside_the_outbox(config) / "system"


def _beside_the_outbox(config: Config) -> Path:
    return parse_section(config.outbox, Settings, "outbox").place.parent


def audit_logs(config: Config, who: str = "limpid", wall: Callable[[], datetime] = utc_now) -> dict[str, Audit]:
    """Every audit log of the appliance, by name, whether it is there yet or not."""
    places = {
        "outbox": parse_section(config.outbox, Settings, "outbox").place,
        "console": console_folder(config),
        "keys": keys_of(config).folder,
        "engines": home_of(config.engines),
        "updates": _beside_the_outbox(config) / "update",  # where `limpid update` keeps its state, under systemd
        "system": system_folder(config),
    }
    return {name: Audit(place / "audit.jsonl", wall, who, name=name) for name, place in places.items()}


def note_system(config: Config, who: str, did: str, to: str, **facts: object) -> str:
    """A line in the appliance's own log. Gives why it could not be written, or nothing: what has happened has
    happened. An appliance that has no state folder yet keeps no log."""
    folder = system_folder(config)
    if not folder.parent.is_dir():
        return ""
    try:
        folder.mkdir(exist_ok=True, mode=0o700)
        Audit(folder / "audit.jsonl", utc_now, who, name="system").append(did, to, facts)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def quality_of(config: Config) -> Path:
    return _beside_the_outbox(config) / "quality"


def reports_of(config: Config) -> Path:
    """Where processes report how they are: in memory where systemd has a folder for us, otherwise beside the outbox."""
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    return (Path(runtime) if runtime else _beside_the_outbox(config)) / "processes"
