"""What the doctor says of the panel's screen."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge.commands.doctor_screen import screen
from edge.config import Config
from edge.panel.kms import Console

pytest.importorskip("pygame", reason="the panel's extra is not installed")


def config(**panel: object) -> Config:
    return msgspec.convert({"panel": panel}, Config)


def cards(tmp_path: Path, complete: bool = True) -> Console:
    (tmp_path / "card0").touch()
    (tmp_path / "renderD128").touch()
    return Console(tmp_path, tmp_path / "class", lambda _: complete)


def test_nothing_of_a_screen_that_nobody_asked_for(tmp_path: Path) -> None:
    assert list(screen(config(), Console(tmp_path, tmp_path), {})) == []


def test_a_panel_that_is_asked_for_and_has_no_card_is_warned_of(tmp_path: Path) -> None:
    ((check, verdict, what, _),) = screen(config(enabled=True), Console(tmp_path, tmp_path), {})
    assert (check, verdict) == ("screen", "warning")
    assert f"there is no {tmp_path}/card*" in what


def test_a_console_that_has_all_it_needs_is_ok(tmp_path: Path) -> None:
    ((_, verdict, what, _),) = screen(config(), cards(tmp_path), {})
    assert (verdict, what) == ("ok", "bare console: card0 (driver not known)")


def test_libraries_that_are_missing_are_told_with_what_to_install(tmp_path: Path) -> None:
    ((_, verdict, _, remedy),) = screen(config(), cards(tmp_path, complete=False), {})
    assert verdict == "warning"
    assert "libgbm1" in remedy


@pytest.mark.parametrize(
    ("panel", "environment"),
    [
        ({"enabled": True}, {"WAYLAND_DISPLAY": "wayland-0"}),
        ({"enabled": True}, {"DISPLAY": ":0"}),
        ({"enabled": True, "driver": "x11"}, {}),
        ({"enabled": True}, {"SDL_VIDEODRIVER": "wayland"}),
    ],
)
def test_on_a_desktop_the_console_is_not_looked_at(
    tmp_path: Path, panel: dict[str, object], environment: dict[str, str]
) -> None:
    ((_, verdict, _, _),) = screen(config(**panel), cards(tmp_path, complete=False), environment)
    assert verdict == "ok"


def test_a_console_that_is_named_is_looked_at_on_a_desktop_too(tmp_path: Path) -> None:
    wanted = config(enabled=True, driver="kmsdrm")
    ((_, verdict, _, _),) = screen(wanted, cards(tmp_path, complete=False), {"DISPLAY": ":0"})
    assert verdict == "warning"
