"""Files read back: as explicit little endian without a copy, in another syntax, and what is damaged."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.dicom import Options
from edge.dicom.encoding import SYNTAXES, Layout, decode
from edge.dicom.stored import Stored, as_explicit_little_endian, recoded
from edge.errors import OutboxFault
from tests.unit.dicom.scenes import EACH_LOOK, clip, pair, read, still, written

EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize(("look", "compression"), EACH_LOOK)
def test_plain_is_the_same_object(look: str, compression: Any) -> None:
    for made in pair(clip(look, frames=2), options=Options(compression=compression)):
        with as_explicit_little_endian(written(made)) as stream:
            plain = pydicom.dcmread(io.BytesIO(stream.read()))
        stored = read(made)
        assert plain.file_meta.TransferSyntaxUID == EXPLICIT
        np.testing.assert_array_equal(plain.pixel_array, stored.pixel_array)
        del plain.PixelData, stored.PixelData
        assert plain == stored


ENCODED = written(pair(clip("us colour", frames=3))[1]).getvalue()
PLAIN = as_explicit_little_endian(io.BytesIO(ENCODED)).read()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-10, len(PLAIN) + 10), st.integers(0, 100_000)), max_size=6))
def test_any_part_of_it_can_be_read_in_any_order(parts: list[tuple[int, int]]) -> None:
    stream = as_explicit_little_endian(io.BytesIO(ENCODED))
    assert stream.seek(0, io.SEEK_END) == len(PLAIN)
    for at, length in parts:
        at = max(0, at)
        assert stream.seek(at) == at
        assert stream.read(length) == PLAIN[at : at + length]


def test_closing_it_closes_the_file() -> None:
    source = written(pair(still())[0])
    as_explicit_little_endian(source).close()
    assert source.closed


def test_what_is_plain_already_comes_back_itself() -> None:
    source = written(pair(still(), options=Options(compression="none"))[0])
    source.read()
    assert as_explicit_little_endian(source) is source
    assert source.tell() == 0


@pytest.mark.parametrize("look", ["us small colour", "xrf small 10 bits"])
@pytest.mark.parametrize("compression", ["jpeg-ls", "rle", "none"])
def test_recoded_is_the_same_object(look: str, compression: Any) -> None:
    for made in pair(clip(look), options=Options(compression="none")):
        again = recoded(written(made), compression)
        assert (again.sop_uid, again.frames, again.role) == (made.sop_uid, made.frames, made.role)
        assert read(again) == read(made) or compression != "none"
        np.testing.assert_array_equal(read(again).pixel_array, read(made).pixel_array)


@pytest.mark.parametrize("damage", [b"", b"DICM", bytes(4000), ENCODED[:300]])
def test_what_is_not_a_whole_file_is_a_fault_that_quotes_nothing(damage: bytes) -> None:
    with pytest.raises(OutboxFault) as fault:
        Stored(io.BytesIO(damage)).frame(0)
    assert "PHANTOM" not in str(fault.value)


def test_pixels_cut_short_are_a_fault() -> None:
    with pytest.raises(OutboxFault):
        as_explicit_little_endian(io.BytesIO(ENCODED[: len(ENCODED) // 2])).read()


# A few pixels may take as many bytes compressed as they had; pydicom then wonders whether they are compressed at all.
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data matches")
@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 12), st.integers(1, 40), st.sampled_from([(8, False), (8, True), (10, False), (16, False)]),
    st.integers(0, 2**31),
)  # fmt: skip
def test_any_picture_can_be_encoded(rows: int, columns: int, kind: tuple[int, bool], seed: int) -> None:
    """Grain that only grows when it is compressed, in pictures of a few pixels, included."""
    bits, colour = kind
    layout = Layout((rows, columns, 3) if colour else (rows, columns), 16 if bits > 8 else 8, bits, 1)
    levels = np.random.default_rng(seed).choice([0, (1 << bits) - 1, 1 << (bits - 1)], layout.shape)
    pixels = levels.astype(layout.dtype)
    for syntax in SYNTAXES:
        if syntax.encode is not None:
            np.testing.assert_array_equal(decode(syntax.encode(pixels, layout), syntax.uid, layout), pixels)
