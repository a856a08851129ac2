"""Clips in DICOM files, single pictures included. Only the elements named here are read, no patient's data.

Pictures are decoded one at a time from the open file. Stored values are played as they are (no window, no
rescaling), with two exceptions: MONOCHROME1 is inverted, so that bright means what it means everywhere else,
and PALETTE COLOR becomes RGB.
"""

# pyright: reportUnknownMemberType=false

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import struct
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from edge.clock import MS, SECOND
from edge.errors import BadFrame, ConfigError
from edge.frame import Box, Modality, PixelFormat
from edge.sources._picture import Picture, check_size, legal_spacing, picture_of

# What pydicom raises on damaged bytes is not a closed set; these are the kinds seen and to be expected.
_DAMAGED = (
    OSError, ValueError, TypeError, ArithmeticError, AttributeError, LookupError, EOFError, RuntimeError,
    NotImplementedError, MemoryError, struct.error, BytesLengthException, InvalidDicomError,
)  # fmt: skip
_PALETTE = [
    f"{colour}PaletteColorLookupTable{what}" for colour in ("Red", "Green", "Blue") for what in ("Descriptor", "Data")
]
_ELEMENTS = [
    "Modality", "NumberOfFrames", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelSpacing", "FrameTime",
    "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate", "SequenceOfUltrasoundRegions", *_PALETTE,
]  # fmt: skip
_MODALITIES = {"US": Modality.ULTRASOUND, "XA": Modality.FLUOROSCOPY, "RF": Modality.FLUOROSCOPY}
_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "PALETTE COLOR")
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_CENTIMETRES = 3
_MOST_FRAMES = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """What a file says about its pixels, checked."""

    count: int
    photometric: str
    bits_stored: int
    times_ns: list[int] | None
    spacing_mm: tuple[float, float] | None
    region: Box | None
    modality: Modality
    elements: Dataset  # for the palette


class Dicom:
    """The frames of one DICOM file."""

    stream = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._about = read_about(path)
        self._file = path.open("rb")
        self._index = -1

    def advance(self) -> bool:
        self._index += 1
        return self._index < self._about.count

    @property
    def at_ns(self) -> int | None:
        return self._about.times_ns[self._index] if self._about.times_ns else None

    def picture(self) -> Picture:
        about = self._about
        try:
            with _silence():
                pixels = self._plain(pixel_array(self._file, index=self._index))
        except _DAMAGED as error:
            where = f"{self._path.name}, frame {self._index + 1} of {about.count}"
            # What pydicom says may quote what it found in the file: its kind is enough.
            raise BadFrame("damaged", f"{where}: {type(error).__name__}") from None
        made = picture_of(pixels, PixelFormat.RGB8, max(10, about.bits_stored))  # nine bits are played as ten
        return Picture(made.pixels, made.format, made.bits, about.modality, about.spacing_mm, about.region)

    def rewind(self) -> None:
        self._index = -1

    def close(self) -> None:
        self._file.close()

    def _plain(self, pixels: np.ndarray) -> np.ndarray:
        about = self._about
        if about.photometric == "PALETTE COLOR":
            colours = apply_color_lut(pixels, about.elements)
            return (colours >> 8).astype(np.uint8) if colours.dtype == np.uint16 else colours
        if pixels.ndim == 3:
            return pixels
        full_scale = (1 << about.bits_stored) - 1
        grey = pixels & full_scale  # bits above the stored ones are not pixels (overlays lived there once)
        if about.photometric == "MONOCHROME1":
            grey = full_scale - grey
        return grey.astype(np.uint8 if about.bits_stored <= 8 else np.uint16)


def open_dicom(path: Path) -> Dicom:
    return Dicom(path)


def frame_times(about: Dataset, count: int) -> list[int] | None:
    """Nanoseconds from the first frame to each, where the file has them."""
    vector = [_float(value) for value in _values(about.get("FrameTimeVector"))]
    if count > 1 and len(vector) == count and all(math.isfinite(value) and value >= 0 for value in vector):
        return list(itertools.accumulate(round(value * MS) for value in [0.0, *vector[1:]]))
    step_ms = _float(about.get("FrameTime"))
    if not 0 < step_ms < math.inf:
        rate = next(
            (rate for key in ("CineRate", "RecommendedDisplayFrameRate") if (rate := _float(about.get(key))) > 0),
            0.0,
        )
        step_ms = SECOND / MS / rate if 0 < rate < math.inf else 0.0
    return [round(index * step_ms * MS) for index in range(count)] if step_ms > 0 else None


