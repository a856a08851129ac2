"""An engine's manifest as calibration writes it. Installing is the engine store's (`edge/engine_store.py`)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import msgspec

from edge.catalog import Manifest

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


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
