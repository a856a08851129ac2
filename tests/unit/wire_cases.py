"""Valid messages, and what can be done to them: what the fuzz tests draw from. Not a test itself."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from edge import wire
from edge.frame import Box, EngineId, Frame, Modality, PixelFormat, Shown, Treatment, Why

NOISE = np.random.default_rng(5).integers(0, 256, 1 << 20, np.uint8).tobytes()


def places(*sizes: int) -> list[tuple[int, int]]:
    """Offset and size of each field; reserved bytes are fields too."""
    return [(sum(sizes[:number]), size) for number, size in enumerate(sizes)]


START = (4, 1, 1, 1, 1, 8, 8, 8, 4, 4, 4)  # magic to stride: the same in both headers
FRAME_FIELDS = places(*START, 1, 1, 2, *[4] * 6, 8, 48)
SHOWN_FIELDS = places(*START, *[1] * 4, *[4] * 6, 8, 8, *[4] * 8, 32, 48, 48, 16, 8, 48)
LIMITS = [
    *range(18), 32, 63, 64, 65, 80, 100, 101, 127, 128, 160, 192, 240, 255, 256, 4095, 4096, 4097, 8192,
    12288, 49151, 49152, 49153, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1,
]  # fmt: skip
FLOATS = [struct.pack("<f", value) for value in (float("nan"), float("inf"), -0.0, -1.0, 1e-45, 0.5, 99.9, 100.0)]


U64 = st.integers(0, 2**64 - 1)
STREAMS = st.from_regex(wire.STREAM_NAME, fullmatch=True)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    pixel_format = draw(st.sampled_from(PixelFormat))
    bits = draw(st.integers(10, 16)) if pixel_format is PixelFormat.GREY16 else 8
    width, height = draw(st.integers(64, 99)), draw(st.integers(64, 99))
    count = width * height * pixel_format.channels
    start = draw(st.integers(0, 1000)) * 2
    kind = np.uint16 if pixel_format is PixelFormat.GREY16 else np.uint8
    flat = np.frombuffer(NOISE, kind, count, start) & kind((1 << bits) - 1)
    shape = (height, width, 3) if pixel_format.channels == 3 else (height, width)
    box = Box(draw(st.integers(0, 9)), draw(st.integers(0, 9)), draw(st.integers(1, 55)), draw(st.integers(1, 55)))
    return Frame(
        flat.reshape(shape), draw(STREAMS), draw(U64), 0, 0, pixel_format, bits,
        draw(st.sampled_from(Modality)), draw(U64), draw(U64), draw(st.sampled_from([None, (0.25, 0.5)])),
        draw(st.sampled_from([None, box])), draw(st.booleans()),
    )  # fmt: skip


@dataclass(frozen=True)
class Change:
    """One thing done to a message: a field overwritten, or a part cut, lengthened, lost or doubled."""

    what: str
    place: int
    value: int

    def apply(self, parts: list[bytes], header: int, fields: list[tuple[int, int]]) -> None:
        if self.what in ("field", "float", "bytes"):
            offset, size = fields[self.place % len(fields)]
            parts[header] = parts[header][:offset] + self._bytes(size) + parts[header][offset + size :]
            return
        place = self.place % len(parts)
        part = parts[place]
        if self.what == "cut":
            parts[place] = part[: len(part) - 1 - self.value % max(1, len(part))]
        elif self.what == "longer":
            parts[place] = part + NOISE[: 1 + self.value % 300]
        elif self.what == "lost":
            del parts[place]
        else:
            parts.insert(place, part)

    def _bytes(self, size: int) -> bytes:
        if self.what == "float" and size == 4:
            return FLOATS[self.value % len(FLOATS)]
        if self.what == "bytes":
            return NOISE[self.value % 65536 :][:size]
        return (LIMITS[self.value % len(LIMITS)] % 256 ** min(size, 8)).to_bytes(size, "little")


KINDS = ["field"] * 5 + ["float", "bytes", "cut", "longer", "lost", "doubled"]
CHANGES = st.lists(st.builds(Change, st.sampled_from(KINDS), st.integers(0, 63), st.integers(0, 2**20)), max_size=3)


@st.composite
def changed_pictures(draw: st.DrawFn) -> list[bytes]:
    """A picture or notice with its flags, and up to three things done to it."""
    frame, flags, treatment = draw(frames()), draw(st.integers(0, 63)), draw(st.sampled_from(Treatment))
    engine = EngineId("net", "5c" * 32, "openvino_cpu", "int8")
    shown = Shown(frame, frame.pixels, treatment, draw(st.sampled_from(Why)), engine, 1.0, frame.region)
    parts = [wire.Topic.FULL.of(frame.stream), wire.encode_shown(shown, wire.Flag(flags), 0)]
    if treatment is not Treatment.NONE:
        pixels = frame.pixels.tobytes()
        change = NOISE[: frame.width * frame.height]
        parts += [pixels] + [pixels] * bool(flags & 8) + [change] * bool(flags & 16)
    for step in draw(CHANGES):
        if len(parts) > 1:
            step.apply(parts, 1, SHOWN_FIELDS)
    return parts
