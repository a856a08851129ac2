"""Multipart messages <-> `Frame` and `Shown`. Pure: bytes in, nouns out; no socket, no thread, no clock.

`docs/wire-protocol.md` describes every byte. Sizes are checked before pixels are touched, and a message that
cannot be a frame raises `BadFrame`, never anything else.
"""

from __future__ import annotations

import enum
import functools
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from edge.errors import BadFrame
from edge.frame import Box, EngineId, Frame, Modality, PixelFormat, Pixels, Shown, Timings, Treatment, Why

E = TypeVar("E", bound=enum.IntEnum)

VERSION = 1
MIN_SIDE, MAX_SIDE = 64, 4096
MAX_STRIDE = 4 * MAX_SIDE * 3
STREAM_NAME = re.compile(r"[A-Za-z0-9._-]{1,48}\Z")

FRAME_MAGIC, SHOWN_MAGIC = b"LMPF", b"LMPS"
_FRAME = struct.Struct("<4s4B3Q3I2BH2f4I8x48s")
_SHOWN = struct.Struct("<4s4B3Q3I4B5I4x2Q4I2I2f32s48s48s16s8s48x")
FRAME_HEADER_BYTES = _FRAME.size
_RUNNING = struct.Struct("<2Q")  # sequence number and capture time, the only fields that run
_RUNNING_AT = 16
SHOWN_HEADER_BYTES = _SHOWN.size


class SenderClock(enum.IntEnum):
    """What the sender's capture time counts from."""

    OWN = 0  # a clock of its own: only differences mean anything
    MONOTONIC = 1  # this host's CLOCK_MONOTONIC
    UNIX = 2  # nanoseconds since 1970 on a clock synchronised with ours


class Flag(enum.IntFlag):
    """Flags of a shown message."""

    LIVE = 1  # frames are arriving; its absence means NOT LIVE
    FROZEN = 2  # the operator froze the picture
    STAND_IN = 4  # one late frame, shown as original; what follows is enhanced
    HAS_ORIGINAL = 8  # a part with the original pixels follows
    HAS_CHANGE = 16  # a part with the change map follows
    ORIGINAL_VIEW = 32  # the operator has switched the picture to the original
    WARM = 64  # the device is warm: heat holds the enhancement back
    OUTSIDE = 128  # enhanced, and the frames are unlike those that the engine was judged on


class Topic(str, enum.Enum):
    """What a subscriber asks for, by the prefix it subscribes to."""

    PICTURE = "picture"  # the picture shown
    PAIR = "pair"  # and the original beside it
    FULL = "full"  # and the change map

    def of(self, stream: str) -> bytes:
        return f"{self.value}/{stream}/".encode()


