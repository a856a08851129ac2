"""How a call of the API is declared. Routes, checks and the OpenAPI description are all made of these tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from edge.console.access.sessions import Session
from edge.console.access.users import Role

if TYPE_CHECKING:
    from edge.console.office import Office

PREFIX = "/api/v1"
LARGEST_BODY = 64 << 10
PoolName = Literal["quick", "slow", "images", "passwords"]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body, or a query, without keys."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, checked: what a call's function is given."""

    office: Office
    session: Session
    path: Mapping[str, str]
    query: Any  # the call's own struct
    body: Any  # likewise

    def note(self, did: str, to: str = "", **facts: object) -> None:
        self.office.note(self.session.who, did, to, **facts)


@dataclass(frozen=True, slots=True)
class Blob:
    """An answer that is not JSON."""

    data: bytes
    type: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """Begun, not done: 202."""

    facts: dict[str, Any]


Answer = dict[str, Any] | Blob | Accepted


@dataclass(frozen=True, slots=True)
class Call:
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str  # below PREFIX
    role: Role
    does: str
    run: Callable[[Asked], Answer]  # on a thread of its pool
    body: type[msgspec.Struct] = Nothing
    query: type[msgspec.Struct] = Nothing
    pool: PoolName = "quick"
    largest: int = LARGEST_BODY
    gives: str = "application/json"
    statuses: tuple[int, ...] = field(default=())  # that it may answer beside those that every call may

    @property
    def changes(self) -> bool:
        return self.method != "GET"
