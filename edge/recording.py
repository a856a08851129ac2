"""A recording: frames as they arrived, in one append-only file (`.lmpr`).

`docs/recording-format.md` describes every byte. `Recorder` belongs to the one thread that records; `read`
gives a lazy iterator over the mapped file. Whole records are always readable: what a power cut or a full disk
left at the end of the file is found by its length and its CRC, and left out.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from edge import __version__, wire
from edge.clock import SECOND, Clock, MonotonicClock
from edge.errors import BadFrame, ConfigError, LimpidError
from edge.frame import Frame

MAGIC = b"LMPR\r\n\x1a\n"  # a transfer that changes line ends, or stops at ^Z, changes the magic
VERSION = 1
RECORD_MAGIC = b"LMPr"
_PREFACE = struct.Struct("<8sHHI")  # magic, version, wire version, bytes of text
_RECORD = struct.Struct("<4sIIQQI")  # magic, header bytes, pixel bytes, received, captured, crc32
_CRC = struct.Struct("<I")
_ALIGN = 8
_MAX_TEXT = 4096
_MAX_PIXEL_BYTES = wire.MAX_SIDE * wire.MAX_STRIDE
_SYNC_NS = SECOND


def _padding(length: int) -> bytes:
    return bytes(-length % _ALIGN)


def _preface() -> bytes:
    about = {
        "format": "limpid recording",
        "writer": f"limpid-edge {__version__}",
        "created_unix_ns": time.time_ns(),  # for people; nothing is computed from it
        "record": "magic, header bytes, pixel bytes, received ns, captured ns, crc32, wire header, pixels",
    }
    text = json.dumps(about).encode()
    body = _PREFACE.pack(MAGIC, VERSION, wire.VERSION, len(text)) + text
    body += _CRC.pack(zlib.crc32(body))
    return body + _padding(len(body))


class Recorder:
    """Appends frames to a new file. An existing file is never overwritten."""

    def __init__(self, path: Path | str, clock: Clock | None = None) -> None:
        self.path = Path(path)
        self.frames = 0
        self._clock = clock or MonotonicClock()
        self._whole = 0  # bytes up to which every record is whole
        self._synced_ns = self._clock.now()
        self._fd = self._create()
        try:
            self._append([_preface()])
        except LimpidError:
            os.close(self._fd)
            self.path.unlink()
            raise
        self._sync_folder()

    def add(self, frame: Frame) -> None:
        """Append one frame. Raises LimpidError when the disk takes no more; the file stays readable."""
        if self._fd < 0:
            raise LimpidError(f"{self.path}: the recording is closed")
        header, pixels = wire.encode_frame(frame, wire.SenderClock.OWN)
        fixed = _RECORD.pack(RECORD_MAGIC, len(header), len(pixels), frame.received_ns, frame.captured_ns, 0)
        crc = zlib.crc32(pixels, zlib.crc32(header, zlib.crc32(fixed[: -_CRC.size])))
        fixed = fixed[: -_CRC.size] + _CRC.pack(crc)
        self._append([fixed, header, pixels, _padding(len(fixed) + len(header) + len(pixels))])
        self.frames += 1
        if self._clock.now() - self._synced_ns >= _SYNC_NS:
            self._sync()

    def close(self) -> None:
        """Make everything durable. Closing twice is closing once."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            os.fsync(fd)
        except OSError as error:
            raise LimpidError(f"{self.path}: the last second may not be on the disk: {error.strerror}") from error
        finally:
            os.close(fd)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _create(self) -> int:
        try:
            return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            raise ConfigError(f"{self.path} exists; a recording never overwrites a file") from None
        except OSError as error:
            raise ConfigError(f"{self.path}: {error.strerror}") from error

    def _append(self, parts: list[bytes | memoryview]) -> None:
        try:
            self._write(parts)
        except OSError as error:
            self._cut_torn_end()
            kept = f"{self.frames} frames are kept in {self.path}"
            raise LimpidError(f"the recording cannot go on: {error.strerror}; {kept}") from error
        self._whole += sum(len(part) for part in parts)

    def _write(self, parts: list[bytes | memoryview]) -> None:
        left = [memoryview(part) for part in parts if len(part)]
        while left:
            written = os.writev(self._fd, left)
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]

    def _cut_torn_end(self) -> None:
        # A reader would leave half a record out anyhow; without it, recording can go on once there is room.
        os.ftruncate(self._fd, self._whole)
        os.lseek(self._fd, self._whole, os.SEEK_SET)

    def _sync(self) -> None:
        self._synced_ns = self._clock.now()
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise LimpidError(f"{self.path}: the disk does not keep what is written: {error.strerror}") from error

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class _Record(NamedTuple):
    frame: Frame
    end: int


