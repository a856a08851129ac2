"""`limpid set`: the clinician's few wishes, from a terminal."""

from __future__ import annotations

from typing import Any

from edge.client import Control
from edge.commands.here import key_to
from edge.errors import ConfigError


def run(control: str, stream: str | None, settings: dict[str, Any], freeze: bool | None) -> None:
    desk = Control(control, key=key_to(control))
    where = {} if stream is None else {"stream": stream}
    asked = {key: value for key, value in settings.items() if value is not None}
    if not asked and freeze is None:
        raise ConfigError("nothing to set: see `limpid set --help`")
    if asked:
        desk.ask("set", **where, **asked)
    if freeze is not None:
        desk.ask("freeze" if freeze else "unfreeze", **where)