def geometry(about: Dataset) -> tuple[tuple[float, float] | None, Box | None]:
    """Pixel spacing (x, y) in mm and the place of the two-dimensional image, where the file says them."""
    listed: list[Dataset] = list(about.get("SequenceOfUltrasoundRegions") or [])
    regions = [region for region in listed if _is_image(region)]
    boxes = [_box(region) for region in regions]
    spacings = {_region_spacing(region) for region in regions}
    spacing = spacings.pop() if len(spacings) == 1 else None
    if not boxes or not all(_fits(box, about) for box in boxes):
        # A region beyond the frame is from before the picture was scaled or cropped: its scale is void, too.
        return _pixel_spacing(about), None
    right = min(max(box.x + box.width for box in boxes), about.Columns)
    bottom = min(max(box.y + box.height for box in boxes), about.Rows)
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    return spacing or _pixel_spacing(about), Box(left, top, right - left, bottom - top)


def read_about(path: Path) -> About:
    """Raises ConfigError naming the file and what about it cannot be played."""
    try:
        with _silence():
            return _about(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_ELEMENTS)))
    except _DAMAGED as error:
        raise ConfigError(f"{path} is not a DICOM file that can be read ({type(error).__name__})") from None
    except BadFrame as error:
        raise ConfigError(f"{path} cannot be played: {error.detail}") from None


def _about(elements: Dataset) -> About:
    _check_pixels(elements)
    _check_decoder(elements)
    count = _number(elements, "NumberOfFrames", 1)
    if not 1 <= count <= _MOST_FRAMES:
        raise BadFrame("pixels", f"{count} frames")
    spacing, region = geometry(elements)
    return About(
        count=count,
        photometric=str(elements.PhotometricInterpretation),
        bits_stored=int(elements.BitsStored),
        times_ns=frame_times(elements, count),
        spacing_mm=spacing,
        region=region,
        modality=_MODALITIES.get(str(elements.get("Modality", "")), Modality.UNKNOWN),
        elements=elements,
    )


@contextlib.contextmanager
def _silence() -> Generator[None, None, None]:
    """pydicom warns and logs what it meets, and quotes it: values of a patient's file belong nowhere."""
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_pixels(about: Dataset) -> None:
    missing = [key for key in _ELEMENTS[2:10] if about.get(key) is None]
    if missing:
        raise BadFrame("pixels", f"{', '.join(missing)} missing")
    check_size(about.Columns, about.Rows)
    kind = str(about.PhotometricInterpretation)
    if kind not in _COLOURS + _GREYS:
        raise BadFrame("pixels", f"PhotometricInterpretation {kind[:16]} is not one of {', '.join(_COLOURS + _GREYS)}")
    if about.PixelRepresentation != 0:
        raise BadFrame("pixels", "its samples are signed: they are measurements, not a picture")
    if not 8 <= about.BitsStored <= 16 or about.HighBit != about.BitsStored - 1:
        raise BadFrame("pixels", f"{about.BitsStored} bits stored with high bit {about.HighBit}")
    if about.SamplesPerPixel == 3 and about.BitsStored != 8:
        raise BadFrame("pixels", f"colour of {about.BitsStored} bits; colour is 8 bits a sample")


def _check_decoder(about: Dataset) -> None:
    syntax = about.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise BadFrame("compression", f"{syntax.name} is not a compression of pictures known here") from None
    if not decoder.is_available:
        remedy = "; ".join(decoder.missing_dependencies)
        raise BadFrame(
            "compression",
            f"nothing installed decodes {syntax.name}: pip install 'limpid-edge[dicom]' ({remedy})",
        )


def _is_image(region: Dataset) -> bool:
    """A two-dimensional image of tissue or flow, not a trace, a graph or a grey bar."""
    return region.get("RegionSpatialFormat") == 1 and region.get("RegionDataType") in (1, 2)


def _box(region: Dataset) -> Box:
    left, top = _number(region, "RegionLocationMinX0", 0), _number(region, "RegionLocationMinY0", 0)
    right, bottom = _number(region, "RegionLocationMaxX1", -1), _number(region, "RegionLocationMaxY1", -1)
    return Box(left, top, right - left + 1, bottom - top + 1)


def _fits(box: Box, about: Dataset) -> bool:
    # Some writers give the corner after the last pixel instead of the last pixel.
    return box.x >= 0 and box.y >= 0 and box.inside(about.Columns + 1, about.Rows + 1)


def _region_spacing(region: Dataset) -> tuple[float, float] | None:
    units = (region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection"))
    if units != (_CENTIMETRES, _CENTIMETRES):
        return None
    return legal_spacing(abs(_float(region.get("PhysicalDeltaX"))) * 10, abs(_float(region.get("PhysicalDeltaY"))) * 10)


def _pixel_spacing(about: Dataset) -> tuple[float, float] | None:
    values = [_float(value) for value in _values(about.get("PixelSpacing"))]
    return legal_spacing(values[1], values[0]) if len(values) == 2 else None


def _values(value: object) -> list[object]:
    return [] if value is None else list(value) if hasattr(value, "__iter__") else [value]  # type: ignore[call-overload]


def _float(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _number(about: Dataset, key: str, fallback: int) -> int:
    value = _float(about.get(key))
    return int(value) if math.isfinite(value) else fallback
