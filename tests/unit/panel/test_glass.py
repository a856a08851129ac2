"""Which of SDL's drivers the panel takes: the one that is named, or one that somebody can see."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from edge.errors import ScreenUnavailable
from edge.panel.screen import Screen

pytest.importorskip("pygame", reason="the panel's extra is not installed")
from edge.panel.glass import Glass

KMS = Path("/dev/dri")
RENDERER = "SDL_FRAMEBUFFER_ACCELERATION"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No screen by the environment, and no driver: as on a bare console."""
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.setenv(name, "")  # so that it is as before afterwards, whatever the panel sets
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def known_drivers() -> set[str]:
    maps = Path("/proc/self/maps").read_text().splitlines()
    sdl = ctypes.CDLL(next(line.split()[-1] for line in maps if "libSDL2-2" in line))
    sdl.SDL_GetVideoDriver.restype = ctypes.c_char_p
    return {sdl.SDL_GetVideoDriver(n).decode().lower() for n in range(sdl.SDL_GetNumVideoDrivers())}


def test_sdl_knows_the_bare_console_wayland_and_x11() -> None:
    assert known_drivers() >= {"kmsdrm", "wayland", "x11"}


def test_a_driver_that_is_named_is_the_one() -> None:
    glass = Glass(Screen(fullscreen=False, vsync=False, driver="dummy"))
    try:
        assert glass.driver == "dummy"
    finally:
        glass.close()


def test_a_renderer_is_done_without_only_where_sdl_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a bare console there is nothing to draw into without one."""
    monkeypatch.setenv(RENDERER, "")
    monkeypatch.delenv(RENDERER)
    Glass(Screen(fullscreen=False, vsync=False, driver="dummy")).close()
    assert RENDERER not in os.environ


@pytest.mark.skipif(KMS.exists(), reason="there is a screen")
@pytest.mark.parametrize("driver", ["kmsdrm", "wayland", "x11"])
def test_a_driver_that_is_named_and_finds_no_screen_is_not_replaced_by_another(driver: str) -> None:
    with pytest.raises(ScreenUnavailable, match=driver):
        Glass(Screen(driver=driver))


@pytest.mark.skipif(KMS.exists(), reason="there is a screen")
def test_a_picture_that_nobody_would_see_is_no_screen() -> None:
    with pytest.raises(
        ScreenUnavailable,
        match=r"neither a console \(KMS/DRM\) nor Wayland nor X11 is there; there is no /dev/dri/card",
    ):
        Glass(Screen())
