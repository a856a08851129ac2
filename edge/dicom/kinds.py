"""The kinds of object: which SOP class, which modality, which modules. The conformance statement prints this table."""

from __future__ import annotations

from dataclasses import dataclass

from edge.dicom import cine, common, fluoroscopy, provenance, secondary, ultrasound
from edge.dicom.facts import Facts, Module
from edge.dicom.take import Look
from edge.frame import Modality

_HEAD = (
    common.PATIENT, common.PATIENT_STUDY, common.STUDY, common.SERIES, common.REQUEST, common.STEP, common.EQUIPMENT,
    common.IMAGE, provenance.DERIVATION, common.PIXEL,
)  # fmt: skip
_CLIP = (cine.CINE, cine.MULTI_FRAME)
_TAIL = (common.SOP_COMMON, provenance.CONTRIBUTING, provenance.COMMON_REFERENCE)
_US = (ultrasound.US_IMAGE, ultrasound.REGION_CALIBRATION)
_XRAY = (fluoroscopy.XRAY_IMAGE, fluoroscopy.XRAY_ACQUISITION, fluoroscopy.VOI)
_SC = (secondary.SC_EQUIPMENT, secondary.SC_IMAGE)


@dataclass(frozen=True)
class Kind:
    name: str
    sop_class: str
    modality: str
    special: tuple[Module[Facts], ...]
    is_clip: bool

    @property
    def modules(self) -> tuple[Module[Facts], ...]:
        return (*_HEAD, *(_CLIP if self.is_clip else ()), *self.special, *_TAIL)


_ROOT = "1.2.840.10008.5.1.4.1.1"
US = Kind("Ultrasound Image Storage", f"{_ROOT}.6.1", "US", _US, is_clip=False)
US_CLIP = Kind("Ultrasound Multi-frame Image Storage", f"{_ROOT}.3.1", "US", _US, is_clip=True)
XRF_NAME, XA_NAME = "X-Ray Radiofluoroscopic Image Storage", "X-Ray Angiographic Image Storage"
XRF = Kind(XRF_NAME, f"{_ROOT}.12.2", "RF", _XRAY, is_clip=False)
XRF_CLIP = Kind(XRF_NAME, f"{_ROOT}.12.2", "RF", _XRAY, is_clip=True)
XA = Kind(XA_NAME, f"{_ROOT}.12.1", "XA", (*_XRAY, fluoroscopy.XA_POSITIONER), is_clip=False)
XA_CLIP = Kind(XA_NAME, f"{_ROOT}.12.1", "XA", (*_XRAY, fluoroscopy.XA_POSITIONER), is_clip=True)
SC = Kind("Secondary Capture Image Storage", f"{_ROOT}.7", "OT", _SC, is_clip=False)
SC_BYTE = Kind(
    "Multi-frame Grayscale Byte Secondary Capture Image Storage", f"{_ROOT}.7.2", "OT",
    (*_SC, secondary.SC_MULTI_FRAME), is_clip=True,
)  # fmt: skip
SC_WORD = Kind(
    "Multi-frame Grayscale Word Secondary Capture Image Storage", f"{_ROOT}.7.3", "OT",
    (*_SC, secondary.SC_MULTI_FRAME), is_clip=True,
)  # fmt: skip
SC_COLOUR = Kind(
    "Multi-frame True Color Secondary Capture Image Storage", f"{_ROOT}.7.4", "OT",
    (*_SC, secondary.SC_MULTI_FRAME), is_clip=True,
)  # fmt: skip
KINDS = (US, US_CLIP, XRF, XRF_CLIP, XA, XA_CLIP, SC, SC_BYTE, SC_WORD, SC_COLOUR)


def kind_of(look: Look, *, is_clip: bool, has_angles: bool) -> Kind:
    if look.modality is Modality.ULTRASOUND:
        return US_CLIP if is_clip else US
    if look.modality is Modality.FLUOROSCOPY and not look.is_colour:
        if has_angles:
            return XA_CLIP if is_clip else XA
        return XRF_CLIP if is_clip else XRF
    if not is_clip:
        return SC
    return SC_COLOUR if look.is_colour else SC_BYTE if look.bits == 8 else SC_WORD
