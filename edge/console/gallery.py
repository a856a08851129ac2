"""All channels, who looks at them, and the images made for them. Owned by the event loop.

The relay thread hands over what came; the encode thread makes each image once for all who want it alike. Beyond that
nothing is kept: an image that nobody is waiting for is never made.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from edge import fidelity
from edge.access.curve import ClientKey
from edge.clock import MS, SECOND
from edge.console import developing
from edge.console.channel import Channel, Newest
from edge.console.developing import Asked, Image, Window
from edge.console.pacing import STEPS, Pacing
from edge.console.relay import Relay
from edge.frame import Frame, PixelFormat, Pixels, Treatment
from edge.wire import Report, Topic

Name = Literal["picture", "original", "change"]
View = Literal["picture", "original", "pair"]
STILL = 2 * SECOND  # without a picture: none a second
_NEW = 0.1  # weight of the newest interval
REMEMBERED = 64  # images; those of older frames go first


@dataclass(slots=True)
class Wants:
    """What one client wants to see."""

    view: View = "picture"
    change: bool = False
    window: Asked = "auto"
    width: int = 0
    fps: float = 0.0

    @property
    def names(self) -> tuple[Name, ...]:
        shown: tuple[Name, ...] = ("picture", "original") if self.view == "pair" else (self.view,)
        return (*shown, "change") if self.change else shown

    def as_key(self) -> tuple[object, ...]:
        return (self.names, self.window, self.width)


class Viewer:
    """A client at a channel; `woken` is set when there is something new for it."""

    def __init__(self, stream: str, pacing: Pacing) -> None:
        self.stream = stream
        self.pacing = pacing
        self.wants = Wants()
        self.woken = asyncio.Event()
        self._sent_ns: int | None = None  # the last picture
        self._every_ns = 0.0  # smoothed

    def sent(self, now: int) -> None:
        """A picture went out to it."""
        if self._sent_ns is not None:
            since = now - self._sent_ns
            self._every_ns += (since - self._every_ns) * (_NEW if self._every_ns else 1.0)
        self._sent_ns = now

    def told(self, now: int) -> dict[str, Any]:
        """From any thread."""
        sent_ns, every_ns = self._sent_ns, self._every_ns
        goes = sent_ns is not None and every_ns > 0 and now - sent_ns < STILL
        return {
            "stream": self.stream, "view": self.wants.view, "fps": round(SECOND / every_ns, 1) if goes else 0.0,
            "step": self.pacing.step, "drain_ms": round(self.pacing.drain_ns / MS, 1),
        }  # fmt: skip


@dataclass(slots=True)
class _Levels:
    """The window that follows a stream, and the frame it was last taken from."""

    window: Window | None = None
    frame: tuple[int, int] = (0, -1)


@dataclass(frozen=True, slots=True)
class Print:
    """One image of one frame, as somebody wants it."""

    stream: str
    frame: tuple[int, int]
    name: Name
    step: int
    width: int
    window: Asked


@dataclass(slots=True)
class _Room:
    channel: Channel
    levels: _Levels = field(default_factory=_Levels)
    viewers: set[Viewer] = field(default_factory=set[Viewer])
    timer: asyncio.TimerHandle | None = None


class Gallery:
    def __init__(self, pictures: str, key: ClientKey | None = None) -> None:
        self.relay = Relay(pictures, self._from_relay, key)
        self._rooms: dict[str, _Room] = {}
        self._prints: OrderedDict[Print, asyncio.Future[Image]] = OrderedDict()
        self._encode = ThreadPoolExecutor(1, "encode")
        self._loop: asyncio.AbstractEventLoop | None = None
        self.made = 0  # images

    def open(self) -> None:
        """On the event loop, before the relay runs."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        self._loop = None
        for room in self._rooms.values():
            if room.timer is not None:
                room.timer.cancel()
        self._encode.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------ who looks

    @property
    def viewers(self) -> list[Viewer]:
        return [viewer for room in self._rooms.values() for viewer in room.viewers]

    def channel(self, stream: str) -> Channel:
        return self._rooms[stream].channel

    def enter(self, viewer: Viewer) -> None:
        room = self._rooms.setdefault(viewer.stream, _Room(Channel(viewer.stream)))
        room.viewers.add(viewer)
        self._ask()

    def leave(self, viewer: Viewer) -> None:
        room = self._rooms[viewer.stream]
        room.viewers.discard(viewer)
        if not room.viewers:  # nothing is heard of it from now on, so nothing may be believed of it later
            if room.timer is not None:
                room.timer.cancel()
            del self._rooms[viewer.stream]
        self._ask()

    def _ask(self) -> None:
        """Of the daemon: the streams somebody looks at, with their originals, so that the way from one to the other is
        instant, also on a frozen picture. The change map is made here: the live thread has better to do."""
        self.relay.want(frozenset(Topic.PAIR.of(stream) for stream in self._rooms))

    # ------------------------------------------------ what comes

    def _from_relay(self, report: Report, at_ns: int) -> None:
        """On the relay thread."""
        if (loop := self._loop) is not None:
            try:
                loop.call_soon_threadsafe(self._hear, report, at_ns)
            except RuntimeError:
                return  # the loop has ended

    def _hear(self, report: Report, at_ns: int) -> None:
        room = self._rooms.get(report.stream)
        if room is None:
            return
        if room.channel.hear(report, at_ns):
            self._wake(room)
        self._set_timer(room)

    def _set_timer(self, room: _Room) -> None:
        if room.timer is not None:
            room.timer.cancel()
            room.timer = None
        due = room.channel.due_ns
        if due is not None and self._loop is not None:
            room.timer = self._loop.call_later(max(0.0, (due - time.monotonic_ns()) / 1e9), self._look, room)

    def _look(self, room: _Room) -> None:
        room.timer = None
        if room.channel.look(time.monotonic_ns()):
            self._wake(room)
        else:
            self._set_timer(room)

    def _wake(self, room: _Room) -> None:
        for viewer in room.viewers:
            viewer.woken.set()

    # ------------------------------------------------ images

    async def images(self, newest: Newest, wants: Wants, step: int) -> tuple[list[tuple[Name, Image]], Window]:
        """Those of one frame, and the window they were made with."""
        report = newest.report
        has_original = report.original is not None or report.treatment is not Treatment.ENHANCED
        # An enhanced picture without its original is shown alone: it is nobody's original.
        names: list[Name] = [name for name in wants.names if has_original or name == "picture"]
        made = [await self._print(report, name, wants, step) for name in names]
        return list(zip(names, made, strict=True)), self.window(report, wants.window)

    def _print(self, report: Report, name: Name, wants: Wants, step: int) -> asyncio.Future[Image]:
        if name == "original" and report.treatment is Treatment.ORIGINAL:
            name = "picture"  # the same pixels
        window: Asked = "full" if name == "change" else wants.window
        key = Print(report.stream, (report.session, report.seq), name, step, wants.width, window)
        found = self._prints.get(key)
        if found is None or found.cancelled():
            assert self._loop is not None
            levels = self.window(report, window)
            found = self._loop.run_in_executor(self._encode, _make, report, name, key, levels)
            self._prints[key] = found
            self.made += 1
            while len(self._prints) > REMEMBERED:
                self._prints.popitem(last=False)
        return asyncio.shield(found)  # a client that leaves does not take it from the others

    def window(self, report: Report, asked: Asked) -> Window:
        if isinstance(asked, tuple):
            return Window(*asked)
        if asked == "full" or report.bits == 8:
            return developing.full(report.bits)
        room = self._rooms.get(report.stream)
        levels = room.levels if room is not None else _Levels()
        frame = (report.session, report.seq)
        if levels.frame != frame or levels.window is None:
            before = levels.window if levels.frame[0] == report.session else None
            levels.window = developing.auto(_pixels(report, "original"), report.bits, before)
            levels.frame = frame
        return levels.window


def _pixels(report: Report, name: Name) -> Pixels:
    """The original where it is at hand; the picture otherwise."""
    assert report.pixels is not None
    original = report.pixels if report.original is None else report.original
    return original if name == "original" else report.pixels


def _make(report: Report, name: Name, key: Print, window: Window) -> Image:
    """On the encode thread."""
    step, format_, bits = STEPS[key.step], report.format, report.bits
    if name == "change":
        pixels, format_, bits = _change_map(report), PixelFormat.GREY8, 8
    else:
        pixels = _pixels(report, name)
    size = developing.size_at(step, pixels.shape[1], pixels.shape[0], key.width)
    return developing.as_jpeg(developing.develop(pixels, format_, bits, window, size), step.quality)


def _change_map(report: Report) -> Pixels:
    original = _pixels(report, "original")
    before = Frame(original, report.stream, report.seq, 0, 0, report.format, report.bits, report.modality)
    return fidelity.change_map(before, _pixels(report, "picture"))
