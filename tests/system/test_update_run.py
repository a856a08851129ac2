"""Updates of a real appliance: real versions, `limpid run`, a scanner that never stops, commands as one types them."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from edge.client import Control, Pusher, Viewer
from edge.errors import LimpidError
from edge.signing import Signer, make_key
from edge.update import bundle
from edge.update.store import VersionStore
from tests.fakes import frame
from tests.system.process import PATIENCE_S, ROOT
from tests.update_making import (
    Spoil,
    as_it_is,
    crashes_at_start,
    does_not_import,
    never_ready,
    other_settings,
    slow_engine,
    update_at,
)  # fmt: skip

pytestmark = pytest.mark.timeout(900)
FPS = 15.0
SITE = """
[live]
deadline_ms = 400
max_age_ms = 3000
watchdog_s = 20
recent_megabytes = 16
[engines]
ultrasound = "handbuilt"
fluoroscopy = "handbuilt"
rungs = ["small", "original"]
[sockets]
pictures = "ipc://{home}/pictures"
control = "ipc://{home}/control"
events = "ipc://{home}/events"
[source.zeromq]
bind = "ipc://{home}/frames"
"""


class Scanner(threading.Thread):
    """Sends on, whether somebody listens or not; and the viewer notes when each picture came."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._pusher = Pusher(f"ipc://{home}/frames")
        self._viewer = Viewer(f"ipc://{home}/pictures")
        self._done = threading.Event()
        self.came: list[float] = []

    def run(self) -> None:
        number = 0
        while not self._done.is_set():
            number += 1
            now = time.monotonic_ns()
            self._pusher.push(replace(frame(number, at_ns=now, stream="probe"), stamped_ns=now))
            until = time.monotonic() + 1 / FPS
            while (left := until - time.monotonic()) > 0:
                report = self._viewer.next(left)
                if report is not None and report.pixels is not None:
                    self.came.append(time.monotonic())

    def longest_gap_s(self, since: float) -> float:
        moments = [since, *(moment for moment in self.came if moment > since)]
        return max(after - before for before, after in itertools.pairwise(moments))

    def stop(self) -> None:
        self._done.set()
        self.join(10)
        self._pusher.close(0)
        self._viewer.close()


@dataclass
class Site:
    """One appliance: its versions, its configuration, and what runs it."""

    home: Path
    signer: Signer
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def places(self) -> list[str]:
        return ["--root", f"{self.home}/opt", "--state", f"{self.home}/var", "--keys", f"{self.home}/keys"]

    @property
    def store(self) -> VersionStore:
        return VersionStore(self.home / "opt", self.home / "var", bundle.keyring(self.home / "keys"), "test")

    def command(self, *words: str, python: Path = Path(sys.executable)) -> subprocess.Popen[bytes]:
        line = [str(python), "-m", "edge", "update", *words, *self.places, "--json"]
        return subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def told(self, *words: str) -> tuple[int, dict[str, Any], str]:
        process = self.command(*words)
        out, error = process.communicate(timeout=600)
        return process.returncode, json.loads(out) if out else {}, error.decode()

    def stage(self, *versions: str) -> None:
        """From a stick, if they are not there yet; 0.2.0 from wheels, the others as trees."""
        stick = self.home / f"stick-{'-'.join(versions)}"
        stick.mkdir(exist_ok=True)
        there = {version.number for version in self.store.versions()}
        missing = [version for version in versions if version not in there]
        for version in missing:
            update_at(stick, version, self.signer, VERSIONS[version], wheels=version == "0.2.0")
        if missing:
            status, told, error = self.told("stage", str(stick))
            assert status == 0, (told, error)

    def apply(self, version: str, *more: str) -> tuple[int, dict[str, Any], str]:
        return self.told("apply", version, "--config", str(self.config), *more)

    @property
    def config(self) -> Path:
        return self.home / "site.toml"

    def start(self) -> None:
        """`limpid run`, as whatever is current."""
        limpid = self.home / "opt/current/venv/bin/limpid"
        line = [str(limpid), "run", "--config", str(self.config), "--update-state", str(self.home / "var"),
                "--update-root", str(self.home / "opt")]  # fmt: skip
        with (self.home / "log").open("ab") as log:
            self.processes.append(subprocess.Popen(line, cwd=self.home, stdout=log, stderr=log))
        self.wait(lambda: self.status() is not None, "the live process answers")

    def status(self) -> dict[str, Any] | None:
        try:
            return Control(f"ipc://{self.home}/control", timeout_s=1).ask("status")
        except LimpidError:
            return None

    def runs(self, version: str) -> bool:
        """This version, and it shows what the scanner sends."""
        status = self.status()
        if status is None or status["version"] != version or "probe" not in status["streams"]:
            return False
        frames = status["streams"]["probe"]["frames"]
        return bool(frames["enhanced"] or frames["original"])

    def wait(self, met: Callable[[], bool], what: str) -> None:
        until = time.monotonic() + 5 * PATIENCE_S
        while not met():
            assert time.monotonic() < until, f"in vain: {what}\n{(self.home / 'log').read_text()[-2000:]}"
            time.sleep(0.05)

    def cut(self) -> None:
        """As the power does: everything of it at once."""
        families = [
            [psutil.Process(one.pid), *psutil.Process(one.pid).children(recursive=True)] for one in self.processes
        ]
        for process in itertools.chain(*families):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for one in self.processes:
            one.wait()
        self.processes.clear()
        self.wait(lambda: self.status() is None, "nothing answers")

    def close(self) -> None:
        for process in self.processes:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


