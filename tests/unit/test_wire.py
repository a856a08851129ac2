"""Messages <-> frames and pictures: what goes in comes out, and the rest is refused by its reason."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest

from edge import wire
from edge.errors import BadFrame
from edge.frame import Box, EngineId, Frame, Modality, PixelFormat, Shown, Timings, Treatment, Why, original

FORMATS = [(PixelFormat.GREY8, 8), (PixelFormat.RGB8, 8), (PixelFormat.BGR8, 8)] + [
    (PixelFormat.GREY16, bits) for bits in range(10, 17)
]


def picture(pixel_format: PixelFormat, bits: int, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(width * height)
    kind = np.uint16 if pixel_format is PixelFormat.GREY16 else np.uint8
    shape = (height, width, 3) if pixel_format.channels == 3 else (height, width)
    return rng.integers(0, 1 << bits, shape, kind)


def frame(pixel_format: PixelFormat = PixelFormat.GREY8, bits: int = 8, size: tuple[int, int] = (80, 64)) -> Frame:
    return Frame(
        picture(pixel_format, bits, *size), "probe-1", 7, 1_000_000, 2_000_000, pixel_format, bits,
        Modality.ULTRASOUND, session=99, stamped_ns=1_000_000,
    )  # fmt: skip


def shown(of: Frame | None = None) -> Shown:
    of = of or frame()
    engine = EngineId("speckle", "ab" * 32, "openvino_cpu", "int8")
    return Shown(of, of.pixels, Treatment.ENHANCED, engine=engine, strength=0.5, region=Box(1, 2, 30, 40))


def frame_parts(**fields: object) -> list[bytes]:
    """A valid message, with some fields of its header overwritten: name=(offset, code, value)."""
    header, pixels = wire.encode_frame(frame())
    return [patched(bytes(header), **fields), bytes(pixels)]


def shown_parts(flags: wire.Flag = wire.Flag.LIVE, pictures: int = 1, **fields: object) -> list[bytes]:
    header = patched(wire.encode_shown(shown(), flags, 5_000_000), **fields)
    return [b"picture/probe-1/", header, *[bytes(shown().pixels)] * pictures]


def patched(header: bytes, **fields: object) -> bytes:
    changed = bytearray(header)
    for offset, code, value in fields.values():  # type: ignore[misc]
        struct.pack_into("<" + code, changed, offset, value)
    return bytes(changed)


def refusal(parts: list[bytes], decode: object = None) -> str:
    with pytest.raises(BadFrame) as caught:
        wire.decode_frame(parts, 0, 0) if decode is None else decode(parts)  # type: ignore[operator]
    return caught.value.reason


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize(("pixel_format", "bits"), FORMATS)
@pytest.mark.parametrize("size", [(64, 64), (65, 67), (640, 480), (101, 4096), (4096, 64)])
def test_a_frame_comes_back_as_it_went(pixel_format: PixelFormat, bits: int, size: tuple[int, int]) -> None:
    sent = replace(frame(pixel_format, bits, size), spacing_mm=(0.25, 0.5), region=Box(3, 4, 60, 50), cut=True)
    back = wire.decode_frame(wire.encode_frame(sent), sent.captured_ns, sent.received_ns)
    np.testing.assert_array_equal(back.pixels, sent.pixels)
    assert back.pixels.dtype == sent.pixels.dtype
    for name in (
        "stream",
        "seq",
        "format",
        "bits",
        "modality",
        "session",
        "stamped_ns",
        "spacing_mm",
        "region",
        "cut",
    ):
        assert getattr(back, name) == getattr(sent, name), name


@pytest.mark.parametrize(("pixel_format", "bits"), [*FORMATS[:3], FORMATS[5]])
@pytest.mark.parametrize("last_row_padded", [True, False])
def test_padding_between_rows_is_skipped(pixel_format: PixelFormat, bits: int, last_row_padded: bool) -> None:
    sent = frame(pixel_format, bits, (77, 65))
    rows = sent.pixels.reshape(65, -1).view(np.uint8)
    stride = rows.shape[1] + 14
    padded = np.full((65, stride), 0xEE, np.uint8)
    padded[:, : rows.shape[1]] = rows
    payload = padded.tobytes() if last_row_padded else padded.tobytes()[:-14]
    header = patched(bytes(wire.encode_frame(sent)[0]), stride=(40, "I", stride))
    np.testing.assert_array_equal(wire.decode_frame([header, payload], 0, 0).pixels, sent.pixels)


def test_pixels_lie_in_the_message_and_cannot_be_written() -> None:
    header, pixels = wire.encode_frame(frame())
    payload = bytearray(pixels)
    back = wire.decode_frame([header, payload], 0, 0)
    assert np.shares_memory(back.pixels, np.frombuffer(payload, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        back.pixels[0, 0] = 1


def test_odd_addresses_of_16_bit_pixels_are_made_even() -> None:
    sent = frame(PixelFormat.GREY16, 12)
    header, pixels = wire.encode_frame(sent)
    block = np.empty(len(pixels) + 2, np.uint8)
    odd = block[1 - block.ctypes.data % 2 :][: len(pixels)]
    odd[:] = pixels
    assert odd.ctypes.data % 2 == 1
    back = wire.decode_frame([header, odd], 0, 0)
    assert back.pixels.flags.aligned
    np.testing.assert_array_equal(back.pixels, sent.pixels)


def test_what_is_reserved_is_ignored() -> None:
    parts = frame_parts(flags=(45, "B", 0xFE), reserved=(46, "H", 7), more=(72, "Q", 7))
    assert wire.decode_frame(parts, 0, 0).cut is False


@pytest.mark.parametrize(
    ("reason", "field"),
    [
        ("malformed", (0, "4s", b"LMPS")),
        ("version", (4, "B", 2)),
        ("version", (4, "B", 0)),
        ("malformed", (5, "B", 0)),  # format
        ("malformed", (5, "B", 5)),
        ("malformed", (6, "B", 10)),  # bits of an 8-bit format
        ("malformed", (7, "B", 3)),  # modality
        ("size", (32, "I", 63)),
        ("size", (32, "I", 4097)),
        ("size", (36, "I", 0xFFFFFFFF)),
        ("size", (40, "I", 79)),  # stride below a row
        ("size", (40, "I", 49153)),
        ("malformed", (44, "B", 3)),  # clock
        ("malformed", (48, "f", float("nan"))),
        ("malformed", (48, "f", 0.5)),  # one of two
        ("malformed", (64, "I", 5)),  # a region without height
        ("malformed", (80, "48s", b"")),
        ("malformed", (80, "48s", b"two words")),
        ("malformed", (80, "48s", b"a\0b")),
        ("malformed", (80, "48s", b"\xff")),
    ],
)
def test_a_header_is_refused_by_its_reason(reason: str, field: tuple[int, str, object]) -> None:
    assert refusal(frame_parts(field=field)) == reason


@pytest.mark.parametrize("spacing", [(0.5, -0.5), (0.5, 100.0), (0.5, float("inf"))])
def test_spacing_is_in_sane_millimetres(spacing: tuple[float, float]) -> None:
    assert refusal(frame_parts(x=(48, "f", spacing[0]), y=(52, "f", spacing[1]))) == "malformed"


def test_a_region_may_touch_the_edges_and_not_pass_them() -> None:
    touching = {"x": (56, "I", 10), "w": (64, "I", 70), "h": (68, "I", 64)}
    assert wire.decode_frame(frame_parts(**touching), 0, 0).region == Box(10, 0, 70, 64)
    assert refusal(frame_parts(**touching | {"w": (64, "I", 71)})) == "malformed"
    assert refusal(frame_parts(**touching | {"x": (56, "I", 0xFFFFFFFF)})) == "malformed"


def test_sixteen_bit_strides_are_even_and_bits_10_to_16() -> None:
    header, pixels = (bytes(part) for part in wire.encode_frame(frame(PixelFormat.GREY16, 12)))
    assert refusal([patched(header, stride=(40, "I", 161)), pixels]) == "malformed"
    for bits in (8, 9, 17):
        assert refusal([patched(header, bits=(6, "B", bits)), pixels]) == "malformed"


def test_pixels_must_fit_the_header() -> None:
    header, pixels = frame_parts()
    assert refusal([header, pixels[:-1]]) == "truncated"
    assert refusal([header, b""]) == "truncated"
    assert refusal([header, pixels + b"\0"]) == "oversized"


@pytest.mark.parametrize("parts", [[], [b""], [b"x" * 128], [b"x"] * 3, [b"x" * 127, b""], [b"x" * 129, b""]])
def test_other_messages_are_malformed(parts: list[bytes]) -> None:
    assert refusal(parts) == "malformed"


@pytest.mark.parametrize("odd", [None, "text", 3, [], object(), memoryview(bytes(256))[::2]])
def test_what_is_no_memory_is_malformed(odd: object) -> None:
    header, pixels = frame_parts()
    assert refusal([odd, pixels]) == "malformed"  # type: ignore[list-item]
    assert refusal([header, odd]) == "malformed"  # type: ignore[list-item]
    assert refusal([b"", odd, pixels], wire.decode_shown) == "malformed"  # type: ignore[list-item]


def test_a_bad_stream_name_is_not_repeated() -> None:
    """A scanner set up wrongly may put a patient's name there; errors are logged."""
    with pytest.raises(BadFrame) as caught:
        wire.decode_frame(frame_parts(stream=(80, "48s", b"DOE^JANE")), 0, 0)
    assert "DOE" not in str(caught.value)


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize(("pixel_format", "bits"), FORMATS)
def test_a_picture_comes_back_as_it_went(pixel_format: PixelFormat, bits: int) -> None:
    sent = replace(
        shown(frame(pixel_format, bits, (97, 71))), timings=Timings(1000, 2000, 3000, 4000), missing_before=5,
        mean_change=0.0125,
    )  # fmt: skip
    flags = wire.Flag.LIVE | wire.Flag.HAS_ORIGINAL | wire.Flag.HAS_CHANGE
    change = np.arange(97 * 71, dtype=np.uint8).reshape(71, 97)
    header = wire.encode_shown(sent, flags, 6_000_000)
    back = wire.decode_shown([b"", header, sent.pixels.tobytes(), sent.frame.pixels.tobytes(), change.tobytes()])
    assert (back.treatment, back.why, back.flags) == (sent.treatment, sent.why, flags)
    assert (back.engine, back.strength, back.region) == (sent.engine, sent.strength, sent.region)
    assert (back.timings, back.missing_before, back.mean_change) == (sent.timings, 5, 0.0125)
    assert (back.stream, back.session, back.seq, back.stamped_ns) == ("probe-1", 99, 7, 1_000_000)
    assert (back.age_ns, back.received_ns, back.published_ns) == (5_000_000, 2_000_000, 6_000_000)
    assert (back.format, back.bits) == (pixel_format, bits)
    for got, put in ((back.pixels, sent.pixels), (back.original, sent.frame.pixels), (back.change, change)):
        np.testing.assert_array_equal(got, put)