class FrameHeader(NamedTuple):
    """The 128 bytes before a frame's pixels, checked."""

    format: PixelFormat
    bits: int
    modality: Modality
    session: int
    seq: int
    stamped_ns: int
    width: int
    height: int
    stride: int
    clock: SenderClock
    cut: bool
    spacing_mm: tuple[float, float] | None
    region: Box | None
    stream: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a subscriber reads from one shown message. `pixels` is None in a notice (NOT LIVE, frozen)."""

    stream: str
    session: int
    seq: int
    stamped_ns: int
    treatment: Treatment
    why: Why
    flags: Flag
    strength: float
    engine: EngineId
    timings: Timings
    age_ns: int
    received_ns: int
    published_ns: int
    region: Box | None
    missing_before: int
    mean_change: float
    format: PixelFormat
    bits: int
    modality: Modality
    spacing_mm: tuple[float, float] | None
    pixels: Pixels | None = None
    original: Pixels | None = None
    change: Pixels | None = None


# ---------------------------------------------------------------- frames: scanner -> daemon


def encode_frame(frame: Frame, clock: SenderClock = SenderClock.MONOTONIC) -> list[bytes | memoryview]:
    """The two parts of a frame message. Pixels are sent row by row without padding."""
    pixels = np.ascontiguousarray(frame.pixels)
    sx, sy = frame.spacing_mm or (0.0, 0.0)
    box = frame.region or Box(0, 0, 0, 0)
    header = _FRAME.pack(
        FRAME_MAGIC, VERSION, frame.format, frame.bits, frame.modality,
        frame.session, frame.seq, frame.stamped_ns,
        frame.width, frame.height, frame.width * frame.format.bytes_per_pixel,
        clock, int(frame.cut), 0, sx, sy,
        box.x, box.y, box.width, box.height,
        frame.stream.encode("ascii"),
    )  # fmt: skip
    return [header, pixels.data.cast("B")]


def decode_header(header: bytes) -> FrameHeader:
    """Check the header byte for byte; nothing of the pixels is needed."""
    if len(header) != FRAME_HEADER_BYTES:
        raise BadFrame("malformed", f"header of {len(header)} bytes, not {FRAME_HEADER_BYTES}")
    seq, stamped_ns = _RUNNING.unpack_from(header, _RUNNING_AT)
    layout = _checked_layout(header[:_RUNNING_AT], header[_RUNNING_AT + _RUNNING.size :])
    return layout._replace(seq=seq, stamped_ns=stamped_ns)


@functools.lru_cache(maxsize=64)
def _checked_layout(before: bytes, after: bytes) -> FrameHeader:
    """A stream's headers differ in number and time alone: the rest is checked once, and known again."""
    (magic, version, format_, bits, modality, session, seq, stamped, width, height, stride,
     clock, flags, _, sx, sy, bx, by, bw, bh, name) = _FRAME.unpack(before + bytes(_RUNNING.size) + after)  # fmt: skip
    if magic != FRAME_MAGIC:
        raise BadFrame("malformed", "not a frame message")
    if version != VERSION:
        raise BadFrame("version", f"protocol version {version}, this daemon speaks {VERSION}")
    pixel_format = _known(PixelFormat, format_, "pixel format")
    _check_size(pixel_format, bits, width, height, stride)
    return FrameHeader(
        pixel_format, bits, _known(Modality, modality, "modality"), session, seq, stamped,
        width, height, stride, _known(SenderClock, clock, "clock"), bool(flags & 1), _spacing(sx, sy),
        _region(Box(bx, by, bw, bh), width, height), _stream(name),
    )  # fmt: skip


def frame_of(header: FrameHeader, payload: object, captured_ns: int, received_ns: int) -> Frame:
    """The frame over the message's own memory: nothing is copied."""
    return Frame(
        pixels=_pixels(header, payload),
        stream=header.stream,
        seq=header.seq,
        captured_ns=captured_ns,
        received_ns=received_ns,
        format=header.format,
        bits=header.bits,
        modality=header.modality,
        session=header.session,
        stamped_ns=header.stamped_ns,
        spacing_mm=header.spacing_mm,
        region=header.region,
        cut=header.cut,
    )


def decode_frame(parts: Sequence[object], captured_ns: int, received_ns: int) -> Frame:
    """A whole message at once, for readers that need no clock of the sender's."""
    if len(parts) != 2:
        raise BadFrame("malformed", f"{len(parts)} parts, not 2")
    return frame_of(decode_header(_header_part(parts[0], FRAME_HEADER_BYTES)), parts[1], captured_ns, received_ns)


def _header_part(part: object, size: int) -> bytes:
    """The bytes of a header part. Its size is checked before it is copied: a hostile one can be huge."""
    try:
        view = memoryview(cast("bytes", part))
        if view.nbytes == size:
            return view.tobytes()
    except (TypeError, ValueError, BufferError) as error:
        raise BadFrame("malformed", f"no header: {error}") from None
    raise BadFrame("malformed", f"header of {view.nbytes} bytes, not {size}")


