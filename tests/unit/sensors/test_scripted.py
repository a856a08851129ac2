"""Temperatures from a script."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.clock import SECOND, ManualClock
from edge.errors import ConfigError, SensorsLost
from edge.sensors import Place, open_sensors
from edge.sensors.scripted import at, parse

SCRIPT = "# seconds degrees\n0 50\n10 60\n20 90 !\n30 lost\n40 50\n"


def test_between_two_lines_it_goes_in_a_straight_line() -> None:
    points = parse(SCRIPT)
    assert [at(points, seconds).celsius for seconds in (0, 5, 10, 15)] == [50, 55, 60, 75]
    assert at(points, 25).throttles
    assert at(points, 35).celsius is None
    assert at(points, 999).celsius == 50


@pytest.mark.parametrize("text", ["", "# nothing", "hot\n5", "10 50\n5 50", "x 50"])
def test_what_is_no_script_is_said(text: str) -> None:
    if text == "hot\n5":
        assert parse(text)[0].celsius is None
        return
    with pytest.raises(ConfigError):
        parse(text)


def test_whoever_writes_the_file_turns_the_heat_and_may_lose_it(tmp_path: Path) -> None:
    file, clock = tmp_path / "heat", ManualClock()
    file.write_text("42")
    sensors = open_sensors({"scripted": {"file": str(file), "throttles_at": 90}}, Place(clock, tmp_path))
    assert sensors.read().zones[0].celsius == 42
    file.write_text("lost")
    with pytest.raises(SensorsLost):
        sensors.read()
    file.unlink()
    with pytest.raises(SensorsLost):
        sensors.read()
    file.write_text("77")
    assert sensors.read().zones[0].throttles_at == 90


def test_it_begins_again_where_it_repeats(tmp_path: Path) -> None:
    file, clock = tmp_path / "heat", ManualClock()
    file.write_text("0 50\n10 60\n20 50\n")
    sensors = open_sensors({"scripted": {"file": str(file), "repeats": True}}, Place(clock, tmp_path))
    clock.advance(30 * SECOND)
    assert sensors.read().zones[0].celsius == 60
