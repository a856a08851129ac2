"""A real console in a real process, beside a real daemon. Not a test itself."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.commands.console import users_of
from edge.config import parse
from tests.archives import free_port
from tests.system.process import PATIENCE_S, ROOT, Daemon, Scanner, running
from tools.console_client import Console

PASSWORD = "correct horse battery"
HOST = "127.0.0.1"
SIZE = (240, 320)  # rows, columns


@dataclass
class House:
    """The console process and where it is."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    scheme: str = "http"

    @property
    def console(self) -> Console:
        """A client of its own each time."""
        return Console(HOST, self.port)

    def events(self) -> list[dict[str, Any]]:
        lines = self.log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def audit(self) -> list[dict[str, Any]]:
        path = self.home / "console" / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# A machine that is busy with other tests must not show originals where enhanced ones are looked at.
PATIENT_LIVE = """
[engines]
ultrasound = "handbuilt"
fluoroscopy = "handbuilt"
rungs = ["small", "classical", "original"]
[live]
deadline_ms = 100
max_age_ms = 2000
"""


def sections(home: Path, port: int, more: str = "") -> str:
    return (
        f'{PATIENT_LIVE}[outbox]\nfolder = "{home}/outbox"\nleast_free_mb = 1\nwatermark_percent = 100\n'
        f'[console]\nport = {port}\nfolder = "{home}/console"\n{more}'
    )


def add_user(home: Path, name: str, role: str) -> None:
    users_of(parse(f'[console]\nfolder = "{home}/console"')).add(name, role, PASSWORD)


@contextlib.contextmanager
def console_beside(daemon_home: Path, port: int) -> Iterator[House]:
    """With the configuration that lies there."""
    log_path = daemon_home / "console.log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "edge", "console", "--config", str(daemon_home / "limpid.toml")]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    house = House(daemon_home, port, process, log_path)
    try:
        until(lambda: _listens(house), "the console listens", house)
        yield house
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(house: House) -> bool:
    if house.process.poll() is not None:
        raise AssertionError(f"the console ended: {house.log.read_text(errors='replace')}")
    with contextlib.suppress(OSError), socket.create_connection((HOST, house.port), 1):
        return True
    return False


def until(met: Callable[[], Any], what: str, house: House | None = None) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not met():
        if time.monotonic() > deadline:
            told = house.log.read_text(errors="replace")[-2000:] if house else ""
            raise AssertionError(f"waited {PATIENCE_S} s in vain: {what}\n{told}")
        time.sleep(0.02)


@contextlib.contextmanager
def appliance(home: Path, more: str = "", users: dict[str, str] | None = None) -> Iterator[tuple[Daemon, House]]:
    """Daemon and console, from one configuration."""
    home.mkdir(exist_ok=True)
    port = free_port()
    for name, role in (users or {}).items():
        add_user(home, name, role)
    with running(home, sections(home, port, more)) as daemon, console_beside(home, port) as house:
        yield daemon, house


@contextlib.contextmanager
def scanning(daemon: Daemon, fps: float = 10.0, **more: Any) -> Iterator[Scanner]:
    """Frames, as long as the block lasts."""
    scanner, stop = Scanner(daemon, size=SIZE, **more), threading.Event()

    def send() -> None:
        while not stop.is_set():
            scanner.send(0.2, fps)
            scanner.seen.clear()

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield scanner
    finally:
        stop.set()
        thread.join(10)
        scanner.close()
