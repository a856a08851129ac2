"""The appliance of the soak: `limpid run` with live, forward and console, the scanner and the subscriber beside it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from edge.bench.run import ended, free_ports, wait_for_daemon
from edge.client import Control, Viewer
from edge.errors import SourceUnavailable
from edge.outbox import Outbox, Settings
from edge.supervisor import own_command
from edge.wire import Report, Topic
from tools.soak.archive import TITLES, Archive, choose
from tools.soak.plan import Plan, heat_script

WIDTH, HEIGHT, FPS = 640, 480, 30.0
STREAM = "phantom"
START_S, END_S = 60.0, 20.0


@dataclass(slots=True)
class Subscriber:
    """The eye's process, and the newest of its lines. Read by a thread of its own."""

    process: subprocess.Popen[str]
    said: dict[str, Any] = field(default_factory=dict[str, Any])

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):
                self.said = json.loads(line)

    def end(self, reader: threading.Thread) -> None:
        """It says its last line when its input is closed."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        reader.join(END_S)


@dataclass(slots=True)
class House:
    folder: Path
    archive: Archive
    outbox: Outbox
    log: Path
    console: str
    appliance: subprocess.Popen[bytes]
    scanner: subprocess.Popen[str]
    subscriber: Subscriber
    reader: threading.Thread
    sent: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def control(self) -> str:
        return f"ipc://{self.folder}/control"

    def status(self) -> dict[str, Any]:
        return Control(self.control, 5.0).ask("status")

    def processes(self) -> list[psutil.Process]:
        """The tops of all trees that are measured."""
        own = [self.appliance.pid, self.scanner.pid, self.subscriber.process.pid]
        own += [self.archive.process.pid] if self.archive.process is not None else []
        found: list[psutil.Process] = []
        for pid in own:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
        return found

    def picture(self, patience_s: float = 3.0) -> Report | None:
        """One picture with its original, as it is shown now."""
        viewer = Viewer(f"ipc://{self.folder}/pictures", STREAM, Topic.PAIR)
        try:
            for _ in range(30):
                report = viewer.next(patience_s)
                if report is None or report.original is not None:
                    return report
        finally:
            viewer.close()
        return None

    def stop_scanner(self) -> None:
        """It says how many frames it sent."""
        if self.scanner.poll() is None:
            self.scanner.send_signal(signal.SIGINT)
        try:
            answer, _ = self.scanner.communicate(timeout=END_S)
            self.sent = json.loads(answer)
        except (subprocess.TimeoutExpired, ValueError):
            self.sent = {}


def built(stack: ExitStack, folder: Path, plan: Plan, *, archive_kind: str, faces: bool) -> House:
    """In order; taken down in reverse by the stack."""
    dicom, http, reports, page = free_ports(4)
    archive = choose(folder / "archive", (dicom, http, reports), archive_kind)
    stack.callback(archive.stop)
    archive.start()
    (folder / "heat").write_text(heat_script(plan.heat_s))
    shows_page = faces and all(find_spec(name) for name in ("starlette", "uvicorn", "wsproto", "argon2"))
    config, log = folder / "soak.toml", folder / "appliance.log"
    config.write_text(configuration(folder, archive, page if shows_page else 0))
    with log.open("wb") as out:
        appliance = subprocess.Popen(
            own_command("run", "--config", str(config)), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    stack.enter_context(ended(appliance))
    wait_for_daemon(Control(f"ipc://{folder}/control", 2.0), appliance, log)
    eye = subprocess.Popen(
        [sys.executable, "-m", "tools.soak.eye", f"ipc://{folder}/pictures"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    stack.enter_context(ended(eye))
    subscriber = Subscriber(eye)
    reader = threading.Thread(target=subscriber.read, daemon=True)
    reader.start()
    _wait_for_subscriber(subscriber)
    scanner = subprocess.Popen(
        scanner_command(folder, plan.loop_frames), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True,
    )  # fmt: skip
    stack.enter_context(ended(scanner))
    outbox = Outbox(folder / "outbox", Settings(folder=str(folder / "outbox")), who="soak")
    stack.callback(outbox.close)
    return House(
        folder, archive, outbox, log, f"http://127.0.0.1:{page}/" if shows_page else "",
        appliance, scanner, subscriber, reader,
    )  # fmt: skip


def _wait_for_subscriber(subscriber: Subscriber) -> None:
    """It has said a line, so its subscription has arrived: from the first frame on none passes it by."""
    until = time.monotonic() + START_S
    while not subscriber.said:
        if subscriber.process.poll() is not None or time.monotonic() > until:
            raise SourceUnavailable("the subscriber did not start")
        time.sleep(0.1)


def scanner_command(folder: Path, loop_frames: int) -> list[str]:
    settings = {
        "modality": "ultrasound", "width": WIDTH, "height": HEIGHT, "fps": FPS, "tell_region": "false",
        "loop_frames": loop_frames, "stream": STREAM,
    }  # fmt: skip
    words = [word for key, value in settings.items() for word in ("-s", f"{key}={value}")]
    return own_command("send", "phantom", "--to", f"ipc://{folder}/frames", "--json", *words)


def configuration(folder: Path, archive: Archive, page: int) -> str:
    sockets = "\n".join(f'{name} = "ipc://{folder}/{name}"' for name in ("pictures", "control", "events"))
    console = f"enabled = true\nport = {page}" if page else "enabled = false"
    return f"""
[sockets]
{sockets}
[source.zeromq]
bind = "ipc://{folder}/frames"
[sensors.scripted]
file = "{folder}/heat"
repeats = true
[capture]
exam_idle_minutes = 0
[outbox]
folder = "{folder}/outbox"
watermark_percent = 100
least_free_mb = 256
retention_hours = 0.5
[console]
{console}
[destination.archive.dimse]
host = "127.0.0.1"
port = {archive.port}
called = "{TITLES[archive.kind]}"
listen = "127.0.0.1:{archive.reports}"
"""
