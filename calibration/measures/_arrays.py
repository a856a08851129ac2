"""The arrays that all measures take, and the one way in which a mask is applied. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[Any]
"""Levels, 0 to 1; sums are made in double precision, whatever comes in."""

Mask: TypeAlias = NDArray[Any]
"""What counts: true, or other than zero, where a pixel does."""


def require_alike(first: Floats, second: Floats) -> None:
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {first.shape} and {second.shape}")


def inside(values: Floats, mask: Mask | None) -> Floats:
    """The masked values in one row, in double precision. A mask of one picture serves every frame of a clip."""
    values = np.asarray(values)
    if mask is None:
        counted = values.ravel()
    else:
        counts = np.asarray(mask) != 0
        if counts.shape != values.shape[values.ndim - counts.ndim :]:
            raise ValueError(f"a mask of {counts.shape} does not fit {values.shape}")
        counted = values[..., counts].ravel() if counts.ndim < values.ndim else values[counts]
    if counted.size == 0:
        raise ValueError("nothing to measure: the mask is empty")
    return counted.astype(np.float64)
