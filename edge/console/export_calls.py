"""Copies onto a medium."""

from __future__ import annotations

from typing import Annotated

import msgspec

from edge.console.calls import Accepted, Answer, Asked, Call

Id = Annotated[str, msgspec.Meta(max_length=64)]


class Export(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    captures: Annotated[tuple[Id, ...], msgspec.Meta(min_length=1, max_length=500)]
    held: bool = False


def _list(asked: Asked) -> Answer:
    return asked.office.exports.told()


def _begin(asked: Asked) -> Answer:
    body: Export = asked.body
    captures = [asked.office.archive.capture(name) for name in dict.fromkeys(body.captures)]
    job = asked.office.exports.begin(asked.session.who, body.target, captures, held=body.held)
    asked.note("export", job.id, captures=job.captures, held=body.held)
    return Accepted(job.as_dict())


def _show(asked: Asked) -> Answer:
    return asked.office.exports.job(asked.path["job"]).as_dict()


CALLS = (
    Call("GET", "/exports", "operate", "Where captures can be copied to, and which were", _list),
    Call("POST", "/exports", "operate", "Copy captures onto a medium, as a DICOM file-set", _begin, body=Export,
         statuses=(202,)),
    Call("GET", "/exports/{job}", "operate", "How far a copy is", _show),
)  # fmt: skip
