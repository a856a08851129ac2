"""The units under a real systemd, with their whole sandbox: installed, started, killed, uninstalled.

In a namespace over this machine's own files (`units.machine`). Only what a checkout needs is let in by a drop-in.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.system.process import wait_until
from tests.system.units import PROCESSES, ROOT, Machine, machine

pytestmark = pytest.mark.timeout(240)
CONFIG = Path("/etc/limpid/limpid.toml")
ENVIRONMENT = "/opt/limpid-checkout"
DROP_IN = f"""
[Unit]
ConditionPathExistsGlob=
[Service]
ProtectHome=tmpfs
BindReadOnlyPaths={ROOT} {sys.base_prefix}
Environment=SDL_VIDEODRIVER=dummy
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("box")) as found:
        found.run("ln", "-s", sys.prefix, ENVIRONMENT)
        for process in PROCESSES:
            put(found, f"/etc/systemd/system/limpid-{process}.service.d/checkout.conf", DROP_IN)
        yield found


def put(box: Machine, path: str, text: str) -> None:
    box.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"', "put", path, text)


def limpid(box: Machine, *words: str) -> str:
    return box.run(f"{ENVIRONMENT}/bin/limpid", *words, timeout=120)


def test_installed_started_killed_and_taken_away(box: Machine) -> None:
    limpid(box, "install", "--environment", ENVIRONMENT, "--start")
    for process in PROCESSES:
        unit = f"limpid-{process}"
        wait_for(box, unit, lambda unit=unit: box.shows(unit, "ActiveState") == "active")
    answers = "ipc:///run/limpid/control"
    assert json.loads(limpid(box, "watch", "--once", "--json", "--control", answers))["version"]
    live_thread_is_real_time(box)
    everything_it_may_not(box)
    for process in PROCESSES:
        killed_and_back(box, f"limpid-{process}")
    again = limpid(box, "install", "--environment", ENVIRONMENT, "--json")
    assert {step["do"] for step in json.loads(again)["steps"]} == {"keep", "run"}  # a second time changes nothing
    a_trials_watcher_reaches_a_control_socket_on_tcp(box)
    taken_away(box)


def wait_for(box: Machine, unit: str, met: Callable[[], bool]) -> None:
    try:
        wait_until(met, f"{unit} runs")
    except AssertionError as error:
        raise AssertionError(
            f"{error}\n{box.run('systemctl', 'status', unit, check=False)}{box.journal(unit)}"
        ) from None


def live_thread_is_real_time(box: Machine) -> None:
    """Where the namespace may raise limits; else systemd leaves LimitRTPRIO= at nothing, and the thread as it is."""
    pid = box.shows("limpid-live", "MainPID")
    (limit,) = (line for line in box.run("cat", f"/proc/{pid}/limits").splitlines() if "realtime priority" in line)
    if limit.split()[3] == "0":
        return
    lines = box.run("ps", "-L", "-o", "comm=,cls=,rtprio=", "-p", pid).splitlines()
    real_time = [line.split() for line in lines if " RR " in line]
    assert len(real_time) == 1, lines
    assert real_time[0][-1] == "10"


def everything_it_may_not(box: Machine) -> None:
    """As the kernel tells of the running processes, not as the files ask for it."""
    for process in PROCESSES:
        pid = box.shows(f"limpid-{process}", "MainPID")
        status = dict(
            line.split(":\t", 1) for line in box.run("cat", f"/proc/{pid}/status").splitlines() if ":\t" in line
        )
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert int(status["CapEff"], 16) == 0
        assert int(status["CapBnd"], 16) == 0
        assert "0" not in status["Uid"].split()
        mounts = {line.split()[1]: line.split()[3] for line in box.run("cat", f"/proc/{pid}/mounts").splitlines()}
        assert "ro" in mounts["/"].split(",")


def killed_and_back(box: Machine, unit: str) -> None:
    before, others = box.shows(unit, "MainPID"), {
        other: box.shows(other, "MainPID") for other in (f"limpid-{process}" for process in PROCESSES) if other != unit
    }  # fmt: skip
    box.run("kill", "-9", before)
    wait_for(
        box,
        unit,
        lambda: box.shows(unit, "MainPID") not in ("0", before) and box.shows(unit, "ActiveState") == "active",
    )
    assert {other: box.shows(other, "MainPID") for other in others} == others, "it took another with it"


def a_trials_watcher_reaches_a_control_socket_on_tcp(box: Machine) -> None:
    """Its sandbox, with another program in it. Started, it fails where that cannot connect."""
    folder = "/etc/systemd/system/limpid-update.service.d"
    with socket.create_server(("127.0.0.1", 0)) as server:
        asks = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 30)"
        program = f'Type=oneshot\nRestart=no\nExecStart=\nExecStart={ENVIRONMENT}/bin/python -c "{asks}"\n'
        put(box, f"{folder}/asks.conf", f"{DROP_IN}{program}[Unit]\nConditionPathExists=\n")
        box.run("systemctl", "daemon-reload")
        box.run("systemctl", "start", "limpid-update")
    assert box.shows("limpid-update", "ExecMainStatus") == "0"
    assert box.shows("limpid-update", "ExecMainStartTimestamp")
    box.run("rm", "-r", folder)
    box.run("systemctl", "daemon-reload")


def taken_away(box: Machine) -> None:
    box.run("touch", "/var/lib/limpid/outbox/mine")
    limpid(box, "uninstall", "--environment", ENVIRONMENT)
    left = box.run(
        "sh", "-c", "find /etc /opt /usr /var/lib /run -xdev -name '*limpid*' -not -path '*/cgroup/*' | sort"
    ).split()
    drop_ins = {f"/etc/systemd/system/limpid-{process}.service.d" for process in PROCESSES}
    data = {"/etc/limpid", "/etc/limpid/limpid.toml", "/var/lib/limpid", "/run/limpid", ENVIRONMENT, "/opt/limpid"}
    assert {path for path in left if path not in drop_ins | data and "/journal/" not in path} == set()
    assert box.run("ls", "/var/lib/limpid/outbox/mine")
    assert all(box.shows(f"limpid-{process}", "LoadState") == "not-found" for process in PROCESSES)
