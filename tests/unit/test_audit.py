"""The audit log: what was appended is there, in order, and what was changed shows."""

from __future__ import annotations

import multiprocessing
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.audit import FIRST, Audit


def wall() -> datetime:
    return datetime(2026, 11, 20, 19, 15, 30, tzinfo=timezone.utc)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def write(path: Path, count: int, who: str = "test") -> Audit:
    audit = Audit(path, wall, who)
    for n in range(count):
        audit.append("sent", f"capture-{n}", {"object": "1-original.dcm"})
    return audit


def test_entries_follow_each_other(path: Path):
    verdict = write(path, 5).verify()
    assert (verdict.entries, verdict.faults) == (5, ())
    assert [entry.n for entry in Audit(path, wall, "later").entries()] == [1, 2, 3, 4, 5]
    assert path.stat().st_mode & 0o077 == 0


def test_an_empty_log_is_in_order(path: Path):
    verdict = Audit(path, wall, "test").verify()
    assert (verdict.entries, verdict.head, verdict.faults) == (0, FIRST, ())


@pytest.mark.parametrize("harm", ["changed", "taken out", "put in", "exchanged", "unreadable"])
def test_a_log_that_was_touched_shows_it(path: Path, harm: str):
    audit = write(path, 5)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(
        b"".join(
            {
                "changed": [*lines[:2], lines[2].replace(b"sent", b"lost"), *lines[3:]],
                "taken out": [*lines[:2], *lines[3:]],
                "put in": [*lines[:2], lines[1], *lines[2:]],
                "exchanged": [lines[0], lines[2], lines[1], *lines[3:]],
                "unreadable": [*lines[:2], b"?\n", *lines[3:]],
            }[harm]
        )
    )
    assert audit.verify().faults


def test_what_is_cut_off_at_the_end_shows_in_the_head(path: Path):
    audit = write(path, 5)
    head = audit.verify().head
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    assert audit.verify().head != head


def test_a_line_that_a_power_cut_tore_is_mended_and_told(path: Path):
    audit = write(path, 3)
    with path.open("ab") as file:
        file.write(b'{"n":4,"when":"2026')
    assert audit.verify().faults == ()
    audit.append("sent", "capture-3")
    did = [entry.did for entry in audit.entries()]
    assert did == ["sent"] * 3 + ["mended", "sent"]
    assert audit.verify().faults == ()


def _append_many(path: Path, who: str) -> None:
    write(path, 40, who)


def test_processes_take_turns(path: Path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(path, f"writer-{n}")) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    verdict = Audit(path, wall, "test").verify()
    assert (verdict.entries, verdict.faults) == (120, ())