@pytest.mark.parametrize("why", list(Why))
def test_every_reason_passes(why: Why) -> None:
    sent = original(frame(), why, stand_in=True)
    back = wire.decode_shown([b"", wire.encode_shown(sent, wire.Flag.STAND_IN, 0), sent.pixels.tobytes()])
    assert (back.treatment, back.why, back.flags) == (Treatment.ORIGINAL, why, wire.Flag.STAND_IN)
    assert back.engine == EngineId()


def test_a_notice_has_the_last_frames_identity_and_its_age_now() -> None:
    back = wire.decode_shown([b"", wire.encode_notice(shown(), wire.Flag.FROZEN, 10_000_000)])
    assert (back.treatment, back.flags, back.pixels) == (Treatment.NONE, wire.Flag.FROZEN, None)
    assert (back.seq, back.age_ns) == (7, 9_000_000)


@pytest.mark.parametrize(
    ("reason", "field"),
    [("malformed", (0, "4s", b"LMPF")), ("version", (4, "B", 2)), ("malformed", (5, "B", 9)),
     ("malformed", (44, "B", 3)), ("malformed", (46, "B", 101)), ("malformed", (7, "B", 9)),
     ("size", (32, "I", 0)), ("malformed", (6, "B", 0)), ("malformed", (112, "f", float("inf"))),
     ("malformed", (88, "I", 4000)), ("malformed", (200, "48s", b"/")), ("malformed", (44, "B", 0)),
     ("truncated", (36, "I", 65)), ("truncated", (40, "I", 81))],
)  # fmt: skip
def test_a_shown_header_is_refused_by_its_reason(reason: str, field: tuple[int, str, object]) -> None:
    assert refusal(shown_parts(field=field), wire.decode_shown) == reason


