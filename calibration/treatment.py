"""What the judge compares: anything that turns a stream of pictures into another. The port for peers and engines."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from edge.frame import Pixels


class Treatment(Protocol):
    """One stream's treatment; it may remember frames. Used by one thread."""

    @property
    def name(self) -> str: ...

    def forget(self) -> None:
        """The next frame starts without a past."""
        ...

    def __call__(self, pixels: Pixels) -> Pixels:
        """Grey 8- or 16-bit levels in, the same type out: same sides, or twice as long for super-resolution.

        The picture belongs to the caller: a treatment never writes into what it was given.
        """
        ...


@runtime_checkable
class Rememberer(Treatment, Protocol):
    """One that can take a picture of the past in more cheaply than by computing a result."""

    def remember(self, pixels: Pixels) -> None: ...
