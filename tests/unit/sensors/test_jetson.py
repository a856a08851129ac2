"""A Jetson through jetson-stats, with a stand-in for its library."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SECOND, ManualClock
from edge.sensors import Place
from tests.fake_jtop import FakeJtop, JtopException
from tests.unit.sensors.test_linux import zone


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sensors(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    module = types.ModuleType("jtop")
    module.jtop, module.JtopException = FakeJtop, JtopException  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jtop", module)
    monkeypatch.delitem(sys.modules, "edge.sensors.jetson", raising=False)
    jetson = importlib.import_module("edge.sensors.jetson")
    zone(tmp_path, 0, "cpu-thermal", 52000, passive=99000)
    FakeJtop.down, FakeJtop.opened = False, 0
    yield jetson.open_sensors(jetson.Options(), Place(clock, tmp_path / "outbox", tmp_path))
    FakeJtop.down = False


def test_power_mode_and_clocks_come_from_jtop_and_what_the_kernel_knows_is_not_told_twice(sensors: Any) -> None:
    reading = sensors.read()
    assert reading.power_mode == "15W"
    assert reading.clocks_mhz["gpu"] == 612
    assert {each.name: each.throttles_at for each in reading.zones} == {"cpu-thermal": 99.0, "GPU": None}


def test_while_its_service_is_down_the_rest_is_told_and_it_is_not_asked_at_every_look(
    sensors: Any, clock: ManualClock
) -> None:
    FakeJtop.down = True
    for _ in range(5):
        reading = sensors.read()
        assert "jetson-stats" in reading.missing
        assert reading.zones
        clock.advance(2 * SECOND)
    assert FakeJtop.opened == 1
    FakeJtop.down = False
    clock.advance(30 * SECOND)
    assert sensors.read().power_mode == "15W"
