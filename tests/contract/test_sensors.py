"""One contract for every file of `edge/sensors`: a look gives what is known, or says that there is nothing."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest

import edge.sensors
from edge import plugins
from edge.clock import ManualClock
from edge.errors import ConfigError
from edge.sensors import COLDEST, HOTTEST, Place, Reading, Sensors, open_sensors
from tests.fake_jtop import FakeJtop, JtopException

KINDS = plugins.kinds(edge.sensors)


def options(kind: str, home: Path) -> dict[str, object]:
    known: dict[str, dict[str, object]] = {
        "linux": {},
        "jetson": {},
        "scripted": {"file": str(home / "heat")},
    }
    return known[kind]  # a new kind comes here with the options that a test can open it with


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for jetson-stats, which installs only on a Jetson."""
    module = types.ModuleType("jtop")
    module.jtop, module.JtopException = FakeJtop, JtopException  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jtop", module)
    monkeypatch.delitem(sys.modules, "edge.sensors.jetson", raising=False)


@pytest.fixture(params=KINDS)
def sensors(request: pytest.FixtureRequest, tmp_path: Path) -> Sensors:
    (tmp_path / "heat").write_text("61.5\n")
    return open_sensors({request.param: options(request.param, tmp_path)}, Place(ManualClock(), tmp_path / "outbox"))


def test_a_look_gives_plausible_temperatures_and_can_be_told_as_json(sensors: Sensors) -> None:
    for _ in range(3):
        reading = sensors.read()
        assert isinstance(reading, Reading)
        assert all(COLDEST < zone.celsius < HOTTEST and zone.name for zone in reading.zones)
        assert json.loads(json.dumps(reading.as_dict()))["missing"] == list(reading.missing)
    sensors.close()


def test_every_zone_has_a_name_of_its_own(sensors: Sensors) -> None:
    names = [zone.name for zone in sensors.read().zones]
    assert len(set(names)) == len(names)
    sensors.close()


def test_closing_twice_is_closing_once(sensors: Sensors) -> None:
    sensors.close()
    sensors.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_strange_option_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"strange.*sensors.{kind}"):
        open_sensors({kind: {**options(kind, tmp_path), "strange": 1}}, Place(ManualClock(), tmp_path))


def test_an_unknown_kind_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="jetson, linux, scripted"):
        open_sensors({"thermometer": {}}, Place(ManualClock(), tmp_path))


def test_a_jetson_without_its_library_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jtop", None)
    monkeypatch.delitem(sys.modules, "edge.sensors.jetson", raising=False)
    with pytest.raises((ConfigError, ModuleNotFoundError), match="jtop"):
        open_sensors({"jetson": {}}, Place(ManualClock(), tmp_path))
