"""`limpid display`: the panel's loop, and its build-up and take-down in one visible script."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import psutil

from edge.access.curve import ClientKey
from edge.access.homes import own_key
from edge.client import reachable
from edge.clock import SECOND, Clock, MonotonicClock
from edge.config import Config
from edge.errors import ConfigError, LimpidError
from edge.health import Events, Vitals, Watchdog, notify, percentiles
from edge.panel import gsdf
from edge.panel.cine import Cine
from edge.panel.face import Painter
from edge.panel.keys import Do, Ground, Intent, Key, Touch, of_key
from edge.panel.layout import SMALLEST_SCREEN, Layout
from edge.panel.link import CAPTURE_PATIENCE_S, WISH_PATIENCE_S, Errands, Inbox, Pictures, Status
from edge.panel.picture import Composer
from edge.panel.screen import Screen
from edge.panel.state import State
from edge.panel.tray import Tray
from edge.panel.watch import Liveness, Seen
from edge.places import reports_of
from edge.process_report import Own, Reporter
from edge.threads import CRASHED, stop_on_signals, vital

if TYPE_CHECKING:
    from edge.panel.glass import Glass

PUMP_S = 0.008  # keys and fingers are looked for at least so often
REMEMBERED = 20_000
STAGES = ("waited", "composed", "drawn", "flipped")


@dataclass(frozen=True, slots=True)
class Limits:
    """When to end without being told, and what to leave behind: for tests and for support."""

    frames: int = 0
    seconds: float = 0.0
    screenshot: Path | None = None


@dataclass(slots=True)
class Figures:
    """Where the time went, received -> flip returned. Written by main."""

    drawn: int = 0
    present_ns: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    stages_ns: dict[str, deque[int]] = field(
        default_factory=lambda: {stage: deque(maxlen=REMEMBERED) for stage in STAGES}
    )
    not_live: int = 0  # how often NOT LIVE came up
    started_ms: float = 0.0  # from the start of the process to the first flip

    def drew(self, seen: Seen, marks: tuple[int, int, int, int]) -> None:
        self.drawn += 1
        self.present_ns.append(marks[-1] - seen.arrived_ns)
        for stage, start, end in zip(STAGES, (seen.arrived_ns, *marks), marks, strict=False):
            self.stages_ns[stage].append(end - start)

    def as_report(self, inbox: Inbox) -> dict[str, Any]:
        """On the report thread, while main goes on: copies first."""
        tally = inbox.tally
        return {
            "pictures": {"received": tally.pictures, "drawn": self.drawn, "superseded": tally.superseded},
            "not_live": self.not_live,
            "present_ms": percentiles(list(self.present_ns)[-600:]),
        }

    def as_dict(self, inbox: Inbox, state: State, glass: Glass) -> dict[str, Any]:
        tally = inbox.tally
        return {
            "screen": f"{glass.size[0]}x{glass.size[1]}", "driver": glass.driver, "stream": state.stream,
            "started_ms": self.started_ms,
            "pictures": {
                "received": tally.pictures, "drawn": self.drawn, "superseded": tally.superseded,
                "unreadable": tally.unreadable, "missing_before": tally.missing,
            },
            "notices": tally.notices, "not_live": self.not_live, "cine_mb": round(state.cine_bytes / 1e6, 1),
            "present_ms": percentiles(self.present_ns),
            "stages_ms": {stage: percentiles(values) for stage, values in self.stages_ns.items()},
            "rss_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
        }  # fmt: skip


class Loop:
    """Main's: news and fingers in, the screen out."""

    def __init__(
        self, glass: Glass, state: State, inbox: Inbox, composer: Composer, layout: Layout, clock: Clock
    ) -> None:
        self._glass = glass
        self._state = state
        self._inbox = inbox
        self._composer = composer
        self._layout = layout
        self._painter = Painter(layout, glass.measure)
        self._clock = clock
        self._touch = Touch()
        self._was = Liveness.WAITING
        self.figures = Figures()
        self.quits = False
        self.follow: Callable[[str], None] = lambda _stream: None

    def draw_first(self) -> None:
        """Before anything has come: WAITING is soon on the screen."""
        self._draw(None, self._clock.now())

    def step(self) -> None:
        """Wait for something, take it in, draw."""
        due_ns = self._state.due_ns()
        until = self._clock.now() + int(PUMP_S * SECOND)
        self._inbox.wait(max(min(due_ns, until) - self._clock.now(), 0) / SECOND)
        news = self._inbox.take()
        took_ns = self._clock.now()
        touched = self._take_fingers()
        due = took_ns >= due_ns
        if news.anything or touched or due:
            self._state.hear(news)
            self._draw(news.picture, took_ns)

    def _take_fingers(self) -> bool:
        touched = False
        for event in self._glass.events():
            intents = [of_key(event)] if isinstance(event, Key) else self._touch.intents(event, self._ground())
            for intent in intents:
                touched = True
                if intent is not None:
                    self._do(intent)
        return touched

    def _ground(self) -> Ground:
        return self._painter.ground(self._state)

    def _do(self, intent: Intent) -> None:
        if intent.do is Do.QUIT:
            self.quits = True
        elif intent.do is Do.STREAM:
            if stream := self._state.other_stream():
                self.follow(stream)
                self._inbox.take()
                self._state.follow(stream)
        else:
            self._state.do(intent)

    def _draw(self, fresh: Seen | None, took_ns: int) -> None:
        state, glass = self._state, self._glass
        face = self._painter.face(state, self._clock.now())
        shown = state.shown
        glass.clear(self._layout.area, face.picture)
        if shown is not None and face.picture is not None:
            place, look = face.picture, state.view.look
            glass.paint(lambda canvas: self._composer.compose(canvas, place, shown.report, look))
        composed_ns = self._clock.now()
        glass.draw(face, self._layout.area)
        drawn_ns = self._clock.now()
        glass.flip()
        flipped_ns = self._clock.now()
        if fresh is not None:
            self.figures.drew(fresh, (took_ns, composed_ns, drawn_ns, flipped_ns))
        self._count_not_live(took_ns)

    def _count_not_live(self, now_ns: int) -> None:
        liveness = self._state.watch.liveness(now_ns)
        self.figures.not_live += liveness is Liveness.NOT_LIVE and self._was is Liveness.LIVE
        self._was = liveness


