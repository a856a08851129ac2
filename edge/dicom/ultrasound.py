"""Ultrasound: the US Image and US Region Calibration modules."""

from __future__ import annotations

from pydicom.dataset import Dataset

from edge.dicom.facts import Attribute, Facts, Module, item
from edge.frame import Box

_CENTIMETRES = 3
_TWO_DIMENSIONAL, _TISSUE, _COLOUR_FLOW = 1, 1, 2
_EXAM_TYPES = {  # body part examined -> the US exam type of Image Type's third value
    "ABDOMEN": "ABDOMINAL", "LIVER": "ABDOMINAL", "GALLBLADDER": "ABDOMINAL", "SPLEEN": "ABDOMINAL",
    "PANCREAS": "ABDOMINAL", "KIDNEY": "RETROPERITONEAL", "AORTA": "RETROPERITONEAL", "BREAST": "BREAST",
    "CHEST": "CHEST", "LUNG": "CHEST", "HEART": "TTE", "HEAD": "TRANSCRANIAL", "BRAIN": "TRANSCRANIAL",
    "EYE": "OPHTHALMIC", "PELVIS": "PELVIC", "BLADDER": "PELVIC", "UTERUS": "GYNECOLOGY", "OVARY": "GYNECOLOGY",
    "FETUS": "OBSTETRICAL", "PROSTATE": "ENDORECTAL", "SCROTUM": "SCROTAL", "TESTIS": "SCROTAL",
    "THYROID": "THYROID", "NECK": "SMALL PARTS", "HAND": "MUSCULOSKELETAL", "KNEE": "MUSCULOSKELETAL",
    "SHOULDER": "MUSCULOSKELETAL", "HIP": "MUSCULOSKELETAL", "ANKLE": "MUSCULOSKELETAL", "ELBOW": "MUSCULOSKELETAL",
    "CAROTID": "VASCULAR", "VEIN": "VASCULAR", "ARTERY": "VASCULAR", "LEG": "VASCULAR", "ARM": "VASCULAR",
}  # fmt: skip
_OTHER_EXAM = "SMALL PARTS"  # the value may not be empty, and the standard has no word for "not known"


def image_type(facts: Facts) -> list[str]:
    exam_type = _EXAM_TYPES.get(facts.exam.body_part.upper(), _OTHER_EXAM)
    bitmap = "0011" if facts.look.coloured else "0001"  # 2D, and colour
    return ["DERIVED" if facts.is_enhanced else "ORIGINAL", "PRIMARY", exam_type, bitmap]


def regions(facts: Facts) -> list[Dataset]:
    """One two-dimensional image in centimetres. Without a scale there is none: a viewer would measure nonsense."""
    look = facts.look
    if look.spacing_mm is None:
        return []
    box = look.region or Box(0, 0, look.columns, look.rows)
    x_mm, y_mm = look.spacing_mm
    return [
        item(
            RegionSpatialFormat=_TWO_DIMENSIONAL,
            RegionDataType=_COLOUR_FLOW if look.coloured else _TISSUE,
            RegionFlags=0,
            RegionLocationMinX0=box.x,
            RegionLocationMinY0=box.y,
            RegionLocationMaxX1=box.x + box.width - 1,
            RegionLocationMaxY1=box.y + box.height - 1,
            PhysicalUnitsXDirection=_CENTIMETRES,
            PhysicalUnitsYDirection=_CENTIMETRES,
            PhysicalDeltaX=x_mm / 10,
            PhysicalDeltaY=y_mm / 10,
        )
    ]


US_IMAGE: Module[Facts] = Module("US Image", (
    Attribute("ImageType", "2", "ORIGINAL or DERIVED, PRIMARY, exam type by body part, 0001 (2D) or 0011 (and colour)",
              image_type),
    Attribute("UltrasoundColorDataPresent", "3", "1 where the image holds colour", lambda f: int(f.look.coloured)),
))  # fmt: skip

REGION_CALIBRATION: Module[Facts] = Module("US Region Calibration", (
    Attribute("SequenceOfUltrasoundRegions", "1C", "the scanner's spacing and region, where it gives them", regions),
))  # fmt: skip
