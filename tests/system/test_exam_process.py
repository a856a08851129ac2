"""A whole exam with real peers: worklist, live, forward, procedure steps. And nobody's name in what was written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from edge.client import Control
from edge.exam_book import Vault
from edge.outbox import Outbox, Settings
from edge.steps import StepQueue
from tests.archives import free_port, until
from tests.system.process import ROOT, Daemon, Scanner, running
from tests.system.services import Scheduled, StepKeeper, orthanc_worklist, step_keeper, worklist

pytestmark = pytest.mark.timeout(180)
TODAY = f"{datetime.now().astimezone():%Y%m%d}"
ONE = Scheduled("PHANTOM^ONE", "PH-0001", "19700203", "ACC-4711", "1.2.826.0.1.3680043.10.1.1", TODAY)
OTHERS = [
    Scheduled("PHANTOM^TWO", "PH-0002", "19810405", "ACC-4712", "1.2.826.0.1.3680043.10.1.2", TODAY, "STEP2"),
    Scheduled("PHANTOM^LATER", "PH-0003", "19920607", "ACC-4713", "1.2.826.0.1.3680043.10.1.3", "20990101"),
    Scheduled("PHANTOM^XRAY", "PH-0004", "19630809", "ACC-4714", "1.2.826.0.1.3680043.10.1.4", TODAY, modality="RF"),
]
SECRETS = ("PHANTOM", "PH-0001", "19700203", "ACC-4711", "EMERGENCY^")


def config(home: Path, ris: int, steps: int) -> str:
    return f"""
