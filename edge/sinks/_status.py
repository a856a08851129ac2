"""What a DIMSE status means for an object. Pure. STOW-RS carries the same numbers in its failure reasons.

Success is 0x0000, and a warning is success that stays visible. A failure is for good only where it is about this
object; what is about the archive (its disk, its rights, its mood) is tried again. Comments that an archive adds are not
repeated: they may quote the patient.
"""

from __future__ import annotations

from edge.errors import SinkRejected, SinkUnavailable
from edge.sinks import Receipt

WARNINGS = {
    0x0001: "stored, with a warning",
    0x0107: "stored, but some attributes were not understood",
    0x0116: "stored, but an attribute's value was out of range",
    0xB000: "stored, with some data elements changed",
    0xB006: "stored, with some elements discarded",
    0xB007: "stored, though the data set does not match its SOP class",
}
FOR_GOOD = {
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0111: "it says that it has this instance already",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance do not fit",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
}
PASSING = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0124: "not authorised",
    0x0131: "it knows this instance under another SOP class",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
}
DUPLICATE = 0x0111


def receipt(status: int) -> Receipt:
    """For success and warnings; raises `SinkRejected` for what is for good, `SinkUnavailable` for all else."""
    if status == 0x0000:
        return Receipt()
    if status in WARNINGS or 0xB000 <= status <= 0xBFFF:
        return Receipt(f"{words(status)} (0x{status:04X})", status)
    refusal = f"{words(status)} (0x{status:04X})"
    if status in FOR_GOOD or 0xA900 <= status <= 0xA9FF or 0xC000 <= status <= 0xCFFF:
        raise SinkRejected(refusal)
    raise SinkUnavailable(refusal)


def words(status: int) -> str:
    known = WARNINGS.get(status) or FOR_GOOD.get(status) or PASSING.get(status)
    if known:
        return known
    if 0xA700 <= status <= 0xA7FF:
        return "out of resources"
    if 0xA900 <= status <= 0xA9FF:
        return "data set does not match its SOP class"
    if 0xB000 <= status <= 0xBFFF:
        return "stored, with a warning"
    if 0xC000 <= status <= 0xCFFF:
        return "cannot understand the object"
    return "failure"