def _known(kind: type[E], value: int, what: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise BadFrame("malformed", f"unknown {what} {value}") from None


def _check_size(pixel_format: PixelFormat, bits: int, width: int, height: int, stride: int) -> None:
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise BadFrame("size", f"{width}x{height} is outside {MIN_SIDE}x{MIN_SIDE} to {MAX_SIDE}x{MAX_SIDE}")
    if pixel_format is PixelFormat.GREY16:
        if not 10 <= bits <= 16:
            raise BadFrame("malformed", f"{bits} bits in a 16-bit format")
        if stride % 2:
            raise BadFrame("malformed", f"odd stride {stride} in a 16-bit format")
    elif bits != 8:
        raise BadFrame("malformed", f"{bits} bits in an 8-bit format")
    if not width * pixel_format.bytes_per_pixel <= stride <= MAX_STRIDE:
        raise BadFrame("size", f"stride {stride} for {width} pixels of {pixel_format.bytes_per_pixel} bytes")


def _spacing(x: float, y: float) -> tuple[float, float] | None:
    if x == 0.0 and y == 0.0:
        return None
    if not (math.isfinite(x) and math.isfinite(y) and 0.0 < x < 100.0 and 0.0 < y < 100.0):
        raise BadFrame("malformed", f"pixel spacing {x} x {y} mm")
    return x, y


def _region(box: Box, width: int, height: int) -> Box | None:
    if box == Box(0, 0, 0, 0):
        return None
    if not box.inside(width, height):
        raise BadFrame("malformed", f"region {box} outside a {width}x{height} frame")
    return box


def _stream(name: bytes) -> str:
    text = name.rstrip(b"\0").decode("ascii", errors="replace")
    if not STREAM_NAME.match(text):
        # The name itself stays out of the message: a scanner set up wrongly may have put a patient's there.
        raise BadFrame("malformed", "the stream name is not 1 to 48 of A-Z a-z 0-9 . _ -")
    return text


def _pixels(header: FrameHeader, payload: object) -> Pixels:
    try:
        flat: NDArray[np.uint8] = np.frombuffer(cast("bytes", payload), np.uint8)
    except (ValueError, TypeError, BufferError) as error:
        raise BadFrame("malformed", f"no pixels: {error}") from None
    row_bytes = header.width * header.format.bytes_per_pixel
    least = header.stride * (header.height - 1) + row_bytes
    if flat.size < least:
        raise BadFrame("truncated", f"{flat.size} bytes of pixels, {least} needed")
    if flat.size > header.stride * header.height:
        raise BadFrame("oversized", f"{flat.size} bytes of pixels, at most {header.stride * header.height} fit")
    pixels = _view(flat, header)
    pixels.setflags(write=False)
    return pixels


def _view(flat: NDArray[np.uint8], header: FrameHeader) -> Pixels:
    if header.format is PixelFormat.GREY16:
        pixels = np.ndarray((header.height, header.width), "<u2", flat, strides=(header.stride, 2))
        if not pixels.flags.aligned or not pixels.dtype.isnative:
            pixels = pixels.astype(np.uint16)  # OpenCV cannot read these where they lie
        return pixels
    if header.format is PixelFormat.GREY8:
        return np.ndarray((header.height, header.width), np.uint8, flat, strides=(header.stride, 1))
    return np.ndarray((header.height, header.width, 3), np.uint8, flat, strides=(header.stride, 3, 1))


# ---------------------------------------------------------------- shown: daemon -> displays


def encode_shown(shown: Shown, flags: Flag, published_ns: int) -> bytes:
    """The header of a shown message; the publisher adds topic and pixels."""
    frame, engine, times = shown.frame, shown.engine, shown.timings
    box = shown.region or Box(0, 0, 0, 0)
    sx, sy = frame.spacing_mm or (0.0, 0.0)
    return _SHOWN.pack(
        SHOWN_MAGIC, VERSION, frame.format, frame.bits, frame.modality,
        frame.session, frame.seq, frame.stamped_ns,
        frame.width, frame.height, frame.width * frame.format.bytes_per_pixel,
        shown.treatment, shown.why, round(shown.strength * 100), flags,
        _us(published_ns - frame.captured_ns),
        _us(times.queued), _us(times.prepared), _us(times.engine), _us(times.composed),
        frame.received_ns, published_ns,
        box.x, box.y, box.width, box.height,
        min(shown.missing_before, 0xFFFFFFFF), _ppm(shown.mean_change), sx, sy,
        bytes.fromhex(engine.sha256), engine.name.encode("ascii"), frame.stream.encode("ascii"),
        engine.backend.encode("ascii"), engine.precision.encode("ascii"),
    )  # fmt: skip


def encode_notice(last: Shown, flags: Flag, now_ns: int) -> bytes:
    """A message without a picture: the last frame's identity and age, and what is the matter (the flags)."""
    notice = Shown(frame=last.frame, pixels=last.pixels, treatment=Treatment.NONE, why=last.why, engine=last.engine)
    return encode_shown(notice, flags, now_ns)


def decode_shown(parts: Sequence[object]) -> Report:
    """Topic, header and up to three pixel parts -> a `Report` over the message's own memory."""
    if len(parts) < 2:
        raise BadFrame("malformed", f"{len(parts)} parts, at least 2 needed")
    header = _header_part(parts[1], SHOWN_HEADER_BYTES)
    (magic, version, format_, bits, modality, session, seq, stamped, width, height, stride,
     treatment, why, strength, flag_bits, age, queued, prepared, engine_us, composed, received, published,
     bx, by, bw, bh, missing, change_ppm, sx, sy,
     sha, name, stream, backend, precision) = _SHOWN.unpack(header)  # fmt: skip
    if magic != SHOWN_MAGIC:
        raise BadFrame("malformed", "not a shown message")
    if version != VERSION:
        raise BadFrame("version", f"protocol version {version}, this reader speaks {VERSION}")
    pixel_format = _known(PixelFormat, format_, "pixel format")
    flags, treated = Flag(flag_bits), _known(Treatment, treatment, "treatment")
    if (treated is Treatment.NONE) != (len(parts) == 2):
        raise BadFrame("malformed", f"{len(parts) - 2} pictures in a message of treatment {treated.name.lower()}")
    if strength > 100:
        raise BadFrame("malformed", f"strength {strength} %")
    _check_size(pixel_format, bits, width, height, stride)
    layout = FrameHeader(
        pixel_format, bits, _known(Modality, modality, "modality"), session, seq, stamped,
        width, height, stride, SenderClock.OWN, False, _spacing(sx, sy),
        _region(Box(bx, by, bw, bh), width, height), _stream(stream),
    )  # fmt: skip
    pictures = _picture_parts(layout, parts[2:], flags)
    return Report(
        stream=layout.stream, session=session, seq=seq, stamped_ns=stamped,
        treatment=treated, why=_known(Why, why, "reason"), flags=flags,
        strength=strength / 100, engine=_engine_id(name, sha, backend, precision),
        timings=Timings(queued * 1000, prepared * 1000, engine_us * 1000, composed * 1000),
        age_ns=age * 1000, received_ns=received, published_ns=published, region=layout.region,
        missing_before=missing, mean_change=change_ppm / 1e6, format=pixel_format, bits=bits,
        modality=layout.modality, spacing_mm=layout.spacing_mm, **pictures,
    )  # fmt: skip


def _picture_parts(layout: FrameHeader, parts: Sequence[object], flags: Flag) -> dict[str, Pixels]:
    names = ["pixels"] if parts else []  # a notice has none, and then no flag may promise more
    names += ["original"] if flags & Flag.HAS_ORIGINAL else []
    names += ["change"] if flags & Flag.HAS_CHANGE else []
    if len(names) != len(parts):
        raise BadFrame("malformed", f"{len(parts)} pictures where the flags say {len(names)}")
    grey = layout._replace(format=PixelFormat.GREY8, bits=8, stride=layout.width)
    return {name: _pixels(grey if name == "change" else layout, part) for name, part in zip(names, parts, strict=True)}


def _engine_id(name: bytes, sha: bytes, backend: bytes, precision: bytes) -> EngineId:
    name_, backend_, precision_ = (_printable(text) for text in (name, backend, precision))
    return EngineId(name_, sha.hex() if name_ else "", backend_, precision_)


def _printable(text: bytes) -> str:
    """A name for people to read. What could steer a terminal or a page is replaced."""
    shown = text.split(b"\0", 1)[0].decode("ascii", "replace")
    return "".join(letter if letter.isprintable() and letter.isascii() else "?" for letter in shown)


def _ppm(part: float) -> int:
    """Parts in a million; a figure that is no number must not cost the picture it came with."""
    return round(min(max(part, 0.0), 1.0) * 1e6) if math.isfinite(part) else 1_000_000


def _us(ns: int) -> int:
    return min(max(0, ns // 1000), 0xFFFFFFFF)
