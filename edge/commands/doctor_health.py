"""The doctor's look at the machine's own condition: heat, throttling, the disk's life, the wall clock, links."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from edge.checkup import hottest
from edge.clock import MonotonicClock
from edge.config import Config
from edge.errors import ConfigError, SensorsLost
from edge.places import places_of
from edge.sensors import Place, Reading, open_sensors

Finding = tuple[str, Literal["ok", "warning", "failure"], str, str]  # check, verdict, what, remedy
WORN_PERCENT = 80.0
TIME_SERVER = "set a time server (timedatectl set-ntp true): captures would carry a wrong time of day"


def condition(config: Config) -> Iterator[Finding]:
    try:
        sensors = open_sensors(config.sensors, Place(MonotonicClock(), places_of(config).outbox))
    except ConfigError as error:
        yield "sensors", "failure", str(error), "correct [sensors] in the configuration"
        return
    try:
        reading = sensors.read()
    except SensorsLost as error:
        yield "heat", "warning", f"not known: {error}", "heat cannot be acted on until a sensor can be read"
        return
    finally:
        sensors.close()
    yield _heat(config, reading)
    yield from _disks(reading)
    yield _wall_clock(reading)
    for part in reading.missing:
        yield "sensors", "warning", f"{part}: cannot be read", "see the rights of the daemon's user, and the driver"


def _heat(config: Config, reading: Reading) -> Finding:
    mode = f", power mode {reading.power_mode}" if reading.power_mode else ""
    if reading.throttles:
        return "heat", "warning", f"the machine slows itself down{mode}", "give it air, or a lower power mode"
    found = hottest(reading, config.heat)
    if found is None:
        remedy = "nothing is held back by heat; [heat] zones may name a temperature that counts"
        return "heat", "warning", f"this machine tells no temperature of a processor{mode}", remedy
    zone, margin = found
    what = f"{zone.name} {zone.celsius:.0f} °C, {margin:.0f} °C until it throttles{mode}"
    if margin <= config.heat.warm_below:
        return "heat", "warning", what, "it is warm already: give it air, or a smaller engine"
    return "heat", "ok", what, ""


def _disks(reading: Reading) -> Iterator[Finding]:
    for disk in reading.disks:
        if disk.used_life_percent is not None:
            worn = disk.used_life_percent >= WORN_PERCENT
            what = f"{disk.name}: {disk.used_life_percent:.0f} % of its writes used"
            yield "disk life", "warning" if worn else "ok", what, "plan its replacement" if worn else ""


def _wall_clock(reading: Reading) -> Finding:
    clock = reading.clock
    if clock is None:
        return "time server", "warning", "not known whether the clock is set by one", TIME_SERVER
    if not clock.synchronised:
        return "time server", "warning", "the clock is not set by one", TIME_SERVER
    within = f", within {clock.error_ms:.1f} ms" if clock.error_ms is not None else ""
    return "time server", "ok", f"the clock is set by one{within}", ""
