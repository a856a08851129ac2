"""An exam of a known patient through the whole appliance: then every figure is there, and in the support bundle is
nobody's name, number, birth date or UID. Also where the scanner itself was named after the patient."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edge.config import load
from edge.outbox import Outbox, Settings
from edge.places import reports_of
from edge.process_report import read_all
from tests.archives import free_port
from tests.system.console_rig import House, console_beside
from tests.system.process import LIGHT, ROOT, Scanner, running, wait_until
from tests.system.test_names_nobody import forwarding

pytestmark = pytest.mark.timeout(240)
PATIENT = {"name": "LINDQVIST^ASTRID", "id": "MRN-40417", "birth_date": "19280614", "sex": "F"}
ORDER = {"accession": "ACC-90210", "referring": "VALENTINO^BRUNO", "procedure": "Thyroid of Lindqvist"}
SECRET_WORDS = ("pw-hunter2", "bearer-t0ken")
SECRETS = ("LINDQVIST", "ASTRID", "40417", "19280614", "90210", "VALENTINO", *SECRET_WORDS, "Sankt Agnes")
NAMED = re.compile("|".join(re.escape(one) for one in SECRETS), re.IGNORECASE)
STREAM = "Lindqvist-1"
FAMILIES = ("limpid_process_up", "limpid_drift_judged", "limpid_forward_objects_total", "limpid_process_starts_total")

OF_USE = {"stream.opened", "capture.stored", "object.later"}  # events


def config(home: Path, port: int) -> str:
    (home / "token").write_text(SECRET_WORDS[1])
    return f"""
