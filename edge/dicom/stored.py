"""A stored DICOM file read back: its elements at once, its frames one at a time, and itself in plain little endian.

Everything works on an open, seekable stream that may well be a cipher's: nothing is written anywhere. One object
belongs to one thread.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import struct
import warnings
from collections.abc import Generator, Iterator
from functools import cached_property
from typing import Any, BinaryIO, Literal, cast

import numpy as np
import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.encaps import parse_fragments
from pydicom.errors import InvalidDicomError

from edge.dicom.encoding import PLAIN, Layout, decode, syntax_of
from edge.dicom.part10 import Made, header_of, made_of, plain_element, write_frames
from edge.errors import OutboxFault
from edge.frame import Pixels

_DAMAGED = (OSError, ValueError, TypeError, AttributeError, LookupError, EOFError, struct.error, InvalidDicomError)
_COPY_BYTES, _READ_BYTES = 1 << 20, 1 << 16


class Stored:
    """One object in a stream that stays open as long as this is used."""

    def __init__(self, stream: BinaryIO) -> None:
        """Raises OutboxFault where the stream is not a whole DICOM file with pixels known here."""
        self._stream = stream
        try:
            with quiet():
                stream.seek(0)
                found = pydicom.dcmread(stream, stop_before_pixels=True)
                self._pixels_at = stream.tell()
                self.syntax_uid = str(found.file_meta.TransferSyntaxUID)
                self.layout = _layout(found)
        except _DAMAGED as error:
            # What pydicom says may quote what it found in the file: its kind is enough.
            raise OutboxFault(f"not a DICOM file that can be read ({type(error).__name__})") from None
        self.elements: Dataset = found
        self.frames = self.layout.frames

    @property
    def is_compressed(self) -> bool:
        return self.syntax_uid != PLAIN.uid

    def frame(self, index: int) -> Pixels:
        """One frame, decoded; colour by pixel."""
        if self.is_compressed:
            return decode(self._encoded(index), self.syntax_uid, self.layout)
        self._stream.seek(self._pixels_at + 12 + index * self.layout.frame_bytes)
        data = self._stream.read(self.layout.frame_bytes)
        return np.frombuffer(data, self.layout.dtype).reshape(self.layout.shape)

    def each_frame(self) -> Iterator[Pixels]:
        return (self.frame(index) for index in range(self.frames))

    def copy_pixels(self, to: BinaryIO) -> None:
        """The pixel data as they lie there, byte for byte."""
        self._stream.seek(self._pixels_at)
        shutil.copyfileobj(self._stream, to, _COPY_BYTES)

    def _encoded(self, index: int) -> bytes:
        first, behind = self._fragments[index]
        self._stream.seek(first)
        data = bytearray()
        while self._stream.tell() < behind:
            (length,) = struct.unpack("<4xL", self._stream.read(8))
            data += self._stream.read(length)
        return bytes(data)

    @cached_property
    def _fragments(self) -> list[tuple[int, int]]:
        """Where each frame begins and ends; a frame of several fragments only in objects of one frame."""
        stream = self._stream
        try:
            stream.seek(self._pixels_at + 12)
            (table,) = struct.unpack("<4xL", stream.read(8))
            stream.seek(table, io.SEEK_CUR)
            count, starts = parse_fragments(cast(Any, stream))
        except _DAMAGED as error:
            raise OutboxFault(f"its pixels cannot be read ({type(error).__name__})") from None
        if self.frames != 1 and count != self.frames:
            raise OutboxFault(f"{count} fragments for {self.frames} frames")
        stream.seek(starts[-1] + 4)
        end = starts[-1] + 8 + struct.unpack("<L", stream.read(4))[0]
        return [(starts[0], end)] if self.frames == 1 else list(zip(starts, [*starts[1:], end], strict=True))


def _layout(elements: Dataset) -> Layout:
    samples = int(elements.SamplesPerPixel)
    return Layout(
        shape=(int(elements.Rows), int(elements.Columns), *((samples,) if samples > 1 else ())),
        allocated=int(elements.BitsAllocated),
        bits=int(elements.BitsStored),
        frames=int(elements.get("NumberOfFrames") or 1),
    )


class _Plain(io.RawIOBase):
    """The file as explicit little endian would be, made where it is read: one decoded frame is in memory."""

    def __init__(self, stored: Stored, stream: BinaryIO) -> None:
        self._stored, self._source = stored, stream
        self._pixel_bytes = stored.layout.total_bytes
        if stored.layout.is_colour:
            stored.elements.PlanarConfiguration = 0
        self._head = header_of(stored.elements, PLAIN.uid) + plain_element(stored.layout)
        self._size = len(self._head) + self._pixel_bytes + self._pixel_bytes % 2
        self._at = 0
        self._frame: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        part = self._part()[: len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()

    def _part(self) -> memoryview:
        """What follows, up to the next seam."""
        at = self._at - len(self._head)
        if at < 0:
            return memoryview(self._head)[self._at :]
        if at < self._pixel_bytes:
            index, within = divmod(at, self._stored.layout.frame_bytes)
            return memoryview(self._decoded(index))[within:]
        return memoryview(b"\x00")[: self._size - self._at]

    def _decoded(self, index: int) -> bytes:
        if self._frame[0] != index:
            self._frame = index, self._stored.frame(index).astype(self._stored.layout.dtype, copy=False).tobytes()
        return self._frame[1]


def as_explicit_little_endian(stream: BinaryIO) -> BinaryIO:
    """The same object for a peer that takes no compressed ones: same UIDs, same pixels, another transfer syntax.

    A seekable stream that decodes as it is read; closing it closes the one given. A stream that is explicit little
    endian already comes back as it is, rewound.
    """
    stored = Stored(stream)
    if not stored.is_compressed:
        stream.seek(0)
        return stream
    return cast(BinaryIO, io.BufferedReader(_Plain(stored, stream), _READ_BYTES))


def recoded(stream: BinaryIO, compression: Literal["jpeg-ls", "rle", "none"]) -> Made:
    """The same object in another lossless transfer syntax, to be written while the stream is open.

    Same UIDs, same pixels. For a clip that was stored plain to be safe sooner, and is to cross a thin line.
    """
    stored, syntax = Stored(stream), syntax_of(compression)
    if stored.layout.is_colour:
        stored.elements.PlanarConfiguration = 0
    return made_of(stored.elements, syntax.uid, lambda to: write_frames(to, stored.each_frame(), stored.layout, syntax))


@contextlib.contextmanager
def quiet() -> Generator[None, None, None]:
    """pydicom warns and logs what it meets, and quotes it: a patient's values belong in no log."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
