"""Where captures go. The port, and the opener.

`send` may be called by `lanes` threads of the forwarder at once, everything else by one. It returns once the
destination has answered: a `Receipt` for success (status 0x0000, and warnings, which stay visible in it),
`SinkRejected` for a refusal for good, and `SinkUnavailable` for everything else, the unknown included: the same object,
the same UID, is then sent again. A plugin is a module of this folder with

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True): ...
    def open_sink(name: str, options: Options) -> Sink: ...
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from edge import plugins
from edge.config import parse_section


@dataclass(frozen=True, slots=True)
class Parcel:
    """One object on its way to one destination."""

    capture: str  # the folder in the outbox
    object: str  # the file in it
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    size: int  # bytes of the DICOM file
    open: Callable[[], BinaryIO]  # the whole DICOM file, as a seekable stream that never lies in plain on a disk
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the destination answered. `warning` is empty, or what it complained of."""

    warning: str = ""
    status: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """To one question of ours: SOP instance UID -> True (safe), or the reason why it is not."""

    transaction: str
    verdicts: dict[str, bool | str]


class Sink(Protocol):
    @property
    def lanes(self) -> int:
        """How many threads may send at once."""
        ...

    @property
    def confirms(self) -> bool:
        """Whether this destination can say later that it has an object safe."""
        ...

    def send(self, parcel: Parcel) -> Receipt: ...

    def ask(self, transaction: str, parcels: Sequence[Parcel]) -> None:
        """Are these safe? The answers, all or in part, come from `answers`, at once or hours later."""
        ...

    def answers(self) -> list[Answer]:
        """What came since the last call, in this process's life. Never waits."""
        ...

    def check(self) -> str:
        """Is it there, and does it know us? What it is, in words; `SinkUnavailable` otherwise."""
        ...

    def rest(self) -> None:
        """There is nothing to send for a while: let go of what is held open. The next `send` opens it again."""
        ...

    def close(self) -> None: ...


def open_sink(name: str, kind: str, options: Mapping[str, object]) -> Sink:
    module = plugins.load(sys.modules[__name__], kind)
    return module.open_sink(name, parse_section(options, module.Options, f"destination.{name}.{kind}"))
