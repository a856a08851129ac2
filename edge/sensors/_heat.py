"""Temperatures and throttling in /sys: thermal zones, hardware monitors, cooling devices. For the sensors thread."""

from __future__ import annotations

import contextlib
from pathlib import Path

from edge.sensors import COLDEST, HOTTEST, Zone

MOST_ZONES = 48
BEFORE_SHUTDOWN = 10.0  # where a zone only says when it switches off: it slows down some degrees earlier
SLOWS = ("cpufreq", "devfreq", "processor", "throttle")  # cooling devices that cool by slowing; fans do not


def zones_of(root: Path) -> tuple[Zone, ...]:
    """Every temperature, each once: a chip may have a thermal zone and a hardware monitor."""
    found: dict[str, Zone] = {}
    for folder in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        _add(found, _text(folder / "type") or folder.name, _degrees(folder / "temp"), _throttles_at(folder))
    for folder in sorted(root.glob("sys/class/hwmon/hwmon*")):
        chip = _text(folder / "name") or folder.name
        for path in sorted(folder.glob("temp*_input")):
            stem = path.name.removesuffix("_input")
            label = _text(folder / f"{stem}_label")
            limit = _limit(_degrees(folder / f"{stem}_crit")) or _limit(_degrees(folder / f"{stem}_max"))
            _add(found, f"{chip} {label}".strip(), _degrees(path), limit)
    return tuple(found.values())[:MOST_ZONES]


def _add(found: dict[str, Zone], name: str, celsius: float | None, throttles_at: float | None) -> None:
    if celsius is None or not COLDEST < celsius < HOTTEST:
        return
    count, unique = 2, name
    while unique in found:
        unique, count = f"{name} {count}", count + 1
    found[unique] = Zone(unique, celsius, throttles_at)


def _throttles_at(folder: Path) -> float | None:
    """The lowest passive trip point: from there on the kernel slows the chip down."""
    trips: dict[str, list[float]] = {}
    for path in folder.glob("trip_point_*_type"):
        degrees = _limit(_degrees(folder / path.name.replace("_type", "_temp")))
        if degrees is not None:
            trips.setdefault(_text(path), []).append(degrees)
    if "passive" in trips:
        return min(trips["passive"])
    if "hot" in trips:
        return min(trips["hot"])
    return min(trips["critical"]) - BEFORE_SHUTDOWN if "critical" in trips else None


def _limit(degrees: float | None) -> float | None:
    """Many drivers fill in what nobody set: zeros, or more than a chip survives."""
    return degrees if degrees is not None and 40.0 <= degrees <= 130.0 else None


class Throttling:
    """Does the machine slow itself now? By its cooling devices, and by counters that have risen since the last look."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._counted: int | None = None

    def now(self) -> bool | None:
        devices = [
            _number(folder / "cur_state")
            for folder in self._root.glob("sys/class/thermal/cooling_device*")
            if any(word in _text(folder / "type").lower() for word in SLOWS)
        ]
        counters = [
            _number(path)
            for path in self._root.glob("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/*_throttle_count")
        ]
        if not devices and not counters:
            return None
        before, self._counted = self._counted, sum(max(0, each or 0) for each in counters)
        rose = before is not None and self._counted > before
        return rose or any((each or 0) > 0 for each in devices)


def _text(path: Path) -> str:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return path.read_text().strip()[:48]
    return ""


def _number(path: Path) -> int | None:
    with contextlib.suppress(ValueError):
        return int(_text(path))
    return None


def _degrees(path: Path) -> float | None:
    number = _number(path)
    return None if number is None else number / 1000
