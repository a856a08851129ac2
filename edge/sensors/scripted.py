"""Temperatures from a script: for tests, demonstrations and the soak. Read by the sensors thread alone.

Everything but temperatures, throttling and power mode is as the kernel tells it. The script is a file of lines "seconds
temperature", between which the temperature goes in a straight line; a word instead of a temperature is a lost sensor
until the next line, a "!" behind it says that the machine throttles. A single line "temperature" is what it is now.
The file is read again at each look, so whoever writes it turns the heat by hand.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from edge.clock import SECOND
from edge.errors import ConfigError, SensorsLost
from edge.sensors import Place, Reading, Zone
from edge.sensors.linux import LinuxSensors


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[sensors.scripted]"""

    file: str
    repeats: bool = False
    throttles_at: float = 95.0


@dataclass(frozen=True, slots=True)
class Point:
    at_s: float
    celsius: float | None  # None: lost
    throttles: bool = False


class ScriptedSensors:
    def __init__(self, options: Options, place: Place) -> None:
        self._options = options
        self._kernel = LinuxSensors(place)
        self._clock = place.clock
        self._began_ns = place.clock.now()

    def read(self) -> Reading:
        try:
            points = parse(Path(self._options.file).read_text())
        except (OSError, ConfigError) as error:
            raise SensorsLost(f"the script: {error}") from error
        seconds = (self._clock.now() - self._began_ns) / SECOND
        if self._options.repeats and points[-1].at_s > 0:
            seconds %= points[-1].at_s
        now = at(points, seconds)
        if now.celsius is None:
            raise SensorsLost("the script says so")
        zone = Zone("scripted", round(now.celsius, 2), self._options.throttles_at)
        return replace(self._kernel.read(), zones=(zone,), throttles=now.throttles, power_mode="scripted")

    def close(self) -> None:
        """Nothing is held open."""


def open_sensors(options: Options, place: Place) -> ScriptedSensors:
    return ScriptedSensors(options, place)


def parse(text: str) -> list[Point]:
    points = [_point(line) for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not points or any(after.at_s < before.at_s for before, after in itertools.pairwise(points)):
        raise ConfigError("a script of temperatures is lines of seconds, rising, and degrees")
    return points


def _point(line: str) -> Point:
    words = line.replace("!", " ! ").split()
    throttles = "!" in words
    numbers = [word for word in words if word != "!"]
    seconds, degrees = ("0", *numbers) if len(numbers) == 1 else (*numbers, "", "")[:2]
    try:
        at_s = float(seconds)
    except ValueError as error:
        raise ConfigError(f'"{line.strip()[:40]}" does not begin with seconds') from error
    try:
        return Point(at_s, float(degrees), throttles)
    except ValueError:
        return Point(at_s, None, throttles)


def at(points: list[Point], seconds: float) -> Point:
    """Where the script is now: before its first line as there, after its last line as there."""
    before = next((point for point in reversed(points) if point.at_s <= seconds), points[0])
    after = next((point for point in points if point.at_s > seconds), before)
    if before.celsius is None or after.celsius is None or after.at_s <= before.at_s or seconds < before.at_s:
        return before
    part = (seconds - before.at_s) / (after.at_s - before.at_s)
    return Point(seconds, before.celsius + part * (after.celsius - before.celsius), before.throttles)
