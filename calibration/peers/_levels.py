"""Between a picture's whole levels and the float levels (0..1) that peers compute on. No state but a filter's own.

A peer is a filter on levels; `LevelTreatment` makes a treatment of pictures of it.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge.frame import Pixels

# float32 throughout. OpenCV and NumPy type what they return too loosely for a checker to follow that.
Floats: TypeAlias = NDArray[Any]


class LevelFilter(Protocol):
    """Float levels in, float levels out; may remember earlier pictures."""

    def __call__(self, levels: Floats) -> Floats: ...

    def forget(self) -> None: ...


@runtime_checkable
class Remembering(LevelFilter, Protocol):
    """A filter that looks back at whole pictures as they came: it can take one in without computing a result."""

    def remember(self, levels: Floats) -> None: ...


class Momentary:
    """A filter without a past."""

    def __call__(self, levels: Floats) -> Floats:
        raise NotImplementedError

    def forget(self) -> None:
        """There is nothing to forget."""


class LevelTreatment:
    """A filter on levels as a treatment of one stream's pictures. Used by one thread."""

    def __init__(self, name: str, bits: int, level_filter: LevelFilter) -> None:
        self.name = name
        self.bits = bits
        self._filter = level_filter
        self._shape: tuple[int, ...] = ()

    def forget(self) -> None:
        self._filter.forget()

    def remember(self, pixels: Pixels) -> None:
        """Take a picture of the past in, as cheaply as the filter can; its result is not wanted."""
        levels = self._levels(pixels)
        if isinstance(self._filter, Remembering):
            self._filter.remember(levels)
        elif not isinstance(self._filter, Momentary):
            self._filter(levels)

    def __call__(self, pixels: Pixels) -> Pixels:
        return to_pixels(self._filter(self._levels(pixels)), pixels, self.bits)

    def _levels(self, pixels: Pixels) -> Floats:
        if pixels.shape != self._shape:
            self._filter.forget()  # another picture size is another scene
        self._shape = pixels.shape
        return to_levels(pixels, self.bits)


def to_levels(pixels: Pixels, bits: int) -> Floats:
    return pixels.astype(np.float32) * np.float32(1.0 / ((1 << bits) - 1))


def to_pixels(levels: Floats, like: Pixels, bits: int) -> Pixels:
    """The nearest whole levels, in the type of the picture they came from."""
    whole = np.rint(np.clip(levels, 0.0, 1.0) * np.float32((1 << bits) - 1))
    return cast("Pixels", whole.astype(like.dtype))
