"""What a DICOMweb archive's answers mean. Pure: HTTP status and body in, receipt or error out.

A 200 says only that the request was understood; whether *this* instance was stored is in the sequences of the body.
And it may not be the archive's at all: a proxy sends its sign-in page with a 200 as well.
409 may mean "exists" or "invalid": FailedSOPSequence says which. 401 and 403 are never success, and never the object's
fault. What an archive says in words is not repeated: it may quote the patient.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from edge.errors import SinkRejected, SinkUnavailable
from edge.sinks import Receipt
from edge.sinks import _status as statuses

SOP_UID, FAILED, STORED = "00081155", "00081198", "00081199"
FAILURE_REASON, WARNING_REASON = "00081197", "00081196"
FOR_GOOD = {400: "bad request", 406: "not acceptable", 413: "too large", 415: "unsupported media type", 422: "invalid"}
DICOM_ANSWERS = {"application/dicom+json", "application/json", "application/dicom+xml", "multipart/related"}
MEDIA_TYPE = re.compile(r"\s*([\w.+-]{1,40}/[\w.+-]{1,40})\s*(;|$)", re.ASCII)
Item = Mapping[str, Any]


def read(status: int, content_type: str, body: bytes, sop_uid: str) -> Receipt:
    """What became of one instance that was posted."""
    if status in (200, 201, 202, 409):
        answer = _parse(content_type, body)
        for item in _items(answer or {}, FAILED, sop_uid):
            _failed(_number(item, FAILURE_REASON))
        for item in _items(answer or {}, STORED, sop_uid):
            warning = _number(item, WARNING_REASON)
            return Receipt(statuses.words(warning) + f" (0x{warning:04X})", warning) if warning else Receipt()
        if status == 200:
            return _unnamed(content_type, body, answer)
        raise SinkUnavailable(f"answered {status} and does not say what became of the instance")
    if status in FOR_GOOD:
        raise SinkRejected(f"answered {status} ({FOR_GOOD[status]})")
    raise SinkUnavailable(f"answered {status}" + (" (not authorised)" if status in (401, 403) else ""))


class AlreadyThere(SinkRejected):
    """It has an instance of this UID. Whether it is ours is for the caller to find out."""


def _unnamed(content_type: str, body: bytes, answer: Item | None) -> Receipt:
    """A 200 that does not name the instance. From an archive that tells of no failure it is good enough."""
    if body.strip():
        media = _media_type(content_type)
        if media not in DICOM_ANSWERS:
            raise SinkUnavailable(f"answered 200 with {media or 'no content type'}, which is no DICOM answer")
        in_parts = media == "multipart/related"  # which are not taken apart here
        if answer is None and not in_parts:
            raise SinkUnavailable(f"answered 200 with {media} that cannot be read")
        # One instance was posted: a failure that names none is of no other.
        if _values(answer or {}, FAILED) or (in_parts and FAILED.encode() in body):
            raise SinkUnavailable("answered 200, tells of a failure and does not name the instance")
    return Receipt("answered 200, but does not name the instance")


def _media_type(content_type: str) -> str:
    """Without its parameters, and only what looks like one: an archive's words are not repeated."""
    found = MEDIA_TYPE.match(content_type)
    return found[1].lower() if found else ""


def _failed(reason: int) -> NoReturn:
    if reason == statuses.DUPLICATE:
        raise AlreadyThere(f"{statuses.words(reason)} (0x{reason:04X})")
    if reason == 0:
        raise SinkUnavailable("the instance failed, without a reason")
    statuses.receipt(reason)
    # In C-STORE a warning is a status of what was stored; whoever lists the instance as failed has not stored it.
    raise SinkUnavailable(f"the instance failed, with a warning for its reason (0x{reason:04X})")


def _parse(content_type: str, body: bytes) -> Item | None:
    """None where it is not what it says it is; empty where it is of a kind that is not read here."""
    kind = content_type.lower()
    try:
        if "json" in kind:
            tree = json.loads(body)
            tree = (tree[0] if tree else {}) if isinstance(tree, list) else tree
            return tree if isinstance(tree, dict) else None
        if "xml" in kind:
            return _from_xml(ElementTree.fromstring(body))
    except (ValueError, ElementTree.ParseError, RecursionError):
        return None
    return {}


def _from_xml(node: ElementTree.Element) -> dict[str, Any]:
    """The native DICOM model (PS3.19) into the shape of DICOM JSON, as far as these answers need it."""
    attributes: dict[str, Any] = {}
    for child in node:
        items = [_from_xml(item) for item in child if item.tag.endswith("Item")]
        values = [value.text or "" for value in child if value.tag.endswith("Value")]
        attributes[child.get("tag", "")] = {"Value": items or values}
    return attributes


def _items(answer: Item, sequence: str, sop_uid: str) -> Iterator[Item]:
    for item in _values(answer, sequence):
        if isinstance(item, dict) and sop_uid in _values(item, SOP_UID):
            yield item


def _values(item: Item, tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _number(item: Item, tag: str) -> int:
    values = _values(item, tag)
    try:
        return int(values[0]) if values else 0
    except (TypeError, ValueError):
        return 0


def instance_path(body: bytes) -> str | None:
    """From a QIDO-RS answer: where the instance is, or None where it is not there."""
    try:
        found = json.loads(body) if body.strip() else []
        item = found[0] if found else None
    except (ValueError, KeyError):
        raise SinkUnavailable("the answer to a query cannot be read") from None
    if not isinstance(item, dict):
        return None
    study, series, instance = (_values(item, tag) for tag in ("0020000D", "0020000E", "00080018"))
    if not (study and series and instance):
        raise SinkUnavailable("the answer to a query names no study, series and instance")
    return f"/studies/{study[0]}/series/{series[0]}/instances/{instance[0]}"
