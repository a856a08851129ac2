from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import ConfigError
from edge.routing import Rules, allowance, is_in_schedule, parse_route, wants

MONDAY = datetime(2026, 11, 16)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY.replace(day=MONDAY.day + day, hour=hour, minute=minute)


@pytest.mark.parametrize(
    ("rules", "role", "modality", "priority", "wanted"),
    [
        (Rules(), "original", "US", "routine", True),
        (Rules(send="originals"), "original", "US", "routine", True),
        (Rules(send="originals"), "enhanced", "US", "routine", False),
        (Rules(send="enhanced"), "original", "US", "routine", False),
        (Rules(modalities=("RF", "XA")), "original", "US", "routine", False),
        (Rules(modalities=("RF", "XA")), "original", "XA", "routine", True),
        (Rules(priorities=("stat",)), "original", "US", "routine", False),
        (Rules(priorities=("stat",)), "original", "US", "stat", True),
    ],
)
def test_what_is_meant_for_a_destination(rules: Rules, role: str, modality: str, priority: str, wanted: bool) -> None:
    assert wants(rules, role, modality, priority) is wanted


@pytest.mark.parametrize(
    ("window", "moment", "open_"),
    [
        ("22:00-06:00", at(0, 23), True),
        ("22:00-06:00", at(0, 5, 59), True),
        ("22:00-06:00", at(0, 6), False),
        ("mon-fri 19:00-07:00", at(4, 20), True),  # Friday night ...
        ("mon-fri 19:00-07:00", at(5, 6), True),  # ... belongs to Friday
        ("mon-fri 19:00-07:00", at(5, 20), False),
        ("mon-fri 19:00-07:00", at(0, 6), False),  # Sunday night does not
        ("sat, sun 00:00-24:00", at(6, 12), True),
        ("sat, sun 00:00-24:00", at(0, 12), False),
        ("fri-mon 08:00-09:00", at(6, 8, 30), True),
        ("fri-mon 08:00-09:00", at(1, 8, 30), False),
    ],
)
def test_windows(window: str, moment: datetime, open_: bool) -> None:
    assert is_in_schedule(Rules(schedule=(window,)), moment) is open_


def test_a_clock_that_is_plainly_wrong_holds_nothing_back() -> None:
    assert is_in_schedule(Rules(schedule=("22:00-06:00",)), datetime(1970, 1, 1, 12))


@given(st.datetimes(min_value=datetime(2024, 1, 1), max_value=datetime(2099, 1, 1)))
def test_a_window_and_what_it_leaves_make_a_whole_day(moment: datetime) -> None:
    assert is_in_schedule(Rules(schedule=("19:00-07:00",)), moment) != is_in_schedule(
        Rules(schedule=("07:00-19:00",)), moment
    )


@pytest.mark.parametrize(
    ("rules", "is_metered", "allowed"),
    [
        (Rules(), True, "everything"),
        (Rules(metered="stat"), True, "stat"),
        (Rules(metered="hold"), True, "nothing"),
        (Rules(metered="hold"), False, "everything"),
        (Rules(schedule=("22:00-06:00",)), False, "stat"),
        (Rules(schedule=("22:00-06:00",), metered="hold"), True, "nothing"),
    ],
)
def test_what_may_go_out_now(rules: Rules, is_metered: bool, allowed: str) -> None:
    assert allowance(rules, at(0, 12), is_metered=is_metered) == allowed


def test_a_destination_is_its_rules_and_one_kind() -> None:
    route = parse_route("pacs", {"send": "originals", "dimse": {"host": "pacs.example"}})
    assert (route.kind, route.options, route.rules.send) == ("dimse", {"host": "pacs.example"}, "originals")


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({}, "needs one table"),
        ({"dimse": {}, "folder": {}}, "needs one table"),
        ({"sned": "both", "dimse": {}}, 'did you mean "send"'),
        ({"schedule": ["monday night"], "dimse": {}}, "is not like"),
        ({"schedule": ["25:00-26:00"], "dimse": {}}, "is not like"),
        ({"schedule": ["mon-foo 10:00-12:00"], "dimse": {}}, "is not like"),
    ],
)
def test_what_is_wrong_with_a_destination_is_said(table: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse_route("pacs", table)
