"""Is what comes back what was sent? Compared as it streams; neither side is ever in memory as a whole.

File meta information may differ (every archive writes its own); the data set may not, in a single byte.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Protocol

BLOCK = 256 << 10
MOST_HEADERS = 8 << 10  # of a multipart answer, before its first part
MOST_META = 1 << 20
PART = b"\r\n\r\n"


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def same_data_set(answer: Readable, ours: BinaryIO) -> bool:
    """`answer`: a multipart/related body, or a bare DICOM file. `ours`: a stream that stands at its data set."""
    theirs = _Ahead(answer)
    if not _skip_to_data_set(theirs):
        return False
    while block := ours.read(BLOCK):
        if theirs.take(len(block)) != block:
            return False
    rest = theirs.take(4)
    return rest in (b"", b"\r\n--")  # the file's end, or the part's


class _Ahead:
    """Reads exactly what is asked for, but at the end."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._held = b""

    def take(self, size: int) -> bytes:
        data, self._held = self._held[:size], self._held[size:]
        while len(data) < size and (more := self._source.read(size - len(data))):
            data += more
        return data

    def put_back(self, data: bytes) -> None:
        self._held = data + self._held


def _skip_to_data_set(theirs: _Ahead) -> bool:
    start = theirs.take(MOST_HEADERS)
    if start[128:132] != b"DICM":
        at = start.find(PART)
        if at < 0:
            return False
        start = start[at + len(PART) :]
    theirs.put_back(start)
    preamble = theirs.take(144)
    if preamble[128:132] != b"DICM" or preamble[132:140] != b"\x02\x00\x00\x00UL\x04\x00":
        return False
    (length,) = struct.unpack("<L", preamble[140:144])
    return length <= MOST_META and len(theirs.take(length)) == length
