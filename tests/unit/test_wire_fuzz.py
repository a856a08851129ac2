"""Whatever arrives, the decoder gives a frame inside the message's memory or raises `BadFrame`. 12,500 cases.

Most cases start from a valid message and change a few of its fields to values at and beyond their limits:
random bytes alone never pass the first checks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from edge import wire
from edge.errors import BadFrame
from edge.frame import Frame, PixelFormat
from tests.unit.wire_cases import CHANGES, FRAME_FIELDS, NOISE, Change, changed_pictures, frames

pytestmark = pytest.mark.timeout(300)  # many cases: a busy machine may take its time
T = TypeVar("T")
CASES = {"deadline": None, "derandomize": bool(os.environ.get("CI")), "database": None,
         "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}  # fmt: skip
REASONS = {"malformed", "version", "size", "truncated", "oversized"}


def lies_inside(pixels: np.ndarray, payload: bytes) -> bool:
    """Whether every byte the array can reach is one of the payload's (or the array's own copy)."""
    if pixels.flags.owndata:
        return True
    start = np.frombuffer(payload, np.uint8).ctypes.data
    low = pixels.ctypes.data
    reach = sum((n - 1) * step for n, step in zip(pixels.shape, pixels.strides, strict=True))
    return start <= low and low + reach + pixels.itemsize <= start + len(payload)


def decoded(decode: Callable[..., T], *message: object) -> T | None:
    """What a decoder gives, or None where it refused the message as it may; anything else fails the test."""
    try:
        read = decode(*message)
    except BadFrame as bad:
        if bad.reason not in REASONS:
            raise
        event(bad.reason)
        return None
    event("decoded")
    return read


def check_frame(parts: list[bytes]) -> None:
    frame = decoded(wire.decode_frame, parts, 0, 0)
    if frame is None:
        return
    assert lies_inside(frame.pixels, parts[1])
    assert not frame.pixels.flags.writeable
    assert 64 <= frame.width <= 4096
    assert 64 <= frame.height <= 4096
    int(frame.pixels.sum(dtype=np.uint64))  # reaches every pixel


def check_shown(parts: list[bytes]) -> None:
    report = decoded(wire.decode_shown, parts)
    if report is None:
        return
    read = [pixels for pixels in (report.pixels, report.original, report.change) if pixels is not None]
    assert len(read) == len(parts) - 2
    for pixels, part in zip(read, parts[2:], strict=True):
        assert lies_inside(pixels, part)
        int(pixels.sum(dtype=np.uint64))
    assert 0.0 <= report.strength <= 1.0
    assert report.engine.name.isprintable()


@given(frames(), CHANGES, st.integers(0, 40))
@settings(max_examples=4500, **CASES)
def test_changed_frames(frame: Frame, changes: list[Change], padding: int) -> None:
    parts = [bytes(part) for part in wire.encode_frame(frame)]
    if padding:
        stride = frame.width * frame.format.bytes_per_pixel + padding
        parts = [parts[0][:40] + stride.to_bytes(4, "little") + parts[0][44:], NOISE[: stride * frame.height]]
    for change in changes:
        if parts:
            change.apply(parts, 0, FRAME_FIELDS)
    check_frame(parts)


@given(changed_pictures())
@settings(max_examples=3500, **CASES)
def test_changed_pictures(parts: list[bytes]) -> None:
    check_shown(parts)


@given(st.binary(min_size=100, max_size=140), st.integers(0, 20000), st.booleans())
@settings(max_examples=1500, **CASES)
def test_random_frame_headers(header: bytes, size: int, plausible: bool) -> None:
    check_frame([b"LMPF\x01" + header[5:] if plausible else header, NOISE[:size]])
    decoded(wire.decode_header, header)


@given(st.lists(st.binary(max_size=400) | st.binary(min_size=320, max_size=320), max_size=6), st.booleans())
@settings(max_examples=1500, **CASES)
def test_random_parts(parts: list[bytes], plausible: bool) -> None:
    check_frame(parts)
    if plausible and len(parts) > 1:
        parts[1] = b"LMPS\x01" + parts[1][5:]
    check_shown(parts)


@given(frames(), st.integers(0, 64), st.booleans())
@settings(max_examples=1500, **CASES)
def test_a_frame_comes_back_whatever_its_stride(frame: Frame, padding: int, last_row_padded: bool) -> None:
    padding -= padding % 2
    rows = np.ascontiguousarray(frame.pixels).view(np.uint8).reshape(frame.height, -1)
    stride = rows.shape[1] + padding
    if frame.format is PixelFormat.GREY16:
        stride -= stride % 2
    padded = np.full((frame.height, stride), 0xEE, np.uint8)
    padded[:, : rows.shape[1]] = rows
    payload = padded.tobytes()[: None if last_row_padded or not padding else -padding]
    header = bytes(wire.encode_frame(frame)[0])
    header = header[:40] + stride.to_bytes(4, "little") + header[44:]
    back = wire.decode_frame([header, payload], 0, 0)
    np.testing.assert_array_equal(back.pixels, frame.pixels)
    again = wire.decode_frame(wire.encode_frame(back), 0, 0)
    np.testing.assert_array_equal(again.pixels, frame.pixels)
    names = "stream seq session stamped_ns format bits modality spacing_mm region cut"
    for name in names.split():
        assert getattr(again, name) == getattr(frame, name), name