class Reading(Iterator[Frame]):
    """The frames of a recording, in order. `torn` says, once the end is reached, what could not be read."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.frames = 0
        self.torn: str | None = None
        self._bytes = _mapped(self.path)
        self._at = self._first_record()

    def __next__(self) -> Frame:
        if self.torn is not None or self._at >= len(self._bytes):
            raise StopIteration
        try:
            record = self._record_at(self._at)
        except BadFrame as error:
            self.torn = f"{self.frames} frames are readable, {self._at} of {len(self._bytes)} bytes; then {error}"
            raise StopIteration from None
        self._at = record.end
        self.frames += 1
        return record.frame

    def _first_record(self) -> int:
        head = bytes(self._bytes[: _PREFACE.size])
        if head[: len(MAGIC)] != MAGIC[: len(head)]:
            raise ConfigError(f"{self.path} is not a recording")
        if len(head) < _PREFACE.size:
            self.torn = f"0 frames are readable: the file ends after {len(self._bytes)} bytes"
            return 0
        _, version, wire_version, text_bytes = _PREFACE.unpack(head)
        if version != VERSION or wire_version != wire.VERSION:
            versions = f"version {version} with wire version {wire_version}"
            raise ConfigError(
                f"{self.path} is a recording of {versions}; this reader knows {VERSION} and {wire.VERSION}"
            )
        end = _PREFACE.size + text_bytes + _CRC.size
        if text_bytes > _MAX_TEXT or end > len(self._bytes) or not self._preface_is_whole(end):
            self.torn = "0 frames are readable: the file's preface is damaged"
        return end + len(_padding(end))

    def _preface_is_whole(self, end: int) -> bool:
        (crc,) = _CRC.unpack(self._bytes[end - _CRC.size : end])
        return crc == zlib.crc32(self._bytes[: end - _CRC.size])

    def _record_at(self, at: int) -> _Record:
        if len(self._bytes) - at < _RECORD.size:
            raise BadFrame("torn", "the file ends inside a record")
        fixed = self._bytes[at : at + _RECORD.size]
        magic, header_bytes, pixel_bytes, received_ns, captured_ns, crc = _RECORD.unpack(fixed)
        if magic != RECORD_MAGIC or header_bytes != wire.FRAME_HEADER_BYTES or pixel_bytes > _MAX_PIXEL_BYTES:
            raise BadFrame("damaged", "no record begins here")
        start = at + _RECORD.size
        end = start + header_bytes + pixel_bytes
        if end > len(self._bytes):
            raise BadFrame("torn", "the file ends inside a record")
        header, pixels = self._bytes[start : start + header_bytes], self._bytes[start + header_bytes : end]
        if crc != zlib.crc32(pixels, zlib.crc32(header, zlib.crc32(fixed[: -_CRC.size]))):
            raise BadFrame("damaged", "a record's bytes do not match its CRC")
        frame = wire.decode_frame([header, pixels], captured_ns, received_ns)
        return _Record(frame, end + len(_padding(end)))


def read(path: Path | str) -> Reading:
    """Begin to read. Raises ConfigError when the file is missing, not a recording, or of another version."""
    return Reading(path)


def _mapped(path: Path) -> memoryview:
    # Frames alias the mapping, so it lives as long as the last of them and is never closed by hand.
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} cannot be mapped: {error}") from error
