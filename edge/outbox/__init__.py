"""Captures that are never lost: a folder in which they wait until every archive has confirmed them.

`Outbox` is the door. What is on the disk is the truth: there is no database, and after a power cut nothing to repair.
The layout, and what survives what, is told in docs/outbox.md.
"""

from edge.outbox.box import Outbox
from edge.outbox.record import Broken, Capture, Draft, Facts, Item, State, Step, Stored, Wants, everything, utc_now
from edge.outbox.settings import Settings

__all__ = [
    "Broken",
    "Capture",
    "Draft",
    "Facts",
    "Item",
    "Outbox",
    "Settings",
    "State",
    "Step",
    "Stored",
    "Wants",
    "everything",
    "utc_now",
]