[outbox]
folder = "{home}/outbox"
least_free_mb = 0
watermark_percent = 100
[worklist]
host = "127.0.0.1"
port = {ris}
called = "RIS"
modality = "US"
[mpps]
host = "127.0.0.1"
port = {steps}
called = "RIS"
timeout_s = 2
[destination.usb]
trust = true
[destination.usb.folder]
path = "{home}/usb"
"""


class Forward:
    """`limpid forward`, started and killed as often as you like."""

    def __init__(self, home: Path) -> None:
        self._line = [sys.executable, "-m", "edge", "forward", "--config", str(home / "limpid.toml")]
        self._home = home
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._home / "forward.log").open("ab") as log:
            self._process = subprocess.Popen(self._line, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def tail(self) -> str:
        return (self._home / "forward.log").read_text(errors="replace")[-2000:]


@pytest.fixture
def forward(tmp_path: Path) -> Iterator[Forward]:
    process = Forward(tmp_path)
    try:
        yield process
    finally:
        process.kill()


def ask(home: Path, do: str, **more: Any) -> dict[str, Any]:
    return Control(f"ipc://{home}/control", timeout_s=60).ask(do, **more)


def limpid(home: Path, *words: str, told: str = "") -> str:
    line = [sys.executable, "-m", "edge", *words, "--control", f"ipc://{home}/control"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, input=told, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("provider", [worklist, orthanc_worklist], ids=["dcmtk", "orthanc"])
def test_a_whole_exam_from_the_worklist_to_the_last_notice_names_nobody(
    tmp_path: Path, forward: Forward, provider: Callable[..., AbstractContextManager[int]]
) -> None:
    (tmp_path / "usb").mkdir()
    written: list[str] = []
    with provider(tmp_path / "wl", [ONE, *OTHERS]) as ris, step_keeper() as keeper:
        with running(tmp_path, config(tmp_path, ris, keeper.port)) as daemon:
            forward.start()
            scanner = Scanner(daemon)
            try:
                items = json.loads(limpid(tmp_path, "exam", "worklist", "--json"))["items"]
                items.sort(key=lambda item: item["patient"]["id"])
                assert [item["patient"]["name"] for item in items] == ["PHANTOM^ONE", "PHANTOM^TWO"]
                assert items[0]["order"]["study_uid"] == ONE.study_uid
                written.append(limpid(tmp_path, "exam", "open", "--item", items[0]["key"], "--stat"))
                scanner.send(1.0)
                written.append(limpid(tmp_path, "capture", "still"))
                written.append(limpid(tmp_path, "capture", "back", "0.8", "--json"))
                scanner.send(0.3)
                written.append(limpid(tmp_path, "exam", "show", "--json"))
                until(lambda: len(keeper.created) == 1, f"in progress is told\n{forward.tail()}")
                written.append(limpid(tmp_path, "exam", "close"))
                until(lambda: len(keeper.ended) == 1, f"completed is told\n{forward.tail()}")
                _emergency(tmp_path, scanner, written)
                until(lambda: len(keeper.ended) == 2, f"the second is told\n{forward.tail()}")
                until(lambda: len(list((tmp_path / "usb").rglob("*.dcm"))) >= 6, f"all are sent\n{forward.tail()}", 60)
                written.append(json.dumps(ask(tmp_path, "status")))
                written.append(_outbox_commands(daemon))
            finally:
                scanner.close()
        _check_steps(keeper)
    forward.kill()
    _objects_name_their_step(tmp_path / "usb", keeper)
    _names_nobody(tmp_path, written)


def _emergency(home: Path, scanner: Scanner, written: list[str]) -> None:
    scanner.send(0.4)
    written.append(limpid(home, "capture", "still"))
    told = json.dumps({"patient": {"name": "PHANTOM^ONE", "id": "PH-0001", "birth_date": "19700203"}})
    written.append(limpid(home, "exam", "correct", "--from", "-", told=told))
    written.append(limpid(home, "exam", "close"))


def _outbox_commands(daemon: Daemon) -> str:
    said = ""
    for words in (["list"], ["list", "--json"], ["verify"]):
        line = [sys.executable, "-m", "edge", "outbox", *words, "--config", str(daemon.home / "limpid.toml")]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        said += done.stdout + done.stderr
    return said


def _check_steps(keeper: StepKeeper) -> None:
    (first, created), (second, again) = keeper.created
    assert [uid for uid, _ in keeper.ended] == [first, second]
    assert created.PatientID == again.PatientID == "PH-0001"
    assert created.ScheduledStepAttributesSequence[0].StudyInstanceUID == ONE.study_uid
    assert created.ScheduledStepAttributesSequence[0].AccessionNumber == "ACC-4711"
    final = keeper.ended[0][1]
    assert final.PerformedProcedureStepStatus == "COMPLETED"
    made = [image for series in final.PerformedSeriesSequence for image in series.ReferencedImageSequence]
    assert len(made) == 4  # a still and a clip, an original and an enhanced one of each


def _objects_name_their_step(sent: Path, keeper: StepKeeper) -> None:
    named = {
        str(dcmread(path, stop_before_pixels=True).ReferencedPerformedProcedureStepSequence[0].ReferencedSOPInstanceUID)
        for path in sent.rglob("*.dcm")
    }
    assert named == {uid for uid, _ in keeper.created}


def _names_nobody(home: Path, written: list[str]) -> None:
    """Logs, events, what the commands said, the outbox's own files and names: all but the DICOM files and the book."""
    for output in written:
        assert [secret for secret in SECRETS if secret in output] == []
    kept_apart = {home / "exams", home / "wl", home / "usb"}
    looked = 0
    for path in home.rglob("*"):
        assert [secret for secret in SECRETS if secret in path.name] == []
        if kept_apart & {path, *path.parents} or not path.is_file() or path.suffix == ".dcm":
            continue
        content = path.read_bytes()
        assert [secret for secret in SECRETS if secret.encode() in content] == [], path
        looked += 1
    assert looked >= 5
    for path in (home / "exams").rglob("*"):
        assert path.is_dir() or path.stat().st_mode & 0o077 == 0, path


def test_notices_outlive_an_archive_that_is_away_and_kill_9_of_both_processes(tmp_path: Path, forward: Forward) -> None:
    port = free_port()
    with running(tmp_path, config(tmp_path, 1, port)) as daemon:
        forward.start()
        scanner = Scanner(daemon)
        try:
            ask(tmp_path, "exam-open", patient={"name": "PHANTOM^ONE", "id": "PH-0001"})
            scanner.send(0.3)
            ask(tmp_path, "capture-still")
            ask(tmp_path, "exam-close")
        finally:
            scanner.close()
        os.kill(daemon.process.pid, signal.SIGKILL)
        until(lambda: "mpps.unavailable" in forward.tail(), "nobody is there")
        forward.kill()
    queue = StepQueue(Vault(tmp_path / "exams" / "mpps"))
    assert queue.counts() == {"waiting": 2, "parked": 0, "damaged": 0}
    with step_keeper(port) as keeper:
        keeper.hang_up = 1  # it has the first one, and we never hear so
        forward.start()
        until(lambda: len(keeper.ended) == 1, "both are told", 40)
        until(lambda: queue.counts()["waiting"] == 0, "the queue is empty")
        assert len(keeper.created) == 1
        assert keeper.ended[0][0] == keeper.created[0][0]


