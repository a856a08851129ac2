"""Where the daemon of this host is heard: as its installed configuration says, so that an operator need not name it."""

from __future__ import annotations

from pathlib import Path

from edge.errors import ConfigError

SITE = Path("/etc/limpid/limpid.toml")


def address_of(socket: str, otherwise: str, site: Path = SITE) -> str:
    """Of "pictures", "control" or "events". A configuration that cannot be read starts no daemon either."""
    try:
        if not site.is_file():
            return otherwise
        from edge.config import load  # on most machines there is no such file, and no need of this

        return str(getattr(load(site).sockets, socket))
    except (OSError, ConfigError):
        return otherwise


FRAMES = "tcp://127.0.0.1:5570"
PICTURES = address_of("pictures", "tcp://127.0.0.1:5571")
CONTROL = address_of("control", "tcp://127.0.0.1:5572")
