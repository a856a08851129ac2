"""What every request passes before anything else looks at it, and every answer on its way out. On the event loop.

Addressed to us? Asked for by our own page? Then it goes in; what comes out carries the headers that keep a browser from
doing anything with it but what the page means. Nothing of a request is logged but its method, its route and its answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.console.errors import Refusal

SEND_PATIENCE_S = 30.0  # for one piece of an answer
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: dict[str, str] = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
}
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def refusal_body(refusal: Refusal) -> bytes:
    return json.dumps({"error": str(refusal), "code": refusal.code}).encode()


def refusal_headers(refusal: Refusal) -> dict[str, str]:
    wait = {"retry-after": str(max(1, round(refusal.retry_after_s)))} if refusal.retry_after_s else {}
    return {"content-type": "application/json", "cache-control": "no-store", **wait}


class Door:
    def __init__(self, app: ASGIApp, hosts: Sequence[str], *, loopback: bool) -> None:
        self._app = app
        names = [name.lower() for name in hosts]
        # On loopback any other name is a stranger's, turned to this address to get at it from his own page.
        self._names = frozenset([*names, *LOOPBACK_NAMES]) if loopback else frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._check(scope)
        if scope["type"] == "websocket":
            await (self._app(scope, receive, send) if refusal is None else _turn_away(receive, send))
            return
        body = _Body(scope, receive)
        out = _dressed(send, body)
        if refusal is None:
            await self._app(scope, body.receive, out)
        else:
            await _refuse(refusal, out)

    def _check(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or (self._names and _name_of(hosts[0]) not in self._names):
            return Refusal(421, "host", "this appliance is not called so: see [console] hosts")
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"{scheme}://{hosts[0].lower()}":
            return Refusal(403, "origin", "asked for by another page than this appliance's own")
        if _is_from_elsewhere(headers):
            return Refusal(403, "origin", "asked for by another page than this appliance's own")
        return None


def _name_of(host: str) -> str:
    """Without the port; an IPv6 address keeps its brackets."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


def _is_from_elsewhere(headers: Headers) -> bool:
    """By the browser's own word. To follow a link to the page is no harm."""
    if headers.get("sec-fetch-site") not in ("cross-site", "same-site"):
        return False
    return (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != ("navigate", "document")


async def _turn_away(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4403})  # before it was accepted: 403 to the handshake


async def _refuse(refusal: Refusal, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refusal_headers(refusal).items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": refusal_body(refusal)})


class _Body:
    """Knows whether all of the request has been read."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self._receive = receive
        self.is_read = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self.is_read = True
        return message


def _dressed(send: Send, body: _Body) -> Send:
    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _with_ours(message["headers"], close=not body.is_read)}
        # A client that does not read its answer must not hold on to us for ever.
        await asyncio.wait_for(send(message), SEND_PATIENCE_S)

    return out


def _with_ours(headers: Any, *, close: bool) -> list[tuple[bytes, bytes]]:
    has = {name.lower() for name, _ in headers}
    ours = dict(HEADERS)
    if b"cache-control" not in has:
        ours["cache-control"] = "no-cache"
    if close:  # what is left of the body is nobody's business
        ours["connection"] = "close"
    return [*headers, *((name.encode(), value.encode()) for name, value in ours.items() if name.encode() not in has)]
