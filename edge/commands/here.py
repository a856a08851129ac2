"""Where the daemon of this host is heard: as its installed configuration says, so that an operator need not name it."""

from __future__ import annotations

from pathlib import Path

SITE = Path("/etc/limpid/limpid.toml")


def address_of(socket: str, otherwise: str, site: Path = SITE) -> str:
    """Of "pictures", "control" or "events". A configuration that cannot be read starts no daemon either."""
    try:
        if not site.is_file():
            return otherwise  # as on most machines: nothing is loaded for it
        from edge.config import load
        from edge.errors import ConfigError

        try:
            return str(getattr(load(site).sockets, socket))
        except ConfigError:
            return otherwise
    except OSError:
        return otherwise


FRAMES = "tcp://127.0.0.1:5570"
PICTURES = address_of("pictures", "tcp://127.0.0.1:5571")
CONTROL = address_of("control", "tcp://127.0.0.1:5572")
