"""Events in the journal's own protocol: a real datagram socket, read back by the protocol's own rules."""

from __future__ import annotations

import io
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import ManualClock
from edge.event_table import EVENTS, PRIORITY, level_of
from edge.health import Events
from edge.journal import LONGEST_VALUE, Journal, entry, is_journal

EVENT = {"event": "stream.opened", "severity": "notice", "t_ns": 7, "stream": "probe-1", "width": 640, "by": ["a", "b"]}


def fields(data: bytes) -> dict[str, str]:
    """A reader of the protocol, written from its description."""
    told: dict[str, str] = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            key, _, value = line.partition(b"=")
            data = rest
        else:
            key, (length,) = line, struct.unpack("<Q", rest[:8])
            value, data = rest[8 : 8 + length], rest[9 + length :]
            assert rest[8 + length : 9 + length] == b"\n"
        told[key.decode()] = value.decode()
    return told


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """What listens where the journal would. A short path: sockets' names are short."""
    with tempfile.TemporaryDirectory(prefix="j") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        address = f"{folder}/socket"
        ear.bind(address)
        ear.settimeout(10)
        yield ear, address


def test_an_event_is_an_entry_with_its_priority_and_each_fact_as_a_field() -> None:
    assert fields(entry(EVENT, "limpid-live")) == {
        "MESSAGE": 'stream.opened stream=probe-1 width=640 by=["a", "b"]', "PRIORITY": "5",
        "SYSLOG_IDENTIFIER": "limpid-live", "LIMPID_EVENT": "stream.opened", "LIMPID_T_NS": "7",
        "LIMPID_STREAM": "probe-1", "LIMPID_WIDTH": "640", "LIMPID_BY": '["a", "b"]',
    }  # fmt: skip


@given(st.dictionaries(st.text(max_size=60), st.one_of(st.text(), st.integers(), st.none(), st.lists(st.integers()))))
def test_no_fact_can_forge_a_field_or_break_an_entry(facts: dict[str, object]) -> None:
    told = fields(entry({**facts, "event": "a.b", "severity": "error"}, "limpid"))
    assert told["PRIORITY"] == "3"
    assert told["LIMPID_EVENT"] == "a.b" or "event" in {key.lower() for key in facts}
    assert set(told) <= {
        "MESSAGE",
        "PRIORITY",
        "SYSLOG_IDENTIFIER",
        *(key for key in told if key.startswith("LIMPID_")),
    }
    assert all(len(key) <= 64 for key in told)


def test_a_long_fact_is_cut() -> None:
    assert len(fields(entry({**EVENT, "reason": "x" * 100_000}, "limpid"))["LIMPID_REASON"]) == LONGEST_VALUE


def test_entries_arrive_and_one_that_finds_nobody_is_told(journald: tuple[socket.socket, str]) -> None:
    ear, address = journald
    journal = Journal("limpid-live", address)
    assert journal.send(EVENT)
    assert fields(ear.recv(65536))["LIMPID_STREAM"] == "probe-1"
    ear.close()
    assert not journal.send(EVENT)
    journal.close()


def test_a_journal_that_reads_nothing_makes_nobody_wait(journald: tuple[socket.socket, str]) -> None:
    journal = Journal("limpid-live", journald[1])
    taken = [journal.send(EVENT) for _ in range(20_000)]
    assert taken[0]
    assert not taken[-1]
    journal.close()


def test_stderr_is_the_journal_only_where_systemd_says_so(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as out:
        about = os.fstat(out.fileno())
        assert is_journal(out, f"{about.st_dev}:{about.st_ino}")
        assert not is_journal(out, f"{about.st_dev}:{about.st_ino + 1}")
        assert not is_journal(out, "")
    assert not is_journal(io.StringIO(), "1:2")


def test_events_go_to_the_journal_and_not_to_stderr(
    journald: tuple[socket.socket, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear, address = journald
    path = tmp_path / "log"
    with path.open("w") as out:
        about = os.fstat(out.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{about.st_dev}:{about.st_ino}")
        events = Events(ManualClock(), out, "limpid-forward", address)
        events.start()
        events.emit("object.parked", destination="pacs")
        events.close(20.0)
    told = fields(ear.recv(65536))
    assert (told["LIMPID_EVENT"], told["PRIORITY"], told["SYSLOG_IDENTIFIER"]) == (
        "object.parked",
        "3",
        "limpid-forward",
    )
    assert path.read_text() == ""
    assert events.lost == 0


def test_every_event_has_a_level_that_syslog_knows() -> None:
    assert {level for level, _ in EVENTS.values()} == set(PRIORITY)
    assert level_of("of.tomorrow") == "info"
