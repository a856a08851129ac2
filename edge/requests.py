"""What may be asked of the control socket: one struct a request, told apart by "do". Unknown keys are refused."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from edge.exam import Order, Patient
from edge.wire import STREAM_NAME

StreamName = Annotated[str, msgspec.Meta(pattern="^" + STREAM_NAME.pattern)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=600)]
# Of a C-arm, in degrees, as DICOM counts them: towards the patient's left, and towards the head, is positive.
Angles = tuple[Annotated[float, msgspec.Meta(ge=-180, le=180)], Annotated[float, msgspec.Meta(ge=-90, le=90)]]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """Any request."""


# ------------------------------------------------ the picture


class Status(Asked, frozen=True, tag="status"):
    stream: StreamName | None = None


class Engines(Asked, frozen=True, tag="engines"):
    pass


class Freeze(Asked, frozen=True, tag="freeze"):
    stream: StreamName | None = None


class Unfreeze(Asked, frozen=True, tag="unfreeze"):
    stream: StreamName | None = None


class Set(Asked, frozen=True, tag="set"):
    stream: StreamName | None = None
    strength_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    view: Literal["enhanced", "original"] | None = None
    engine: str | None = None


# ------------------------------------------------ engines: answered once the streams have it, or it was taken back


class TakeUp(Asked, frozen=True, tag="engine-take-up"):
    """Another version of this engine was activated in the store, or the one before: open it, and swap."""

    engine: Annotated[str, msgspec.Meta(min_length=1, max_length=48)]


# ------------------------------------------------ captures: answered once they are stored durably, or refused


class Still(Asked, frozen=True, tag="capture-still"):
    stream: StreamName | None = None
    angles: Angles | None = None


class Back(Asked, frozen=True, tag="capture-back"):
    stream: StreamName | None = None
    seconds: Seconds = 10.0
    angles: Angles | None = None


class Burst(Asked, frozen=True, tag="capture-burst"):
    """The next `count` pictures, at least `every_ms` apart."""

    stream: StreamName | None = None
    count: Annotated[int, msgspec.Meta(ge=2, le=50)] = 5
    every_ms: Annotated[float, msgspec.Meta(ge=0, le=5000)] = 200.0
    angles: Angles | None = None


class ClipStart(Asked, frozen=True, tag="capture-clip-start"):
    """Answered at once: what was stored is the answer to "capture-clip-stop"."""

    stream: StreamName | None = None
    angles: Angles | None = None


class ClipStop(Asked, frozen=True, tag="capture-clip-stop"):
    stream: StreamName | None = None


# ------------------------------------------------ the exam


class ExamShow(Asked, frozen=True, tag="exam-show"):
    identity: bool = False  # the patient and the order, too


class ExamWorklist(Asked, frozen=True, tag="exam-worklist"):
    accession: str = ""
    patient_id: str = ""


class ExamOpen(Asked, frozen=True, tag="exam-open"):
    """By an item of the last worklist, by a barcode, by what was typed, or none of them: an emergency."""

    item: str = ""
    barcode: str = ""
    patient: Patient | None = None
    order: Order | None = None
    operator: str = ""
    body_part: str = ""
    laterality: Literal["", "L", "R", "B"] = ""
    implant: bool = False
    priority: Literal["routine", "stat"] = "routine"


class ExamClose(Asked, frozen=True, tag="exam-close"):
    pass


class ExamDiscard(Asked, frozen=True, tag="exam-discard"):
    """Ends the exam as discontinued. With captures it asks to be meant: they are parked, never deleted."""

    captures_too: bool = False


class ExamCorrect(Asked, frozen=True, tag="exam-correct"):
    """The right identity for the open exam, or for an earlier one by its uid."""

    exam: str = ""
    item: str = ""
    barcode: str = ""
    patient: Patient | None = None
    order: Order | None = None


CaptureRequest = Still | Back | Burst | ClipStart | ClipStop
ExamRequest = ExamShow | ExamWorklist | ExamOpen | ExamClose | ExamDiscard | ExamCorrect
PictureRequest = Status | Engines | Freeze | Unfreeze | Set
Request = PictureRequest | TakeUp | CaptureRequest | ExamRequest
