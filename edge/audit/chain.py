"""The chain: one JSON object a line, each with the SHA-256 of the line before. Pure.

    {"n": 17, "when": "2026-11-20T19:15:30.000+00:00", "who": "forward", "did": "sent", "to": "20261120T...-4f2a91",
     "facts": {"object": "1-original.dcm", "destination": "pacs"}, "before": "<SHA-256 of the line before>"}

What breaks it is named: which line was altered, where some were removed, put in or moved. Which of two lines that do
not fit was touched is settled by the line after them: what it still vouches for is as it was.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

FIRST = "0" * 64
Kind = Literal["altered", "removed", "inserted", "moved", "cut", "seal"]


class Entry(msgspec.Struct, frozen=True):
    n: int
    when: str
    who: str
    did: str
    to: str  # a capture's id, or another thing's name
    facts: dict[str, Any]
    before: str


class Line(NamedTuple):
    """An entry, and the sum of its line."""

    entry: Entry
    sum: str


class Fault(msgspec.Struct, frozen=True):
    kind: Kind
    line: int  # its place, counted from 1 over all files of the log; 0: none in particular
    words: str


class Link(NamedTuple):
    """What the chain is judged by. `n` is 0 for a line that cannot be read."""

    n: int
    before: str
    sum: str


def encoded(entry: Entry) -> bytes:
    return msgspec.json.encode(entry) + b"\n"


def decoded(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def sum_of(line: bytes) -> str:
    """Of a line without its end."""
    return hashlib.sha256(line).hexdigest()


def link(line: bytes) -> Link:
    entry = decoded(line)
    return Link(entry.n if entry else 0, entry.before if entry else "", sum_of(line))


class Whole:
    """The short answer, in one pass: whether each link that was seen follows the one before."""

    def __init__(self) -> None:
        self.is_so, self._n, self._head = True, 0, FIRST

    def see(self, one: Link) -> None:
        self.is_so = self.is_so and (one.n, one.before) == (self._n + 1, self._head)
        self._n, self._head = self._n + 1, one.sum


def faults(links: Sequence[Link]) -> list[Fault]:
    """The long one: what was done to the lines, in the order of their places; one fault a line."""
    found: dict[int, Fault] = {}
    for fault in _Walk(links).faults():
        found.setdefault(fault.line, fault)
    return sorted(found.values(), key=lambda fault: fault.line)


class _Walk:
    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._count = Counter(one.n for one in links)
        self._last, self._head = 0, FIRST  # of the line that this one should follow

    def faults(self) -> Iterator[Fault]:
        for at, one in enumerate(self._links):
            fits = (one.n, one.before) == (self._last + 1, self._head)
            if not fits:
                yield from self._judge(at, one)
            if fits or self._goes_on(at, one):
                self._last, self._head = one.n or self._last + 1, one.sum

    def _judge(self, at: int, one: Link) -> Iterator[Fault]:
        want, place = self._last + 1, at + 1
        if one.n == 0:
            yield Fault("altered", place, f"line {place} cannot be read: it was altered")
        elif one.n == want:
            touched = place - 1 if at and self._is_vouched_for(at) else place
            yield Fault("altered", touched, f"line {touched} was altered: the one after it does not follow")
        elif one.before == self._head:
            yield Fault("altered", place, f"line {place} was altered: it says that it is number {one.n}")
        elif one.n > want:
            yield from self._judge_gap(at, one, range(want, one.n))
        elif self._count[one.n] > 1:
            strange = place - 1 if at + 1 < len(self._links) and self._is_vouched_for(at) else place
            yield Fault("inserted", strange, f"line {strange} was inserted: there are two that say number {one.n}")
        else:
            yield Fault("moved", place, f"line {place} was moved: it says number {one.n}, and stands too late")

    def _judge_gap(self, at: int, one: Link, missing: range) -> Iterator[Fault]:
        place = at + 1
        gone = [n for n in missing[:1000] if not self._count[n]]
        if gone:
            which = f"line {gone[0]}" if len(missing) == 1 else f"lines {missing[0]} to {missing[-1]}"
            yield Fault("removed", place, f"before line {place} {which} of the chain were removed")
        else:
            yield Fault("moved", place, f"line {place} was moved: it says number {one.n}, and stands too early")

    def _goes_on(self, at: int, one: Link) -> bool:
        """Whether the chain is taken up again from a line that does not fit."""
        if one.n == 0 or one.n > self._last or one.before == self._head:
            return True
        return self._count[one.n] > 1 and self._is_vouched_for(at)

    def _is_vouched_for(self, at: int) -> bool:
        """The line after this one, too, says that this is what it was; the last line stands for itself."""
        after = self._links[at + 1] if at + 1 < len(self._links) else None
        return after is None or after.before == self._links[at].sum
