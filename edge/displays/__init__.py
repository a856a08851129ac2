"""Where pictures go. The port, and the opener.

A display is fed by the live thread and may never make it wait: a display that cannot keep up loses pictures,
never time. A plugin is a module of this folder with

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...
    def open_display(options: Options) -> Display: ...
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Protocol

from edge import plugins
from edge.config import parse_section
from edge.frame import Shown
from edge.wire import Flag


class Display(Protocol):
    def show(self, shown: Shown, flags: Flag, now_ns: int) -> None:
        """Publish one picture."""
        ...

    def notice(self, last: Shown, flags: Flag, now_ns: int) -> None:
        """Say that the last picture still stands, and why (not live, frozen)."""
        ...

    def tend(self) -> None:
        """Called again and again, also while no picture comes: to hear who joins, who was put out."""
        ...

    def close(self) -> None: ...


def open_display(kind: str, options: Mapping[str, object]) -> Display:
    module = plugins.load(sys.modules[__name__], kind)
    return module.open_display(parse_section(options, module.Options, f"display.{kind}"))
