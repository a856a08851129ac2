"""An exam in which everything goes wrong, and still nobody's name, number or birth date in anything that was written:
stdout, stderr, logs, events, file names, the audit log, /proc. Where all goes well is `test_exam_process.py`."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
)

from edge.client import Control
from edge.outbox import Outbox, Settings
from tests.archives import free_port, storescp, until
from tests.repository import Repository
from tests.system.process import ROOT, Daemon, Scanner, running

pytestmark = pytest.mark.timeout(480)
PATIENT = {"name": "WEISSENBERG^THEODORA", "id": "MRN-88341", "birth_date": "19370829", "sex": "F"}
ORDER = {"accession": "ACC-55012", "referring": "OBERHOLZER^KASPAR", "procedure": "Gallbladder of Weissenberg"}
WRONG = {"name": "GRUNWALDER^EMIL", "id": "MRN-77120", "birth_date": "19411102"}
SECRETS = ("WEISSENBERG", "THEODORA", "88341", "19370829", "55012", "OBERHOLZER", "GRUNWALDER", "77120", "19411102")
# A number stands alone: the digits of a time or of a UID may hold any other number by chance.
NAMED = re.compile("|".join(rf"(?<!\d){one}(?!\d)" if one.isdigit() else one for one in SECRETS), re.IGNORECASE)


def config(home: Path, ris: int, ports: dict[str, int], audit: str) -> str:
    return f"""
[audit]
{audit}[outbox]
folder = "{home}/outbox"
least_free_mb = 0
watermark_percent = 100
[capture]
barcode = '(?P<id>[0-9]+)'
[worklist]
host = "127.0.0.1"
port = {ris}
timeout_s = 2
[mpps]
host = "127.0.0.1"
port = {ris}
timeout_s = 2
[destination.refuses]
first_retry_s = 0.2
longest_retry_s = 0.5
[destination.refuses.dimse]
host = "127.0.0.1"
port = {ports["refuses"]}
commitment = false
[destination.aborts]
first_retry_s = 0.2
longest_retry_s = 0.5
[destination.aborts.dimse]
host = "127.0.0.1"
port = {ports["aborts"]}
commitment = false
[destination.complains]
first_retry_s = 0.2
longest_retry_s = 0.5
[destination.complains.dimse]
host = "127.0.0.1"
port = {ports["complains"]}
commitment = false
[destination.away]
first_retry_s = 0.2
longest_retry_s = 0.5
[destination.away.dicomweb]
url = "http://127.0.0.1:{ports["away"]}/dicom-web"
[destination.well]
trust = true
[destination.well.folder]
path = "{home}/usb"
"""


def quoting(status: int) -> Dataset:
    """An answer of the unkind sort: it quotes the patient in its comment."""
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = f"cannot take {PATIENT['name']} ({PATIENT['id']})"
    return answer


@contextlib.contextmanager
def unkind_peers() -> Iterator[tuple[int, int]]:
    """Ports of a worklist and step keeper, and of an archive, that refuse everything and quote the patient."""
    ris, archive = AE("RIS"), AE("ARCHIVE")
    for service in (ModalityWorklistInformationFind, ModalityPerformedProcedureStep):
        ris.add_supported_context(service)
    for uid in ("1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"):
        archive.add_supported_context(uid, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.80"])

    def find(_event: Any) -> Iterator[tuple[Dataset, None]]:
        yield quoting(0xC001), None

    handlers = [
        (evt.EVT_C_FIND, find), (evt.EVT_N_CREATE, lambda _event: (quoting(0x0110), None)),
        (evt.EVT_N_SET, lambda _event: (quoting(0x0110), None)),
        (evt.EVT_C_STORE, lambda _event: quoting(0xC123)),
    ]  # fmt: skip
    ports = free_port(), free_port()
    servers = [
        entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        for entity, port in zip((ris, archive), ports, strict=True)
    ]
    try:
        yield ports
    finally:
        for server in servers:
            assert server is not None
            server.shutdown()


class Watcher(threading.Thread):
    """Looks over everybody's shoulder: command lines and environments of all our children, and the event socket."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._done = threading.Event()
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.subscribe(b"")
        self._socket.connect(f"ipc://{home}/events")
        self.lines: set[str] = set()
        self.events: list[str] = []

    def run(self) -> None:
        me = psutil.Process()
        while not self._done.is_set():
            for child in me.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    self.lines.add(" ".join([*child.cmdline(), *map("=".join, child.environ().items())]))
            while self._socket.poll(50):
                self.events += [part.decode(errors="replace") for part in self._socket.recv_multipart()]

    def stop(self) -> None:
        self._done.set()
        self.join(10)
        self._socket.close(0)