def open_glass(screen: Screen) -> Glass:
    """pygame is loaded here, and only where there is a panel."""
    try:
        from edge.panel.glass import Glass
    except ModuleNotFoundError as error:
        raise ConfigError(f"the panel needs {error.name}: pip install 'limpid-edge[panel]'") from error

    glass = Glass(screen)
    if glass.size[0] < SMALLEST_SCREEN[0] or glass.size[1] < SMALLEST_SCREEN[1]:
        size = f"{glass.size[0]}x{glass.size[1]}"
        glass.close()
        raise ConfigError(
            f"[panel] a screen of {size} is too small: {SMALLEST_SCREEN[0]}x{SMALLEST_SCREEN[1]} at least"
        )
    return glass


def run_panel(
    config: Config, screen: Screen, limits: Limits, stop: threading.Event, given: ClientKey | None = None
) -> tuple[int, dict[str, Any]]:
    """The display process, from nothing to nothing. Gives its exit status and its figures."""
    stop_on_signals(stop)
    crashed = threading.Event()
    clock = MonotonicClock()
    settings = config.panel
    composer = Composer(gsdf.curve(settings.gsdf_luminance) if settings.gsdf_luminance else None)
    sys.setswitchinterval(0.0005)  # what else runs may not keep a picture waiting for 5 ms
    with ExitStack() as down:
        events = Events(clock, process="limpid-display")
        down.callback(events.close)
        events.start()
        glass = open_glass(screen)
        down.callback(glass.close)
        inbox, cine = Inbox(), Cine(settings.cine_seconds, settings.cine_megabytes)
        watched, control = config.sockets.pictures, reachable(config.sockets.control)
        pictures = Pictures(reachable(watched), settings.stream, inbox, cine, clock, given or own_key(config, watched))
        key = given or own_key(config, config.sockets.control)
        wishes = Errands(control, WISH_PATIENCE_S, inbox, key)
        captures = Errands(control, CAPTURE_PATIENCE_S, inbox, key)

        def ask(do: str, more: dict[str, Any]) -> None:
            (captures if do.startswith("capture-") else wishes).ask(do, more)

        state = State(settings, clock, ask, cine)
        loop = Loop(glass, state, inbox, composer, Layout(*glass.size, settings.buttons), clock)
        loop.follow = pictures.follow
        runs = {
            "pictures": pictures.run, "status": Status(control, inbox, key).run, "wishes": wishes.run,
            "captures": captures.run, "tray": Tray(config, inbox.put_tray).run,
        }  # fmt: skip
        threads = [vital(name, run, stop, crashed) for name, run in runs.items()]
        for thread in threads:
            thread.start()
        own = Own("display", lambda: loop.figures.as_report(inbox))
        reporter = vital("report", Reporter(reports_of(config), own, clock, events).run, stop, crashed)
        reporter.start()
        down.callback(reporter.join, 1.0)
        vitals = Vitals(clock)
        watchdog = Watchdog(vitals, int(settings.watchdog_s * SECOND), events)
        watchdog.start()
        down.callback(watchdog.close)
        events.emit("panel.ready", pid=os.getpid(), screen=f"{glass.size[0]}x{glass.size[1]}", driver=glass.driver)
        notify("READY=1")
        _loop(loop, limits, stop, vitals, clock)
        notify("STOPPING=1")
        figures = loop.figures.as_dict(inbox, state, glass)
        if limits.screenshot is not None:
            _save(glass, limits.screenshot)
    return CRASHED if crashed.is_set() else 0, figures


def _loop(loop: Loop, limits: Limits, stop: threading.Event, vitals: Vitals, clock: Clock) -> None:
    until = clock.now() + int(limits.seconds * SECOND) if limits.seconds else None
    loop.draw_first()
    loop.figures.started_ms = _since_start_ms()
    while not stop.is_set() and not loop.quits:
        vitals.beat()
        loop.step()
        enough = limits.frames and loop.figures.drawn >= limits.frames
        if enough or (until is not None and clock.now() >= until):
            break
    stop.set()


def _since_start_ms() -> float:
    """Of this process, by the kernel's own account, which ticks a hundred times a second."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        started_s = ticks / os.sysconf("SC_CLK_TCK")
        return round((time.clock_gettime(time.CLOCK_BOOTTIME) - started_s) * 1000, 1)
    return 0.0


def _save(glass: Glass, path: Path) -> None:
    if not cv2.imwrite(str(path), glass.grab()):
        raise LimpidError(f"{path} could not be written")
