"""What the kernel tells of any machine, in /sys and /proc. Read by the sensors thread alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil

from edge.clock import SECOND
from edge.errors import SensorsLost
from edge.sensors import Disk, Link, Place, Reading
from edge.sensors._disklife import life_of_disks
from edge.sensors._heat import Throttling, zones_of
from edge.sensors._wallclock import wall_clock

LIFE_EVERY = 3600 * SECOND  # a disk ages slowly, and some are asked by a command
MOST_LINKS, MOST_DISKS = 16, 8


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[sensors.linux]: nothing to choose."""


class LinuxSensors:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._throttling = Throttling(place.root)
        self._life: tuple[Disk, ...] = ()
        self._life_due_ns = place.clock.now()

    def read(self) -> Reading:
        missing: list[str] = []
        root = self._place.root
        if not (root / "sys").is_dir():
            raise SensorsLost("this machine has no /sys")

        def part(name: str, read: Callable[[], Any], otherwise: Any) -> Any:
            try:
                return read()
            except (OSError, ValueError, AttributeError):
                missing.append(name)
                return otherwise

        zones = part("temperature", lambda: zones_of(root), ())
        free, total = part("memory", _memory, (None, None))
        return Reading(
            zones=zones,
            throttles=part("throttling", self._throttling.now, None),
            power_mode=part("power mode", lambda: power_mode(root), ""),
            clocks_mhz=part("clocks", lambda: clocks(root), None),
            memory_free_mb=free,
            memory_total_mb=total,
            disks=part("disk", self._disks, ()),
            clock=part("wall clock", lambda: wall_clock(root), None),
            links=part("links", _links, ()),
            missing=tuple(missing),
        )

    def _disks(self) -> tuple[Disk, ...]:
        now = self._place.clock.now()
        if now >= self._life_due_ns:
            self._life, self._life_due_ns = life_of_disks(self._place.root), now + LIFE_EVERY
        usage = shutil.disk_usage(_there(self._place.outbox))
        outbox = Disk("outbox", round(usage.free / 1e6), round(usage.total / 1e6))
        return (outbox, *self._life)[:MOST_DISKS]

    def close(self) -> None:
        """Nothing is held open."""


def open_sensors(options: Options, place: Place) -> LinuxSensors:
    del options
    return LinuxSensors(place)


def power_mode(root: Path) -> str:
    """As the firmware calls it, or else how the kernel chooses clocks; empty where neither says anything."""
    profile = root / "sys/firmware/acpi/platform_profile"
    governor = root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    for path in (profile, governor):
        if path.exists():
            return path.read_text().strip()[:48]
    return ""


def clocks(root: Path) -> dict[str, int]:
    """The fastest core's clock now, and what it may reach."""
    told: dict[str, int] = {}
    for name, file in (("cpu", "scaling_cur_freq"), ("cpu most", "scaling_max_freq")):
        found = [int(path.read_text()) for path in root.glob(f"sys/devices/system/cpu/cpu[0-9]*/cpufreq/{file}")]
        if found:
            told[name] = max(found) // 1000
    return told


def _memory() -> tuple[int, int]:
    memory = psutil.virtual_memory()
    return round(memory.available / 1e6), round(memory.total / 1e6)


def _links() -> tuple[Link, ...]:
    found = psutil.net_if_stats()
    return tuple(Link(name, on.isup, on.speed or None) for name, on in sorted(found.items()) if name != "lo")[
        :MOST_LINKS
    ]


def _there(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