def test_a_worklist_that_is_away_is_said_so_and_costs_nothing_else(tmp_path: Path) -> None:
    with running(tmp_path, config(tmp_path, free_port(), free_port())) as daemon:
        done = subprocess.run(
            [sys.executable, "-m", "edge", "exam", "worklist", "--control", f"ipc://{tmp_path}/control"],
            cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert "cannot be reached" in done.stderr
        assert ask(tmp_path, "exam-open", patient={"name": "PHANTOM^ONE"})["origin"] == "typed"
        assert daemon.process.poll() is None


def test_while_the_worklist_is_away_the_last_answer_is_given_with_its_age(tmp_path: Path) -> None:
    port = free_port()
    with (
        worklist(tmp_path / "wl", [ONE, *OTHERS], port) as ris,
        running(tmp_path, config(tmp_path, ris, port)) as daemon,
    ):
        fresh = ask(tmp_path, "exam-worklist")
        assert fresh["stale"] is None
        os.kill(daemon.process.pid, signal.SIGKILL)
        daemon.process.wait()
    with running(tmp_path, config(tmp_path, port, port)):
        kept = ask(tmp_path, "exam-worklist")
        assert kept["items"] == fresh["items"]
        assert "cannot be reached" in kept["stale"]["why"]
        assert kept["stale"]["age_minutes"] >= 0
        assert "NOT OF NOW" in limpid(tmp_path, "exam", "worklist")
        assert ask(tmp_path, "exam-worklist", accession="ACC-9999")["items"] == []
        (one,) = ask(tmp_path, "exam-worklist", accession="ACC-4711")["items"]
        ask(tmp_path, "exam-open", item=one["key"])
        assert ask(tmp_path, "exam-show", identity=True)["exam"]["patient"]["id"] == "PH-0001"
    (path,) = (tmp_path / "exams").glob("worklist.json")
    assert path.stat().st_mode & 0o077 == 0


def test_a_barcode_opens_an_exam(tmp_path: Path) -> None:
    pattern = "[capture]\nbarcode = '(?P<id>[^|]+)\\|(?P<name>[^|]+)\\|(?P<birth_date>\\d{8})'\n"
    with running(tmp_path, config(tmp_path, 1, 1) + pattern):
        limpid(tmp_path, "exam", "open", "--barcode", told="PH-0001|PHANTOM^ONE|19700203\n")
        exam = ask(tmp_path, "exam-show", identity=True)["exam"]
        assert (exam["patient"]["id"], exam["patient"]["birth_date"]) == ("PH-0001", "19700203")
        assert exam["origin"] == "typed"


def test_a_discarded_exam_is_not_sent(tmp_path: Path, forward: Forward) -> None:
    (tmp_path / "usb").mkdir()
    with running(tmp_path, config(tmp_path, 1, free_port())) as daemon:
        scanner = Scanner(daemon)
        try:
            ask(tmp_path, "exam-open", patient={"name": "PHANTOM^ONE"})
            scanner.send(0.3)
            capture = ask(tmp_path, "capture-still")["captures"][0]
            assert ask(tmp_path, "exam-discard", captures_too=True)["discarded"] == 1
        finally:
            scanner.close()
        settings = Settings(folder=str(tmp_path / "outbox"), least_free_mb=0, watermark_percent=100)
        assert Outbox(tmp_path / "outbox", settings).captures() == []
        assert (tmp_path / "outbox/discarded" / capture).is_dir()


def test_run_keeps_live_and_forward_running(tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()

    def run(path: Path) -> list[str]:
        return [sys.executable, "-m", "edge", "run", "--config", str(path)]

    with running(tmp_path, config(tmp_path, 1, free_port()), run) as daemon:
        until(lambda: {"live.ready", "forward.ready"} <= {event["event"] for event in daemon.events()}, "both run", 60)
        started = {event["process"] for event in daemon.events() if event["event"] == "process.started"}
        assert started == {"live", "forward"}
