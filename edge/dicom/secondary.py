"""Secondary Capture: for streams that say nothing of what they are, and fluoroscopy in colour, which has no class."""

from __future__ import annotations

from edge.dicom.facts import Attribute, Facts, Module, constant


def _grey_clip(facts: Facts, value: str) -> str | None:
    return value if facts.times and not facts.look.is_colour else None


SC_EQUIPMENT: Module[Facts] = Module("SC Equipment", (constant("ConversionType", "1", "DI"),))

SC_IMAGE: Module[Facts] = Module("SC Image", (
    Attribute("ImageType", "3", "ORIGINAL or DERIVED, SECONDARY",
              lambda f: ["DERIVED" if f.is_enhanced else "ORIGINAL", "SECONDARY"]),
))  # fmt: skip

SC_MULTI_FRAME: Module[Facts] = Module("SC Multi-frame Image", (
    Attribute("PresentationLUTShape", "1C", "grey: always IDENTITY", lambda f: _grey_clip(f, "IDENTITY")),
    Attribute("RescaleIntercept", "1C", "grey: always 0", lambda f: _grey_clip(f, "0")),
    Attribute("RescaleSlope", "1C", "grey: always 1", lambda f: _grey_clip(f, "1")),
    Attribute("RescaleType", "1C", "grey: always US", lambda f: _grey_clip(f, "US")),
))  # fmt: skip
