"""What an enhanced object says about itself, and how the two of a pair point at each other."""

from __future__ import annotations

from pydicom.dataset import Dataset

from edge.dicom.facts import Attribute, Facts, Module, code, item
from edge.dicom.private import Treatment, outside_judgement, shown_original, treatments
from edge.dicom.take import is_enhanced
from edge.dicom.texts import date_time

SOURCE_IMAGE = code("121322", "DCM", "Source image for image processing operation")
PROCESSING_EQUIPMENT = code("109102", "DCM", "Processing Equipment")
# CID 7203 has no code for a learned filter: what the engines of a family are meant to do is named instead.
DERIVATIONS = (
    ("superres", "113085", "Spatial resampling"),
    ("", "113087", "Smoothing"),
)
_MOST_WORDS = 1024


def derivation(facts: Facts) -> str | None:
    """In words, for whoever looks at the picture."""
    if not facts.is_enhanced:
        return None
    treated = sum(is_enhanced(shown) for shown in facts.shown)
    if not treated:
        return f"Not enhanced, shown as received: {shown_original(facts.shown)}"[:_MOST_WORDS]
    names = ", ".join(map(_named, treatments(facts)))
    strengths = {round(100 * shown.strength) for shown in facts.shown if is_enhanced(shown)}
    parts = [
        f"Enhanced for viewing by {names}" + (f" at {_range(strengths)} % strength" if strengths else ""),
        f"{treated} of {facts.frames} frames enhanced",
        f"Mean change {facts.change.percent:.2f} % of full scale inside the image",
    ]
    if outside := outside_judgement(facts.shown):
        parts.append(f"{outside} frames while the pictures were outside what the engine was judged on")
    why = shown_original(facts.shown)
    if why:
        parts.append(f"Shown as received: {why}")
    return ". ".join(parts)[:_MOST_WORDS]


def derivation_codes(facts: Facts) -> list[Dataset]:
    names = [treatment.engine.name for treatment in treatments(facts)]
    found = {next((value, meaning) for part, value, meaning in DERIVATIONS if part in name) for name in names}
    return [one for value, meaning in sorted(found) for one in code(value, "DCM", meaning)]


def source_images(facts: Facts) -> list[Dataset]:
    if not facts.is_enhanced:
        return []
    return [
        item(
            ReferencedSOPClassUID=facts.partner.sop_class,
            ReferencedSOPInstanceUID=facts.partner.sop_uid,
            PurposeOfReferenceCodeSequence=SOURCE_IMAGE,
            SpatialLocationsPreserved="YES",
        )
    ]


def enhanced_image(facts: Facts) -> list[Dataset]:
    """From the original to what was made of it. The standard has no purpose code for this direction."""
    if facts.is_enhanced:
        return []
    return [item(ReferencedSOPClassUID=facts.partner.sop_class, ReferencedSOPInstanceUID=facts.partner.sop_uid)]


def partner_series(facts: Facts) -> list[Dataset]:
    instance = item(ReferencedSOPClassUID=facts.partner.sop_class, ReferencedSOPInstanceUID=facts.partner.sop_uid)
    return [item(SeriesInstanceUID=facts.partner.series_uid, ReferencedInstanceSequence=[instance])]


def processing_equipment(facts: Facts) -> list[Dataset]:
    if not facts.is_enhanced:
        return []
    station = facts.station
    return [
        item(
            PurposeOfReferenceCodeSequence=PROCESSING_EQUIPMENT,
            Manufacturer=station.manufacturer,
            InstitutionName=station.institution,
            StationName=station.name,
            ManufacturerModelName=station.model,
            DeviceSerialNumber=station.serial,
            SoftwareVersions=software_versions(facts),
            ContributionDateTime=date_time(facts.moment),
            ContributionDescription="Enhancement of each frame as it was shown",
        )
    ]


def software_versions(facts: Facts) -> list[str]:
    """The program, what ran the engine, and of each engine its name and the SHA-256 of its model."""
    found = [facts.software]
    if facts.take.runtime:
        found.append(facts.take.runtime)
    for engine in (treatment.engine for treatment in treatments(facts)):
        # The hash fills its 64 characters: were it the last, the padding to an even length would make it 65 for some.
        found += [*([engine.sha256] if engine.sha256 else []), f"{engine.name} {engine.precision} on {engine.backend}"]
    return found


def _named(treatment: Treatment) -> str:
    return f"{treatment.engine.name} {treatment.version}".rstrip()


def _range(values: set[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


DERIVATION: Module[Facts] = Module("General Image (derivation)", (
    Attribute("DerivationDescription", "3", "enhanced: engine, strength, frames, measured change", derivation),
    Attribute("DerivationCodeSequence", "3", "enhanced: CID 7203, by the engine's family", derivation_codes),
    Attribute("SourceImageSequence", "3", "enhanced: the original, purpose 121322", source_images),
    Attribute("ReferencedImageSequence", "3", "original: the enhanced", enhanced_image),
))  # fmt: skip

COMMON_REFERENCE: Module[Facts] = Module("Common Instance Reference", (
    Attribute("ReferencedSeriesSequence", "1C", "the other object of the pair", partner_series),
))  # fmt: skip

CONTRIBUTING: Module[Facts] = Module("SOP Common (contributing equipment)", (
    Attribute("ContributingEquipmentSequence", "3", "enhanced: 109102, with program, runtime, engine, model's SHA-256",
              processing_equipment),
))  # fmt: skip
