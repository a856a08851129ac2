"""TOML -> frozen structs. A stranger among the keys stops the start and is told the right name.

Every setting has a default, so an empty file (or none) is a working configuration.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover - the same parser under its older name
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

T = TypeVar("T", bound=msgspec.Struct)
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Live(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[live]: the frame deadline and what happens around it."""

    deadline_ms: Annotated[float, msgspec.Meta(ge=2, le=1000)] = 33.0
    max_age_ms: Annotated[float, msgspec.Meta(ge=10, le=5000)] = 100.0
    strength_percent: Percent = 80.0
    recent_seconds: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10.0
    recent_megabytes: Annotated[int, msgspec.Meta(ge=16)] = 256
    watchdog_s: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 3.0
    max_streams: Annotated[int, msgspec.Meta(ge=1, le=32)] = 8


class Engines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[engines]: which family treats which modality, and on what."""

    folders: tuple[str, ...] = ()  # searched before the shipped ones
    ultrasound: str = "handbuilt"
    fluoroscopy: str = "handbuilt"
    unknown: str = "handbuilt"
    backend: str = "openvino_cpu"
    threads: Count = 0  # 0: one a core
    rungs: tuple[str, ...] = ("large", "medium", "small", "classical", "original")
    max_change_percent: Percent = 12.0  # mean change inside the region beyond which a result is refused


class Sockets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[sockets]: ipc:// or tcp:// addresses the daemon binds."""

    pictures: str = "tcp://127.0.0.1:5571"
    control: str = "tcp://127.0.0.1:5572"
    events: str = "tcp://127.0.0.1:5573"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    live: Live = Live()
    engines: Engines = Engines()
    sockets: Sockets = Sockets()
    source: dict[str, dict[str, Any]] = msgspec.field(default_factory=lambda: {"zeromq": {}})
    display: dict[str, dict[str, Any]] = {}  # displays beside the publisher


def load(path: Path | None) -> Config:
    """The configuration in a file, or the defaults where there is none."""
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(text: str) -> Config:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from error
    config = parse_section(tree, Config, "")
    _check_together(config)
    return config


def parse_section(tree: Mapping[str, object], kind: type[T], where: str) -> T:
    """One table into its struct; the message names the key, and the nearest known one."""
    _refuse_strangers(tree, kind, where)
    try:
        return msgspec.convert(dict(tree), kind)
    except msgspec.ValidationError as error:
        key, _, path = str(error).partition(" - at `$")
        place = f"{where}{path.rstrip('`')}".lstrip(".")
        raise ConfigError(f"[{place}] {key[0].lower()}{key[1:]}" if place else key) from error


def _refuse_strangers(tree: Mapping[str, object], kind: type[msgspec.Struct], where: str) -> None:
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in tree.items():
        if key not in fields:
            raise ConfigError(_stranger(key, list(fields), where))
        inner = fields[key]
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, Mapping):
            _refuse_strangers(value, inner, f"{where}.{key}".lstrip("."))


def _stranger(key: str, known: list[str], where: str) -> str:
    place = f" in [{where}]" if where else ""
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if close:
        return f'unknown key "{key}"{place}; did you mean "{close[0]}"?'
    return f'unknown key "{key}"{place}; known: {", ".join(known) or "none"}'


def _check_together(config: Config) -> None:
    if config.live.max_age_ms < config.live.deadline_ms:
        raise ConfigError("[live] max_age_ms is shorter than deadline_ms: every late frame would be dropped")
    if len(config.source) != 1:
        raise ConfigError(f"[source] needs exactly one kind, has {len(config.source)}")
    addresses = [config.sockets.pictures, config.sockets.control, config.sockets.events]
    if len(set(addresses)) != len(addresses):
        raise ConfigError("[sockets] two sockets share one address")
    for address in addresses:
        if not address.startswith(("tcp://", "ipc://", "inproc://")):
            raise ConfigError(f'[sockets] "{address}" is not a tcp:// or ipc:// address')
