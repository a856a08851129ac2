"""The tables of calls, and what is made of them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from edge.access.exposure import check_exposure
from edge.config import Config, Console, parse
from edge.console import openapi
from edge.console.access.users import User
from edge.console.app import CALLS
from edge.console.calls import PREFIX, Call
from edge.console.settings_calls import RESTARTS, _differences
from edge.errors import ConfigError

DOCUMENT = Path(__file__).parents[3] / "docs" / "console-api.md"


def test_every_call_is_described_and_nothing_else_is() -> None:
    paths = openapi.description(CALLS)["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    free = {("GET", path) for path in ("/api", "/healthz", "/readyz", "/metrics")}
    session = {(method, f"{PREFIX}/session") for method in ("GET", "POST", "DELETE")}
    assert described == {(call.method, PREFIX + call.path) for call in CALLS} | free | session


def test_every_call_is_in_the_handbook_with_its_role() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\|? ?`((?:GET|POST|PUT|DELETE) /api/v1/[^`]*)` ?(?:\||\()? ?(\w+)", text, re.MULTILINE))
    told = {f"{call.method} {_as_told(call)}": call.role for call in CALLS}
    missing = [f"{call} ({role})" for call, role in told.items() if rows.get(call) != role]
    assert missing == []


def _as_told(call: Call) -> str:
    names = {"capture": "ID", "object": "OBJECT", "number": "N", "job": "JOB", "name": "NAME"}
    return PREFIX + re.sub(r"{(\w+)}", lambda found: names[found[1]], call.path)


def test_structs_of_the_description_have_names_of_their_own() -> None:
    kinds = {kind for call in CALLS for kind in (call.body, call.query)}
    assert len({kind.__name__ for kind in kinds}) == len(kinds)


def test_whatever_changes_something_needs_more_than_to_look() -> None:
    assert [call.path for call in CALLS if call.changes and call.role == "view"] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "appliance.local", "10.0.0.1"])
def test_strangers_are_let_near_only_with_certificate_and_users(host: str) -> None:
    users = {"anna": User("anna", "administer", "x")}
    tls = {"certificate": "c.pem", "key": "k.pem"}
    check_exposure(Console(host=host, **tls), users)
    for settings, known in (({}, users), (tls, {}), ({}, {})):
        with pytest.raises(ConfigError, match="can be reached from outside"):
            check_exposure(Console(host=host, **settings), known)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.53"])
def test_on_loopback_it_may_be_open(host: str) -> None:
    check_exposure(Console(host=host), {})
    with pytest.raises(ConfigError, match="belong together"):
        check_exposure(Console(host=host, certificate="c.pem"), {})


def test_every_section_of_the_configuration_says_what_it_restarts() -> None:
    sections = {field.name for field in msgspec.structs.fields(Config)}
    assert set(RESTARTS) == sections


def test_differences_name_the_key_and_both_values() -> None:
    old, new = (
        msgspec.to_builtins(parse(text)) for text in ("", "[live]\nstrength_percent = 10.0\n[console]\nport = 9\n")
    )
    assert list(_differences(old, new, ())) == [
        {"key": "live.strength_percent", "from": 80.0, "to": 10.0, "restart": ["live"]},
        {"key": "console.port", "from": 5580, "to": 9, "restart": ["console"]},
    ]
