"""The picture goes first: while live works on one, what is stored and compressed behind it stands aside.

A priority decides who gets the most of a core, not who gets it now: whoever has it keeps it for some milliseconds, at
each of the wake-ups that a frame needs. So the live thread sets one byte when it begins a picture and clears it when
the picture is out; the threads that write a capture, and the darkroom in its own process, look at it between two pieces
and wait, though never for long: pictures without a pause must not keep a capture from being stored.
"""

from __future__ import annotations

import mmap
import os
import time
import weakref
from dataclasses import replace
from typing import BinaryIO, cast

from edge.dicom import Made

PATIENCE_S = 0.006  # for each piece, which is a frame: about as long as a picture takes
NAP_S = 0.0004


class RightOfWay:
    """Written by the live thread alone; read by anybody, in other processes through `fd`."""

    def __init__(self, fd: int = -1) -> None:
        self.fd = fd
        if fd < 0 and hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("limpid-way")
            weakref.finalize(self, os.close, self.fd)
            os.ftruncate(self.fd, mmap.PAGESIZE)
        self._byte = mmap.mmap(self.fd, mmap.PAGESIZE)  # without a file: of this process alone

    def take(self) -> None:
        self._byte[0] = 1

    def give(self) -> None:
        self._byte[0] = 0

    @property
    def is_taken(self) -> bool:
        return bool(self._byte[0])

    def let_pass(self) -> None:
        if not self._byte[0]:
            return
        until = time.monotonic() + PATIENCE_S
        while self._byte[0] and time.monotonic() < until:
            time.sleep(NAP_S)


def standing_aside(made: Made, way: RightOfWay) -> Made:
    """The same object, whose pixels let the picture pass between any two frames."""
    return replace(made, pixels=lambda to: made.pixels(cast(BinaryIO, _Piecewise(to, way))))


class _Piecewise:
    """What pixels are written to: front to back, a frame or a part of one at a time."""

    def __init__(self, to: BinaryIO, way: RightOfWay) -> None:
        self._to = to
        self._way = way

    def write(self, data: bytes) -> int:
        self._way.let_pass()
        return self._to.write(data)

    def tell(self) -> int:
        return self._to.tell()
