"""Where the configuration keeps things on the disk, and with which key: read by live, forward and commands alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge.config import Config, parse_section
from edge.exam_book import Vault
from edge.outbox import Settings
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
