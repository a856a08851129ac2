"""The thread of a live source: connect, read, hand over the newest; when the other side is gone, try again.

The feed's own thread connects and reads; the receive thread takes. Between them is `Latest`: a camera that is
faster than its reader loses frames, which are counted, and never gains age.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from edge.errors import SourceUnavailable
from edge.slot import Latest

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 3.0
_GOODBYE_S = 2.0  # a driver that hangs longer than this is left behind


class Peer(Protocol[T_co]):
    """One connection: an open camera, a socket. Used by the feed's thread alone."""

    def read(self) -> tuple[str, T_co] | None:
        """The next item and its stream, or None for now. Raises SourceUnavailable, or EOFError."""
        ...

    def close(self) -> None: ...


def pause_s(failures: int) -> float:
    """How long to wait before trying again, after so many failures in a row."""
    return min(_FIRST_PAUSE_S * 2.0 ** min(failures, 16), _LONGEST_PAUSE_S)


def new_session() -> int:
    """A number for one run of one sender: never zero, never twice."""
    return secrets.randbits(63) | 1


class Feed(Generic[T]):
    """`connect` gets a fresh session number. It gives None where one waits for others and nobody came, and
    raises SourceUnavailable where the other side should be there and is not."""

    def __init__(self, name: str, connect: Callable[[int], Peer[T] | None]) -> None:
        self.superseded = 0  # written by the feed's thread
        self.ended = False  # likewise
        self._connect = connect
        self._lost: str | None = None  # likewise; None while connected, and before the first attempt
        self._untold: str | None = None  # likewise, but cleared by the reader: a loss is told at least once
        self._stop = threading.Event()
        self._slot: Latest[T] = Latest(self._count)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> T | None:
        """The newest item, or None. Raises SourceUnavailable while the other side is gone, at least once."""
        item = self._slot.take(timeout_s)
        lost, self._untold = self._lost or self._untold, None
        if item is None and lost is not None:
            raise SourceUnavailable(lost)
        return item

    def close(self) -> None:
        self._stop.set()
        self._slot.close()
        self._thread.join(_GOODBYE_S)

    def _count(self, _item: T) -> None:
        self.superseded += 1

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set() and not self.ended:
            reached = self._session()
            failures = 0 if reached else failures + 1
            if self._lost is not None:
                self._stop.wait(pause_s(failures))
        self._slot.close()

    def _session(self) -> bool:
        """One connection from its beginning to its end; whether there was one, or nobody is missed."""
        reached = False
        try:
            peer = self._connect(new_session())
            reached, self._lost = True, None
            if peer is not None:
                self._read(peer)
        except SourceUnavailable as error:
            self._lost = self._untold = str(error)
        return reached

    def _read(self, peer: Peer[T]) -> None:
        try:
            while not self._stop.is_set():
                item = peer.read()
                if item is not None:
                    self._slot.put(*item)
        except EOFError:
            self.ended = True
        finally:
            peer.close()
