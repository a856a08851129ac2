"""The appliance as `limpid demo` builds it up: an archive, the daemon, the forwarder, the console, a panel.

Each is a process of its own, as on the device, in a session of its own: Ctrl-C is the demo's to hear. What they write
lies in one folder that goes with the demo; what the archive took stays.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge.bench.run import ended, free_ports, wait_for_daemon
from edge.client import Control
from edge.errors import SourceUnavailable
from edge.outbox import Outbox, Settings
from edge.supervisor import own_command

CAPTURE_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class House:
    control: Control
    frames: str
    pictures: str
    outbox: Outbox
    archive: Path  # where the archive keeps what it was sent
    console: str  # its address; empty where it is not asked for, or not installed
    panel: bool

    def in_archive(self) -> tuple[int, int]:
        """Objects that the archive has confirmed, and all that were captured."""
        objects = [(capture, stored) for capture in self.outbox.captures() for stored in capture.objects]
        return sum(capture.state(stored, "archive") == "confirmed" for capture, stored in objects), len(objects)


@contextlib.contextmanager
def opened(folder: Path, out: Path, *, faces: bool) -> Generator[House]:
    """`faces`: the console, and the panel where there is a screen. In order; taken down in reverse."""
    archive = out.resolve() / "archive"
    reports, page = free_ports(2)
    shows_page = faces and all(find_spec(name) for name in ("starlette", "uvicorn", "wsproto", "argon2"))
    shows_panel = faces and bool(find_spec("pygame")) and _has_screen()
    with ExitStack() as stack:
        port = _start_archive(stack, archive, reports)
        path = folder / "demo.toml"
        path.write_text(_configuration(folder, port, reports, page))
        log = folder / "daemon.log"
        daemon = _start(stack, folder, "daemon", "live", path)
        control = Control(f"ipc://{folder}/control", timeout_s=CAPTURE_PATIENCE_S)
        wait_for_daemon(control, daemon, log)
        _start(stack, folder, "forward", "forward", path)
        if shows_page:
            _start(stack, folder, "console", "console", path)
        if shows_panel:
            _start(stack, folder, "panel", "display", path)
        yield House(
            control, f"ipc://{folder}/frames", f"ipc://{folder}/pictures",
            Outbox(folder / "outbox", Settings(folder=str(folder / "outbox")), who="demo"), archive,
            f"http://127.0.0.1:{page}/" if shows_page else "", shows_panel,
        )  # fmt: skip


def _configuration(folder: Path, archive_port: int, reports: int, page: int) -> str:
    sockets = "\n".join(f'{name} = "ipc://{folder}/{name}"' for name in ("pictures", "control", "events"))
    return f"""
[sockets]
{sockets}
[source.zeromq]
bind = "ipc://{folder}/frames"
[outbox]
folder = "{folder}/outbox"
watermark_percent = 100
least_free_mb = 64
[console]
port = {page}
[panel]
fullscreen = false
[destination.archive.dimse]
host = "127.0.0.1"
port = {archive_port}
called = "DEMO"
listen = "127.0.0.1:{reports}"
"""


def _start_archive(stack: ExitStack, folder: Path, reports: int) -> int:
    command = [sys.executable, "-m", "edge.commands.demo_archive", str(folder), str(reports)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    stack.enter_context(ended(process))
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line.isdigit():
        raise SourceUnavailable("the demo's archive did not start")
    return int(line)


def _start(stack: ExitStack, folder: Path, name: str, command: str, config: Path) -> subprocess.Popen[bytes]:
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    process = subprocess.Popen(
        own_command(command, "--config", str(config)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    stack.enter_context(ended(process))
    return process


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
