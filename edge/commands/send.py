"""`limpid send`: any source to a daemon, over the same socket a scanner uses."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from rich.console import Console

from edge.client import Pusher
from edge.clock import MonotonicClock
from edge.commands.identity import given_key
from edge.config import tomllib
from edge.errors import BadFrame, ConfigError, SourceUnavailable
from edge.sources import Source, open_source

DAEMON_PATIENCE_S = 5.0


@dataclass(slots=True)
class Sent:
    sent: int = 0
    refused: int = 0  # the daemon took none more: dropped here, as a scanner would
    bad: int = 0  # the source gave something that is no frame


def parse_settings(settings: Sequence[str]) -> dict[str, object]:
    """KEY=VALUE with TOML values; what is not TOML is taken as text, so that paths need no quotes."""
    parsed: dict[str, object] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise ConfigError(f'--set "{setting}" is not KEY=VALUE')
        try:
            parsed[key] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            parsed[key] = value
    return parsed


def run(kind: str, settings: dict[str, object], to: str, seconds: float, *, as_json: bool) -> None:
    source = open_source(kind, settings, MonotonicClock())
    pusher = Pusher(to, key=given_key())
    try:
        if not pusher.wait_for_daemon(DAEMON_PATIENCE_S):
            raise SourceUnavailable(pusher.refusal() or f"no daemon takes frames at {to}: is `limpid run` running?")
        with _told_to_stop() as stop:
            done = _send(source, pusher, seconds, stop)
    except KeyboardInterrupt:
        done = Sent(pusher.sent, pusher.refused)
    finally:
        source.close()
        pusher.close()
    _print(done, as_json=as_json)


@contextlib.contextmanager
def _told_to_stop() -> Generator[threading.Event]:
    """Ctrl-C ends it between two frames: one that is being handed over is counted as what became of it."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    # Not in the handler itself: a second one may come while the first holds the lock.
    before = signal.signal(signal.SIGINT, lambda *_: threading.Thread(target=stop.set).start())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _send(source: Source, pusher: Pusher, seconds: float, stop: threading.Event) -> Sent:
    until = time.monotonic() + seconds if seconds else float("inf")
    done = Sent()
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    with console.status("sending") as status:
        while not source.ended and time.monotonic() < until and not stop.is_set():
            try:
                frame = source.next(0.1)
            except BadFrame:
                done.bad += 1
                continue
            if frame is not None:
                # Whatever the source's own stamps count from: on this host a frame's age is known.
                pusher.push(replace(frame, stamped_ns=frame.captured_ns))
                if pusher.sent % 30 == 0:
                    status.update(f"sent {pusher.sent}, not taken {pusher.refused}")
    done.sent, done.refused = pusher.sent, pusher.refused
    return done


def _print(done: Sent, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"sent": done.sent, "refused": done.refused, "bad": done.bad}))
    else:
        print(f"sent {done.sent} frames, {done.refused} not taken by the daemon, {done.bad} unreadable")
