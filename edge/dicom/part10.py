"""A DICOM file written from front to back: the header in one piece, the pixels frame by frame as they are encoded.

`Made.write` runs on whichever thread stores the object. It needs no seeking, so it can write through a cipher; that is
why the Basic Offset Table is empty.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from edge import __version__
from edge.dicom.encoding import Layout, Syntax
from edge.dicom.take import Role
from edge.dicom.texts import character_set
from edge.dicom.uids import IMPLEMENTATION_CLASS
from edge.frame import Pixels

IMPLEMENTATION_VERSION = f"LIMPID_{__version__}"[:16]
MOST_PLAIN_BYTES = 0xFFFF_FFFE  # the longest element of known, even length
_PIXEL_DATA, _ITEM, _END = b"\xe0\x7f\x10\x00", b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


@dataclass(frozen=True)
class Made:
    """One object, ready to be written."""

    role: Role
    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax: str
    modality: str
    frames: int
    header: bytes = field(repr=False)  # everything before the pixels
    pixels: Callable[[BinaryIO], None] = field(repr=False)

    def write(self, to: BinaryIO) -> None:
        """The whole file, front to back; one encoded frame at a time is in memory."""
        to.write(self.header)
        self.pixels(to)


def made_of(dataset: Dataset, syntax_uid: str, pixels: Callable[[BinaryIO], None]) -> Made:
    kind = dataset.get("ImageType") or ["ORIGINAL"]
    return Made(
        role="enhanced" if kind[0] == "DERIVED" else "original",
        sop_class=str(dataset.SOPClassUID),
        sop_uid=str(dataset.SOPInstanceUID),
        series_uid=str(dataset.SeriesInstanceUID),
        study_uid=str(dataset.StudyInstanceUID),
        transfer_syntax=syntax_uid,
        modality=str(dataset.Modality),
        frames=int(dataset.get("NumberOfFrames") or 1),
        header=header_of(dataset, syntax_uid),
        pixels=pixels,
    )


def header_of(dataset: Dataset, syntax_uid: str) -> bytes:
    """Preamble, meta information and every element before the pixels."""
    charset = character_set(dataset)
    if charset:
        dataset.SpecificCharacterSet = charset
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    dataset.file_meta = meta
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def write_frames(to: BinaryIO, frames: Iterable[Pixels], layout: Layout, syntax: Syntax) -> None:
    """The pixel data, each frame encoded when its turn comes."""
    encode = syntax.encode
    if encode is not None:
        _write_encapsulated(to, (encode(frame, layout) for frame in frames))
        return
    to.write(plain_element(layout))
    for frame in frames:
        to.write(np.ascontiguousarray(frame, layout.dtype).data.cast("B"))
    to.write(b"\x00" * (layout.total_bytes % 2))


def plain_element(layout: Layout) -> bytes:
    """The head of pixels that are not compressed; what follows is padded to an even length."""
    length = layout.total_bytes + layout.total_bytes % 2
    return _PIXEL_DATA + (b"OW" if layout.allocated > 8 else b"OB") + b"\x00\x00" + struct.pack("<L", length)


def _write_encapsulated(to: BinaryIO, encoded: Iterable[bytes]) -> None:
    to.write(_PIXEL_DATA + b"OB\x00\x00" + struct.pack("<L", 0xFFFF_FFFF))
    to.write(_ITEM + struct.pack("<L", 0))
    for frame in encoded:
        to.write(_ITEM + struct.pack("<L", len(frame) + len(frame) % 2))
        to.write(frame + b"\x00" * (len(frame) % 2))
    to.write(_END)
