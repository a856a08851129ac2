"""What runs an engine. The port, and the opener.

A backend opens an engine for one picture size; the `Session` it gives belongs to one stream and is used by the live
thread alone. A session computes asynchronously: `start` hands over a picture and returns, `wait` says whether the
result is there by a deadline, `result` gives it. Recurrent state lives inside the session and advances with each
computed frame, whether or not its result was shown. A plugin is a module of this folder with

    def open_backend(threads: int) -> Backend: ...
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from edge import plugins
from edge.catalog import Engine
from edge.frame import EngineId, Pixels


@dataclass(frozen=True, slots=True)
class Shape:
    """What a session is opened for: the size of the region's box, and the sample depth."""

    height: int
    width: int
    bits: int

    @property
    def full_scale(self) -> int:
        return (1 << self.bits) - 1

    def enlarged(self, scale: int) -> Shape:
        return Shape(self.height * scale, self.width * scale, self.bits)

    def blank(self) -> Pixels:
        """A black picture of this shape."""
        kind = np.uint8 if self.bits == 8 else np.uint16
        return cast("Pixels", np.zeros((self.height, self.width), kind))


class Session(Protocol):
    """One open engine with one stream's state. Owned by the live thread."""

    @property
    def id(self) -> EngineId: ...

    @property
    def shape(self) -> Shape: ...

    @property
    def result_shape(self) -> Shape:
        """Of the result: the session's own shape, or twice its sides where the engine enlarges."""
        ...

    @property
    def took_ns(self) -> int:
        """How long the last finished computation took."""
        ...

    @property
    def change(self) -> float | None:
        """How far the last result is from its picture in the mean, of full scale; None: not measured on the way."""
        ...

    def start(self, grey: Pixels, strength: float) -> None:
        """Copy a grey picture of the session's shape in and begin to compute. Raises EngineFault."""
        ...

    def wait(self, timeout_ns: int) -> bool:
        """True once nothing is being computed; waits at most that long."""
        ...

    def result(self) -> Pixels:
        """The last picture, of `result_shape`, same type; valid until the next `start`. Raises EngineFault."""
        ...

    def forget(self) -> None:
        """The next frame starts without a past."""
        ...

    def close(self) -> None: ...


class Backend(Protocol):
    def open(self, engine: Engine | None, shape: Shape) -> Session:
        """Load, compile and warm up; only `classical` needs no engine. Raises EngineRefused.

        Slow: never called from the live thread.
        """
        ...


def open_backend(kind: str, threads: int) -> Backend:
    return plugins.load(sys.modules[__name__], kind).open_backend(threads)


def notes_of(backend: Backend) -> list[str]:
    """What became of the last opening, in words, where the backend keeps `notes`: a stale plan that was built again."""
    return list(getattr(backend, "notes", ()))


def nvidia_nodes(devices: Path = Path("/dev")) -> list[str]:
    """The devices by which NVIDIA's driver, or a Jetson's, shows a GPU."""
    return sorted(node.name for pattern in ("nvidia[0-9]*", "nvhost-gpu") for node in devices.glob(pattern))


def why_backend(kind: str, nodes: list[str]) -> str:
    """Why this one computes. It is always the one that was asked for: where it cannot, nothing starts in its place."""
    asked = f'[engines] backend = "{kind}"'
    if kind == "tensorrt_int8":
        return asked
    gpu = f"the NVIDIA GPU here ({', '.join(nodes)}) is not used" if nodes else "no NVIDIA GPU is here"
    return f"{asked}; {gpu}"
