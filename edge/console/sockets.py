"""The WebSockets: who may open one, how many, and when one is closed. On the event loop.

A refusal that a page must be able to tell is a close code after the handshake: a browser shows it no status.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from edge.console.access.sessions import COOKIE
from edge.console.live import SEND_PATIENCE_S, Conversation
from edge.console.office import Office
from edge.console.status_calls import status_of
from edge.wire import STREAM_NAME

NOT_LOGGED_IN, NO_SUCH, TOO_MANY = 4401, 4404, 1013
MOST_LISTENING = 64
LOOK_AGAIN_S = 2.0
STATUS_EVERY_S = 1.0
WAITING_EVENTS = 100


class Sockets:
    def __init__(self, office: Office) -> None:
        self._office = office
        self._listening = 0

    async def live(self, socket: WebSocket) -> None:
        await socket.accept()
        office, stream = self._office, str(socket.path_params["stream"])
        if not self._may(socket):
            await socket.close(NOT_LOGGED_IN, "log in first")
        elif not STREAM_NAME.match(stream):
            await socket.close(NO_SUCH, "not a name of a stream")
        elif len(office.gallery.viewers) >= office.config.console.most_watching:
            await socket.close(TOO_MANY, "too many are watching")
        else:
            talk = Conversation(
                socket, office.gallery, stream, office.config.console.live_fps, office.pulse.is_recording
            )
            await self._until_over(socket, talk.run(socket.query_params.get("wants", "")))

    async def events(self, socket: WebSocket) -> None:
        await socket.accept()
        if not self._may(socket):
            await socket.close(NOT_LOGGED_IN, "log in first")
            return
        if self._listening >= MOST_LISTENING:
            await socket.close(TOO_MANY, "too many are listening")
            return
        self._listening += 1
        try:
            await self._until_over(socket, self._tell(socket))
        finally:
            self._listening -= 1

    def _may(self, socket: WebSocket) -> bool:
        """To look at a picture is not to do something: it does not keep a session alive."""
        return self._office.session_of(socket.cookies.get(COOKIE, ""), counts=False) is not None

    async def _until_over(self, socket: WebSocket, work: Any) -> None:
        """The conversation, until it ends by itself or the session does."""
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=LOOK_AGAIN_S)
                if not task.done() and not self._may(socket):
                    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                        await socket.close(NOT_LOGGED_IN, "the session is over")
                    return
            with contextlib.suppress(RuntimeError, WebSocketDisconnect, asyncio.TimeoutError, OSError):
                task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    # ------------------------------------------------ events

    async def _tell(self, socket: WebSocket) -> None:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING_EVENTS)

        def put(event: dict[str, Any]) -> None:
            with contextlib.suppress(asyncio.QueueFull):  # whoever does not read loses events
                waiting.put_nowait(event)

        def heard(event: dict[str, Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(put, event)

        end = self._office.pulse.listen(heard)
        tasks = [asyncio.create_task(self._drain(socket)), asyncio.create_task(self._send_all(socket, waiting))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            end()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, socket: WebSocket) -> None:
        """Nothing is to be said here: who says something is closed upon, who goes is let go."""
        await socket.receive_text()
        await socket.close(1008, "nothing is to be said here")

    async def _send_all(self, socket: WebSocket, waiting: asyncio.Queue[dict[str, Any]]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if loop.time() >= due:
                due = loop.time() + STATUS_EVERY_S
                await self._send(socket, {"type": "status", **status_of(self._office)})
            with contextlib.suppress(asyncio.TimeoutError):
                event = await asyncio.wait_for(waiting.get(), max(0.001, due - loop.time()))
                await self._send(socket, {**event, "type": "event"})

    async def _send(self, socket: WebSocket, message: dict[str, Any]) -> None:
        await asyncio.wait_for(socket.send_text(json.dumps(message)), SEND_PATIENCE_S)
