"""What differs between the releases of TensorRT that one code serves: this table, and nothing elsewhere."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edge.errors import ConfigError

RUNTIMES = ("tensorrt", "tensorrt-rtx")


@dataclass(frozen=True, slots=True)
class Release:
    runtime: str  # as the operator names it
    first: tuple[int, int]  # served from here ...
    before: tuple[int, int]  # ... up to, but not including
    where: str
    module: str
    names_target: bool  # builds for a compute capability that it is told, without a GPU; else for the GPU it runs on
    has_dla: bool
    compiles_at_open: bool  # the plan is finished on the device, when it is opened


RELEASES = (
    #       runtime         first     before    where                     module          target dla    at open
    Release("tensorrt", (10, 3), (10, 16), "JetPack 6", "tensorrt", False, True, False),
    Release("tensorrt", (10, 16), (11, 0), "JetPack 7.2", "tensorrt", False, True, False),
    Release("tensorrt", (11, 0), (12, 0), "newer JetPack 7", "tensorrt", False, True, False),
    Release("tensorrt-rtx", (1, 4), (2, 0), "x86 with an RTX card", "tensorrt_rtx", True, False, True),
)


@dataclass(frozen=True, slots=True)
class Toolkit:
    """One installed release: its module, its row of the table, and what it says."""

    trt: Any
    release: Release
    version: str
    log: Log

    @property
    def runtime(self) -> str:
        return f"{self.release.runtime} {self.version}"


@dataclass(slots=True)
class Log:
    """Warnings and errors of the library, kept for whoever asked it for something."""

    lines: list[str]
    logger: Any = None

    def taken(self) -> list[str]:
        """What was said since the last time, each line once."""
        said, self.lines[:] = list(dict.fromkeys(self.lines)), []
        return said


def release_of(runtime: str, version: str) -> Release:
    """The row for an installed version. Raises ConfigError for one that this code was never checked against."""
    match = re.match(r"(\d+)\.(\d+)", version)
    number = (int(match[1]), int(match[2])) if match else (0, 0)
    for release in RELEASES:
        if release.runtime == runtime and release.first <= number < release.before:
            return release
    served = ", ".join(f"{row.first[0]}.{row.first[1]}" for row in RELEASES if row.runtime == runtime)
    raise ConfigError(f"{runtime} {version} is not served; served from {served} on, within those major versions")


def load_toolkit(runtime: str) -> Toolkit:
    """Import the library and read its version. Raises ConfigError with who must do what."""
    if runtime not in RUNTIMES:
        raise ConfigError(f'unknown runtime "{runtime}"; known: {", ".join(RUNTIMES)}')
    module = next(row.module for row in RELEASES if row.runtime == runtime)
    try:
        trt = importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f"{runtime} cannot be loaded: {_remedy(runtime, str(error))}") from error
    version = str(trt.__version__)
    return Toolkit(trt, release_of(runtime, version), version, _listening(trt))


def _remedy(runtime: str, error: str) -> str:
    if "libnvdla_compiler" in error:
        return (
            "this board's software has no libnvdla_compiler.so, which TensorRT wants even where no DLA is used: "
            "install the package nvidia-l4t-dla-compiler (or NVIDIA's nvidia-l4t-core for this board)"
        )
    if "No module named" in error:
        if runtime == "tensorrt-rtx":
            return "pip install 'limpid-edge[rtx]'"
        return (
            "on a Jetson it comes with JetPack (apt install python3-libnvinfer), "
            "and the virtual environment must see it (python3 -m venv --system-site-packages)"
        )
    return error.splitlines()[0][:200]


def any_toolkit(wanted: str = "") -> Toolkit:
    """The runtime asked for, or the one that is installed: the device's own first."""
    if wanted:
        return load_toolkit(wanted)
    refusals: list[str] = []
    for runtime in RUNTIMES:
        try:
            return load_toolkit(runtime)
        except ConfigError as error:
            refusals.append(str(error))
    raise ConfigError("; ".join(refusals))


def _listening(trt: ModuleType | Any) -> Log:
    log = Log([])

    class Listener(trt.ILogger):
        """The library logs from threads of its own; appending to a list is all that happens here."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            if severity <= trt.ILogger.WARNING:
                log.lines.append(f"{severity.name.lower()}: {msg.strip()}")

    log.logger = Listener()
    return log


Progress = Callable[[str, int, int], None]  # phase, step, of how many
