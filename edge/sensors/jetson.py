"""A Jetson, through jetson-stats (`jtop`): its power mode and clocks beside what the kernel tells of temperatures.

Its service may be down, or still starting: then the rest is told all the same. Read by the sensors thread alone.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import msgspec
from jtop import JtopException, jtop  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]

from edge.clock import SECOND
from edge.sensors import COLDEST, HOTTEST, Place, Reading, Zone
from edge.sensors.linux import LinuxSensors

AGAIN = 30 * SECOND  # between two attempts to reach the service


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[sensors.jetson]"""

    every_s: float = 2.0  # how often the service is to look


class JetsonSensors:
    def __init__(self, options: Options, place: Place) -> None:
        self._kernel = LinuxSensors(place)
        self._clock = place.clock
        self._every_s = options.every_s
        self._service: Any = None
        self._due_ns = place.clock.now()

    def read(self) -> Reading:
        reading = self._kernel.read()
        service = self._reached()
        if service is None:
            return replace(reading, missing=(*reading.missing, "jetson-stats"))
        try:
            known = {zone.name.lower() for zone in reading.zones}
            more = tuple(zone for zone in _zones(service) if not _is_known(zone.name, known))
            clocks = {**(reading.clocks_mhz or {}), **_clocks(service)}
            mode = str(service.nvpmodel or "")[:48]
        except (JtopException, AttributeError, KeyError, TypeError, ValueError):
            return replace(reading, missing=(*reading.missing, "jetson-stats"))
        return replace(reading, zones=(*reading.zones, *more), power_mode=mode or reading.power_mode, clocks_mhz=clocks)

    def _reached(self) -> Any:
        now = self._clock.now()
        if self._service is not None and self._service.ok(spin=True):
            return self._service
        if now < self._due_ns:
            return None
        self.close()
        self._due_ns = now + AGAIN
        service = jtop(interval=self._every_s)
        try:
            service.start()
        except (JtopException, OSError):
            return None
        self._service = service
        return service if service.ok(spin=True) else None

    def close(self) -> None:
        if self._service is not None:
            with contextlib.suppress(JtopException, OSError):
                self._service.close()
            self._service = None


def open_sensors(options: Options, place: Place) -> JetsonSensors:
    return JetsonSensors(options, place)


def _zones(service: Any) -> list[Zone]:
    """jtop names a zone by its chip: "CPU", "GPU", "tj"; what is switched off says -256."""
    found = {str(name): float(facts["temp"]) for name, facts in service.temperature.items()}
    return [Zone(name, celsius) for name, celsius in found.items() if COLDEST < celsius < HOTTEST]


def _is_known(name: str, known: set[str]) -> bool:
    return any(name.lower() in zone for zone in known)


def _clocks(service: Any) -> dict[str, int]:
    return {str(name): int(facts["freq"]["cur"]) // 1000 for name, facts in service.gpu.items() if "freq" in facts}
