"""With which key this command line connects: `limpid --key FILE ...` or LIMPID_KEY, and else what is configured.

A command line is one client; its key is told once, before the command, and asked for where it connects.
"""

from __future__ import annotations

from pathlib import Path

from edge.access.curve import ClientKey, load_client
from edge.access.homes import own_key
from edge.config import Config

_given: list[Path] = []  # written once, by main, before any command runs


def give(path: Path | None) -> None:
    _given[:] = [] if path is None else [path]


def given_key() -> ClientKey | None:
    """What the command line says, for a daemon that is named by its address alone."""
    return load_client(_given[0]) if _given else None


def key_for(config: Config, address: str) -> ClientKey | None:
    """For an address of the configuration."""
    return given_key() or own_key(config, address)
