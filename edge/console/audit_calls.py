"""Who did what: all logs of the appliance, as one."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from edge.audit import Audit, Entry
from edge.console.calls import Answer, Asked, Call
from edge.places import audit_logs


class Lines(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    before: Annotated[str, msgspec.Meta(max_length=40)] = ""
    verify: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0


def _list(asked: Asked) -> Answer:
    page: Lines = asked.query
    logs = audit_logs(asked.office.config)
    # Each log in its own order, from its end: nobody who wants a page reads a whole log.
    every = heapq.merge(*(_told(name, log, page.before) for name, log in logs.items()), key=_when, reverse=True)
    newest = list(itertools.islice(every, page.limit))
    about = {name: _about(log, whole=bool(page.verify)) for name, log in logs.items()}
    return {"entries": newest, "logs": about}


def _told(name: str, log: Audit, before: str) -> Iterator[dict[str, Any]]:
    for entry in log.newest_first():
        if not before or entry.when < before:
            yield _as_dict(name, entry)


def _when(told: dict[str, Any]) -> str:
    return told["when"]


def _as_dict(name: str, entry: Entry) -> dict[str, Any]:
    return {
        "log": name, "n": entry.n, "when": entry.when, "who": entry.who, "did": entry.did, "to": entry.to,
        "facts": entry.facts,
    }  # fmt: skip


def _about(log: Audit, *, whole: bool) -> dict[str, Any]:
    if not whole:
        return {"entries": log.end()[0], "head": "", "faults": []}
    verdict = log.verify()
    return {"entries": verdict.entries, "head": verdict.head, "faults": list(verdict.faults)}


CALLS = (Call("GET", "/audit", "administer", "Who did what to which object, the newest first", _list, query=Lines),)
