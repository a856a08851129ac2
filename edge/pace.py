"""A cap on bandwidth: a bucket of bytes that fills with time, and a stream that waits for it. The bucket is pure.

One bucket serves all sending threads of a destination.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import BinaryIO

from edge.clock import SECOND, Clock

BURST_S = 0.25  # a pause in sending may be caught up with by this much
LEAST_PIECE = 1 << 10


class Bucket:
    """Bytes per second; guarded by a lock, written by any sending thread."""

    def __init__(self, bytes_per_s: float, clock: Clock) -> None:
        self._rate = bytes_per_s
        self._clock = clock
        self._lock = threading.Lock()
        self._full_at = clock.now()  # when everything that was taken will have been paid for
        self.piece = max(LEAST_PIECE, int(bytes_per_s * BURST_S))

    def take(self, size: int) -> int:
        """Nanoseconds to wait before `size` more bytes may go."""
        with self._lock:
            now = self._clock.now()
            start = max(self._full_at, now - int(BURST_S * SECOND))
            self._full_at = start + int(size / self._rate * SECOND)
            return max(0, start - now)


class Paced(io.RawIOBase):
    """A file that is given out no faster than the bucket allows, a small piece at a time."""

    def __init__(self, file: BinaryIO, bucket: Bucket, wait: Callable[[float], object]) -> None:
        self._file = file
        self._bucket = bucket
        self._wait = wait  # seconds; returns early when the process stops

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")[: self._bucket.piece]  # type: ignore[arg-type]  # pyright: ignore
        data = self._file.read(len(view))
        view[: len(data)] = data
        delay = self._bucket.take(len(data))
        if delay:
            self._wait(delay / SECOND)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
