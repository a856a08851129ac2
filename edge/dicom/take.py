"""What a capture is made from: the appliance, the frames, and what the frames have in common. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import numpy as np

from edge.errors import CaptureRefused
from edge.frame import Box, Frame, Modality, PixelFormat, Pixels, Shown, Treatment

Role = Literal["original", "enhanced"]
MOST_SIDE = 65_535  # rows and columns are 16-bit numbers in DICOM
_COLOUR_SPREAD = 24  # levels between the channels of a pixel before it counts as coloured
_COLOUR_PART = 0.0005  # part of the image's pixels that must be coloured


@dataclass(frozen=True)
class Station:
    """The appliance, as each object names it."""

    name: str
    manufacturer: str = "Limpid"
    model: str = "Limpid Edge"
    serial: str = ""
    software: str = ""  # name and version, as "limpid-edge 0.1.0"; empty: this package's own
    institution: str = ""
    department: str = ""
    uid_root: str = "2.25"  # the site's or maker's own root; 2.25 needs no registration
    tells_steps: bool = False  # the archive is told of performed procedure steps: the objects name theirs


@dataclass(frozen=True)
class Take:
    """What was captured of one stream, in order."""

    shown: tuple[Shown, ...] = field(repr=False)
    kind: Literal["still", "clip", "burst"]
    started: datetime  # wall time, with its offset, of the first frame
    lossy: bool = False  # the scanner's own stream was lossy
    lossy_ratio: float | None = None  # as the scanner says, where it does
    lossy_method: str = ""  # a defined term, as ISO_10918_1
    angles: tuple[float, float] | None = None  # positioner, primary and secondary, in degrees: makes it XA
    runtime: str = ""  # name and version of what ran the engine
    engine_versions: Mapping[str, str] = field(default_factory=dict)  # sha256 of a model -> its version


@dataclass(frozen=True)
class Options:
    compression: Literal["jpeg-ls", "rle", "none"] = "jpeg-ls"
    burn_label: bool = False  # "ENHANCED" in a corner of the enhanced pixels


@dataclass(frozen=True, slots=True)
class Look:
    """What the frames of one object have in common."""

    columns: int
    rows: int
    format: PixelFormat
    bits: int  # of the frames as received
    modality: Modality
    spacing_mm: tuple[float, float] | None  # x, y; None also where it changes on the way
    spacing_varies: bool
    region: Box | None  # the smallest box around every frame's region
    region_varies: bool
    coloured: bool  # the image holds colour, not only the screen around it

    @property
    def is_colour(self) -> bool:
        return self.format.channels == 3


def look_of(take: Take) -> Look:
    """Raises CaptureRefused, and says at which frame, where the frames do not fit together in one object."""
    if len(take.shown) == 0:
        raise CaptureRefused("there is no frame to capture")
    if take.kind == "still" and len(take.shown) > 1:
        raise CaptureRefused(f"a still is one frame, not {len(take.shown)}")
    first = take.shown[0].frame
    if max(first.width, first.height) > MOST_SIDE:
        raise CaptureRefused(f"{first.width}x{first.height}: DICOM pictures have at most {MOST_SIDE} pixels a side")
    for number, shown in enumerate(take.shown, start=1):
        _check_fit(shown, first, f"frame {number} of {len(take.shown)}")
    spacings = {shown.frame.spacing_mm for shown in take.shown}
    boxes = {box for shown in take.shown if (box := shown.frame.region or shown.region) is not None}
    region = _around(boxes)
    return Look(
        columns=first.width, rows=first.height, format=first.format, bits=first.bits, modality=first.modality,
        spacing_mm=first.spacing_mm if len(spacings) == 1 else None, spacing_varies=len(spacings) > 1,
        region=region, region_varies=len(boxes) > 1,
        coloured=any(_has_colour(shown.frame.pixels, region) for shown in _few(take.shown)),
    )  # fmt: skip


def is_enhanced(shown: Shown) -> bool:
    return shown.treatment is Treatment.ENHANCED


def _check_fit(shown: Shown, first: Frame, where: str) -> None:
    frame = shown.frame
    if _format(frame) != _format(first):
        raise CaptureRefused(f"{where} is {_words(frame)}, those before it are {_words(first)}: not one object")
    if frame.stream != first.stream:
        raise CaptureRefused(f"{where} is of another stream than those before it")
    if shown.pixels.shape != frame.pixels.shape or shown.pixels.dtype != frame.pixels.dtype:
        raise CaptureRefused(f"{where}: the enhanced picture has another size or depth than the original")


def _format(frame: Frame) -> tuple[object, ...]:
    return frame.pixels.shape, frame.pixels.dtype, frame.format, frame.bits, frame.modality


def _words(frame: Frame) -> str:
    return f"{frame.width}x{frame.height} {frame.format.name} of {frame.bits} bits ({frame.modality.name.lower()})"


def _around(boxes: Set[Box]) -> Box | None:
    if not boxes:
        return None
    left, top = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(box.x + box.width for box in boxes), max(box.y + box.height for box in boxes)
    return Box(left, top, right - left, bottom - top)


def _few(shown: tuple[Shown, ...]) -> tuple[Shown, ...]:
    """The first, the middle and the last: colour comes and goes with a mode of the scanner, not with a frame."""
    return shown[0], shown[len(shown) // 2], shown[-1]


def _has_colour(pixels: Pixels, region: Box | None) -> bool:
    if pixels.ndim == 2:
        return False
    inside = pixels[region.slices] if region is not None else pixels
    spread = inside.max(axis=2) - inside.min(axis=2)
    return int(np.count_nonzero(spread > _COLOUR_SPREAD)) > _COLOUR_PART * spread.size
