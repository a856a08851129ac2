"""Where a configuration keeps the keys, which addresses need them, and the key with which this host asks itself."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from edge.access.curve import ClientKey, load_client
from edge.access.register import Register
from edge.config import Config, parse_section
from edge.errors import ConfigError
from edge.outbox.settings import Settings

REMEDY = "make the keys with `limpid setup`, or stay with ipc:// or tcp://127.0.0.1"


@dataclass(frozen=True, slots=True)
class Home:
    """A folder of keys. Nothing of it need be there."""

    folder: Path

    @property
    def server(self) -> Path:
        return self.folder / "server.key"

    @property
    def next(self) -> Path:
        return self.folder / "next.key"

    @property
    def own(self) -> Path:
        """The client key of this host's own console, panel and commands."""
        return self.folder / "own.key"

    @property
    def audit(self) -> Path:
        return self.folder / "audit.jsonl"

    @property
    def register(self) -> Register:
        return Register(self.folder)


def home_of(config: Config) -> Home:
    if config.keys.folder:
        return Home(Path(config.keys.folder))
    return Home(parse_section(config.outbox, Settings, "outbox").place.parent / "keys")


def is_loopback(host: str) -> bool:
    """A name that is no number may be anybody's."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_beyond_this_host(address: str) -> bool:
    """Can somebody elsewhere reach what is bound there?"""
    if not address.startswith("tcp://"):
        return False
    host = address.removeprefix("tcp://").rpartition(":")[0].rpartition(";")[2].strip("[]")
    return host != "lo" and not is_loopback(host)


def needs_keys(config: Config, address: str) -> bool:
    """Does whoever connects to this socket of ours have to show a key?"""
    return is_beyond_this_host(address) or (config.keys.loopback and address.startswith("tcp://"))


def own_key(config: Config, address: str) -> ClientKey | None:
    """What this host's own processes show at this address of the configuration. None: nothing is asked for there."""
    if not needs_keys(config, address):
        return None
    path = Path(config.keys.client) if config.keys.client else home_of(config).own
    if not path.exists():
        raise ConfigError(f"{address} asks for a key, and there is none at {path} ([keys] client): {REMEDY}")
    return load_client(path)
