"""The transfer syntaxes: one frame into its bytes and back. The one door to the JPEG-LS and RLE codecs. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import _CharLS  # pyright: ignore[reportMissingImports]
import jpeg_ls
import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from edge.frame import Pixels


@dataclass(frozen=True, slots=True)
class Layout:
    """How an object's frames lie in it."""

    shape: tuple[int, ...]  # rows, columns, and 3 for colour, which lies by pixel
    allocated: int  # bits a sample: 8 or 16
    bits: int  # of them stored
    frames: int

    @property
    def is_colour(self) -> bool:
        return len(self.shape) == 3

    @property
    def dtype(self) -> str:
        return "<u2" if self.allocated == 16 else "u1"

    @property
    def frame_bytes(self) -> int:
        return math.prod(self.shape) * (self.allocated // 8)

    @property
    def total_bytes(self) -> int:
        return self.frame_bytes * self.frames


@dataclass(frozen=True, slots=True)
class Syntax:
    """One way to lay out an object's pixels."""

    uid: str
    name: str
    option: str  # what `Options.compression` calls it
    encode: Callable[[Pixels, Layout], bytes] | None  # one frame; None: it lies there as it is

    @property
    def is_compressed(self) -> bool:
        return self.encode is not None


def _jpeg_ls(pixels: Pixels, layout: Layout) -> bytes:
    samples, interleave = (3, 2) if layout.is_colour else (1, 0)  # 2: colour by pixel, planar configuration 0
    rows, columns = layout.shape[:2]
    raw = pixels.tobytes()
    try:
        return bytes(jpeg_ls.encode_buffer(raw, rows, columns, samples, layout.bits, 0, interleave))
    except RuntimeError:
        # It makes room for twice the raw size, which a tiny or hostile picture can exceed. The encoder beneath takes
        # its room from the length of what it is given and reads only the picture; eight bytes a byte suffice.
        roomy = raw + bytes(3 * len(raw) + 1024)
        return bytes(_CharLS._encode(roomy, 0, interleave, rows, columns, samples, layout.bits))


def _rle(pixels: Pixels, layout: Layout) -> bytes:
    return bytes(get_encoder(RLELossless).encode(pixels.tobytes(), **_about(layout)))


SYNTAXES = (
    Syntax(str(JPEGLSLossless), "JPEG-LS Lossless", "jpeg-ls", _jpeg_ls),
    Syntax(str(RLELossless), "RLE Lossless", "rle", _rle),
    Syntax(str(ExplicitVRLittleEndian), "Explicit VR Little Endian", "none", None),
)
PLAIN = SYNTAXES[-1]


def syntax_of(compression: str) -> Syntax:
    return next(syntax for syntax in SYNTAXES if syntax.option == compression)


def syntax_for(uid: str) -> Syntax | None:
    """The one this package can write, or None."""
    return next((syntax for syntax in SYNTAXES if syntax.uid == uid), None)


def decode(encoded: bytes, uid: str, layout: Layout) -> Pixels:
    """One frame of an encapsulated object; colour by pixel, in the colours it was stored in."""
    about = _about(layout)
    about["pixel_keyword"] = "PixelData"
    array, _ = get_decoder(UID(uid)).as_array(encapsulate([encoded]), index=0, raw=True, **about)
    return np.ascontiguousarray(array)


def _about(layout: Layout) -> dict[str, Any]:
    """One frame, as pydicom's codecs ask for it."""
    about: dict[str, Any] = {
        "rows": layout.shape[0], "columns": layout.shape[1], "samples_per_pixel": 3 if layout.is_colour else 1,
        "bits_allocated": layout.allocated, "bits_stored": layout.bits, "pixel_representation": 0,
        "number_of_frames": 1, "photometric_interpretation": "RGB" if layout.is_colour else "MONOCHROME2",
    }  # fmt: skip
    if layout.is_colour:
        about["planar_configuration"] = 0
    return about
