"""Builds the live process, runs it, takes it down in reverse: one visible script.

thread     runs                       owns
main       this script                signals, build-up and take-down
live       pipeline.Live.run          source, intake, lanes, sessions, displays' sockets, recent pictures
receive-*  sources.Pumped             a source that decodes or renders; none for zeromq
survey     survey.Survey.run          region trackers, opening engines
lookout    lookout.Lookout.run        is the input like what the engine was judged on; the day's figures
report     process_report.Reporter    the process's own report
engines    steward.Steward.run        the catalogue, engines on trial, the way back
capture    capture.Shutter.run        exams, clips being recorded, putting into the outbox
hatch      hatch.Hatch.run            the darkroom, a child process that compresses and corrects what is stored
guard      access.guard.Guard.run     whom the doors open to, where keys are asked for
control    control.ControlSocket.run  the control socket; writes wishes, hands captures and exams on
health     checkup.Checkup.run        what heat allows; the sensors are read on a thread beside it, sensors
events     health.Events              the log and the event socket
watchdog   health.Watchdog            ends the process when live or an engine hangs
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq

from edge import __version__
from edge.access.guard import Guard, open_guard
from edge.backends import Backend, nvidia_nodes, open_backend, why_backend
from edge.capture import Pictures, Shutter, recorder_of
from edge.catalog import Catalog, open_catalog, shipped_folder
from edge.checkup import Checkup
from edge.clock import SECOND, Clock, MonotonicClock
from edge.config import Config, Engines, Preset, parse_section
from edge.control import ControlSocket, Desk, EventSocket
from edge.daylist import DayList
from edge.displays import Display, open_display
from edge.displays.publish import Options as PublishOptions
from edge.displays.publish import Publisher
from edge.engine_store import EngineStore, home_of, keyring_of
from edge.errors import ConfigError
from edge.exam_book import Book as ExamBook
from edge.exams import Exams
from edge.filing import Equipment, Filing, station_of
from edge.hatch import Hatch
from edge.health import Events, Tally, Vitals, Watchdog, notify, percentiles
from edge.intake import Intake
from edge.lookout import Lookout, Sight
from edge.outbox import Outbox, utc_now
from edge.pipeline import Live
from edge.places import note_system, places_of, quality_of, reports_of
from edge.process_report import Own, Reporter
from edge.profiles import Profiles
from edge.quality_book import Book
from edge.reception import Reception
from edge.region import Region
from edge.sensors import Place, open_sensors
from edge.shared import Shared
from edge.sources import Source, open_prompt
from edge.sources.zeromq import Options as ZeroMqOptions
from edge.sources.zeromq import ZeroMqSource
from edge.steps import StepQueue
from edge.steward import Steward, settle_interrupted
from edge.storeroom import Storeroom
from edge.survey import OpenKey, Survey
from edge.threads import CRASHED, allowed_priority, end_anyway_after, in_real_time, stop_on_signals, vital
from edge.turns import short_turns
from edge.wishes import Wish, Wishes

TAKE_DOWN_S = 1.5  # after this the process ends as it is: nothing it holds is worth a hung stop


@dataclass(frozen=True, slots=True)
class Captures:
    """From the capture button to the outbox."""

    outbox: Outbox
    hatch: Hatch
    shutter: Shutter
    reception: Reception


@dataclass(frozen=True, slots=True)
class Parts:
    """The live process, built and not yet running."""

    shared: Shared
    intake: Intake
    survey: Survey
    steward: Steward
    live: Live
    lookout: Lookout
    reporter: Reporter
    captures: Captures
    control: ControlSocket
    checkup: Checkup
    watchdog: Watchdog
    guard: Guard | None


def _is_news(folder: Path, engines: Engines, catalog: Catalog) -> bool:
    """Of the shipped engines some may be refused, and the ladder goes on without them. That is news for who put an
    engine there himself, and where of a family that is asked for nothing is left."""
    families = (engines.ultrasound, engines.fluoroscopy, engines.unknown)
    nothing_left = [family for family in families if family not in catalog.families]
    return folder.parent != shipped_folder() or any(folder.name.startswith(f"{family}-") for family in nothing_left)


def run_live(config: Config, stop: threading.Event, backend: Callable[[str, int], Backend] = open_backend) -> int:
    """The live process, from nothing to nothing. Gives its exit status."""
    faulthandler.enable()
    stop_on_signals(stop)
    crashed = threading.Event()
    short_turns()  # before anything is built that has threads
    _keep_memory(config.live.recent_megabytes)
    with ExitStack() as down:
        parts = build(config, down, backend)
        _quiet_collector()
        threads = [
            vital("survey", parts.survey.run, stop, crashed),
            vital("lookout", parts.lookout.run, stop, crashed),
            vital("report", parts.reporter.run, stop, crashed),
            vital("engines", parts.steward.run, stop, crashed),
            vital("hatch", parts.captures.hatch.run, stop, crashed),
            vital("capture", parts.captures.shutter.run, stop, crashed),
            vital("control", parts.control.run, stop, crashed),
            vital("health", parts.checkup.run, stop, crashed),
            vital("live", in_real_time(parts.live.run, allowed_priority()), stop, crashed),
        ]
        if parts.guard is not None:
            threads.insert(0, vital("guard", parts.guard.run, stop, crashed))
        for thread in threads:
            thread.start()
        parts.watchdog.start()
        runs = {"backend": config.engines.backend, "backend_why": _why_backend(config)}
        parts.shared.events.emit("live.ready", version=__version__, pid=os.getpid(), **runs)
        notify("READY=1")
        note_system(config, "live", "started", "live", version=__version__)
        stop.wait()
        notify("STOPPING=1")
        parts.shared.events.emit("live.stopping")
        note_system(config, "live", "stopped", "live")
        end_anyway_after(TAKE_DOWN_S, CRASHED if crashed.is_set() else 0)
        for thread in reversed(threads):
            thread.join()
    return CRASHED if crashed.is_set() else 0


def build(config: Config, down: ExitStack, backend: Callable[[str, int], Backend]) -> Parts:
    """Make everything, in the order in which it depends on each other; `down` undoes it in reverse."""
    context = zmq.Context.instance()
    clock = MonotonicClock()
    events = Events(clock, process="limpid-live")
    guard = open_guard(config, bound_addresses(config), context, events.emit)
    if guard is not None:
        down.callback(guard.close)
    event_socket = EventSocket(config.sockets.events, context, guard)
    down.callback(event_socket.close)
    down.callback(events.close)
    events.listen(event_socket.publish)
    events.start()
    live_settings = config.live
    shared = Shared(config, clock, events, Vitals(clock), Wishes(Wish(strength=live_settings.strength_percent / 100)))
    store = EngineStore(home_of(config.engines), keyring_of(config.engines), "live") if config.engines.folders else None
    if store is not None:
        settle_interrupted(store, events)
    catalog = open_catalog(config.engines.folders, config.engines.keys)
    for folder, reason in catalog.refused.items():
        if _is_news(Path(folder), config.engines, catalog):
            events.emit("engine.refused", folder=folder, reason=reason)
    source = open_front_door(config, clock, context, guard)
    down.callback(source.close)
    intake = Intake(source, clock, events, live_settings.max_streams)
    displays: list[Display] = [Publisher(PublishOptions(bind=config.sockets.pictures), context, guard)]
    displays += [open_display(kind, options) for kind, options in config.display.items()]
    for display in displays:
        down.callback(display.close)
    steward = Steward(shared, catalog, store, intake.tallies.copy, lambda: open_keys(live))
    survey = Survey(catalog, config.engines, events, backend, steward.hear)
    survey.load_backends()
    recorder = recorder_of(config.capture)
    checkup = Checkup(config, open_sensors(config.sensors, Place(clock, places_of(config).outbox)), clock, events)
    live = Live(
        shared, intake, displays, lambda look: survey.inbox.put(look.frame.stream, look), recorder.hear,
        lambda: checkup.step,
    )  # fmt: skip
    down.callback(live.close)
    lookout = build_lookout(shared, catalog, intake, live)
    events.listen(lookout.hear)
    reporter = Reporter(reports_of(config), Own("live", lambda: {"events_lost": events.lost}), clock, events)
    captures = build_captures(shared, catalog, Pictures(live.recent.snapshot, live.newest, recorder))
    down.callback(captures.outbox.close)
    desk = Desk(
        shared.wishes, catalog,
        lambda: {
            **status(shared, intake, live, lookout), "recording": recorder.streams(), **steward.facts(),
            "health": checkup.as_dict(),
            "access": guard.facts() if guard is not None else {},
        },
        captures.shutter.ask, captures.reception.ask, steward.ask,
    )  # fmt: skip
    control = ControlSocket(config.sockets.control, desk, context, guard)
    watchdog = Watchdog(shared.vitals, int(live_settings.watchdog_s * SECOND), events)
    down.callback(watchdog.close)
    return Parts(shared, intake, survey, steward, live, lookout, reporter, captures, control, checkup, watchdog, guard)


def build_lookout(shared: Shared, catalog: Catalog, intake: Intake, live: Live) -> Lookout:
    def region_of(stream: str) -> Region | None:
        lane = live.lanes.get(stream)
        return lane.region if lane is not None else None

    def tell(streams: frozenset[str]) -> None:
        live.outside = streams

    sight = Sight(live.newest, region_of, intake.tallies.copy, tell)
    book = Book(quality_of(shared.config))
    return Lookout(sight, Profiles(catalog), book, shared.clock, shared.events, local_now)


def bound_addresses(config: Config) -> dict[str, str]:
    """What the live process binds, by the key of the configuration that says so."""
    sockets = {f"[sockets] {name}": getattr(config.sockets, name) for name in ("pictures", "control", "events")}
    if "zeromq" in config.source:
        options = parse_section(config.source["zeromq"], ZeroMqOptions, "source.zeromq")
        sockets["[source.zeromq] bind"] = options.bind
    for where, address in sockets.items():
        if same := [other for other, its in sockets.items() if other != where and its == address]:
            raise ConfigError(f'{where} and {same[0]} share one address, "{address}"')
    return sockets


def open_front_door(
    config: Config, clock: Clock, context: zmq.Context[zmq.Socket[bytes]], guard: Guard | None
) -> Source:
    ((kind, options),) = config.source.items()
    if kind == "zeromq":
        return ZeroMqSource(parse_section(options, ZeroMqOptions, "source.zeromq"), clock, context, guard)
    return open_prompt(kind, options, clock)


def build_captures(shared: Shared, catalog: Catalog, pictures: Pictures) -> Captures:
    """From the button to the outbox. Nothing here touches the disk before there is something to store."""
    config, events, places = shared.config, shared.events, places_of(shared.config)
    outbox = Outbox(places.outbox, places.settings, utc_now, shared.clock, who="live")
    hatch = Hatch(config, events, outbox.release, way=shared.way)
    storeroom = Storeroom(config, outbox, hatch, events)
    notices = StepQueue(places.steps) if config.mpps.host else None
    exams = Exams(
        ExamBook(places.exams), config, local_now, events, lambda rule: apply_preset(shared, catalog, rule), notices
    )
    station = station_of(config.station, tells_steps=bool(config.mpps.host))
    equipment = Equipment(station, runtime_name(config.engines.backend), catalog.versions)
    shutter = Shutter(shared, pictures, exams, Filing(shared, exams, storeroom, equipment, local_now))
    day_list = DayList(places.exams, config.worklist.keep_hours)
    reception = Reception(shared, exams, shutter, storeroom, day_list)
    reception.take_up()
    return Captures(outbox, hatch, shutter, reception)


def apply_preset(shared: Shared, catalog: Catalog, rule: Preset | None) -> None:
    """The exam's engine and strength, for all streams; without a rule, or after the exam, the configuration's own."""
    if not shared.config.preset:
        return
    family, percent = "", shared.config.live.strength_percent
    if rule is not None:
        family, percent = rule.engine, percent if rule.strength_percent is None else rule.strength_percent
    if family and family not in catalog.families:
        shared.events.emit("preset.no-engine", preset=rule.name if rule is not None else "", engine=family)
        family = ""
    shared.wishes.change(None, family=family, strength=percent / 100)


def runtime_name(backend: str) -> str:
    """What computes the engines, by name and version, as objects say it."""
    packages = {
        "openvino_cpu": ("openvino",),
        "classical": ("opencv-python-headless",),
        "tensorrt_int8": ("tensorrt", "tensorrt-rtx-cu13"),
    }
    for package in packages.get(backend, ()):
        with contextlib.suppress(PackageNotFoundError):
            return f"{package} {version(package)}"
    return backend


def local_now() -> datetime:
    return datetime.now().astimezone()


def status(shared: Shared, intake: Intake, live: Live, lookout: Lookout) -> dict[str, Any]:
    """What the control socket answers to "status". Runs on the control thread: reads, never writes."""
    streams = {
        name: {**_stream_status(shared, live, name, tally), "drift": lookout.facts(name)}
        for name, tally in intake.tallies.copy().items()  # the live thread gives a stream's place away when it likes
    }
    memory = psutil.Process().memory_info().rss
    return {
        "version": __version__,
        "pid": os.getpid(),
        "backend": shared.config.engines.backend,
        "backend_why": _why_backend(shared.config),
        "rss_mb": round(memory / 1e6, 1),
        "refused": dict(intake.refused),
        "past_streams": intake.past.as_dict(),
        "events_lost": shared.events.lost,
        "recent": {"pictures": len(live.recent), "megabytes": round(live.recent.bytes / 1e6, 1)},
        "streams": streams,
    }


def _why_backend(config: Config) -> str:
    return why_backend(config.engines.backend, nvidia_nodes())


def open_keys(live: Live) -> dict[str, OpenKey]:
    """What is open for each stream that frames come from. Read by the engines thread."""
    lanes = {name: lane for name, lane in live.lanes.copy().items() if not lane.told_not_live}
    return {name: lane.open_key for name, lane in lanes.items() if lane.open_key is not None}


def _stream_status(shared: Shared, live: Live, name: str, tally: Tally) -> dict[str, Any]:
    wish, lane = shared.wishes.of(name), live.lanes.get(name)
    facts: dict[str, Any] = {
        "frames": tally.as_dict(),
        "latency_ms": percentiles(list(tally.latencies_ns)),
        "strength_percent": round(wish.strength * 100, 1),
        "view": "original" if wish.original_view else "enhanced",
        "frozen": wish.frozen,
    }
    if lane is not None:
        facts["rung"] = lane.governor.settled or "original"
        facts["why"] = "" if lane.governor.settled else lane.governor.why_original.words
        facts["period_ms"] = round(lane.rhythm.period_ns / 1e6, 2)
        facts["live"] = not lane.told_not_live
        last = lane.last
        if last is not None and last.engine.name:
            facts["engine"] = {
                "name": last.engine.name,
                "sha256": last.engine.sha256,
                "backend": last.engine.backend,
                "precision": last.engine.precision,
            }
    return facts


def _quiet_collector() -> None:
    """What was built stays: the garbage collector need not look at it again while frames pass."""
    gc.collect()
    gc.freeze()
    gc.disable()  # the live thread collects between two pictures instead (pipeline)
    sys.setswitchinterval(0.0005)  # a Python thread may not keep the live thread waiting for 5 ms


def _keep_memory(megabytes: int) -> None:
    """Take the memory of the last seconds now, touch it, and keep whatever is freed from then on.

    A page that was never touched costs the frame that touches it first; with a fresh picture or two a frame that is a
    millisecond. glibc only; elsewhere the allocator keeps its own counsel.
    """
    arena_max, mmap_threshold, trim_threshold = -8, -3, -1  # M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(arena_max, 1)
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, (megabytes + 1024) << 20)
    except (OSError, AttributeError):
        return
    touched = [np.ones(1 << 20, np.uint8) for _ in range(megabytes + megabytes // 4)]
    del touched
