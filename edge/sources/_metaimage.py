"""Clips in MetaImage files (.mha, .mhd), compressed ones too, with the times PLUS writes into sequences.

Compressed pixels are inflated a picture at a time, so a long clip costs the memory of one picture.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edge.clock import SECOND
from edge.errors import BadFrame, ConfigError
from edge.frame import Modality, PixelFormat
from edge.sources._picture import Picture, check_size, legal_spacing, picture_of

_TYPES = {"MET_UCHAR": ("u1", "u1"), "MET_USHORT": ("<u2", ">u2")}  # little end first, big end first
_LONGEST_LINE = 65_536
_LONGEST_HEADER = 64 << 20  # PLUS writes about a kilobyte for each picture
_CHUNK = 1 << 18
_TIME = re.compile(r"Seq_Frame(\d{1,9})_Timestamp")


@dataclass(frozen=True, slots=True)
class Layout:
    """A checked header."""

    width: int
    height: int
    count: int
    channels: int
    sample: np.dtype
    compressed: bool
    spacing_mm: tuple[float, float] | None
    upside_down: bool
    modality: Modality
    times_ns: Mapping[int, int]
    data_path: Path
    data_at: int

    @property
    def picture_bytes(self) -> int:
        return self.width * self.height * self.channels * self.sample.itemsize


class MetaImage:
    """Slices of the volume, as pictures."""

    stream = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._layout = read_layout(path)
        self._file = _open(self._layout.data_path)
        self._current: bytes | None = None
        self.rewind()

    def advance(self) -> bool:
        if self._index + 1 >= self._layout.count or self._broken:
            return False
        self._index += 1
        self._current = self._slice()
        self._broken = self._current is None
        return True

    @property
    def at_ns(self) -> int | None:
        return self._layout.times_ns.get(self._index)

    def picture(self) -> Picture:
        layout = self._layout
        if self._current is None:
            raise BadFrame("damaged", f"{self._path.name} ends or breaks in picture {self._index} of {layout.count}")
        shape = (layout.height, layout.width, layout.channels)
        pixels: np.ndarray = np.ndarray(shape, layout.sample, self._current)
        made = picture_of(pixels[::-1] if layout.upside_down else pixels, PixelFormat.RGB8)
        return Picture(made.pixels, made.format, made.bits, layout.modality, layout.spacing_mm)

    def rewind(self) -> None:
        self._file.seek(self._layout.data_at)
        self._inflate = zlib.decompressobj() if self._layout.compressed else None
        self._index = -1
        self._broken = False

    def close(self) -> None:
        self._file.close()

    def _slice(self) -> bytes | None:
        size = self._layout.picture_bytes
        try:
            got = self._file.read(size) if self._inflate is None else self._inflated(self._inflate, size)
        except (OSError, zlib.error):
            return None
        return got if len(got) == size else None

    def _inflated(self, inflate: zlib._Decompress, size: int) -> bytes:  # pyright: ignore[reportPrivateUsage]
        out = bytearray()
        while len(out) < size and not inflate.eof:
            fresh = inflate.unconsumed_tail or self._file.read(_CHUNK)
            if not fresh:
                break
            out += inflate.decompress(fresh, size - len(out))
        return bytes(out)


def read_layout(path: Path) -> Layout:
    """The header, checked. Raises ConfigError naming the file and the key."""
    with _open(path) as file:
        keys = _keys(path, file)
        data_at = file.tell()
    try:
        return _layout(path, keys, data_at)
    except (ValueError, KeyError, OverflowError, BadFrame) as error:
        why = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise ConfigError(f"{path} is not a MetaImage that can be played: {why}") from error


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:  # a name from a header can be no name at all
        raise ConfigError(f"{path} cannot be opened: {error}") from error


def _keys(path: Path, file: BinaryIO) -> dict[str, str]:
    keys: dict[str, str] = {}
    while file.tell() < _LONGEST_HEADER:
        line = file.readline(_LONGEST_LINE)
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals or not line.endswith(b"\n"):
            break
        keys[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            return keys
    raise ConfigError(f"{path} is not a MetaImage: its header has no end")


def _layout(path: Path, keys: dict[str, str], data_at: int) -> Layout:
    width, height, count = _size(keys)
    check_size(width, height)
    data_path = _data_path(path, keys["ElementDataFile"])
    return Layout(
        width=width,
        height=height,
        count=count,
        channels=_channels(keys),
        sample=_sample(keys),
        compressed=_true(keys, "CompressedData"),
        spacing_mm=_spacing(keys.get("ElementSpacing", "")),
        # PLUS: the second letter is where rows run to, N(ear) being the transducer.
        upside_down=keys.get("UltrasoundImageOrientation", "MF")[1:2] == "N",
        modality=Modality.ULTRASOUND if "UltrasoundImageOrientation" in keys else Modality.UNKNOWN,
        times_ns=_times(keys),
        data_path=data_path,
        data_at=data_at if data_path == path else 0,
    )


def _size(keys: dict[str, str]) -> tuple[int, int, int]:
    size = [int(number) for number in keys["DimSize"].split()]
    if len(size) not in (2, 3) or len(size) != int(keys["NDims"]):
        raise ValueError("NDims and DimSize must both say 2 or 3 dimensions")
    if min(size) < 1:
        raise ValueError(f"DimSize {keys['DimSize'].strip()}")
    return size[0], size[1], size[2] if len(size) == 3 else 1


def _channels(keys: dict[str, str]) -> int:
    channels = int(keys.get("ElementNumberOfChannels", "1"))
    if channels not in (1, 3):
        raise ValueError(f"{channels} channels; 1 and 3 can be played")
    return channels


def _sample(keys: dict[str, str]) -> np.dtype:
    if keys["ElementType"] not in _TYPES:
        raise ValueError(f"ElementType {keys['ElementType'][:32]}; {' and '.join(_TYPES)} can be played")
    big = _true(keys, "BinaryDataByteOrderMSB") or _true(keys, "ElementByteOrderMSB")
    return np.dtype(_TYPES[keys["ElementType"]][big])


def _data_path(path: Path, name: str) -> Path:
    if name.upper() == "LOCAL":
        return path
    if name != Path(name).name or not name or " " in name:
        raise ValueError("ElementDataFile must be LOCAL or one file in the same folder")
    return path.parent / name


def _true(keys: dict[str, str], key: str) -> bool:
    return keys.get(key, "False").lower() == "true"


def _spacing(text: str) -> tuple[float, float] | None:
    x, y, *_ = [float(number) for number in text.split()] + [1.0, 1.0]
    # 1 1 is what writers put where they know nothing.
    return None if (x, y) == (1.0, 1.0) else legal_spacing(x, y)


def _times(keys: dict[str, str]) -> dict[int, int]:
    times: dict[int, int] = {}
    for key, value in keys.items():
        named = _TIME.fullmatch(key)
        if named and math.isfinite(seconds := float(value)):
            times[int(named[1])] = round(seconds * SECOND)
    return times
