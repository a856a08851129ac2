"""A real live process with scripted heat: down before it throttles, to classical, the original, and back by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.frame import Why
from edge.wire import Flag, Report
from tests.system.process import LIGHT, Daemon, Scanner, running, wait_until


def brisk(config: Path) -> list[str]:
    return [sys.executable, "-m", "tests.system.brisk_live", str(config)]


@pytest.fixture
def heat(tmp_path: Path) -> Path:
    file = tmp_path / "heat"
    turn(file, "50")
    return file


def turn(file: Path, degrees: str) -> None:
    part = file.with_suffix(".part")
    part.write_text(degrees)
    part.replace(file)


@pytest.fixture
def daemon(tmp_path: Path, heat: Path) -> Iterator[Daemon]:
    settings = f'{LIGHT}[health]\nevery_s = 0.1\nlost_after_s = 1\n[sensors.scripted]\nfile = "{heat}"\n'
    with running(tmp_path / "d", settings, brisk) as made:
        yield made


def told(daemon: Daemon) -> dict[str, Any]:
    return daemon.status()["health"]["heat"]


def last_picture(scanner: Scanner) -> Report:
    return [report for report, _ in scanner.send(0.5) if report.pixels is not None][-1]


def until(scanner: Scanner, daemon: Daemon, step: str, rung: str | None = None) -> None:
    """Frames go on coming; a busy machine may settle on any rung that heat allows."""

    def met() -> bool:
        scanner.send(0.3)
        status = daemon.status()
        shown = status["streams"]["test"]["rung"]
        return status["health"]["heat"]["step"] == step and (rung is None or shown == rung)

    wait_until(met, f"{step}, {rung or 'any rung'}", daemon)


def test_heat_takes_it_down_to_the_original_and_it_comes_back_by_itself(daemon: Daemon, heat: Path) -> None:
    scanner = Scanner(daemon)
    scanner.send_until_enhanced()
    assert not last_picture(scanner).flags & Flag.WARM
    turn(heat, "84")
    until(scanner, daemon, "warm")
    assert last_picture(scanner).flags & Flag.WARM
    turn(heat, "90")
    until(scanner, daemon, "hot", "classical")
    turn(heat, "94.5")
    until(scanner, daemon, "critical", "original")
    assert last_picture(scanner).why is Why.HOT
    turn(heat, "50")
    until(scanner, daemon, "normal")
    scanner.send_until_enhanced()
    assert not last_picture(scanner).flags & Flag.WARM
    scanner.close()
    steps = [event["step"] for event in daemon.events() if event["event"] == "heat.changed"]
    assert steps == ["warm", "hot", "critical", "hot", "warm", "normal"]
    frames = daemon.status()["streams"]["test"]["frames"]
    assert frames["original"]["hot"] > 0
    out = sum(sum(frames[key].values()) for key in ("enhanced", "original", "dropped"))
    assert frames["in"] == out + frames["waiting"]


def test_a_sensor_that_is_lost_is_told_and_what_holds_goes_on_holding(daemon: Daemon, heat: Path) -> None:
    turn(heat, "90")
    wait_until(lambda: told(daemon)["step"] == "hot", "hot", daemon)
    turn(heat, "lost")
    wait_until(lambda: any(e["event"] == "heat.not-known" for e in daemon.events()), "said that it is lost", daemon)
    assert (told(daemon)["step"], told(daemon)["known"], told(daemon)["trouble"]) == (
        "hot",
        False,
        "the script says so",
    )
    turn(heat, "50")
    wait_until(lambda: told(daemon)["step"] == "normal", "cool again", daemon)
    assert any(event["event"] == "heat.known" for event in daemon.events())