def test_the_parts_of_a_shown_message_must_fit_its_header() -> None:
    both = wire.Flag.HAS_ORIGINAL | wire.Flag.HAS_CHANGE
    for part in (2, 3, 4):
        for change, reason in ((slice(0, -1), "truncated"), (slice(0, None), "oversized")):
            parts = shown_parts(both, pictures=3)
            parts[part] = parts[part][change] + (b"\0" if reason == "oversized" else b"")
            assert refusal(parts, wire.decode_shown) == reason


@pytest.mark.parametrize(
    ("flags", "pictures"),
    [(wire.Flag.LIVE, 0), (wire.Flag.LIVE, 2), (wire.Flag.HAS_ORIGINAL, 1), (wire.Flag.HAS_CHANGE, 3)],
)
def test_pictures_are_those_that_the_flags_promise(flags: wire.Flag, pictures: int) -> None:
    assert refusal(shown_parts(flags, pictures), wire.decode_shown) == "malformed"


def test_a_notice_with_a_promised_original_is_malformed() -> None:
    header = wire.encode_notice(shown(), wire.Flag.HAS_ORIGINAL, 0)
    assert refusal([b"", header], wire.decode_shown) == "malformed"


def test_flags_of_a_later_release_are_kept() -> None:
    assert wire.decode_shown(shown_parts(flags=wire.Flag.LIVE, later=(47, "B", 0x81))).flags & wire.Flag.LIVE


def test_names_cannot_steer_a_terminal() -> None:
    read = wire.decode_shown(shown_parts(engine=(152, "48s", b"\x1b[2Jx\0rest"), backend=(248, "16s", b"\xff" * 16)))
    assert (read.engine.name, read.engine.backend) == ("?[2Jx", "?" * 16)


@pytest.mark.parametrize(("change", "read"), [(float("nan"), 1.0), (float("inf"), 1.0), (2.0, 1.0), (-1.0, 0.0)])
def test_a_wild_figure_does_not_cost_the_picture(change: float, read: float) -> None:
    header = wire.encode_shown(replace(shown(), mean_change=change, missing_before=1 << 40), wire.Flag.LIVE, 1 << 60)
    back = wire.decode_shown([b"", header, shown().pixels.tobytes()])
    assert (back.mean_change, back.missing_before) == (read, 0xFFFFFFFF)
    assert back.age_ns == 0xFFFFFFFF * 1000


@pytest.mark.parametrize("topic", list(wire.Topic))
def test_a_topic_ends_so_that_no_stream_is_a_prefix_of_another(topic: wire.Topic) -> None:
    assert topic.of("a") == f"{topic.value}/a/".encode()
    assert not topic.of("ab").startswith(topic.of("a"))
