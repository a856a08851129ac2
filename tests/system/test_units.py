"""The units as files, with systemd's own judgement; and their processes, with a unit's environment made by hand."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.system.process import config_text
from tests.system.units import PROCESSES, ROOT, SHIPPED, needed, read

pytestmark = pytest.mark.timeout(180)
BARS = {"live": 2.0, "forward": 1.5, "console": 1.5, "display": 1.5, "update": 1.6}
# live has devices; update is root's, and asks a control socket on TCP.
PATIENCE_S = 60.0
MORE = """
[engines]
ultrasound = "handbuilt"
fluoroscopy = "handbuilt"
[outbox]
folder = "{home}/outbox"
[console]
port = {port}
[panel]
driver = "dummy"
fullscreen = false
vsync = false
"""


@pytest.mark.parametrize("process", BARS)
def test_systemd_itself_finds_little_exposed(process: str, capsys: pytest.CaptureFixture[str]) -> None:
    analyze = needed("systemd-analyze")
    unit = SHIPPED / f"limpid-{process}.service"
    told = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told.stdout)
    assert found, told.stdout + told.stderr
    with capsys.disabled():
        print(f"\nsystemd-analyze security {unit.name}: {found[1]} (at most {BARS[process]})")
    assert float(found[1]) <= BARS[process], told.stdout


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    """In a root of its own, where the program exists: else it would complain of that alone."""
    analyze = needed("systemd-analyze")
    places = tmp_path / "etc/systemd/system"
    places.mkdir(parents=True)
    for unit in SHIPPED.glob("limpid*.*"):
        if unit.suffix in (".service", ".target"):
            text = re.sub("/opt/limpid/[a-z]+/venv/bin/limpid(?= )", sys.executable, unit.read_text())
            (places / unit.name).write_text(text)
    drop_ins = {"pinning": "live", "network": "live", "archives": "forward", "export": "console"}
    assert {path.stem for path in (SHIPPED / "drop-ins").iterdir()} == set(drop_ins)
    for name, process in drop_ins.items():
        folder = places / f"limpid-{process}.service.d"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.conf").write_text((SHIPPED / f"drop-ins/{name}.conf").read_text())
    told = subprocess.run(
        [analyze, "verify", "--man=no", *map(str, sorted(places.glob("limpid*.*[et]")))],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    ours = [line for line in told.stderr.splitlines() if "limpid" in line]
    assert not ours
    assert told.returncode == 0, told.stderr


def test_what_every_unit_keeps_to() -> None:
    for process in PROCESSES:
        keys = read(process).keys
        assert keys["Type"] == ["notify"]
        assert keys["Restart"] == ["always"]
        assert keys["RestartPreventExitStatus"] == ["2"]  # edge.cli.OPERATOR_ERROR: it would only be so again
        assert "MemoryMax" in keys
        assert "TasksMax" in keys
        assert not any("network" in value for key in ("After", "Wants", "Requires") for value in keys.get(key, []))
    assert "Requires" not in read("display").keys  # without live it says so, and does not stay dark


# ------------------------------------------------ as systemd would run them, by hand


@dataclass
class Supervised:
    """One process with what its unit gives it, and the socket that it reports to."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    log: Path
    said: list[str] = field(default_factory=list)

    def hear(self, word: str, more: int = 1) -> None:
        """Until it has said this so many times more."""
        wanted = self.said.count(word) + more
        until = time.monotonic() + PATIENCE_S
        while self.said.count(word) < wanted:
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                self.said.append(self.socket.recv(4096).decode())
            except TimeoutError:
                raise AssertionError(f"no {word}: {self.said[-5:]}\n{self.log.read_text()[-3000:]}") from None


@contextlib.contextmanager
def supervised(name: str, home: Path) -> Iterator[Supervised]:
    unit, config, log = read(name), home / "limpid.toml", home / f"{name}.log"
    program, command, option, _ = unit.command
    assert (program, command, option) == ("/opt/limpid/current/venv/bin/limpid", name, "--config")
    address = home / f"{name}.notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, log.open("wb") as out:
        sock.bind(str(address))
        environment = {
            **os.environ, **unit.environment, "NOTIFY_SOCKET": str(address), "STATE_DIRECTORY": str(home),
            "RUNTIME_DIRECTORY": str(home),
            "WATCHDOG_USEC": str(int(unit.watchdog_s * 1e6)), "PYGAME_HIDE_SUPPORT_PROMPT": "1", "HOME": str(home),
        }  # fmt: skip
        line = [sys.executable, "-m", "edge", command, "--config", str(config)]
        process = subprocess.Popen(line, cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            yield Supervised(process, sock, log)
        finally:
            process.kill()
            process.wait(20)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    (tmp_path / "limpid.toml").write_text(config_text(tmp_path, MORE.format(home=tmp_path, port=port)))
    return tmp_path


@pytest.mark.parametrize("name", PROCESSES)
def test_it_says_ready_feeds_the_watchdog_and_says_that_it_stops(name: str, home: Path) -> None:
    if name == "display":
        pytest.importorskip("pygame", reason="the panel's extra is not installed")
    with supervised(name, home) as one:
        one.hear("READY=1")
        one.hear("WATCHDOG=1", more=3)
        one.process.send_signal(signal.SIGTERM)
        one.hear("STOPPING=1")
        assert one.process.wait(20) in (0, -signal.SIGTERM)


def test_the_watchdog_is_fed_more_often_than_systemd_asks(home: Path) -> None:
    with supervised("forward", home) as one:
        one.hear("WATCHDOG=1")
        started = time.monotonic()
        one.hear("WATCHDOG=1", more=4)
        assert time.monotonic() - started < read("forward").watchdog_s
