"""The door to uvicorn: on which address, with which certificate, and how much a connection may cost. Main thread.

On any address but this host's own the console starts only with a certificate and at least one user.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge import __version__
from edge.access.curve import refuse_open
from edge.access.exposure import check_exposure
from edge.clock import SECOND, MonotonicClock
from edge.config import Config
from edge.config import Console as Settings
from edge.console.app import build
from edge.console.office import OPEN_NOTICE, Office, open_office
from edge.errors import ConfigError
from edge.health import Events, Watchdog, notify
from edge.progress import Progress

NICE = 15  # what is looked at here is shown elsewhere first
HEAD_PATIENCE_S = 10.0  # for a whole head of a request, from its first byte or the connection on
LARGEST_HEAD = 16 << 10
MOST_CONNECTIONS = 256
MOST_OF_ONE_ADDRESS = 64
KEEP_ALIVE_S = 15
LARGEST_WORD = 4096  # in one message of a WebSocket
GRACE_S = 2
BEAT_S = 0.25
HUNG = 20 * SECOND  # an event loop that answers nobody for so long is started anew


class Guarded(H11Protocol):
    """HTTP/1.1 in which a head has to come in time, and nobody may hold all the connections."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        mine = self.client[0] if self.client else ""
        others: list[tuple[str, int] | None] = [getattr(one, "client", None) for one in self.connections]
        same = sum(1 for other in others if other and other[0] == mine)
        if len(self.connections) > MOST_CONNECTIONS or same > MOST_OF_ONE_ADDRESS:
            transport.abort()
            return
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def _watch_head(self) -> None:
        """Between two requests the keep-alive timer counts, until the first byte of the next."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_PATIENCE_S, self._too_slow)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
            self.transport.abort()


class Server(uvicorn.Server):
    """Says so when it listens, in our own words."""

    def __init__(self, config: uvicorn.Config, office: Office) -> None:
        super().__init__(config)
        self._office = office

    async def shutdown(self, sockets: Any = None) -> None:
        notify("STOPPING=1")
        await super().shutdown(sockets)

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        console, office = self._office.config.console, self._office
        scheme = "https" if self.config.is_ssl else "http"
        address = f"{scheme}://{_bracketed(console.host)}:{console.port}"
        office.events.emit(
            "console.ready", address=address, version=__version__, pid=os.getpid(), open=office.is_open,
        )  # fmt: skip
        notify("READY=1")
        if office.is_open:
            # With its line end in one piece: an event written in between would be no line of its own.
            sys.stderr.write(f"limpid: {address} is {OPEN_NOTICE[0].lower()}{OPEN_NOTICE[1:]}\n")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def run(config: Config, path: Path | None, stop: threading.Event | None = None) -> int:
    """The console process, from nothing to nothing. Raises ConfigError before anything listens."""
    _give_way()
    clock = MonotonicClock()
    events = Events(clock, process="limpid-console")
    office = open_office(config, path, clock, events)
    check_exposure(config.console, office.users.all(), first_waits=office.first.waits)
    server = Server(_settings(config.console, office), office)
    events.start()
    progress = Progress(clock)
    watchdog = Watchdog(progress, HUNG, events)
    watchdog.start()
    try:
        asyncio.run(_serve(server, stop, progress))
    except SystemExit:
        raise ConfigError(f"[console] {config.console.host}:{config.console.port} cannot be listened on") from None
    finally:
        watchdog.close()
        events.close()
    return 0


async def _serve(server: Server, stop: threading.Event | None, progress: Progress) -> None:
    """Until somebody stops it. That this loop goes round is what the watchdog sees of it."""
    task = asyncio.ensure_future(server.serve())
    while not task.done():
        progress.beat()
        if stop is not None and stop.is_set():
            server.should_exit = True
        await asyncio.wait([task], timeout=BEAT_S if stop is None else 0.05)
    await task


def _settings(console: Settings, office: Office) -> uvicorn.Config:
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        # Their words quote requests and exceptions; ours are events.
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if console.key and Path(console.key).exists():
        refuse_open(Path(console.key), "private key [console] key =")
    settings = uvicorn.Config(
        build(office), host=console.host, port=console.port, loop="asyncio", http=Guarded, ws="wsproto",
        ws_max_size=LARGEST_WORD, ws_ping_interval=20.0, ws_ping_timeout=20.0, ws_per_message_deflate=False,
        lifespan="on", log_config=None, access_log=False, proxy_headers=False, server_header=False,
        limit_concurrency=MOST_CONNECTIONS, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=LARGEST_HEAD, ssl_certfile=console.certificate or None,
        ssl_keyfile=console.key or None, backlog=128,
    )  # fmt: skip
    try:
        settings.load()
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"[console] certificate, key: {error.strerror or error}") from error
    if settings.ssl is not None:
        settings.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return settings


def _give_way() -> None:
    """Behind live: a picture on a page may wait, the one on the display may not."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, max(NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # it wakes up without pushing anybody aside
