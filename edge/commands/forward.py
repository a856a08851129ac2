"""`limpid forward`: the process that takes the outbox to the archives; `--check` asks each of them whether it is there.

thread            runs                    owns
main              run_forward             signals, build-up and take-down, removal of what is safe, the alarm
send-NAME-N       forwarder.Courier.run   one transfer at a time
settle-NAME       settling.Settling.run   questions and answers on what was sent
audit             reporter.run            telling the audit repository, sealing the audit logs
watchdog          health.Watchdog         ends the process when one of the others hangs
mpps              mpps.StepSender.step    notices that an exam began or ended
events            health.Events           the log
report            process_report.Reporter how the process is
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from edge import __version__, auditing, mpps
from edge import config as configs
from edge.alarm import Alarm
from edge.clock import SECOND, Clock, MonotonicClock
from edge.config import Config, parse_section
from edge.dispatches import Dispatches
from edge.errors import LimpidError
from edge.forwarder import Courier, Destination, Surroundings
from edge.health import Events, Watchdog, notify
from edge.outbox import Capture, Outbox, Settings, Stored
from edge.places import note_system, places_of, reports_of
from edge.process_report import Own, Reporter
from edge.progress import Progress
from edge.routing import Route, Rules, parse_route, wants
from edge.settling import Settling
from edge.sinks import Sink, open_sink
from edge.steps import StepQueue
from edge.threads import CRASHED, end_anyway_after, stop_on_signals, vital

METERED = Path("/run/limpid/metered")
HOUSE_EVERY_S = 30.0
WAITS_AT_ONCE = 4  # between two signs of life a thread may wait so often as long as an archive may take to answer
USUAL_ANSWER_S = 120.0
TAKE_DOWN_S = 5.0  # after this the process ends as it is: what was on its way is sent again


def run(path: Path | None, *, check: bool = False, as_json: bool = False) -> int:
    config = configs.load(path)
    if check:
        return check_destinations(config, as_json=as_json)
    stop = threading.Event()
    return run_forward(config, stop)


def local_now() -> datetime:
    return datetime.now().astimezone()


def run_forward(config: Config, stop: threading.Event, wall: Callable[[], datetime] = local_now) -> int:
    """The forward process, from nothing to nothing. Gives its exit status."""
    stop_on_signals(stop)
    crashed = threading.Event()
    clock = MonotonicClock()
    with ExitStack() as down:
        events = Events(clock, process="limpid-forward")
        down.callback(events.close)
        events.start()
        dispatches = Dispatches(clock)
        events.listen(dispatches.hear)
        outbox = _open_outbox(config, clock, down)
        progress = Progress(clock)
        around = Surroundings(
            outbox, events, clock, wall, is_metered, stop, unannounced=_unannounced(config), beat=progress.beat
        )
        note_system(config, "forward", "started", "forward", version=__version__)
        couriers, threads = _build(config, around, down, crashed)
        own = Own("forward", lambda: figures_of([courier.name for courier in couriers], around, dispatches))
        threads.append(vital("report", Reporter(reports_of(config), own, clock, events).run, stop, crashed))
        watchdog = Watchdog(progress, longest_silence_ns(config), events)
        watchdog.start()
        down.callback(watchdog.close)
        for thread in threads:
            thread.start()
        events.emit("forward.ready", pid=os.getpid(), destinations=[courier.name for courier in couriers])
        notify("READY=1")
        _keep_house(couriers, around)
        note_system(config, "forward", "stopped", "forward")
        notify("STOPPING=1")
        events.emit("forward.stopping")
        end_anyway_after(TAKE_DOWN_S, CRASHED if crashed.is_set() else 0)
        for thread in threads:
            thread.join()
    return CRASHED if crashed.is_set() else 0


def longest_silence_ns(config: Config) -> int:
    """How long a thread may be at one archive without a word. Each of its waits ends; only a bug takes longer."""
    answers = [float(route.options.get("answer_s", USUAL_ANSWER_S)) for route in routes_of(config)]
    return int(WAITS_AT_ONCE * max([USUAL_ANSWER_S, config.mpps.timeout_s, *answers]) * SECOND)


def routes_of(config: Config) -> list[Route]:
    """Every destination of the configuration, its rules read."""
    return [parse_route(name, table) for name, table in config.destination.items()]


def open_destination(route: Route, config: Config) -> Destination:
    options = dict(route.options)
    if route.kind == "dimse":
        options.setdefault("calling", config.station.ae_title)
    return Destination(route.name, open_sink(route.name, route.kind, options), route.rules)


def check_destinations(config: Config, *, as_json: bool) -> int:
    """Does each answer, and does it know us? Sends no object."""
    findings = [_check(route, config) for route in routes_of(config)]
    good = all(finding["ok"] for finding in findings)
    if as_json:
        print(json.dumps({"ok": good, "destinations": findings}))
        return 0 if good else 1
    console = Console(highlight=False)
    for finding in findings:
        verdict = "[green]ok[/]     " if finding["ok"] else "[red]failure[/]"
        console.print(f"{verdict} {finding['destination']:12} ", escape(finding["what"]), sep="", soft_wrap=True)
    if not findings:
        console.print("no destinations: see [destination.NAME] in the configuration", markup=False)
    return 0 if good else 1


def _check(route: Route, config: Config) -> dict[str, Any]:
    about = {"destination": route.name, "kind": route.kind}
    sink: Sink | None = None
    try:
        # Reports are for the running process: a check must not take its port.
        options = {key: value for key, value in route.options.items() if key != "listen"}
        sink = open_destination(replace(route, options=options), config).sink
        return {**about, "ok": True, "what": sink.check()}
    except LimpidError as error:
        return {**about, "ok": False, "what": str(error)}
    finally:
        if sink is not None:
            sink.close()


def _open_outbox(config: Config, clock: Clock, down: ExitStack) -> Outbox:
    settings = parse_section(config.outbox, Settings, "outbox")
    outbox = Outbox(settings.place, settings, clock=clock, who="forward")
    down.callback(outbox.close)
    outbox.own_sending()
    return outbox


def _build(
    config: Config, around: Surroundings, down: ExitStack, crashed: threading.Event
) -> tuple[list[Courier], list[threading.Thread]]:
    couriers: list[Courier] = []
    threads: list[threading.Thread] = []
    start = functools.partial(vital, stop=around.stop, crashed=crashed)
    for route in routes_of(config):
        around.outbox.serve(route.name, functools.partial(_is_meant, route.rules))
        destination = open_destination(route, config)
        down.callback(destination.sink.close)
        courier = Courier(destination, around)
        couriers.append(courier)
        threads += [start(f"send-{route.name}-{lane}", courier.run) for lane in range(destination.sink.lanes)]
        threads.append(start(f"settle-{route.name}", Settling(courier, around).run))
    sender = mpps.open_sender(config, around.events.emit)
    if sender is not None:
        threads.append(start("mpps", functools.partial(_tell_steps, sender, around.beat)))
    keeper = auditing.open_keeper(config, around)
    if keeper is not None:
        threads.append(start("audit", keeper))
    return couriers, threads


def figures_of(names: Sequence[str], around: Surroundings, dispatches: Dispatches) -> dict[str, Any]:
    """Each destination's queue, and what became of what left it."""
    told: dict[str, Any] = {}
    for name in names:
        waiting = around.outbox.items(name, "waiting")
        oldest = min((item.capture.id for item in waiting), default="")
        told[name] = {"waiting": len(waiting), "oldest_waiting_s": age_s(oldest, around.wall())}
        told[name] |= dispatches.figures(name)
    return {"destinations": told}


