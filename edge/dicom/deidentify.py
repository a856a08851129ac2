"""Copies for teaching and training: PS3.15's basic profile, with the pixels outside the image blanked.

The table is in `profile`. UIDs and patients are mapped by a keyed hash: the same key maps a whole set consistently,
and without the key nobody can tell who was who.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from edge.dicom import part10, private, profile, uids
from edge.dicom.encoding import SYNTAXES, syntax_for
from edge.dicom.facts import code, put
from edge.dicom.part10 import Made, made_of
from edge.dicom.stored import Stored
from edge.errors import LimpidError
from edge.frame import Box, Pixels

_DUMMIES = {"DA": "19000101", "DT": "19000101000000", "TM": "000000", "AS": "000Y", "DS": "0", "IS": "0"}
_MAPPED_REFERENCES = "X/Z/U*"


class UncleanPixels(LimpidError):  # noqa: N818 - named for what it is, not for being an error
    """The operator: writing may be burnt in, and the image's place is not known. A person must look at it first."""


def deidentified(stream: BinaryIO, key: bytes, *, keep_unclean: bool = False) -> Made:
    """A copy without identity, to be written while the stream is open.

    Where the image's region is known all pixels outside it are blanked, and the object says so (113101). Where it is
    not, and writing may be burnt in, UncleanPixels is raised, or with `keep_unclean` the pixels stay and say YES to it.
    """
    stored = Stored(stream)
    elements = stored.elements
    boxes = regions(elements)
    burned_in = elements.get("BurnedInAnnotation") != "NO"
    if burned_in and not boxes and not keep_unclean:
        raise UncleanPixels("the place of the image is not known: writing outside it cannot be blanked")
    clean(elements, key, is_blanked=bool(boxes))
    if not boxes:
        return made_of(elements, stored.syntax_uid, stored.copy_pixels)
    syntax = syntax_for(stored.syntax_uid) or SYNTAXES[0]
    if stored.layout.is_colour:
        elements.PlanarConfiguration = 0

    def write(to: BinaryIO) -> None:
        frames = (blanked(frame, boxes) for frame in stored.each_frame())
        part10.write_frames(to, frames, stored.layout, syntax)

    return made_of(elements, syntax.uid, write)


def deidentified_dataset(dataset: Dataset, key: bytes, *, keep_unclean: bool = False) -> Dataset:
    """The same for an object in memory; the one given stays as it is."""
    source, copy = BytesIO(), BytesIO()
    pydicom.dcmwrite(source, dataset, enforce_file_format=True)
    deidentified(source, key, keep_unclean=keep_unclean).write(copy)
    copy.seek(0)
    return pydicom.dcmread(copy)


def regions(elements: Dataset) -> list[Box]:
    """Where the image is: our own block's word, or the ultrasound regions. A whole frame is no region."""
    whole = (int(elements.Columns), int(elements.Rows))
    boxes = list(_own_region(elements)) or list(_ultrasound_regions(elements))
    if any(not box.inside(*whole) or min(box.x, box.y) < 0 or (box.width, box.height) == whole for box in boxes):
        return []
    return boxes


def blanked(pixels: Pixels, boxes: list[Box]) -> Pixels:
    kept = np.zeros_like(pixels)
    for box in boxes:
        kept[box.slices] = pixels[box.slices]
    return kept


def clean(elements: Dataset, key: bytes, *, is_blanked: bool) -> None:
    """The elements of one object, in place."""
    pseudonym = _pseudonym(elements, key)
    _clean(elements, key)
    elements.PatientID = pseudonym
    elements.PatientName = pseudonym.replace("-", "^")  # family and given: ANON^...
    methods = [*profile.METHODS, profile.CLEAN_PIXELS] if is_blanked else list(profile.METHODS)
    put(elements, "PatientIdentityRemoved", "YES")
    put(elements, "DeidentificationMethod", [meaning for _, meaning in methods])
    put(elements, "DeidentificationMethodCodeSequence",
        [one for value, meaning in methods for one in code(value, "DCM", meaning)])  # fmt: skip
    put(elements, "LongitudinalTemporalInformationModified", "REMOVED")
    if is_blanked:
        put(elements, "BurnedInAnnotation", "NO")
        elements.pop(private.LABELLED, None)  # the label may have been outside
    if private.is_ours(elements):
        put(elements, "PrivateDataElementCharacteristicsSequence", private.characteristics(elements))


def _clean(elements: Dataset, key: bytes) -> None:
    ours = private.is_ours(elements)
    for element in list(elements):
        if element.tag.is_private:
            if not (ours and (element.tag in private.SAFE or _is_our_creator(element))):
                del elements[element.tag]
        elif not dictionary_has_tag(element.tag) or _is_graphic(element):
            del elements[element.tag]
        else:
            _act(elements, element, key)


def _act(elements: Dataset, element: DataElement, key: bytes) -> None:
    action = profile.ACTIONS.get(keyword_for_tag(element.tag), "")
    if action == _MAPPED_REFERENCES or (not action and element.VR == "SQ"):
        for item in element.value:
            _clean(item, key)
    elif action == "U":
        element.value = _mapped(element.value, key)
    elif action.startswith("X"):
        del elements[element.tag]
    elif action.startswith("Z") or (not action and element.VR == "PN"):
        element.value = [] if element.VR == "SQ" else None
    elif action == "D":
        element.value = [] if element.VR == "SQ" else _dummy(element, key)


def _mapped(value: Any, key: bytes) -> Any:
    if not value:
        return value
    return uids.keyed(key, value) if isinstance(value, str) else [uids.keyed(key, one) for one in value]


def _dummy(element: DataElement, key: bytes) -> Any:
    if element.VR == "UI":
        return _mapped(element.value, key)
    return _DUMMIES.get(element.VR, b"\x00\x00" if element.VR in ("OB", "OW", "UN") else "REMOVED")


def _pseudonym(elements: Dataset, key: bytes) -> str:
    """One patient, one pseudonym; a patient without an id is told apart by the study."""
    who = str(elements.get("PatientID") or "") or str(elements.get("StudyInstanceUID") or "")
    told = f"{elements.get('IssuerOfPatientID') or ''}\0{who}"
    return "ANON-" + hmac.new(key, told.encode(), hashlib.sha256).hexdigest()[:12].upper()


def _own_region(elements: Dataset) -> Iterator[Box]:
    if private.is_ours(elements) and private.REGION in elements:
        yield Box(*(int(value) for value in elements[private.REGION].value))


def _ultrasound_regions(elements: Dataset) -> Iterator[Box]:
    for region in elements.get("SequenceOfUltrasoundRegions") or []:
        if region.get("RegionSpatialFormat") == 1 and region.get("RegionDataType") in (1, 2):
            left, top = int(region.RegionLocationMinX0), int(region.RegionLocationMinY0)
            right, bottom = int(region.RegionLocationMaxX1), int(region.RegionLocationMaxY1)
            yield Box(left, top, right - left + 1, bottom - top + 1)


def _is_our_creator(element: DataElement) -> bool:
    return element.tag.group == private.GROUP and element.tag.element == private.BLOCK


def _is_graphic(element: DataElement) -> bool:
    group = element.tag.group
    if group in profile.CURVE_GROUPS:
        return True
    return group in profile.OVERLAY_GROUPS and element.tag.element in profile.OVERLAY_CONTENTS
