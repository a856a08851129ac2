"""A scheduled step as the worklist tells it; the question and the reply that live and its child exchange."""

from __future__ import annotations

import msgspec

from edge.config import Config
from edge.exam import Order, Patient


class Item(msgspec.Struct, frozen=True):
    """One scheduled step. `key` names it to the control socket and holds nothing of the patient."""

    key: str
    patient: Patient
    order: Order


class Question(msgspec.Struct, frozen=True):
    config: Config
    today: str  # ISO 8601
    accession: str = ""
    patient_id: str = ""


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    error: str = ""
    items: tuple[Item, ...] = ()