[station]
institution = "Sankt Agnes"
[outbox]
folder = "{home}/outbox"
least_free_mb = 0
watermark_percent = 100
[console]
enabled = true
port = {port}
folder = "{home}/console"
[destination.usb]
trust = true
[destination.usb.folder]
path = "{home}/usb"
[destination.away]
first_retry_s = 0.2
[destination.away.dicomweb]
url = "http://archive:{SECRET_WORDS[0]}@127.0.0.1:{free_port()}/dicom-web"
"""


def limpid(home: Path, *words: str, told: str = "") -> str:
    line = [sys.executable, "-m", "edge", *words]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, input=told, timeout=90, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def take_an_exam(home: Path, scanner: Scanner) -> None:
    control = ["--control", f"ipc://{home}/control"]
    scanner.send(0.5)
    told = json.dumps({"patient": PATIENT, "order": ORDER})
    limpid(home, "exam", "open", "--from", "-", *control, told=told)
    scanner.send(0.5)
    limpid(home, "capture", "still", *control)
    limpid(home, "capture", "back", "0.3", *control)


def metrics(house: House) -> str:
    return house.console.request("GET", "/metrics").body.decode()


def sample(text: str, name: str) -> dict[str, float]:
    return {labels: float(value) for labels, value in re.findall(rf"^{name}({{.*}})? (\S+)$", text, re.MULTILINE)}


def unpacked(bundle: Path) -> dict[str, str]:
    with tarfile.open(bundle) as tar:
        return {one.name: file.read().decode() for one in tar if (file := tar.extractfile(one)) is not None}


def test_a_whole_exam_in_figures_and_nobody_in_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "usb").mkdir()
    port = free_port()
    with (
        running(tmp_path, config(tmp_path, port)) as daemon, forwarding(tmp_path) as log,
        console_beside(tmp_path, port) as house,
    ):  # fmt: skip
        scanner = Scanner(daemon, STREAM)
        try:
            take_an_exam(tmp_path, scanner)
            wait_until(lambda: "object.sent" in log.read_text(), "something was sent")
            wait_until(lambda: "object.later" in log.read_text(), "something failed")
            wait_until(lambda: all(name in metrics(house) for name in FAMILIES), "every process has reported")
            wait_until(lambda: has_left(house), "the forwarder has reported what it did")
            wait_until(lambda: have_reported(tmp_path) >= OF_USE, "their events are in their reports")
            the_figures_are_right(house)
            uids = all_uids(tmp_path)
            options = ["-c", str(daemon.home / "limpid.toml"), "--to", str(tmp_path / "b.tar.gz"), "--json"]
            facts = json.loads(limpid(tmp_path, "support-bundle", *options))
        finally:
            scanner.close()
    nobody_is_in(tmp_path / "b.tar.gz", facts, uids)
    days = json.loads(limpid(tmp_path, "quality", "-c", str(tmp_path / "limpid.toml"), "--json"))["days"]
    assert [day["captures"] for day in days] == [2], "written at the end of live, too"
    assert sum(days[0]["kinds"]["ultrasound"]["frames"]["enhanced"].values()) > 0


def have_reported(home: Path) -> set[str]:
    """Names of events. Each process reports every few seconds, by itself."""
    reports = read_all(reports_of(load(home / "limpid.toml")))
    return {str(event["event"]) for report in reports.values() for event in report.events}


def has_left(house: House) -> bool:
    text = metrics(house)
    sent = sample(text, "limpid_forward_objects_total").get('{destination="usb",outcome="sent"}', 0)
    return sent >= 1 and "SinkUnavailable" in text


def the_figures_are_right(house: House) -> None:
    text = metrics(house)
    up = sample(text, "limpid_process_up")
    assert {labels: value for labels, value in up.items() if value} == {
        '{process="live"}': 1, '{process="forward"}': 1, '{process="console"}': 1,
    }  # fmt: skip
    sent = sample(text, "limpid_forward_objects_total")
    assert sent['{destination="usb",outcome="sent"}'] >= 1
    assert sample(text, "limpid_forward_waiting")['{destination="away"}'] >= 1
    assert any("SinkUnavailable" in labels for labels in sample(text, "limpid_forward_last_error_age_seconds"))
    assert sample(text, "limpid_drift_judged") == {f'{{stream="{STREAM}"}}': 0}, "hand-built engines have no profile"


def all_uids(home: Path) -> set[str]:
    """Everything that names the exam: of the objects, and of the captures."""
    outbox, uids = Outbox(home / "outbox", Settings(folder=str(home / "outbox"))), set[str]()
    for capture in outbox.captures():
        uids |= {capture.id, capture.record.exam_uid}
        for one in capture.objects:
            uids |= {one.sop_uid, one.series_uid, one.study_uid}
            with outbox.read(capture, one) as file:
                assert PATIENT["name"].encode() in file.read(), "the grep would have found it"
    assert len(uids) > 6
    return uids


def nobody_is_in(bundle: Path, facts: dict[str, Any], uids: set[str]) -> None:
    files = unpacked(bundle)
    for name, text in {**files, "listing": json.dumps(facts)}.items():
        assert not NAMED.search(text), (name, NAMED.findall(text))
        assert [uid for uid in uids if uid in text] == [], name
        assert "DICM" not in text
    manifest = json.loads(files["limpid-support/manifest.json"])
    there = {file for file, part in manifest["parts"].items() if "missing" not in part}
    wanted = ("versions", "config", "doctor", "status", "processes", "outbox", "engines", "quality")
    assert {"events.jsonl", "metrics.txt", *(f"{name}.json" for name in wanted)} <= there, manifest
    for file in there:
        assert hashlib.sha256(files[f"limpid-support/{file}"].encode()).hexdigest() == manifest["parts"][file]["sha256"]
    assert set(files) == {"limpid-support/manifest.json", *(f"limpid-support/{file}" for file in there)}
    assert bundle.stat().st_mode & 0o077 == 0
    it_is_of_use(files)


def it_is_of_use(files: dict[str, str]) -> None:
    told = {name.removeprefix("limpid-support/"): text for name, text in files.items()}
    assert json.loads(told["status.json"])["streams"].keys() == {"stream-1"}
    assert 'stream="stream-1"' in told["metrics.txt"]
    events = [json.loads(line) for line in told["events.jsonl"].splitlines()]
    assert {event["event"] for event in events} >= OF_USE
    assert {event["process"] for event in events} >= {"live", "forward"}
    assert json.loads(told["outbox.json"])["summary"]["captures"] == 2
    settings = json.loads(told["config.json"])
    assert settings["live"]["deadline_ms"] == 33
    assert settings["engines"]["ultrasound"] == "handbuilt"
    assert settings["station"]["institution"] == "(set)"


def test_a_bundle_can_be_made_where_nothing_runs_and_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "limpid.toml"
    path.write_text(f'{LIGHT}[outbox]\nfolder = "{tmp_path}/outbox"\n[console]\nport = {free_port()}\n')
    limpid(tmp_path, "support-bundle", "-c", str(path), "--to", str(tmp_path / "b.tar.gz"))
    parts = json.loads(unpacked(tmp_path / "b.tar.gz")["limpid-support/manifest.json"])["parts"]
    assert parts["status.json"]["missing"] == "the daemon does not answer"
    assert parts["outbox.json"]["missing"] == "there is no outbox yet"
    assert "missing" not in parts["versions.json"]
    again = subprocess.run(
        [sys.executable, "-m", "edge", "support-bundle", "-c", str(path), "--to", str(tmp_path / "b.tar.gz")],
        cwd=ROOT, capture_output=True, text=True, timeout=90, check=False, env={**os.environ},
    )  # fmt: skip
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_what_goes_in_is_said_before(tmp_path: Path) -> None:
    told = json.loads(limpid(tmp_path, "support-bundle", "--list", "--json"))["parts"]
    assert "outbox.json" in told
    assert "no patient" in limpid(tmp_path, "support-bundle", "--list")
