"""All paths of the console, put together: the calls of every theme, the WebSockets, the page. On the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import mimetypes
import threading
import traceback
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from edge.access.homes import is_loopback
from edge.console import (
    audit_calls,
    capture_calls,
    engine_calls,
    exam_calls,
    export_calls,
    health_calls,
    metrics,
    openapi,
    picture_calls,
    settings_calls,
    sockets,
    status_calls,
)
from edge.console.access.entry import Entry
from edge.console.access.sessions import COOKIE, Session, is_same
from edge.console.calls import PREFIX, Accepted, Answer, Asked, Blob, Call
from edge.console.door import Door, refusal_body, refusal_headers
from edge.console.errors import Refusal, not_found
from edge.console.office import Office
from edge.errors import LimpidError, SourceUnavailable

PAGE = Path(__file__).parent / "page"
BODY_PATIENCE_S = 15.0
BY_ITSELF = "x-by-itself"
T = TypeVar("T", bound=msgspec.Struct)
CALLS: tuple[Call, ...] = (
    *status_calls.CALLS, *picture_calls.CALLS, *exam_calls.CALLS, *capture_calls.CALLS, *export_calls.CALLS,
    *engine_calls.CALLS, *health_calls.CALLS, *audit_calls.CALLS, *settings_calls.CALLS,
)  # fmt: skip


def build(office: Office) -> ASGIApp:
    for ending, kind in ((".js", "text/javascript"), (".mjs", "text/javascript"), (".svg", "image/svg+xml")):
        mimetypes.add_type(kind, ending)  # whatever the machine's own table says
    app = Starlette(
        routes=_routes(office),
        exception_handlers={HTTPException: _http, Refusal: _refusal, Exception: _fault(office)},
        lifespan=lambda _app: _running(office),
    )
    console = office.config.console
    return Door(app, console.hosts, loopback=is_loopback(console.host))


def _routes(office: Office) -> list[BaseRoute]:
    entry = Entry(office)
    by_path: dict[str, list[Call]] = {}
    for call in CALLS:
        by_path.setdefault(call.path, []).append(call)
    calls = [_route(office, path, together) for path, together in by_path.items()]
    live = sockets.Sockets(office)
    return [
        Route("/", _index),
        Route("/api", _described()),
        Route("/healthz", _healthy),
        Route("/readyz", _ready(office)),
        Route("/metrics", metrics.endpoint(office)),
        Route(f"{PREFIX}/session", entry.answer, methods=["GET", "POST", "DELETE"]),
        WebSocketRoute(f"{PREFIX}/live/{{stream}}", live.live),
        WebSocketRoute(f"{PREFIX}/events", live.events),
        *calls,
        Mount("/page", StaticFiles(directory=PAGE, check_dir=False)),
    ]


def _route(office: Office, path: str, calls: Sequence[Call]) -> Route:
    by_method = {call.method: call for call in calls}

    async def answer(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await _answer(office, by_method[method], request)  # pyright: ignore[reportArgumentType]

    return Route(PREFIX + path, answer, methods=list(by_method))


# ------------------------------------------------ one call


async def _answer(office: Office, call: Call, request: Request) -> Response:
    session = _admit(office, call, request)
    query = _checked(_query(request), call.query, strict=False)
    body = _checked(await read_json(request, call.largest), call.body, strict=True) if call.changes else None
    asked = Asked(office, session, request.path_params, query, body)
    try:
        answer = await getattr(office.pools, call.pool).do(lambda: call.run(asked))
    except Refusal:
        raise
    except SourceUnavailable as error:
        raise Refusal(503, "unavailable", str(error), 1.0) from None
    except LimpidError as error:
        raise Refusal(409, "refused", str(error)) from None
    except OSError as error:
        raise Refusal(409, "refused", f"the disk refuses: {error.strerror or type(error).__name__}") from None
    return _response(answer)


def _admit(office: Office, call: Call, request: Request) -> Session:
    session = office.session_of(request.cookies.get(COOKIE, ""), counts=call.changes or not _is_by_itself(request))
    if session is None:
        raise Refusal(401, "log-in", "log in first")
    if not session.user.may(call.role):
        raise Refusal(403, "forbidden", f"this needs the role {call.role}; {session.who} has {session.user.role}")
    if call.changes and not is_same(request.headers.get("x-csrf-token", ""), session.csrf):
        raise Refusal(403, "csrf", "the header X-CSRF-Token is missing or old: ask for the session again")
    return session


def _is_by_itself(request: Request) -> bool:
    """What a page asks again and again, and the images of what it then shows, are not somebody doing something."""
    return BY_ITSELF in request.headers or request.headers.get("sec-fetch-dest") == "image"


def _query(request: Request) -> dict[str, str]:
    pairs = request.query_params.multi_items()
    if len(dict(pairs)) != len(pairs):
        raise Refusal(422, "invalid", "a key of the query comes twice")
    return dict(pairs)


def _checked(told: Any, kind: type[T], *, strict: bool) -> T:
    try:
        return msgspec.convert(told, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Refusal(422, "invalid", str(error)) from None


async def read_json(request: Request, largest: int) -> Any:
    """The body, within its bounds; {} where there is none."""
    try:
        data = await asyncio.wait_for(_read(request, largest), BODY_PATIENCE_S)
    except asyncio.TimeoutError:
        raise Refusal(408, "too-slow", f"the body did not come within {BODY_PATIENCE_S:g} s") from None
    except ClientDisconnect:
        raise Refusal(400, "malformed", "the body was cut short") from None
    if not data:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "media-type", "a body is JSON: Content-Type: application/json")
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "malformed", "the body is not JSON") from None


async def _read(request: Request, largest: int) -> bytes:
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told[:20]) > largest:
        raise Refusal(413, "too-large", f"a body has {largest} bytes at most")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > largest:
            raise Refusal(413, "too-large", f"a body has {largest} bytes at most")
    return bytes(data)


def _response(answer: Answer) -> Response:
    if isinstance(answer, Blob):
        return Response(answer.data, headers={"content-type": answer.type, "cache-control": "no-store"})
    facts, status = (answer.facts, 202) if isinstance(answer, Accepted) else (answer, 200)
    return Response(
        msgspec.json.encode(facts), status, {"content-type": "application/json", "cache-control": "no-store"}
    )


# ------------------------------------------------ what has no session


async def _index(_request: Request) -> Response:
    if not (PAGE / "index.html").is_file():
        raise not_found("this console was installed without its page; the API is described at /api")
    return FileResponse(PAGE / "index.html")


def _described() -> Callable[[Request], Any]:
    told = msgspec.json.encode(openapi.description(CALLS))

    async def described(_request: Request) -> Response:
        return Response(told, headers={"content-type": "application/json"})

    return described


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"ok": True}, headers={"cache-control": "no-store"})


def _ready(office: Office) -> Callable[[Request], Any]:
    async def ready(_request: Request) -> Response:
        beat = await office.pools.quick.do(office.pulse.refresh)
        if not beat.answers:
            raise Refusal(503, "unavailable", beat.error, 1.0)
        return JSONResponse({"ok": True}, headers={"cache-control": "no-store"})

    return ready


# ------------------------------------------------ what goes wrong


async def _refusal(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return Response(refusal_body(error), error.status, refusal_headers(error))


async def _http(request: Request, error: Exception) -> Response:
    """What the router itself refuses."""
    assert isinstance(error, HTTPException)
    word = {404: ("not-found", "there is nothing here"), 405: ("method", "this is not done with it")}
    code, words = word.get(error.status_code, ("malformed", "not understood"))
    answer = await _refusal(request, Refusal(error.status_code, code, words))
    if error.headers and "Allow" in error.headers:
        answer.headers["allow"] = error.headers["Allow"]
    return answer


def _fault(office: Office) -> Callable[[Request, Exception], Any]:
    async def fault(request: Request, error: Exception) -> Response:
        """A fault of this software. Its words may be somebody's name: the log gets its kind and its place alone."""
        places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        office.events.emit("console.fault", fault=type(error).__name__, at=" < ".join(places[:-6:-1]))
        return await _refusal(request, Refusal(500, "fault", "a fault of this software: the log says where"))

    return fault


# ------------------------------------------------ from start to end


@contextlib.asynccontextmanager
async def _running(office: Office) -> AsyncGenerator[None, None]:
    stop = threading.Event()
    office.gallery.open()
    work: list[tuple[str, Callable[[threading.Event], None]]] = [
        ("relay", office.gallery.relay.run),
        ("pulse", office.pulse.run),
        ("hearing", office.pulse.hear),
        ("report", office.reporter.run),
    ]
    threads = [threading.Thread(target=run, args=(stop,), name=name, daemon=True) for name, run in work]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        office.gallery.relay.want(frozenset())
        for thread in threads:
            thread.join(2.0)
        office.gallery.close()
        office.exports.close()
        office.pools.close()
