"""An engine's folder as calibration writes it: the manifest's text, and an installation that a power cut cannot halve.

What is installed under TO/NAME is a link to a hidden folder beside it. A new version is written to a hidden folder of
its own and made durable; turning the link is then one rename: whoever reads finds the old engine or the new one, never
parts of both. The version before stays, for a daemon that still runs it; older ones go.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from edge.catalog import Manifest
from edge.errors import ConfigError, LimpidError

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
SEPARATOR = "~"  # no engine's name holds one


def manifest_toml(manifest: Manifest) -> str:
    return toml_text(msgspec.to_builtins(manifest))


def toml_text(table: Mapping[str, object], path: str = "") -> str:
    """Strings, numbers, truth values, arrays, tables and arrays of tables; what is None is left out."""
    plain = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if _is_plain(value)]
    parts = ["\n".join(plain)] if plain else []
    for key, value in table.items():
        place = f"{path}{_key(key)}"
        if isinstance(value, Mapping):
            parts.append(f"[{place}]\n{toml_text(cast('Mapping[str, object]', value), f'{place}.')}".rstrip())
        elif _is_tables(value):
            each = cast("Sequence[Mapping[str, object]]", value)
            parts += [f"[[{place}]]\n{toml_text(one, f'{place}.')}".rstrip() for one in each]
    return "\n\n".join(parts) + "\n"


def _is_tables(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and isinstance(value[0], Mapping)


def _is_plain(value: object) -> bool:
    return value is not None and not isinstance(value, Mapping) and not _is_tables(value)


def _key(key: str) -> str:
    return key if BARE_KEY.match(key) else _value(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(each) for each in cast('Sequence[Any]', value))}]"
    # JSON's strings are TOML's, but for one character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def check_place(to: Path, name: str) -> None:
    """Whether an engine could be installed there, asked before any long work. Raises ConfigError."""
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{to}: {error.strerror}") from error
    if not os.access(to, os.W_OK | os.X_OK):
        raise ConfigError(f"{to} cannot be written")
    if (to / name).exists() and not (to / name).is_symlink():
        raise ConfigError(f"{to / name} was not put there by a calibration: choose another folder, or move it away")


def install(to: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """Put the engine at TO/NAME; whatever interrupts this, that is the old version or the new one."""
    check_place(to, name)
    link = to / name
    before = link.readlink().name if link.is_symlink() else ""
    try:
        home = written(to, name, files)
        _turn(link, home.name)
    except OSError as error:
        raise LimpidError(f"{link} was not installed: {error.strerror}") from error
    _clear_away(to, name, {before, home.name})
    return link


def written(to: Path, name: str, files: Mapping[str, bytes]) -> Path:
    """A hidden folder with these files, durable before this returns."""
    home = Path(tempfile.mkdtemp(prefix=f".{name}{SEPARATOR}", dir=to))
    home.chmod(0o755)  # the daemon may be another user
    for file, content in files.items():
        with (home / file).open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    _sync(home)
    return home


def _turn(link: Path, target: str) -> None:
    new = link.with_name(f".{link.name}{SEPARATOR}link")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)
    _sync(link.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _clear_away(to: Path, name: str, keep: set[str]) -> None:
    """Older versions, and what an interrupted installation left."""
    for path in to.iterdir():
        if path.name.startswith(f".{name}{SEPARATOR}") and path.name not in keep:
            if path.is_symlink():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path, ignore_errors=True)
