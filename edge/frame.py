"""The two nouns of the live path: a `Frame` comes in, a `Shown` goes out. Both are frozen.

A frame's pixels are read-only for their whole life: the original is always there to be shown, and a capture
can hold a reference without a copy.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class PixelFormat(enum.IntEnum):
    """How pixels lie in a message. The numbers are part of the wire protocol."""

    GREY8 = 1
    GREY16 = 2
    RGB8 = 3
    BGR8 = 4

    @property
    def bytes_per_pixel(self) -> int:
        return _BYTES_PER_PIXEL[self]

    @property
    def channels(self) -> int:
        return 3 if self in (PixelFormat.RGB8, PixelFormat.BGR8) else 1


_BYTES_PER_PIXEL = {PixelFormat.GREY8: 1, PixelFormat.GREY16: 2, PixelFormat.RGB8: 3, PixelFormat.BGR8: 3}


class Modality(enum.IntEnum):
    """What the picture is of. The numbers are part of the wire protocol."""

    UNKNOWN = 0
    ULTRASOUND = 1
    FLUOROSCOPY = 2


class Treatment(enum.IntEnum):
    """What the pixels of a message are. NONE is a notice without a picture."""

    NONE = 0
    ENHANCED = 1
    ORIGINAL = 2


class Why(enum.IntEnum):
    """Why the original was shown. The numbers are part of the wire protocol; only ever add to the end."""

    NOT_ORIGINAL = 0  # the picture is enhanced
    OPERATOR = 1  # somebody asked to see the original
    STRENGTH_ZERO = 2  # strength 0 % is the original, bit for bit
    OPENING = 3  # the engine for this size is being opened
    NO_ENGINE = 4  # no engine fits this stream, or all were refused
    NO_REGION = 5  # no image was found in the frame, or its layout has just changed
    LATE = 6  # the engine had no result by the deadline
    BUSY = 7  # the engine is still computing an earlier, late frame
    FAULT = 8  # the engine failed: raised, or gave a wrong shape
    NOT_FINITE = 9  # the engine's result held NaN or infinity
    FIDELITY = 10  # the engine changed more than it may
    OVERLOAD = 11  # the ladder's last rung: nothing faster fits
    HOT = 12  # the device is too hot to compute
    UNKNOWN = 255  # a reason newer than this reader; the picture is shown all the same

    @classmethod
    def _missing_(cls, value: object) -> Why | None:
        return cls.UNKNOWN if isinstance(value, int) and 0 <= value <= 255 else None

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle inside a frame, in pixels."""

    x: int
    y: int
    width: int
    height: int

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    def inside(self, width: int, height: int) -> bool:
        return self.width > 0 and self.height > 0 and self.x + self.width <= width and self.y + self.height <= height


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture as the scanner made it."""

    pixels: Pixels  # (height, width) or (height, width, 3), read-only
    stream: str
    seq: int
    captured_ns: int  # this machine's monotonic clock
    received_ns: int  # likewise
    format: PixelFormat = PixelFormat.GREY8
    bits: int = 8  # significant bits a sample: 8, or 10-16
    modality: Modality = Modality.UNKNOWN
    session: int = 0  # one run of one sender: a restart is a new session
    stamped_ns: int = 0  # the sender's own capture time, echoed as it came
    spacing_mm: tuple[float, float] | None = None  # x, y
    region: Box | None = None  # where the scanner says the image is
    cut: bool = False  # the scanner says: a new scene starts here

    @property
    def height(self) -> int:
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        return self.pixels.shape[1]

    @property
    def full_scale(self) -> int:
        """The largest level a sample can have."""
        return (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a frame's time went, in nanoseconds, in the order in which it passed."""

    queued: int = 0  # received -> the live thread took it
    prepared: int = 0  # region, governor, copy to the engine
    engine: int = 0  # start -> result (or the deadline)
    composed: int = 0  # checks, and pixels outside the region put back


@dataclass(frozen=True, slots=True)
class EngineId:
    """Which engine treated a picture; enough to find the very file again."""

    name: str = ""
    sha256: str = ""
    backend: str = ""
    precision: str = ""


NO_ENGINE_ID = EngineId()


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What goes to the display for one frame: the pixels, how they were treated, and why."""

    frame: Frame
    pixels: Pixels
    treatment: Treatment
    why: Why = Why.NOT_ORIGINAL
    engine: EngineId = NO_ENGINE_ID
    strength: float = 0.0
    region: Box | None = None
    timings: Timings = field(default_factory=Timings)
    stand_in: bool = False  # this one frame missed its deadline; what follows is enhanced
    missing_before: int = 0  # frames of this stream that were not shown since the last one
    mean_change: float = 0.0  # mean absolute change inside the region, as a part of full scale
    outside: bool = False  # enhanced, and the picture is unlike those that the engine was judged on


def original(frame: Frame, why: Why, **more: object) -> Shown:
    """The frame as it came, and the reason for showing it so."""
    return Shown(frame=frame, pixels=frame.pixels, treatment=Treatment.ORIGINAL, why=why, **more)  # type: ignore[arg-type]
