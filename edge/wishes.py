"""What the people at the device have asked for, per stream. Written by control, read by the live thread.

A `Wish` is frozen and replaced whole, so the live thread always sees one consistent set of settings.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

from edge.errors import ConfigError

MOST_STREAMS = 64


@dataclass(frozen=True, slots=True)
class Wish:
    strength: float = 0.8  # 0..1
    original_view: bool = False  # show the original, keep the engine warm
    frozen: bool = False
    family: str = ""  # "" is the configuration's choice for the modality
    edition: int = 0  # of the catalogue: an engine was activated, and the lane should ask for it now


class Wishes:
    def __init__(self, first: Wish) -> None:
        self._default = first
        self._by_stream: dict[str, Wish] = {}
        self._lock = threading.Lock()

    def of(self, stream: str) -> Wish:
        return self._by_stream.get(stream, self._default)

    def change(self, stream: str | None, **settings: Any) -> None:
        """For one stream, or for all of them and those to come."""
        with self._lock:
            if stream is not None and stream not in self._by_stream and len(self._by_stream) >= MOST_STREAMS:
                raise ConfigError(f"{MOST_STREAMS} streams have settings of their own already")
            if stream is not None:
                self._by_stream[stream] = replace(self.of(stream), **settings)
                return
            self._default = replace(self._default, **settings)
            self._by_stream = {name: replace(wish, **settings) for name, wish in self._by_stream.items()}
