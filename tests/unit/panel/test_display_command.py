"""What the configuration and the command line make of the panel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.commands.display import Asked, screen_of, settled
from edge.commands.run import processes
from edge.config import Config, parse
from edge.errors import ConfigError
from edge.panel.screen import Screen

NOTHING = Asked(None, None, "", None, None, "", "", 0, 0.0, None)


def asked(**more: Any) -> Asked:
    return replace(NOTHING, **more)


def test_without_a_command_line_it_is_as_configured() -> None:
    config = parse('[panel]\nfullscreen = false\nscreen = 1\nwidth = 1024\nheight = 600\nvsync = false\nstream = "a"')
    assert settled(config, NOTHING) == config
    assert screen_of(config) == Screen(fullscreen=False, index=1, size=(1024, 600), vsync=False)
    assert screen_of(Config()) == Screen()


def test_the_command_line_comes_before_the_configuration() -> None:
    config = settled(
        parse('[panel]\nstream = "a"\nvsync = true'),
        asked(fullscreen=False, screen=2, size="1280x800", vsync=False, stream="b", pictures="ipc:///p", control="ipc:///c"),
    )  # fmt: skip
    assert screen_of(config) == Screen(fullscreen=False, index=2, size=(1280, 800), vsync=False)
    assert config.panel.stream == "b"
    assert (config.sockets.pictures, config.sockets.control) == ("ipc:///p", "ipc:///c")


@pytest.mark.parametrize("size", ["800", "800x", "axb", "10x10", "99999x800", "-800x480"])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(ConfigError, match="is not WIDTHxHEIGHT"):
        settled(Config(), asked(size=size))


def test_the_panel_is_kept_running_only_where_it_is_wanted() -> None:
    assert "display" not in processes(Config())
    assert "display" in processes(parse("[panel]\nenabled = true"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[panel]\nfullscren = true", 'did you mean "fullscreen"?'),
        ("[panel]\ncine_seconds = 0", "[panel.cine_seconds]"),
        ("[panel]\ngsdf_luminance = 3", "[panel.gsdf_luminance]"),
    ],
)
def test_a_mistake_is_told_with_its_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert said in str(caught.value)
