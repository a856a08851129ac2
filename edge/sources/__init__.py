"""Where frames come from. The port, and the opener.

A source is read by one thread, its receive thread. `next` waits at most `timeout_s` and gives one frame, or None;
it raises `BadFrame` for one message that cannot be a frame, and `SourceUnavailable` when there is nothing to read
from now. A plugin is a module of this folder with

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...
    def open_source(options: Options, clock: Clock) -> Source: ...
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol

from edge import plugins
from edge.clock import Clock
from edge.config import parse_section
from edge.frame import Frame


class Source(Protocol):
    @property
    def ended(self) -> bool:
        """True once no frame will ever come again (a file was played to its end)."""
        ...

    def next(self, timeout_s: float) -> Frame | None: ...

    def close(self) -> None: ...


def open_source(kind: str, options: Mapping[str, object], clock: Clock) -> Source:
    module = plugins.load(sys.modules[__name__], kind)
    return module.open_source(parse_section(options, module.Options, f"source.{kind}"), clock)
