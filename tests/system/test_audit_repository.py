"""A real forward process and syslog receivers over TLS: what happened here arrives there, whatever the line does."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.audit import Audit
from edge.outbox import Outbox, utc_now
from tests.archives import certificates, free_port, is_listening, need, phantom, process, put, until
from tests.repository import Repository, taken_apart
from tests.system.forwarding import Forward, config_text, settings
from tests.system.process import ROOT

RSYSLOG, XMLLINT = "/usr/sbin/rsyslogd", "/usr/bin/xmllint"
SCHEMA = ROOT / "tests/audit_message.rng"


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(tmp_path / "tls")
    yield made
    made.close()


@contextlib.contextmanager
def forwarding(home: Path, audit: str) -> Iterator[Forward]:
    made = Forward(home, f"[audit]\n{audit}")
    made.start()
    try:
        yield made
    finally:
        assert made.process is not None
        if made.process.poll() is None:
            made.stop()


def captures(home: Path, count: int) -> list[str]:
    """Stored by another process's hand, while the forwarder runs."""
    outbox = Outbox(home / "outbox", settings(home / "outbox"), who="live")
    outbox.own_putting()
    names = [put(outbox, phantom(seed)) for seed in range(count)]
    outbox.close()
    return names


def numbers(repository: Repository, log: str = "outbox") -> set[int]:
    return {number for name, number in repository.told() if name == log}


def test_what_happens_arrives_and_is_by_the_schema(tmp_path: Path, repository: Repository):
    need(XMLLINT)
    with forwarding(tmp_path, repository.config()) as forward:
        names = captures(tmp_path, 3)
        until(lambda: numbers(repository) >= {1, 2, 3}, f"three captures were told of: {forward.tail()}")
        until(lambda: ("system", 1) in repository.told(), "and the start")
        forward.stop()
    folder = tmp_path / "xml"
    folder.mkdir()
    for at, message in enumerate(repository.messages):
        (folder / f"{at}.xml").write_bytes(taken_apart(message)[2])
    line = [XMLLINT, "--noout", "--relaxng", str(SCHEMA), *map(str, folder.iterdir())]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    text = b"".join(repository.messages).decode()
    assert all(name for name in names)
    assert "110120" in text
    assert "110103" in text
    told = json.loads((tmp_path / "system/told.json").read_text())
    assert told["outbox"][0] == 3, "after a goodbye it is sure"


def test_a_receiver_that_is_away_gets_it_all_later(tmp_path: Path):
    first = Repository(tmp_path / "tls")
    first.close()
    with forwarding(tmp_path, first.config()) as forward:
        captures(tmp_path, 4)
        until(lambda: forward.events("audit.repository-away"), "it was noticed")
        second = Repository(tmp_path / "tls", first.port)
        try:
            until(lambda: numbers(second) == {1, 2, 3, 4}, f"all of it: {forward.tail()}")
            assert forward.events("audit.repository-back")
        finally:
            second.close()


def test_a_line_cut_in_the_middle_of_a_message_loses_none(tmp_path: Path, repository: Repository):
    repository.cut_after = 2500  # inside the second or third message
    with forwarding(tmp_path, repository.config()) as forward:
        captures(tmp_path, 5)
        until(lambda: numbers(repository) == {1, 2, 3, 4, 5}, f"all of it: {forward.tail()}")
        until(lambda: repository.torn == 1, "one was torn")
    seen: dict[tuple[str, int], bytes] = {}
    for message in repository.messages:
        log, number, _ = taken_apart(message)
        assert seen.setdefault((log, number), message) == message, "one that comes again is the very same"


def test_after_kill_nothing_is_missing_and_what_comes_again_is_recognised(tmp_path: Path, repository: Repository):
    with forwarding(tmp_path, repository.config().replace("settle_s = 0.3", "settle_s = 60")) as forward:
        captures(tmp_path, 3)
        until(lambda: numbers(repository) == {1, 2, 3}, f"told: {forward.tail()}")
        forward.kill()
        forward.start()
        until(lambda: repository.told().count(("outbox", 3)) == 2, f"told again, as it was not sure: {forward.tail()}")
    again = [message for message in repository.messages if taken_apart(message)[:2] == ("outbox", 3)]
    assert again[0] == again[1]


