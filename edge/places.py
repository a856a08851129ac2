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
    home = Path(config.capture.folder) if config.capture.folder else settings.place.parent / "exams"
    key = load_key(settings)
    return Places(settings, settings.place, Vault(home, key), Vault(home / "mpps", key))
