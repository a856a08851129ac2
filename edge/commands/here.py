"""Where the daemon of this host is heard, and with which key: as its installed configuration says, so that an operator
need not name either.
"""

from __future__ import annotations

from pathlib import Path

from edge.access.curve import ClientKey
from edge.access.homes import own_key
from edge.client import reachable
from edge.commands.identity import given_key
from edge.config import load
from edge.errors import ConfigError

SITE = Path("/etc/limpid/limpid.toml")


def address_of(socket: str, otherwise: str, site: Path = SITE) -> str:
    """Of "pictures", "control" or "events". A configuration that cannot be read starts no daemon either."""
    try:
        if not site.is_file():
            return otherwise
        return reachable(str(getattr(load(site).sockets, socket)))
    except (OSError, ConfigError):
        return otherwise


def key_to(address: str, site: Path = SITE) -> ClientKey | None:
    """The key that the command line names; else, for a socket of this host's daemon that asks for one, its own."""
    if (given := given_key()) is not None or not site.is_file():
        return given
    try:
        config = load(site)
    except (OSError, ConfigError):
        return None
    bound = (config.sockets.pictures, config.sockets.control, config.sockets.events)
    return next((own_key(config, each) for each in bound if address == reachable(each)), None)


FRAMES = "tcp://127.0.0.1:5570"
PICTURES = address_of("pictures", "tcp://127.0.0.1:5571")
CONTROL = address_of("control", "tcp://127.0.0.1:5572")
