"""The doctor's look at the panel's screen. Nothing is opened: the panel may be at work."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from typing import Literal

from edge.config import Config
from edge.panel.kms import Console

Finding = tuple[str, Literal["ok", "warning", "failure"], str, str]  # check, verdict, what, remedy
DESKTOPS = ("WAYLAND_DISPLAY", "DISPLAY")


def screen(
    config: Config, console: Console | None = None, environment: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Warnings at most: an appliance without a screen of its own enhances all the same."""
    console = console or Console()
    if not config.panel.enabled and not console.cards:
        return  # nobody asked for one, and there is none
    if importlib.util.find_spec("pygame") is None:
        if config.panel.enabled:
            yield "screen", "warning", "the panel's extra is not installed", "pip install 'limpid-edge[panel]'"
        return
    driver = config.panel.driver or environment.get("SDL_VIDEODRIVER", "")
    desktop = next((name for name in DESKTOPS if environment.get(name)), "")
    if driver.lower() not in ("", "kmsdrm") or (not driver and desktop):
        yield "screen", "ok", driver or f"a desktop's ({desktop})", ""
        return
    obstacles = console.obstacles()
    for each in obstacles:
        yield "screen", "warning", f"bare console: {each.what}", each.remedy
    if not obstacles:
        yield "screen", "ok", f"bare console: {console.described()}", ""
