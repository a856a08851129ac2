"""Sensors to steps: what is told, what is not known, and that no sensor can cost anything."""

from __future__ import annotations

import io
import threading

import pytest

from edge.checkup import Checkup, hottest
from edge.clock import SECOND, ManualClock
from edge.config import Heat, parse
from edge.errors import ConfigError, SensorsLost
from edge.health import Events
from edge.heat import Step
from edge.sensors import Reading, Zone


class Thermometer:
    """Says what it is told to; an exception is raised."""

    def __init__(self) -> None:
        self.says: Reading | BaseException = reading(50.0)

    def read(self) -> Reading:
        if isinstance(self.says, BaseException):
            raise self.says
        return self.says

    def close(self) -> None:
        pass


def reading(celsius: float, **more: object) -> Reading:
    return Reading(zones=(Zone("cpu", celsius, 95.0),), **more)  # type: ignore[arg-type]


class Bed:
    def __init__(self, text: str = "") -> None:
        self.clock, self.thermometer = ManualClock(), Thermometer()
        self.events = Events(self.clock, io.StringIO())
        self.told: list[tuple[str, dict[str, object]]] = []
        self.events.emit = lambda event, **facts: self.told.append((event, facts))  # type: ignore[method-assign]
        self.checkup = Checkup(parse(text), self.thermometer, self.clock, self.events)

    def looks(self, count: int = 1) -> Step:
        for _ in range(count):
            self.clock.advance(2 * SECOND)
            self.checkup.look_once()
            self.checkup.judge()
        return self.checkup.step

    def names(self) -> list[str]:
        return [name for name, _ in self.told]


def test_heat_is_a_step_and_told_with_its_zone() -> None:
    bed = Bed()
    bed.thermometer.says = reading(84.0)
    assert bed.looks(3) is Step.WARM
    assert bed.told == [("heat.changed", {"step": "warm", "before": "normal", "celsius": 84.0, "zone": "cpu"})]
    heat = bed.checkup.as_dict()["heat"]
    assert (heat["step"], heat["celsius"], heat["margin"], heat["known"]) == ("warm", 84.0, 11.0, True)


def test_a_sensor_that_fails_is_not_known_told_once_and_the_step_holds() -> None:
    bed = Bed()
    bed.thermometer.says = reading(90.0)
    bed.looks(3)
    bed.thermometer.says = SensorsLost("unplugged")
    assert bed.looks(60) is Step.HOT
    assert bed.names() == ["heat.changed", "heat.not-known"]
    assert bed.checkup.as_dict()["heat"]["trouble"] == "unplugged"
    bed.thermometer.says = reading(50.0)
    bed.looks()
    assert bed.names()[-1] == "heat.known"


def test_a_driver_that_raises_whatever_it_likes_costs_nothing() -> None:
    bed = Bed()
    bed.thermometer.says = ZeroDivisionError("in a driver")
    assert bed.looks(20) is Step.NORMAL
    assert bed.names() == ["heat.not-known"]


def test_a_sensor_that_hangs_is_not_known_after_a_while() -> None:
    bed = Bed()
    bed.thermometer.says = reading(84.0)
    bed.looks(3)
    bed.clock.advance(16 * SECOND)
    bed.checkup.judge()
    heat = bed.checkup.as_dict()["heat"]
    assert (heat["known"], heat["step"], heat["trouble"]) == (False, "warm", "the sensors do not answer")
    assert bed.names()[-1] == "heat.not-known"


def test_a_thread_that_waits_for_a_hanging_driver_keeps_nobody_from_ending() -> None:
    bed, stop, hangs = Bed(), threading.Event(), threading.Event()
    bed.thermometer.read = lambda: (hangs.wait(60), reading(50.0))[1]  # type: ignore[method-assign]
    thread = threading.Thread(target=bed.checkup.run, args=(stop,))
    thread.start()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    hangs.set()


def test_parts_that_are_missing_are_told_once_each() -> None:
    bed = Bed()
    bed.thermometer.says = reading(50.0, missing=("wall clock", "clocks"))
    bed.looks(5)
    assert [facts["part"] for _, facts in bed.told] == ["wall clock", "clocks"]


def test_switched_off_it_reads_and_tells_but_holds_nothing_back() -> None:
    bed = Bed("[heat]\nenabled = false")
    bed.thermometer.says = reading(95.0)
    assert bed.looks(3) is Step.NORMAL
    assert bed.checkup.as_dict()["heat"]["celsius"] == 95.0


@pytest.mark.parametrize(
    ("zones", "wanted", "found"),
    [
        ([Zone("nvme Composite", 70, 80), Zone("cpu-thermal", 60, 99)], (), "cpu-thermal"),  # a disk is not a processor
        ([Zone("cpu-thermal", 60, 99), Zone("gpu-thermal", 70, 99)], (), "gpu-thermal"),
        ([Zone("cpu", 70, 99), Zone("gpu", 60, 80)], (), "gpu"),  # nearer to its own limit
        ([Zone("nvme Composite", 70, 80), Zone("cpu", 60, 99)], ("nvme*",), "nvme Composite"),
        ([Zone("box", 70, 80), Zone("battery", 75, None)], (), "box"),  # no processor: what says where it throttles
        ([Zone("battery", 35, None)], (), None),
        ([Zone("cpu", 60, 99)], ("gpu*",), None),
    ],
)
def test_which_temperature_counts(zones: list[Zone], wanted: tuple[str, ...], found: str | None) -> None:
    heat = hottest(Reading(zones=tuple(zones)), Heat(zones=wanted))
    assert (heat[0].name if heat else None) == found


def test_the_configuration_may_know_better_where_it_throttles() -> None:
    found = hottest(Reading(zones=(Zone("cpu", 60, 99),)), Heat(throttles_at=80))
    assert found is not None
    assert found[1] == 20


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ConfigError, match="warm_below"):
        parse("[heat]\nwarm_below = 5\nhot_below = 6")
    with pytest.raises(ConfigError, match="one kind"):
        parse("[sensors.linux]\n[sensors.scripted]\nfile = 'x'")