class Desk:
    """Whoever types the commands. Keeps what each of them wrote, whether it went well or not."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.written: list[str] = []

    def limpid(self, *words: str, told: str = "", control: bool = False, fails: bool | None = False) -> str:
        """`fails` None: either way, as the forwarder may have noticed something by now or not."""
        where = ["--control", f"ipc://{self._home}/control"] if control else []
        line = [sys.executable, "-m", "edge", *words, *where]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, input=told, timeout=90, check=False)
        assert fails is None or (done.returncode != 0) == fails, (words, done.stdout, done.stderr)
        self.written.append(done.stdout + done.stderr)
        return done.stdout

    def outbox(self, *words: str, fails: bool | None = False) -> str:
        return self.limpid("outbox", *words, "--config", str(self._home / "limpid.toml"), fails=fails)


def identity(patient: dict[str, str]) -> str:
    return json.dumps({"patient": patient, "order": ORDER})


def take_pictures(desk: Desk, scanner: Scanner) -> None:
    """Refused, misspelt, unknown, corrected: an exam as it should not go."""
    desk.limpid("exam", "worklist", control=True, fails=True)
    desk.limpid("exam", "open", "--barcode", told=f"{PATIENT['id']}\n", control=True, fails=True)
    misspelt = {**PATIENT, "birth_date": "19370829x"}
    desk.limpid("exam", "open", "--from", "-", told=identity(misspelt), control=True, fails=True)
    strange = {**PATIENT, "nickname": "WEISSENBERG"}
    desk.limpid("exam", "open", "--from", "-", told=identity(strange), control=True, fails=True)
    desk.limpid("exam", "open", "--from", "-", told=f"{identity(PATIENT)[:-9]}", control=True, fails=True)
    desk.limpid("exam", "open", "--from", "-", told=identity(WRONG), control=True)
    desk.limpid("exam", "open", "--from", "-", told=identity(PATIENT), control=True, fails=True)  # one is open
    scanner.send(0.5)
    desk.limpid("capture", "still", "--json", control=True)
    desk.limpid("capture", "back", "0.4", control=True)
    desk.limpid("capture", "clip", "stop", control=True, fails=True)
    desk.limpid("exam", "discard", control=True, fails=True)  # it has captures


def correct_and_close(desk: Desk) -> None:
    desk.limpid("exam", "correct", "--from", "-", told=identity(PATIENT), control=True)
    desk.limpid("exam", "show", "--json", control=True)
    desk.limpid("exam", "close", control=True)
    desk.limpid("exam", "close", control=True, fails=True)


def look_at_the_queue(desk: Desk, home: Path) -> None:
    outbox = Outbox(home / "outbox", Settings(folder=str(home / "outbox")))
    first = outbox.captures()[0]
    path = home / "outbox" / "captures" / first.id / first.objects[0].file
    path.write_bytes(path.read_bytes()[:-1])
    desk.outbox("verify", fails=True)
    desk.outbox("list")
    desk.outbox("list", "--json")
    desk.outbox("show", first.id, fails=None)
    desk.outbox("show", "--json", first.id, fails=None)
    desk.outbox("park", first.id, "--destination", "away")
    desk.outbox("retry", first.id, fails=True)
    desk.outbox("export", str(home / "stick"), first.id, fails=True)
    desk.limpid("deidentify", str(home / "copies"), first.id, "--config", str(home / "limpid.toml"), fails=True)
    desk.outbox("discard", first.id, "--yes", "--reason", "torn")
    desk.limpid("forward", "--check", "--config", str(home / "limpid.toml"), fails=True)
    desk.limpid("watch", "--once", "--json", control=True)


@contextlib.contextmanager
def forwarding(home: Path) -> Iterator[Path]:
    log = home / "forward.log"
    line = [sys.executable, "-m", "edge", "forward", "--config", str(home / "limpid.toml")]
    with log.open("wb") as out:
        process = subprocess.Popen(line, cwd=ROOT, stdout=out, stderr=out)
    try:
        yield log
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def everything_was_tried(log: Path, daemon: Daemon, sent: Path) -> None:
    """What is looked through is worth looking through: each of these failures was written about."""

    def seen() -> bool:
        said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        later = {event["destination"] for event in said if event["event"] == "object.later"}
        parked = {event["destination"] for event in said if event["event"] == "object.parked"}
        told = {event["event"] for event in said}
        return (
            {"refuses", "aborts", "away"} <= later
            and "complains" in parked
            and "mpps.parked" in told
            and bool(list(sent.rglob("*.dcm")))
        )

    until(seen, f"every destination was tried: {log.read_text()[-2000:]}", 60)
    until(lambda: any(one["event"] == "worklist.unavailable" for one in daemon.events()), "live told of its own")


def test_when_everything_goes_wrong_nothing_names_anybody(tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    desk = Desk(tmp_path)
    with (
        unkind_peers() as (ris, complains),
        storescp(tmp_path / "r", "--refuse") as (refuses, _),
        storescp(tmp_path / "a", "--abort-during") as (aborts, _),
        contextlib.closing(Repository(tmp_path / "tls")) as repository,
    ):
        ports = {"refuses": refuses, "aborts": aborts, "complains": complains, "away": free_port()}
        with (
            running(tmp_path, config(tmp_path, ris, ports, repository.config())) as daemon,
            forwarding(tmp_path) as log,
        ):
            watcher, scanner = Watcher(tmp_path), Scanner(daemon)
            watcher.start()
            try:
                scanner.send(0.3)
                take_pictures(desk, scanner)
                everything_was_tried(log, daemon, tmp_path / "usb")
                correct_and_close(desk)
                look_at_the_queue(desk, tmp_path)
                told_of(repository)
                desk.written.append(json.dumps(Control(f"ipc://{tmp_path}/control", timeout_s=20).ask("status")))
            finally:
                scanner.close()
                watcher.stop()
    assert [NAMED.findall(text) for text in desk.written if NAMED.search(text)] == []
    assert [line for line in watcher.lines if NAMED.search(line)] == []
    assert any("edge.worklist" in line for line in watcher.lines), "the short-lived child was seen"
    assert len(watcher.events) > 5
    assert [event for event in watcher.events if NAMED.search(event)] == []
    look_through(tmp_path)


def told_of(repository: Repository) -> None:
    """The audit repository alone is told whose pictures they are: by the patient's ID, where the standard wants it."""
    until(lambda: any(PATIENT["id"].encode() in one for one in repository.messages), "the repository was told", 60)
    for message in repository.messages:
        rest = message.replace(PATIENT["id"].encode(), b"").replace(WRONG["id"].encode(), b"")
        assert not NAMED.search(rest.decode())


def look_through(home: Path) -> None:
    """All but what is DICOM (a stick's directory, too) and the book of exams, which is for its owner alone."""
    kept_apart, looked = {home / "exams", home / "usb", home / "stick"}, 0
    for path in home.rglob("*"):
        assert not NAMED.search(path.name)
        if path.suffix == ".dcm" or kept_apart & {path, *path.parents} or not path.is_file():
            continue
        assert not NAMED.search(path.read_text(errors="replace")), path
        looked += 1
    assert looked >= 8
    secret = [path for path in (home / "exams").rglob("*") if path.is_file()]
    assert secret
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)
    assert any(NAMED.search(path.read_text(errors="replace")) for path in secret), "the grep would have found it"
