"""`docs/wire-protocol.md` says what the code does: its tables are parsed and held against `edge.wire`."""

from __future__ import annotations

import enum
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from edge import wire
from edge.frame import Box, EngineId, Frame, Modality, PixelFormat, Shown, Timings, Treatment, Why

PAGE = (Path(__file__).parents[2] / "docs" / "wire-protocol.md").read_text()
CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "f32": "f"}
PACKED = {"frame": wire._FRAME, "shown": wire._SHOWN}


def rows_after(marker: str) -> list[list[str]]:
    """The cells of the first table after a marker, without its two heading lines."""
    lines = PAGE.split(f"<!-- {marker} -->", 1)[1].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    table = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table[2:]


def dump_of(kind: str) -> bytes:
    text = PAGE.split(f"<!-- dump: {kind} -->", 1)[1].split("```")[1]
    return bytes.fromhex("".join(re.sub(r"\|.*", "", line[4:]) for line in text.strip().splitlines()))


def code_of(kind: str) -> str:
    """A table's type in the letters of `struct`."""
    counted = re.fullmatch(r"(char|zero|u8)\[(\d+)\]", kind)
    if counted:
        return counted[2] + ("x" if counted[1] == "zero" else "s")
    return CODES[kind]


def by_name(kind: str, header: bytes) -> dict[str, object]:
    """The header read with nothing but the page's table."""
    found: dict[str, object] = {}
    for offset, _, type_, name, _ in rows_after(f"layout: {kind}"):
        if not type_.startswith("zero"):
            found[name] = struct.unpack_from("<" + code_of(type_), header, int(offset))[0]
    return found


def worked_example() -> Shown:
    pixels = np.zeros((480, 640), np.uint8)
    box = Box(64, 16, 512, 448)
    frame = Frame(
        pixels, "probe-1", 812, 9_876_543_000_000, 9_876_543_400_000, modality=Modality.ULTRASOUND,
        session=0x5EED0123456789AB, stamped_ns=9_876_543_000_000, spacing_mm=(0.15, 0.15), region=box,
    )  # fmt: skip
    engine = EngineId("speckle-medium", bytes(range(32)).hex(), "openvino_cpu", "int8")
    return Shown(
        frame, pixels, Treatment.ENHANCED, engine=engine, strength=0.8, region=box, mean_change=0.021375,
        timings=Timings(120_000, 310_000, 8_730_000, 240_000),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["frame", "shown"])
def test_every_byte_of_a_header_has_its_row(kind: str) -> None:
    at = 0
    for offset, size, type_, name, _ in rows_after(f"layout: {kind}"):
        assert int(offset) == at, name
        assert int(size) == struct.calcsize("<" + code_of(type_)), name
        at += int(size)
    assert at == PACKED[kind].size


@pytest.mark.parametrize("kind", ["frame", "shown"])
def test_types_and_places_are_those_of_the_struct(kind: str) -> None:
    def spelled_out(layout: str) -> str:
        return re.sub(r"(\d+)([BHIQf])", lambda found: int(found[1]) * found[2], layout)

    page = "<" + "".join(code_of(row[2]) for row in rows_after(f"layout: {kind}"))
    assert page == spelled_out(PACKED[kind].format)


@pytest.mark.parametrize("numbers", [PixelFormat, Modality, Treatment, wire.Flag, Why, wire.SenderClock])
def test_every_number_is_on_the_page(numbers: type[enum.IntEnum]) -> None:
    said = {int(row[0]): row[1] for row in rows_after(f"numbers: {numbers.__name__}")}
    assert said == {member.value: member.name for member in numbers}


def test_the_dumps_are_what_the_code_sends() -> None:
    shown = worked_example()
    assert dump_of("frame") == wire.encode_frame(shown.frame)[0]
    assert dump_of("shown") == wire.encode_shown(shown, wire.Flag.LIVE, 9_876_552_900_000)


@pytest.mark.parametrize("kind", ["frame", "shown"])
def test_the_dumps_hold_what_the_page_says(kind: str) -> None:
    read = by_name(kind, dump_of(kind))
    said = rows_after(f"dump: {kind}")
    assert len(said) > 10
    for name, value in said:
        found = read[name]
        if isinstance(found, bytes):
            assert found.rstrip(b"\0").decode() == value, name
        elif isinstance(found, float):
            assert found == pytest.approx(float(value)), name
        else:
            assert found == int(value), name


def test_the_page_and_the_decoder_name_the_same_bytes() -> None:
    """Another value in each field, and each name on the page finds the value the decoder gives that name."""
    pixels = np.zeros((100, 132), np.uint16)
    frame = Frame(
        pixels, "s", 3, 0, 0, PixelFormat.GREY16, 12, Modality.FLUOROSCOPY, session=2, stamped_ns=4,
        spacing_mm=(0.5, 0.25), region=Box(5, 6, 70, 80), cut=True,
    )  # fmt: skip
    header = bytes(wire.encode_frame(frame, wire.SenderClock.UNIX)[0])
    page, decoded = by_name("frame", header), wire.decode_header(header)
    for name in (
        "format",
        "bits",
        "modality",
        "session",
        "seq",
        "stamped_ns",
        "width",
        "height",
        "stride",
        "clock",
    ):
        assert page[name] == getattr(decoded, name), name
    assert (page["spacing_x_mm"], page["spacing_y_mm"]) == decoded.spacing_mm == (0.5, 0.25)
    assert Box(*(page[f"region_{part}"] for part in ("x", "y", "width", "height"))) == decoded.region  # type: ignore[arg-type]
    assert page["flags"] == 1
    assert decoded.cut


@pytest.mark.parametrize(
    ("said", "value"),
    [("header of 128 bytes", wire.FRAME_HEADER_BYTES), ("header of 320 bytes", wire.SHOWN_HEADER_BYTES),
     ("at most 49152", wire.MAX_STRIDE), ("pixels, 64 to 4096", (wire.MIN_SIDE, wire.MAX_SIDE)),
     ("Version 1.", wire.VERSION)],
)  # fmt: skip
def test_limits_on_the_page(said: str, value: object) -> None:
    assert said in PAGE
    figures = [int(figure) for figure in re.findall(r"\d+", said)]
    assert figures == list(value if isinstance(value, tuple) else [value])