VERSIONS: dict[str, Spoil] = {
    "0.1.0": as_it_is, "0.2.0": as_it_is, "0.3.0": crashes_at_start, "0.4.0": slow_engine, "0.5.0": never_ready,
    "0.6.0": does_not_import, "0.7.0": other_settings,
}  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """0.1.0 runs, 0.2.0 is staged."""
    home = tmp_path_factory.mktemp("site")
    found = Site(home, make_key(home / "key"))
    found.config.write_text(SITE.format(home=home))
    assert found.told("keys", "trust", str(home / "key.pub"))[0] == 0
    found.stage("0.1.0", "0.2.0")
    status, told, error = found.apply("0.1.0")
    assert (status, told.get("version")) == (0, "0.1.0"), error
    found.start()
    yield found
    found.close()


@pytest.fixture
def scanner(site: Site) -> Iterator[Scanner]:
    one = Scanner(site.home)
    one.start()
    running = site.store.current
    site.wait(lambda: site.runs(running), f"{running} shows pictures")
    yield one
    one.stop()


def test_the_power_goes_in_each_start_of_a_trial_and_the_fourth_goes_back(site: Site, scanner: Scanner) -> None:
    before = site.store.current
    version = "0.2.0"
    applying = site.command(
        "apply", version, "--config", str(site.config), "--trial-seconds", "200", "--frames", "100000"
    )
    site.wait(lambda: (trial := site.store.trial()) is not None and trial.restarted, "the trial has begun")
    applying.kill()
    applying.communicate()
    site.cut()
    trial = site.store.trial()
    assert trial is not None
    assert (site.store.current, trial.starts) == (version, 1)
    site.store.write_trial(msgspec.structs.replace(trial, starts=3))  # as after two more such starts
    site.start()
    site.wait(lambda: site.store.current == before, "taken back")
    site.wait(lambda: site.runs(before), f"{before} shows pictures again")
    last = [entry for entry in site.store.audit.entries() if entry.did == "update-rolled-back"][-1]
    assert last.facts["why"] == "its trial was begun 3 times and never ended"


def test_a_good_version_is_switched_to_watched_and_kept(site: Site, scanner: Scanner) -> None:
    began = time.monotonic()
    status, told, error = site.apply("0.2.0", "--trial-seconds", "6", "--frames", "100000")
    assert (status, told.get("outcome")) == (0, "held"), (told, error, (site.home / "log").read_text()[-2000:])
    assert told["picture_back_s"] is not None
    assert site.runs("0.2.0")
    print(f"the picture was away for {scanner.longest_gap_s(began):.2f} s; the update says {told['picture_back_s']}")
    assert site.told("status")[1]["previous"] == "0.1.0"
    assert site.store.good == "0.2.0"


@pytest.mark.parametrize(
    ("version", "why", "options"),
    [
        ("0.3.0", "live ended [2-9] times by itself", ()),  # twice is enough; between two looks it may end once more
        pytest.param("0.4.0", "late", ("--frames", "90"), marks=pytest.mark.soak),
        pytest.param("0.5.0", "not ready in 8 s", ("--ready-seconds", "8"), marks=pytest.mark.soak),
    ],
)
def test_a_bad_version_goes_back_by_itself(
    site: Site, scanner: Scanner, version: str, why: str, options: tuple[str, ...]
) -> None:
    site.stage(version)
    before = site.store.current
    status, told, error = site.apply(version, "--trial-seconds", "120", *options)
    assert (status, told.get("outcome")) == (3, "back"), (told, error)
    assert re.search(why, told["why"]), told
    assert told["version"] == site.store.current == before
    site.wait(lambda: site.runs(before), f"{before} shows pictures again")
    did = [(entry.did, entry.to) for entry in site.store.audit.entries()]
    assert ("update-rolled-back", version) in did


@pytest.mark.parametrize(
    ("version", "why"),
    [
        pytest.param("0.6.0", "does not start", marks=pytest.mark.soak, id="import"),
        pytest.param("0.7.0", 'unknown key "watchdog_s"', id="settings"),
    ],
)
def test_what_does_not_start_here_is_refused_and_nothing_is_touched(site: Site, version: str, why: str) -> None:
    site.stage(version)
    before, pid = site.store.current, (site.status() or {})["pid"]
    status, _, error = site.apply(version)
    assert status == 1
    assert why in error
    assert site.store.current == before
    assert (site.status() or {})["pid"] == pid


def test_back_by_hand(site: Site, scanner: Scanner) -> None:
    if not site.store.previous:  # only this test was asked for
        site.apply("0.2.0", "--trial-seconds", "1", "--frames", "100000")
    to = site.store.previous
    status, told, error = site.told("rollback", "--reason", "to try it", "--config", str(site.config))
    assert (status, told.get("version")) == (0, to), error
    site.wait(lambda: site.runs(to), f"{to} shows pictures again")