def test_a_strangers_certificate_is_refused_and_told(tmp_path: Path):
    ours, strangers = Repository(tmp_path / "tls"), Repository(tmp_path / "other")
    ours.close()
    audit = ours.config().replace(f"port = {ours.port}", f"port = {strangers.port}")
    try:
        with forwarding(tmp_path, audit) as forward:
            captures(tmp_path, 1)
            until(lambda: forward.events("audit.repository-untrusted"), f"it was refused: {forward.tail()}")
            until(lambda: "repository-untrusted" in _did(tmp_path), "and written down")
        assert strangers.messages == []
    finally:
        strangers.close()


def _did(home: Path) -> list[str]:
    return [entry.did for entry in Audit(home / "system/audit.jsonl", utc_now, "test").entries()]


@contextlib.contextmanager
def rsyslog(home: Path) -> Iterator[tuple[str, Path]]:
    """A repository as hospitals have them. Gives [audit] and the file that it writes."""
    need(RSYSLOG)
    port, received = free_port(), home / "received.log"
    files = certificates(home / "tls")
    config = home / "rsyslog.conf"
    config.write_text(f"""
global(workDirectory="{home}" DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="{files["ca.pem"]}"
       DefaultNetstreamDriverCertFile="{files["archive.pem"]}" DefaultNetstreamDriverKeyFile="{files["archive.key"]}"
       maxMessageSize="64k")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
input(type="imtcp" address="127.0.0.1" port="{port}")
template(name="raw" type="string" string="%hostname%|%app-name%|%procid%|%msgid%|%pri%|%structured-data%|%msg%\\n")
*.* action(type="omfile" file="{received}" template="raw")
""")
    with process([RSYSLOG, "-n", "-f", str(config), "-i", str(home / "rsyslog.pid")], home / "rsyslog.log"):
        until(lambda: is_listening(port), f"rsyslog listens: {(home / 'rsyslog.log').read_text()}")
        yield (
            f'host = "127.0.0.1"\nport = {port}\nsettle_s = 0.3\n[audit.tls]\nca = "{files["ca.pem"]}"\n'
            f'certificate = "{files["us.pem"]}"\nkey = "{files["us.key"]}"\n',
            received,
        )


def test_rsyslog_understands_it(tmp_path: Path):
    with rsyslog(tmp_path) as (audit, received), forwarding(tmp_path / "us", audit) as forward:
        captures(tmp_path / "us", 2)
        until(lambda: received.exists() and received.read_text().count("|outbox|") == 2, f"both: {forward.tail()}")
    lines = [line for line in received.read_text().splitlines() if "|limpid|" in line]
    outbox = [line.split("|", 6) for line in lines if line.split("|")[2] == "outbox"]
    assert [one[1:6] for one in outbox] == [
        ["limpid", "outbox", "DICOM+RFC3881", "85", f'[meta sequenceId="{n}"]'] for n in (1, 2)
    ]
    assert all(re.search("<AuditMessage>.*</AuditMessage>$", one[6]) for one in outbox)


def test_verify_names_the_first_line_that_was_touched(tmp_path: Path):
    config = tmp_path / "limpid.toml"
    config.write_text(config_text(tmp_path / "outbox", ""))
    captures(tmp_path, 4)

    def verify() -> tuple[int, dict[str, object]]:
        line = [sys.executable, "-m", "edge", "audit", "verify", "--json", "--log", "outbox", "-c", str(config)]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, json.loads(done.stdout)["logs"]["outbox"]

    status, told = verify()
    assert (status, told["entries"], told["first"]) == (0, 4, None)
    path = tmp_path / "outbox/audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"n":2,', b'"n":2, ', 1))
    status, told = verify()
    assert (status, told["first"]) == (1, 2)
