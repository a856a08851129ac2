"""What every request passes first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from edge.console.door import HEADERS, Door

OWN = {"host": "127.0.0.1:5580"}


class Inside:
    """An application that says it was reached."""

    def __init__(self) -> None:
        self.reached = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached += 1
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"in"})
        else:
            await send({"type": "websocket.accept"})


def knock(headers: dict[str, str], kind: str = "http", hosts: tuple[str, ...] = (), *, loopback: bool = True) -> Any:
    """What comes out, and whether it went in."""
    inside, sent = Inside(), list[Any]()

    async def receive() -> Any:
        return {"type": f"{kind}.request" if kind == "http" else "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": kind, "scheme": "http" if kind == "http" else "ws", "path": "/", "method": "GET",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    asyncio.run(Door(inside, hosts, loopback=loopback)(scope, receive, send))
    return sent, inside.reached == 1


@pytest.mark.parametrize("host", ["127.0.0.1:5580", "localhost", "LOCALHOST:1", "[::1]:5580", "127.0.0.1"])
def test_this_hosts_own_names_are_let_in(host: str) -> None:
    assert knock({"host": host})[1]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "", "[::1", "127.0.0.1@evil"])
def test_any_other_name_is_turned_away_on_loopback(host: str) -> None:
    sent, reached = knock({"host": host})
    assert (reached, sent[0]["status"]) == (False, 421)


def test_elsewhere_the_configured_names_count_and_without_them_any() -> None:
    assert knock({"host": "us.clinic:443"}, loopback=False)[1]
    assert knock({"host": "us.clinic:443"}, hosts=("US.clinic",), loopback=False)[1]
    assert not knock({"host": "other.clinic"}, hosts=("us.clinic",), loopback=False)[1]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_origin_has_to_be_this_very_address(kind: str) -> None:
    assert knock({**OWN, "origin": "http://127.0.0.1:5580"}, kind)[1]
    for origin in ("http://127.0.0.1:5581", "https://127.0.0.1:5580", "null", "http://localhost:5580", ""):
        assert not knock({**OWN, "origin": origin}, kind)[1]


def test_a_websocket_is_turned_away_before_the_handshake() -> None:
    sent, _ = knock({**OWN, "origin": "http://evil.example"}, "websocket")
    assert [message["type"] for message in sent] == ["websocket.close"]


def test_every_answer_carries_the_headers_a_browser_needs() -> None:
    for headers in (OWN, {"host": "evil.example"}):
        told = {name.decode(): value.decode() for name, value in knock(headers)[0][0]["headers"]}
        assert {name: told[name] for name in HEADERS} == HEADERS
        assert "cache-control" in told


def test_a_connection_whose_body_was_not_read_is_closed() -> None:
    told = dict(knock({**OWN, "content-length": "5"})[0][0]["headers"])
    assert told[b"connection"] == b"close"
    assert b"connection" not in dict(knock(OWN)[0][0]["headers"])
