"""How the machine is: temperatures, power, clocks, memory, disks, the wall clock, links. The port, and the opener.

`read` is called by the sensors thread alone, which may be kept waiting by a driver: nothing that shows pictures reads a
sensor. What cannot be read is left out and named in `missing`; only `SensorsLost` says that there is nothing at all.
A plugin is a module of this folder with

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...
    def open_sensors(options: Options, place: Place) -> Sensors: ...
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from edge import plugins
from edge.clock import Clock
from edge.config import parse_section

COLDEST, HOTTEST = -40.0, 150.0  # what lies outside is a sensor's fault, not a temperature


@dataclass(frozen=True, slots=True)
class Zone:
    """One temperature. `throttles_at`: where the machine says that it slows itself; None where it says nothing."""

    name: str
    celsius: float
    throttles_at: float | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """`used_life_percent`: of the writes that its maker promised; None where it does not tell."""

    name: str
    free_mb: int | None = None
    total_mb: int | None = None
    used_life_percent: float | None = None


@dataclass(frozen=True, slots=True)
class WallClock:
    """Is it disciplined, by a time server or a receiver? Only dates hang on it: pictures are timed by another."""

    synchronised: bool
    error_ms: float | None = None
    said_by: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    name: str
    up: bool
    mbps: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One look. None and empty are "not known"."""

    zones: tuple[Zone, ...] = ()
    throttles: bool | None = None  # the machine slows itself, now
    power_mode: str = ""
    clocks_mhz: Mapping[str, int] | None = None
    memory_free_mb: int | None = None
    memory_total_mb: int | None = None
    disks: tuple[Disk, ...] = ()
    clock: WallClock | None = None
    links: tuple[Link, ...] = ()
    missing: tuple[str, ...] = ()  # parts that should be there, and could not be read

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "clocks_mhz": dict(self.clocks_mhz or {}), "missing": list(self.missing)}


@dataclass(frozen=True, slots=True)
class Place:
    """What a sensor needs to know of the house."""

    clock: Clock
    outbox: Path  # the disk that counts
    root: Path = Path("/")  # where /sys and /proc are; tests have others


class Sensors(Protocol):
    def read(self) -> Reading:
        """One look; raises `SensorsLost` where there is nothing to be read."""
        ...

    def close(self) -> None: ...


def open_sensors(chosen: Mapping[str, Mapping[str, object]], place: Place) -> Sensors:
    """The configured kind, or what fits this machine."""
    kind, options = next(iter(chosen.items()), (fitting(place.root), {}))
    module = plugins.load(sys.modules[__name__], kind)
    return module.open_sensors(parse_section(options, module.Options, f"sensors.{kind}"), place)


def fitting(root: Path = Path("/")) -> str:
    """On a Jetson its own library, where it is installed; elsewhere what the kernel tells."""
    from importlib.util import find_spec

    is_jetson = (root / "etc/nv_tegra_release").exists()
    return "jetson" if is_jetson and find_spec("jtop") is not None else "linux"
