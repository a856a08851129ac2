"""What stands between SDL and the bare console, for each thing that can be amiss."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.panel.kms import Console

DRAWING = {"libGLESv2.so.2", "libGL.so.1", "libOpenGL.so.0"}
ALL = {"libdrm.so.2", "libgbm.so.1", "libEGL.so.1"} | DRAWING


def console(tmp_path: Path, have: set[str] = ALL, status: str = "connected", gpu: bool = True) -> Console:
    nodes, classes, driver = tmp_path / "dri", tmp_path / "class", tmp_path / "drivers" / "i915"
    for folder in (nodes, classes / "card0" / "device", classes / "card0-HDMI-A-1", driver):
        folder.mkdir(parents=True)
    (nodes / "card0").touch()
    if gpu:
        (nodes / "renderD128").touch()
    (classes / "card0" / "device" / "driver").symlink_to(driver)
    (classes / "card0-HDMI-A-1" / "status").write_text(status + "\n")
    return Console(nodes, classes, have.__contains__)


def told(one: Console) -> list[str]:
    return [each.what for each in one.obstacles()]


def test_a_console_with_all_it_needs_is_named_with_its_driver(tmp_path: Path) -> None:
    one = console(tmp_path)
    assert told(one) == []
    assert one.described() == "card0 (i915)"


def test_a_card_without_a_gpu_draws_on_the_cpu_and_says_so(tmp_path: Path) -> None:
    assert console(tmp_path, gpu=False).described() == "card0 (i915), drawn by the CPU: no GPU"


def test_no_card_is_all_there_is_to_say(tmp_path: Path) -> None:
    assert told(Console(tmp_path / "dri", tmp_path / "class", lambda _: False)) == [f"there is no {tmp_path}/dri/card*"]


@pytest.mark.parametrize("library", ["libdrm.so.2", "libgbm.so.1", "libEGL.so.1"])
def test_a_library_that_is_missing_is_named(tmp_path: Path, library: str) -> None:
    assert told(console(tmp_path, ALL - {library})) == [f"{library} cannot be loaded"]


@pytest.mark.parametrize("library", sorted(DRAWING))
def test_one_of_opengl_and_gles_is_enough(tmp_path: Path, library: str) -> None:
    assert told(console(tmp_path, ALL - DRAWING | {library})) == []


def test_with_neither_opengl_nor_gles_all_of_them_are_named(tmp_path: Path) -> None:
    obstacle = console(tmp_path, ALL - DRAWING).obstacles()[0]
    assert obstacle.what == "libGLESv2.so.2 or libGL.so.1 or libOpenGL.so.0 cannot be loaded"
    assert "libgles2" in obstacle.remedy


def test_a_screen_that_is_not_plugged_in_is_told(tmp_path: Path) -> None:
    assert told(console(tmp_path, status="disconnected")) == ["no screen is plugged in"]


@pytest.mark.parametrize("status", ["unknown", ""])
def test_a_connector_that_cannot_tell_is_given_a_chance(tmp_path: Path, status: str) -> None:
    assert told(console(tmp_path, status=status)) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
def test_a_card_that_may_not_be_opened_is_told(tmp_path: Path) -> None:
    one = console(tmp_path)
    one.cards[0].chmod(0)
    assert told(one) == [f"{one.cards[0]}: no right to open"]
