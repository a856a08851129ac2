"""Fluoroscopy: the X-Ray Image, X-Ray Acquisition and XA Positioner modules."""

from __future__ import annotations

from collections.abc import Callable

from edge.dicom.facts import Attribute, Facts, Module, constant
from edge.dicom.texts import decimal


def _angle(index: int) -> Callable[[Facts], str | None]:
    return lambda f: decimal(f.take.angles[index]) if f.take.angles else None


def _imager_spacing(facts: Facts) -> list[str] | None:
    spacing = facts.look.spacing_mm
    return [decimal(spacing[1]), decimal(spacing[0])] if spacing else None  # rows first


def _window(facts: Facts, part: float) -> str | None:
    return decimal((1 << facts.look.bits) * part) if facts.look.bits > 8 else None


XRAY_IMAGE: Module[Facts] = Module("X-Ray Image", (
    Attribute("ImageType", "1", "ORIGINAL or DERIVED, PRIMARY, SINGLE PLANE",
              lambda f: ["DERIVED" if f.is_enhanced else "ORIGINAL", "PRIMARY", "SINGLE PLANE"]),
    constant("PixelIntensityRelationship", "1", "DISP"),
))  # fmt: skip

XRAY_ACQUISITION: Module[Facts] = Module("X-Ray Acquisition", (
    Attribute("KVP", "2", "not known to the appliance: empty", lambda _: None),
    constant("RadiationSetting", "1", "SC"),
    Attribute("XRayTubeCurrent", "2", "not known: empty", lambda _: None),
    Attribute("ExposureTime", "2", "not known: empty", lambda _: None),
    Attribute("Exposure", "2", "not known: empty", lambda _: None),
    Attribute("ImagerPixelSpacing", "3", "the scanner's spacing", _imager_spacing),
))  # fmt: skip

VOI: Module[Facts] = Module("VOI LUT", (
    Attribute("WindowCenter", "3", "middle of the received bits, where more than 8", lambda f: _window(f, 0.5)),
    Attribute("WindowWidth", "1C", "all of the received bits", lambda f: _window(f, 1.0)),
))  # fmt: skip

XA_POSITIONER: Module[Facts] = Module("XA Positioner", (
    Attribute("PositionerMotion", "2C", "clips: always STATIC", lambda f: "STATIC" if f.times else None),
    Attribute("PositionerPrimaryAngle", "2", "the scanner's", _angle(0)),
    Attribute("PositionerSecondaryAngle", "2", "the scanner's", _angle(1)),
))  # fmt: skip
