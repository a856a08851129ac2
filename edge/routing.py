"""What goes where, and when: the rules of a destination. Pure: wall time and the kind of link are handed in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from edge.config import parse_section
from edge.errors import ConfigError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOW = re.compile(r"(?:(?P<days>[a-z, -]+) )?(?P<h1>\d\d):(?P<m1>\d\d)-(?P<h2>\d\d):(?P<m2>\d\d)")
OLDEST_BELIEVABLE_YEAR = 2024  # a clock before it is wrong, and its windows mean nothing
Priority = Literal["routine", "stat"]
Allowance = Literal["everything", "stat", "nothing"]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[destination.NAME], beside the table of its kind."""

    send: Literal["both", "originals", "enhanced"] = "both"
    modalities: tuple[str, ...] = ()  # as US, RF, XA; empty: all
    priorities: tuple[Priority, ...] = ()  # empty: all
    deidentify: bool = False
    key_file: str = ""  # of the pseudonyms; empty: the outbox's own, made when it is first needed
    schedule: tuple[str, ...] = ()  # as "mon-fri 19:00-07:00"; empty: always. Stat does not wait for it
    metered: Literal["send", "stat", "hold"] = "send"  # what goes out while the link is paid for by the byte
    bandwidth_kbps: Annotated[float, msgspec.Meta(ge=0)] = 0.0  # 1,000 bits a second; 0: as fast as it goes
    trust: bool = False  # its "stored" is taken for "safe": only for archives that cannot commit
    alarm_hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0  # an object that waits longer is told of
    commitment_minutes: Annotated[float, msgspec.Meta(gt=0)] = 60.0  # without an answer for so long: ask again
    ask_every_s: Annotated[float, msgspec.Meta(gt=0)] = 15.0
    first_retry_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    longest_retry_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0


@dataclass(frozen=True, slots=True)
class Route:
    """One [destination.NAME] table, taken apart."""

    name: str
    rules: Rules
    kind: str
    options: Mapping[str, Any]


def parse_route(name: str, table: Mapping[str, Any]) -> Route:
    kinds = [key for key, value in table.items() if isinstance(value, Mapping)]
    if len(kinds) != 1:
        raise ConfigError(f"[destination.{name}] needs one table of its kind, as [destination.{name}.dimse]")
    rest = {key: value for key, value in table.items() if key != kinds[0]}
    rules = parse_section(rest, Rules, f"destination.{name}")
    for window in rules.schedule:
        _parse_window(window, name)
    return Route(name, rules, kinds[0], table[kinds[0]])


def wants(rules: Rules, role: str, modality: str, priority: str) -> bool:
    """Whether an object is meant for this destination at all."""
    if rules.modalities and modality not in rules.modalities:
        return False
    if rules.priorities and priority not in rules.priorities:
        return False
    return rules.send == "both" or role == {"originals": "original", "enhanced": "enhanced"}[rules.send]


def allowance(rules: Rules, now: datetime, *, is_metered: bool) -> Allowance:
    """What may go out now. `now` is local time, for the schedule."""
    if is_metered and rules.metered == "hold":
        return "nothing"
    if (is_metered and rules.metered == "stat") or not is_in_schedule(rules, now):
        return "stat"
    return "everything"


def is_in_schedule(rules: Rules, now: datetime) -> bool:
    if not rules.schedule or now.year < OLDEST_BELIEVABLE_YEAR:
        return True
    return any(_is_in(window, now) for window in rules.schedule)


def _is_in(window: str, now: datetime) -> bool:
    days, start, end = _parse_window(window)
    minute, today = now.hour * 60 + now.minute, now.weekday()
    if start < end:
        return today in days and start <= minute < end
    # Over midnight: the days are those on which it begins.
    return (today in days and minute >= start) or ((today - 1) % 7 in days and minute < end)


def _parse_window(window: str, name: str = "") -> tuple[frozenset[int], int, int]:
    found = WINDOW.fullmatch(window.strip().lower())
    trouble = ConfigError(f'[destination.{name}] schedule "{window}" is not like "mon-fri 19:00-07:00"')
    if found is None:
        raise trouble
    h1, m1, h2, m2 = (int(found[part]) for part in ("h1", "m1", "h2", "m2"))
    if h1 > 23 or m1 > 59 or h2 > 24 or m2 > 59 or h2 * 60 + m2 > 24 * 60:
        raise trouble
    try:
        days = frozenset(day for part in (found["days"] or "mon-sun").split(",") for day in _days(part.strip()))
    except ValueError:
        raise trouble from None
    return days, h1 * 60 + m1, h2 * 60 + m2


def _days(part: str) -> list[int]:
    first, _, last = part.partition("-")
    start, end = DAYS.index(first.strip()), DAYS.index((last or first).strip())
    return [day % 7 for day in range(start, end + 1 if end >= start else end + 8)]
