"""How the threads of forward and console get on. Each says so under its own name; the watchdog thread reads.

A thread that waits for an archive is not stuck as long as it may wait: the limit is chosen by whoever starts it.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import BinaryIO

from edge.clock import Clock


class Progress:
    """Written by each thread under its own name, read by the watchdog: one plain store each, no lock needed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._beats: dict[str, int] = {}

    def beat(self) -> None:
        """The calling thread moves. From its first beat on it is expected to go on."""
        self._beats[threading.current_thread().name] = self._clock.now()

    def trouble(self, limit_ns: int) -> str | None:
        """Which thread hangs, in words, or None."""
        now = self._clock.now()
        for name, beat in self._beats.copy().items():
            if now - beat > limit_ns:
                return f"{name} has not moved for {(now - beat) / 1e9:.1f} s"
        return None


class Watched(io.RawIOBase):
    """A file that is read by someone who may be slow: each piece that is taken shows that it goes on."""

    def __init__(self, file: BinaryIO, beat: Callable[[], None]) -> None:
        self._file = file
        self._beat = beat

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        self._beat()
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # pyright: ignore
        data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
