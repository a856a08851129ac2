"""Where frames come from. The port, and the opener.

A source is read by the live thread. `next` waits at most `timeout_s` and gives one frame, or None;
it raises `BadFrame` for one message that cannot be a frame, and `SourceUnavailable` when there is nothing to read
from now; it neither computes nor waits otherwise. A source that has to (it decodes, it renders) is given a thread of
its own by `open_prompt`, with the newest frame of each stream between them. A plugin is a module of this folder with

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...
    def open_source(options: Options, clock: Clock) -> Source: ...
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import Protocol

from edge import plugins
from edge.clock import Clock
from edge.config import parse_section
from edge.errors import BadFrame, SourceUnavailable
from edge.frame import Frame
from edge.slot import Latest


class Source(Protocol):
    @property
    def ended(self) -> bool:
        """True once no frame will ever come again (a file was played to its end)."""
        ...

    def next(self, timeout_s: float) -> Frame | None: ...

    def close(self) -> None: ...


PROMPT = {"zeromq"}  # read where they are; every other kind on a thread of its own


def open_prompt(kind: str, options: Mapping[str, object], clock: Clock) -> Source:
    """For the live thread: a source whose `next` never takes longer than it was told to wait."""
    source = open_source(kind, options, clock)
    return source if kind in PROMPT else Pumped(source, kind)


def open_source(kind: str, options: Mapping[str, object], clock: Clock) -> Source:
    module = plugins.load(sys.modules[__name__], kind)
    return module.open_source(parse_section(options, module.Options, f"source.{kind}"), clock)


class Pumped:
    """Any source on a receive thread of its own. What it could not read is told on the next `next`."""

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self._newest: Latest[Frame] = Latest()  # put by the receive thread, taken by live
        self._told: deque[Exception] = deque(maxlen=16)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"receive-{name}", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive() and not self._told and len(self._newest) == 0

    def _run(self) -> None:
        while not self._closed.is_set() and not self._source.ended:
            try:
                frame = self._source.next(0.1)
            except BadFrame as error:
                self._told.append(error)
            except SourceUnavailable as error:
                self._told.append(error)
                self._closed.wait(0.1)
            except Exception as error:  # noqa: BLE001 - this thread's top: the live thread raises it, and ends the process
                self._told.append(error)
                break
            else:
                if frame is not None:
                    self._newest.put(frame.stream, frame)
        self._newest.close()

    def next(self, timeout_s: float) -> Frame | None:
        if self._told:
            raise self._told.popleft()
        return self._newest.take(timeout_s)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(2.0)
        self._source.close()
