"""Which machines a version is for: the Python and the processor that its wheels were built for. Pure."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from edge.errors import ConfigError

ANY = "any"
WHEEL = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)
NATIVE = re.compile(r"\.cpython-3(?P<minor>\d+)-(?P<machine>[a-z0-9_]+)-linux-(?:gnu|musl)\.so$")


@dataclass(frozen=True, slots=True)
class Target:
    python: str = ANY  # as 3.11
    machine: str = ANY  # as x86_64, aarch64

    def why_not(self, here: Target) -> str:
        """Why it is not for this machine, or an empty text."""
        if self.machine not in (ANY, here.machine):
            return f"it is for {self.machine} machines; this one is {here.machine}"
        if self.python not in (ANY, here.python):
            return f"it is for Python {self.python}; here is {here.python}"
        return ""


def this_machine() -> Target:
    return Target(f"{sys.version_info[0]}.{sys.version_info[1]}", platform.machine())


def of_wheels(names: Iterable[str]) -> Target:
    """From the wheels' own names: what holds for all of them."""
    pythons, machines = set[str](), set[str]()
    for name in names:
        found = WHEEL.fullmatch(name)
        if found is None:
            raise ConfigError(f"{name} is not named as a wheel is")
        if (exact := re.fullmatch(r"cp3(\d+)t?", found["abi"])) is not None:
            pythons.add(f"3.{exact[1]}")
        machines |= {_machine(one) for one in found["platform"].split(".")} - {ANY}
    return Target(_one_of(pythons, "Python"), _one_of(machines, "machine"))


def of_files(names: Iterable[str]) -> Target:
    """From the compiled modules of an installed tree."""
    found = [match for match in map(NATIVE.search, names) if match is not None]
    return Target(
        _one_of({f"3.{match['minor']}" for match in found}, "Python"),
        _one_of({match["machine"] for match in found}, "machine"),
    )


def _machine(tag: str) -> str:
    if tag == ANY:
        return ANY
    found = re.fullmatch(r"(?:linux|manylinux[0-9_]+|musllinux[0-9_]+)_(x86_64|aarch64|armv7l|i686|ppc64le|s390x)", tag)
    if found is None:
        raise ConfigError(f"a wheel for {tag} is of no use on an appliance: it runs Linux")
    return found[1]


def _one_of(found: set[str], what: str) -> str:
    if len(found) > 1:
        raise ConfigError(f"the files are for more than one {what}: {', '.join(sorted(found))}")
    return next(iter(found), ANY)
