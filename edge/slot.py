"""The two hand-offs between threads, both bounded, both counting what they let go.

`Latest` holds one item per stream: newest wins, so lag can never grow. `Ring` remembers the last seconds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest item of each key. `put` never blocks; `take` gives the key that has waited longest.

    One thread puts, another takes: receive threads and live, live and the survey.
    """

    def __init__(self, on_superseded: Callable[[T], None] = lambda _item: None) -> None:
        self._items: OrderedDict[str, T] = OrderedDict()
        self._ready = threading.Condition()
        self._on_superseded = on_superseded
        self._closed = False

    def put(self, key: str, item: T) -> None:
        with self._ready:
            # An item keeps its stream's turn: replacing it must not send the stream to the back of the queue.
            superseded = self._items.get(key)
            self._items[key] = item
            self._ready.notify()
        if superseded is not None:
            self._on_superseded(superseded)

    def take(self, timeout_s: float) -> T | None:
        """The newest item of the longest-waiting key, or None when nothing came in time."""
        with self._ready:
            if not self._items and not self._closed:
                self._ready.wait(timeout_s)
            if not self._items:
                return None
            _, item = self._items.popitem(last=False)
            return item

    def __len__(self) -> int:
        return len(self._items)

    def close(self) -> None:
        """Wake whoever waits: nothing more will come."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()


class Ring(Generic[T]):
    """The last items, bounded by age and by bytes; the oldest goes first.

    Written by the live thread; any other thread takes a `snapshot()`, which copies references, not pixels.
    """

    def __init__(self, max_bytes: int, size_of: Callable[[T], int], too_old: Callable[[T, T], bool]) -> None:
        self._items: deque[T] = deque()
        self._max_bytes = max_bytes
        self._size_of = size_of
        self._too_old = too_old  # (oldest, newest)
        self._lock = threading.Lock()
        self.bytes = 0
        self.forgotten = 0

    def add(self, item: T) -> None:
        with self._lock:
            self._items.append(item)
            self.bytes += self._size_of(item)
            while self._items and (self.bytes > self._max_bytes or self._too_old(self._items[0], item)):
                self.bytes -= self._size_of(self._items.popleft())
                self.forgotten += 1

    def snapshot(self) -> list[T]:
        with self._lock:
            return list(self._items)

    def __len__(self) -> int:
        return len(self._items)
