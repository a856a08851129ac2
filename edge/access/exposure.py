"""What could be reached from other machines, and what it needs before it may be."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edge.access.homes import REMEDY, home_of, is_beyond_this_host, is_loopback
from edge.config import Config, Console
from edge.errors import ConfigError


def check_certificate(console: Console) -> None:
    """What the configuration alone tells. Raises ConfigError."""
    if bool(console.certificate) != bool(console.key):
        raise ConfigError("[console] certificate and key belong together")
    if not is_loopback(console.host) and not console.certificate:
        _refuse(console, ["[console] certificate and key (PEM files)"])


def check_exposure(console: Console, users: Collection[str], *, first_waits: bool = False) -> None:
    """Raises ConfigError where strangers could get at the console."""
    if is_loopback(console.host) or users or first_waits:
        check_certificate(console)
        return
    missing = [] if console.certificate else ["[console] certificate and key (PEM files)"]
    missing.append("a user (`limpid console user add NAME --role administer`, or `limpid setup` for a one-time token)")
    _refuse(console, missing)


def _refuse(console: Console, missing: list[str]) -> None:
    raise ConfigError(
        f'[console] host = "{console.host}" can be reached from outside: that needs {" and ".join(missing)}; '
        'or use host = "127.0.0.1"'
    )


def unlocked(config: Config, addresses: Mapping[str, str]) -> list[str]:
    """Which of the sockets, by their keys of the configuration, live would refuse to open on this machine as it is."""
    if home_of(config).server.exists():
        return []
    return [
        f'{where} = "{address}" can be reached from other machines, and there is no server key: {REMEDY}'
        for where, address in addresses.items()
        if is_beyond_this_host(address)
    ]
