"""`limpid display`: the panel, from the configuration and what the command line says otherwise."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge import config as configs
from edge.commands.identity import given_key
from edge.config import Config
from edge.errors import ConfigError
from edge.panel.run import Limits, run_panel
from edge.panel.screen import Screen


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line; None, nothing or zero: as configured."""

    fullscreen: bool | None
    screen: int | None
    size: str
    vsync: bool | None
    stream: str | None
    pictures: str
    control: str
    frames: int
    seconds: float
    screenshot: Path | None


def run(path: Path | None, asked: Asked, *, as_json: bool) -> int:
    config = settled(configs.load(path), asked)
    if asked.screenshot is not None and not asked.screenshot.parent.is_dir():
        raise ConfigError(f"{asked.screenshot.parent}: there is no such folder to write the screenshot to")
    limits = Limits(asked.frames, asked.seconds, asked.screenshot)
    status, figures = run_panel(config, screen_of(config), limits, threading.Event(), given_key())
    if as_json:
        print(json.dumps(figures))
    elif limits != Limits():
        for key, value in figures.items():
            print(f"{key:12} {value}")
    return status


def settled(config: Config, asked: Asked) -> Config:
    """The configuration, but for what was asked otherwise."""
    width, height = _size(asked.size) if asked.size else (config.panel.width, config.panel.height)
    wishes: dict[str, Any] = {
        "fullscreen": asked.fullscreen, "screen": asked.screen, "vsync": asked.vsync, "stream": asked.stream,
        "width": width, "height": height,
    }  # fmt: skip
    panel = msgspec.structs.replace(config.panel, **{key: one for key, one in wishes.items() if one is not None})
    ends = {key: one for key, one in {"pictures": asked.pictures, "control": asked.control}.items() if one}
    return msgspec.structs.replace(config, panel=panel, sockets=msgspec.structs.replace(config.sockets, **ends))


def screen_of(config: Config) -> Screen:
    panel = config.panel
    return Screen(panel.fullscreen, panel.screen, (panel.width, panel.height), panel.vsync, panel.driver)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    try:
        size = int(width), int(height)
    except ValueError:
        size = (0, 0)
    if not all(100 <= side <= 16384 for side in size):
        raise ConfigError(f'"{text}" is not WIDTHxHEIGHT, as 800x480')
    return size
