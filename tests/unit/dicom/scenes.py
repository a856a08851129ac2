"""Takes of every kind, made of grain with a known change, for the tests of `edge.dicom`. Not a test itself."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from edge.clock import MS, SECOND
from edge.dicom import Made, Options, Station, Take, make_pair
from edge.exam import Exam, Order, Patient
from edge.frame import Box, EngineId, Frame, Modality, PixelFormat, Pixels, Shown, Treatment, Why

STARTED = datetime(2026, 11, 20, 19, 15, 30, 250_000, timezone(timedelta(hours=1)))
PATIENT = Patient(name="PHANTOM^ONE", id="PH-1", issuer="TEST", birth_date="19700102", sex="F", age="056Y", size_m=1.71)
STUDY = "2.25.100200300400500600700800900"  # too long for a UID drawn at random to begin so
ORDER = Order(
    accession="ACC-1", study_uid=STUDY, referring="PHANTOM^DOCTOR", procedure_id="RP-1", procedure="Liver",
    procedure_code=("45036-4", "LN", "US Abdomen"), step_id="SPS-1", step="Scan",
)  # fmt: skip
EXAM = Exam(
    uid="2.25.7", study_uid=STUDY, opened="2026-11-20T19:05:00+01:00", patient=PATIENT, order=ORDER,
    origin="worklist", body_part="ABDOMEN", operator="PHANTOM^NURSE", preset="abdomen-adult",
)  # fmt: skip
EMERGENCY = Exam(
    uid="2.25.8", study_uid="2.25.101", opened="2026-11-20T19:05:00+01:00", provisional=True,
    patient=Patient(name="EMERGENCY^ONE", id="E-1"),
)  # fmt: skip
STATION = Station(
    "limpid-1", serial="SN-0042", institution="Test Hospital", uid_root="1.2.826.0.1.3680043.10.54321", tells_steps=True
)
ENGINE = EngineId("handbuilt-large", "ab" * 32, "openvino_cpu", "int8")
ULTRASOUND: dict[str, Any] = {"modality": Modality.ULTRASOUND, "spacing_mm": (0.2, 0.25)}
FLUOROSCOPY: dict[str, Any] = {"modality": Modality.FLUOROSCOPY, "spacing_mm": (0.3, 0.3)}
UNKNOWN: dict[str, Any] = {"modality": Modality.UNKNOWN}
# name -> size (rows, columns), format, bits, what the frame says of itself
LOOKS: dict[str, tuple[tuple[int, int], PixelFormat, int, dict[str, Any]]] = {
    "us grey": ((96, 128), PixelFormat.GREY8, 8, ULTRASOUND),
    "us colour": ((95, 127), PixelFormat.RGB8, 8, ULTRASOUND),
    "us bgr": ((96, 128), PixelFormat.BGR8, 8, ULTRASOUND),
    "us 12 bits": ((97, 131), PixelFormat.GREY16, 12, ULTRASOUND),
    "us no spacing": ((96, 128), PixelFormat.GREY8, 8, {"modality": Modality.ULTRASOUND}),
    "us ge-like": ((434, 636), PixelFormat.RGB8, 8, ULTRASOUND),
    "us small colour": ((23, 31), PixelFormat.RGB8, 8, ULTRASOUND),
    "xrf small 10 bits": ((23, 31), PixelFormat.GREY16, 10, FLUOROSCOPY),
    "us 1 row": ((1, 33), PixelFormat.GREY8, 8, ULTRASOUND),
    "xrf 8 bits": ((96, 96), PixelFormat.GREY8, 8, FLUOROSCOPY),
    "xrf 10 bits": ((95, 127), PixelFormat.GREY16, 10, FLUOROSCOPY),
    "xrf 11 bits": ((95, 127), PixelFormat.GREY16, 11, FLUOROSCOPY),
    "xrf 16 bits": ((97, 97), PixelFormat.GREY16, 16, FLUOROSCOPY),
    "xrf colour": ((95, 127), PixelFormat.RGB8, 8, FLUOROSCOPY),
    "xa 12 bits": ((96, 96), PixelFormat.GREY16, 12, FLUOROSCOPY),
    "unknown grey": ((95, 127), PixelFormat.GREY8, 8, UNKNOWN),
    "unknown 12 bits": ((95, 127), PixelFormat.GREY16, 12, UNKNOWN),
    "unknown colour": ((95, 127), PixelFormat.RGB8, 8, UNKNOWN),
}


# Where no Rust codec is installed pydicom encodes RLE itself, slowly: a look of each depth is enough.
RLE_LOOKS = ("us 1 row", "us small colour", "xrf small 10 bits")


def looks_for(compression: str) -> list[str]:
    return [look for look in LOOKS if look in RLE_LOOKS] if compression == "rle" else list(LOOKS)


EACH_LOOK = [(look, compression) for compression in ("jpeg-ls", "rle", "none") for look in looks_for(compression)]


def picture(look: str, seed: int = 1) -> Pixels:
    size, kind, bits, _ = LOOKS[look]
    shape = (*size, 3) if kind.channels == 3 else size
    dtype = np.uint16 if bits > 8 else np.uint8
    grain = np.random.default_rng(seed).integers(0, (1 << bits) - 1, shape, dtype=dtype, endpoint=True)
    grain.setflags(write=False)
    return grain


def shown(look: str, seq: int, at_ms: float, *, enhanced: bool = True, **more: object) -> Shown:
    """The change: a square at a quarter of the picture loses an eighth of its level."""
    _, kind, bits, facts = LOOKS[look]
    at = SECOND + round(at_ms * MS)
    pixels = picture(look, seq)
    frame = Frame(pixels, "s", seq, at, at, format=kind, bits=bits, session=7, **facts)
    rows, columns = pixels.shape[:2]
    region = Box(columns // 8, 0, columns - columns // 4, rows - rows // 8)
    if not enhanced:
        return Shown(frame, pixels, Treatment.ORIGINAL, Why.LATE, region=region, **more)  # type: ignore[arg-type]
    changed = pixels.copy()
    part = (slice(rows // 4, rows // 4 + 20), slice(columns // 4, columns // 4 + 20))
    changed[part] -= changed[part] // 8
    return Shown(frame, changed, Treatment.ENHANCED, engine=ENGINE, strength=0.8, region=region, **more)  # type: ignore[arg-type]


def still(look: str = "us grey") -> Take:
    return Take((shown(look, 1, 0),), "still", STARTED, angles=angles(look))


def clip(
    look: str = "us grey", frames: int = 6, step_ms: float = 33.3, *, gap_at: int = 0, originals: Sequence[int] = ()
) -> Take:
    """`gap_at`: before this frame (from 1) three are missing; `originals`: frames shown as they came."""
    after = [3 if gap_at and number >= gap_at else 0 for number in range(1, frames + 1)]
    taken = tuple(
        shown(look, number + late, (number - 1 + late) * step_ms, enhanced=number not in originals)
        for number, late in enumerate(after, start=1)
    )
    return Take(taken, "clip", STARTED, angles=angles(look), runtime="openvino 2026.4.1")


def burst(look: str = "us grey", frames: int = 3) -> Take:
    return replace(clip(look, frames), kind="burst")


def angles(look: str) -> tuple[float, float] | None:
    return (30.5, -12.0) if look.startswith("xa") else None


def pair(take: Take, exam: Exam = EXAM, options: Options | None = None, **facts: object) -> list[Made]:
    return make_pair(replace(take, **facts), exam, STATION, options or Options(), (3, 14))  # type: ignore[arg-type]


def written(made: Made) -> io.BytesIO:
    to = io.BytesIO()
    made.write(to)
    to.seek(0)
    return to


def read(made: Made) -> Dataset:
    return pydicom.dcmread(written(made))


def as_stored(one: Shown, *, enhanced: bool = False) -> Pixels:
    """What must come back for this frame, computed here and not by the code under test."""
    pixels = one.pixels if enhanced else one.frame.pixels
    if one.frame.format is PixelFormat.BGR8:
        return pixels[:, :, ::-1]
    if one.frame.modality is Modality.ULTRASOUND and one.frame.bits > 8:
        return (pixels // (1 << (one.frame.bits - 8))).astype(np.uint8)
    return pixels
