"""The live picture's WebSocket: one client's conversation. Runs on the event loop; docs/console-api.md has the layout.

The newest frame goes out whenever the client has room for it; there is no queue to fall behind in.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections import deque
from typing import Annotated, Any, Literal

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge.clock import MS, SECOND
from edge.console.channel import Channel, Newest
from edge.console.developing import Image, Window
from edge.console.gallery import Gallery, Name, Viewer
from edge.console.pacing import STEPS, Pacing
from edge.frame import Treatment
from edge.wire import Flag, Report

TELL_AGAIN_S = 0.25  # at least so often, picture or not
SEND_PATIENCE_S = 20.0
NEARLY = 0.9  # of the time between two pictures: a frame that is a little early is taken
LARGEST_WORD = 1024  # of what a client says
MOST_WORDS_PER_S = 400
_LENGTH = struct.Struct("<I")
Level = Annotated[float, msgspec.Meta(ge=0, le=65535)]


class Levels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    low: Level
    high: Level


class Word(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may say."""

    view: Literal["picture", "original", "pair"] | None = None
    change: bool | None = None
    window: Literal["auto", "full"] | Levels | None = None
    width: Annotated[int, msgspec.Meta(ge=0, le=8192)] | None = None
    fps: Annotated[float, msgspec.Meta(ge=0, le=240)] | None = None
    got: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Conversation:
    def __init__(self, socket: WebSocket, gallery: Gallery, stream: str, most_fps: float, recording: Any) -> None:
        self._socket = socket
        self._gallery = gallery
        self._most_fps = most_fps
        self._is_recording = recording  # stream -> bool
        self._words: deque[float] = deque(maxlen=MOST_WORDS_PER_S)
        self.pacing = Pacing(time.monotonic_ns())
        self.viewer = Viewer(stream, self.pacing)
        self._last: Newest | None = None  # the last picture that went out: it stands there until the next
        self._last_as: tuple[object, ...] = ()  # and how it was wanted
        self._last_ns = 0  # and when
        self._told: tuple[bool, bool] | None = None  # live, frozen, as the client knows it
        self._told_ns = 0

    async def run(self, wants: str = "") -> None:
        """Until the client goes. `wants` is what it said with the address: the first picture is as it is wanted."""
        if wants and not await self._understand(wants):
            return
        self._gallery.enter(self.viewer)
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._tell())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(WebSocketDisconnect, asyncio.TimeoutError, RuntimeError, OSError):
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._gallery.leave(self.viewer)

    # ------------------------------------------------ what the client says

    async def _listen(self) -> None:
        while True:
            text = await self._socket.receive_text()
            now = time.monotonic()
            if len(self._words) == MOST_WORDS_PER_S and now - self._words[0] < 1.0:
                await self._socket.close(1008, "too much at once")
                return
            self._words.append(now)
            if not await self._understand(text):
                return

    async def _understand(self, text: str) -> bool:
        try:
            word = msgspec.json.decode(text, type=Word)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            await self._socket.close(1008, "not understood")
            return False
        self._hear(word)
        return True

    def _hear(self, word: Word) -> None:
        if word.got is not None:
            self.pacing.got(word.got, time.monotonic_ns())
        wants = self.viewer.wants
        wants.view = wants.view if word.view is None else word.view
        wants.change = wants.change if word.change is None else word.change
        wants.width = wants.width if word.width is None else word.width
        wants.fps = wants.fps if word.fps is None else word.fps
        if word.window is not None:
            wants.window = (word.window.low, word.window.high) if isinstance(word.window, Levels) else word.window
        self.viewer.woken.set()

    # ------------------------------------------------ what it is told

    async def _tell(self) -> None:
        while True:
            wait_s = await self._say()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.viewer.woken.wait(), wait_s)
            self.viewer.woken.clear()

    async def _say(self) -> float:
        """Whatever is to be said now. Gives how long nothing more will be, unless something happens."""
        channel, now = self._gallery.channel(self.viewer.stream), time.monotonic_ns()
        newest, early_s = channel.newest, TELL_AGAIN_S
        if newest is not None and self._is_news(newest) and self.pacing.may_send:
            early_s = self._early_s(now)
            if early_s <= 0:
                await self._show(channel, newest)
                return TELL_AGAIN_S
        since_s = (now - self._told_ns) / SECOND
        if (channel.live, channel.frozen) != self._told or since_s >= TELL_AGAIN_S:
            await self._send(self._header(channel, 0, [], None, self.pacing.step), [])
            since_s = 0.0
        return max(0.001, min(early_s, TELL_AGAIN_S - since_s))

    def _is_news(self, newest: Newest) -> bool:
        return newest is not self._last or self.viewer.wants.as_key() != self._last_as

    def _early_s(self, now: int) -> float:
        """How long before the next picture is due at the rate that was asked for."""
        fps = min(self.viewer.wants.fps or self._most_fps, self._most_fps)
        return (self._last_ns + int(NEARLY * SECOND / fps) - now) / SECOND

    async def _show(self, channel: Channel, newest: Newest) -> None:
        step, key = self.pacing.step, self.viewer.wants.as_key()
        self._last_ns = time.monotonic_ns()
        images, window = await self._gallery.images(newest, self.viewer.wants, step)
        self._last, self._last_as = newest, key
        number = self.pacing.send(time.monotonic_ns())
        self.viewer.sent(time.monotonic_ns())
        await self._send(self._header(channel, number, images, window, step), [image.data for _, image in images])

    async def _send(self, header: dict[str, Any], parts: list[bytes]) -> None:
        text = json.dumps(header).encode()
        self._told, self._told_ns = (header["live"], header["frozen"]), time.monotonic_ns()
        message = b"".join([_LENGTH.pack(len(text)), text, *parts])
        await asyncio.wait_for(self._socket.send_bytes(message), SEND_PATIENCE_S)

    def _header(
        self, channel: Channel, number: int, images: list[tuple[Name, Image]], window: Window | None, step: int
    ) -> dict[str, Any]:
        now, newest = time.monotonic_ns(), self._last
        header: dict[str, Any] = {
            "n": number, "stream": channel.stream, "live": channel.live, "frozen": channel.frozen,
            "recording": self._is_recording(channel.stream), "seq": 0, "treatment": "none", "why": "", "age_ms": 0.0,
            "sent_ns": now, "period_ms": _ms(channel.period_ns), "drain_ms": _ms(self.pacing.drain_ns),
            "not_live_for_ms": _ms(channel.stood_ns(now)), "step": step, "steps": len(STEPS),
            "images": [
                {"name": name, "type": "image/jpeg", "bytes": len(image.data), "width": image.width,
                 "height": image.height}
                for name, image in images
            ],
        }  # fmt: skip
        if newest is not None:
            header |= _about(newest.report) | {"age_ms": _ms(newest.age_ns(now))}
        if window is not None:
            auto = self.viewer.wants.window == "auto" and newest is not None and newest.report.bits > 8
            header["window"] = {"low": round(window.low, 1), "high": round(window.high, 1), "auto": auto}
        return header


def _about(report: Report) -> dict[str, Any]:
    engine, region = report.engine, report.region
    assert report.pixels is not None
    return {
        "seq": report.seq, "session": str(report.session),
        "treatment": report.treatment.name.lower(),
        "why": report.why.words if report.treatment is Treatment.ORIGINAL else "",
        "stand_in": bool(report.flags & Flag.STAND_IN), "original_view": bool(report.flags & Flag.ORIGINAL_VIEW),
        "warm": bool(report.flags & Flag.WARM),
        "outside": bool(report.flags & Flag.OUTSIDE),
        "strength_percent": round(report.strength * 100),
        "engine": {
            "name": engine.name, "sha256": engine.sha256, "backend": engine.backend, "precision": engine.precision,
        },
        "source": {
            "width": report.pixels.shape[1], "height": report.pixels.shape[0], "bits": report.bits,
            "modality": report.modality.name.lower(), "spacing_mm": report.spacing_mm,
        },
        "region": [region.x, region.y, region.width, region.height] if region is not None else None,
        "mean_change": round(report.mean_change, 6), "missing_before": report.missing_before,
    }  # fmt: skip


def _ms(ns: int) -> float:
    return round(ns / MS, 1)
