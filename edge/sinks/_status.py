"""What a DIMSE status means for an object. Pure. STOW-RS carries the same numbers in its failure reasons.

Success is 0x0000, and a warning is success that stays visible. A failure is for good only where it is about this
object; what is about the archive (its disk, its rights, its mood) is tried again. Comments that an archive adds are not
repeated: they may quote the patient. The tables are those of `edge.dicom.services`, which the conformance statement
prints.
"""

from __future__ import annotations

from edge.dicom.services import DUPLICATE, FOR_GOOD, PASSING, RANGES, SUCCESS, WARNINGS
from edge.errors import SinkRejected, SinkUnavailable
from edge.sinks import Receipt

__all__ = ["DUPLICATE", "receipt", "words"]


def receipt(status: int) -> Receipt:
    """For success and warnings; raises `SinkRejected` for what is for good, `SinkUnavailable` for all else."""
    if status == SUCCESS:
        return Receipt()
    said = f"{words(status)} (0x{status:04X})"
    follows = _follows(status)
    if follows == "warning":
        return Receipt(said, status)
    raise SinkRejected(said) if follows == "for good" else SinkUnavailable(said)


def words(status: int) -> str:
    known = WARNINGS.get(status) or FOR_GOOD.get(status) or PASSING.get(status)
    return known or next((means for first, last, means, _ in RANGES if first <= status <= last), "failure")


def _follows(status: int) -> str:
    for table, follows in ((WARNINGS, "warning"), (FOR_GOOD, "for good")):
        if status in table:
            return follows
    return next((follows for first, last, _, follows in RANGES if first <= status <= last), "passing")