def age_s(capture: str, now: datetime) -> float:
    """By its id, which begins with when it was made; 0 where there is none, or the clock was set back since."""
    if not capture:
        return 0.0
    made = datetime.strptime(capture[:15], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    return max(0.0, round((now - made).total_seconds(), 1))


def _is_meant(rules: Rules, capture: Capture, stored: Stored) -> bool:
    return wants(rules, stored.role, stored.modality, capture.priority)


def _unannounced(config: Config) -> Callable[[], Set[str]]:
    return StepQueue(places_of(config).steps).exams if config.mpps.host else frozenset


def _tell_steps(sender: mpps.StepSender, beat: Callable[[], None], stop: threading.Event) -> None:
    while not stop.is_set():
        beat()
        if not sender.step(time.monotonic()):
            stop.wait(1.0)


def _keep_house(couriers: list[Courier], around: Surroundings) -> None:
    """The main thread's: remove what is safe everywhere, and tell of what waits too long."""
    alarms = [Alarm(courier.name, courier.rules.alarm_hours, around) for courier in couriers]
    while not around.stop.is_set():
        removed = around.outbox.remove_confirmed()  # at the start, too: an appliance may be switched off every hour
        if removed:
            around.events.emit("outbox.removed", captures=len(removed))
        for alarm in alarms:
            alarm.look()
        around.beat()
        around.stop.wait(HOUSE_EVERY_S)


def is_metered() -> bool:
    """Whoever knows the link (a hook of the network manager, say) keeps this file while it is paid for by the byte."""
    return METERED.exists()
