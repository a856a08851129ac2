"""The audit log: what was appended is there, in order, whatever the power and the size of files do."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge.audit import FIRST, Audit, Follower, Mark

Following = Callable[..., Follower]


def wall() -> datetime:
    return datetime(2026, 11, 20, 19, 15, 30, tzinfo=timezone.utc)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def following() -> Iterator[Following]:
    """Makes followers, and closes them."""
    made = list[Follower]()

    def follow(audit: Audit, mark: Mark = Mark()) -> Follower:  # noqa: B008
        made.append(Follower(audit, mark))
        return made[-1]

    yield follow
    for one in made:
        one.close()


def write(path: Path, count: int, who: str = "test", largest: int = 8 << 20) -> Audit:
    audit = Audit(path, wall, who, largest)
    for n in range(count):
        audit.append("sent", f"capture-{n}", {"object": "1-original.dcm"})
    return audit


def test_entries_follow_each_other(path: Path):
    audit = write(path, 5)
    verdict = audit.verify()
    assert (verdict.entries, verdict.faults) == (5, ())
    assert audit.end() == (5, verdict.head)
    assert [entry.n for entry in Audit(path, wall, "later").entries()] == [1, 2, 3, 4, 5]
    assert path.stat().st_mode & 0o077 == 0


def test_an_empty_log_is_in_order(path: Path):
    verdict = Audit(path, wall, "test").verify()
    assert (verdict.entries, verdict.head, verdict.faults) == (0, FIRST, ())


def test_a_line_that_a_power_cut_tore_is_mended_and_told(path: Path):
    audit = write(path, 3)
    with path.open("ab") as file:
        file.write(b'{"n":4,"when":"2026')
    assert audit.verify().faults == ()
    assert [entry.n for entry in audit.newest_first()] == [3, 2, 1]
    audit.append("sent", "capture-3")
    did = [entry.did for entry in audit.entries()]
    assert did == ["sent"] * 3 + ["mended", "sent"]
    assert audit.verify().faults == ()


def test_the_chain_goes_on_from_file_to_file(path: Path):
    audit = write(path, 60, largest=2000)
    assert len(audit.files()) > 4
    assert all(file.stat().st_size < 2400 for file in audit.files())
    assert (audit.verify().entries, audit.verify().faults) == (60, ())
    assert [entry.n for entry in audit.entries()] == list(range(1, 61))
    assert [entry.n for entry in audit.newest_first()] == list(range(60, 0, -1))


def test_a_power_cut_between_two_files_costs_nothing(path: Path):
    audit = write(path, 7)
    path.rename(path.with_name("audit-000000000001.jsonl"))  # it was set aside, and the new one not yet begun
    assert audit.end()[0] == 7
    audit.append("sent", "later")
    assert (audit.verify().entries, audit.verify().faults) == (8, ())


def test_a_line_torn_at_the_end_of_a_file_that_is_full_is_mended_in_the_next(path: Path):
    audit = write(path, 3, largest=400)
    with path.open("ab") as file:
        file.write(b"x" * 500)  # torn, and beyond what a file may hold
    audit.append("sent", "later")
    assert [entry.n for entry in audit.entries()] == [1, 2, 3, 4, 5][: len(list(audit.entries()))]
    assert audit.verify().faults == ()


def test_a_file_is_never_overwritten_by_an_older_number(path: Path):
    audit = write(path, 4, largest=300)
    kept = {file.name: file.read_bytes() for file in audit.files() if file != path}
    path.write_bytes(next(iter(kept.values())) + path.read_bytes())  # the current file claims an old one's number
    audit.append("sent", "later")
    assert {file.name: file.read_bytes() for file in audit.files() if file.name in kept} == kept


def _append_many(path: Path, who: str) -> None:
    write(path, 40, who, largest=3000)


def test_a_log_that_is_set_aside_between_the_look_and_the_opening_is_not_passed_over(
    path: Path, following: Following, monkeypatch: pytest.MonkeyPatch
):
    write(path, 1, largest=1)
    reader = Audit(path, wall, "reader")
    look, late = reader.files, [3, 2]  # entries that come just after a look, each with a file of its own

    def looked() -> list[Path]:
        found = look()
        if late:
            write(path, late.pop(), largest=1)
        return found

    monkeypatch.setattr(reader, "files", looked)
    follower, seen = following(reader), list[int]()
    for _ in range(30):
        if (line := follower.next()) is not None:
            seen.append(line.entry.n)
    assert seen == list(range(1, 7))


def test_processes_take_turns_across_files(path: Path, following: Following):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(path, f"writer-{n}")) for n in range(3)]
    for writer in writers:
        writer.start()
    follower, seen = following(Audit(path, wall, "reader")), list[int]()
    while any(writer.is_alive() for writer in writers):
        while (line := follower.next()) is not None:
            seen.append(line.entry.n)
    for writer in writers:
        writer.join(30)
    while (line := follower.next()) is not None:
        seen.append(line.entry.n)
    audit = Audit(path, wall, "test")
    assert (audit.verify().entries, audit.verify().faults) == (120, ())
    assert len(audit.files()) > 5
    assert seen == list(range(1, 121)), "a reader beside them misses nothing and reads nothing twice"


def test_a_follower_takes_up_where_another_left_off(path: Path, following: Following):
    audit = write(path, 20, largest=1500)
    first = following(audit)
    for _ in range(11):
        first.next()
    second = following(Audit(path, wall, "later"), first.mark)
    rest = [line.entry.n for line in iter(second.next, None)]
    assert rest == list(range(12, 21))
    assert not second.is_lost
    second.rewind(Mark(19, [line.sum for line in iter(following(audit).next, None)][18]))
    assert [line.entry.n for line in iter(second.next, None)] == [20]


def test_a_follower_whose_line_is_gone_reads_everything_again_and_says_so(path: Path, following: Following):
    audit = write(path, 10)
    follower = following(audit)
    for _ in range(6):
        follower.next()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    again = following(audit, follower.mark)
    assert [line.entry.n for line in iter(again.next, None)] == [1, 2, 3, 4]
    assert again.is_lost


def test_a_forged_number_does_not_make_a_follower_pass_over_what_comes_after(path: Path, following: Following):
    audit = write(path, 6)
    path.write_bytes(path.read_bytes().replace(b'{"n":3,', b'{"n":999999,'))
    follower = following(audit)
    assert [line.entry.n for line in iter(follower.next, None)] == [1, 2, 999999, 4, 5, 6]
