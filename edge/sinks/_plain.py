"""A DICOM file read as a stream: where its data set starts, and the same object without compression.

For archives that take neither JPEG-LS nor RLE. Frame by frame: a clip is never in memory as a whole, and never on a
disk. The pixels are the very same, so the object keeps its UID. Runs on the sending thread.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, cast

from pydicom import dcmread, dcmwrite
from pydicom.uid import ImplicitVRLittleEndian

from edge.dicom.stored import as_explicit_little_endian
from edge.errors import OutboxFault, SinkRejected
from edge.sinks import Parcel

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
GROUP_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"
BLOCK = 1 << 20
MOST_META = 1 << 20


def data_set(stream: BinaryIO, parcel: Parcel) -> None:
    """Read past the file meta information, and see that this is the object it is said to be."""
    start = read_whole(stream, 144)
    if start[128:132] != b"DICM" or start[132:140] != GROUP_LENGTH:
        raise OutboxFault(f"{parcel.capture}/{parcel.object} is not a DICOM file")
    (length,) = struct.unpack("<L", start[140:])
    meta = read_whole(stream, min(length, MOST_META))
    if parcel.sop_uid.encode() not in meta or parcel.sop_class.encode() not in meta:
        raise OutboxFault(f"{parcel.capture}/{parcel.object} is another object than the outbox says")


def read_whole(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes, or what there is: a stream may give less than asked for without being at its end."""
    data = b""
    while len(data) < size and (more := stream.read(size - len(data))):
        data += more
    return data


def in_plain(stream: BinaryIO, syntax: str) -> BinaryIO:
    """The same object in explicit or implicit VR little endian, made while it is read."""
    try:
        plain = as_explicit_little_endian(readable(stream))
    except struct.error:
        raise SinkRejected("too long a clip to go without compression, and the archive takes no other") from None
    if syntax == EXPLICIT:
        return plain
    return cast(BinaryIO, io.BufferedReader(Chained(_implicit(plain)), BLOCK))


def readable(stream: BinaryIO) -> BinaryIO:
    """pydicom asks every BufferedReader for its file's name; where it reads from a cipher there is none."""
    if isinstance(stream, io.BufferedReader) and not hasattr(stream, "name"):
        return cast(BinaryIO, stream.raw)
    return stream


class Chained(io.RawIOBase):
    """An iterator of pieces, read as one stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        size = min(len(view), len(self._left))
        view[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _implicit(explicit: BinaryIO) -> Iterator[bytes]:
    """For the rare archive that knows nothing else. Pixels, which lie last, are the same bytes in both."""
    file_like = readable(explicit)  # which is closed when `explicit` is let go of: it is kept here to the end
    header = dcmread(file_like, stop_before_pixels=True)
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    file = io.BytesIO()
    dcmwrite(file, header, implicit_vr=True, little_endian=True, enforce_file_format=True)
    yield file.getvalue()
    tag_vr_length = read_whole(file_like, 12)
    yield tag_vr_length[:4] + tag_vr_length[8:]
    while block := file_like.read(BLOCK):
        yield block
