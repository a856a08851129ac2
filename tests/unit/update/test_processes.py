"""How the appliance's processes are started again: what is asked of systemd, and what `limpid run` writes down."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
import pytest

from edge.errors import LimpidError, SourceUnavailable
from edge.update.processes import FIRST, OWN_UNIT, UNITS, Nothing, Ran, Stays, Supervised, Systemd, running


class Systemctl:
    """As systemctl answers, for units that a test sets."""

    def __init__(self, restarts: dict[str, int]) -> None:
        self.restarts = restarts
        self.failed: list[str] = []
        self.asked: list[list[str]] = []
        self.installed = True

    def __call__(self, arguments: Sequence[str]) -> str:
        self.asked.append(list(arguments))
        what = arguments[0]
        if what == "list-units":
            names = self.failed if "--state=failed" in arguments else [*self.restarts, OWN_UNIT]
            names = [name for name in names if arguments[-1] in (UNITS, name)]
            return "\n".join(f"{name} loaded active running Limpid" for name in names)
        if what == "show":
            return "\n\n".join(f"Id={unit}\nNRestarts={self.restarts[unit]}" for unit in arguments[2:])
        if what == "cat" and not self.installed:
            raise LimpidError("no files found")
        return ""


@pytest.fixture
def systemctl() -> Systemctl:
    return Systemctl({"limpid-console.service": 4, FIRST: 0})


def test_live_is_started_again_first_and_the_watching_unit_not_at_all(systemctl: Systemctl) -> None:
    Systemd(systemctl).restart()
    restarted = [asked[-1] for asked in systemctl.asked if "restart" in asked]
    assert restarted == [FIRST, "limpid-console.service"]
    reset = next(asked for asked in systemctl.asked if asked[0] == "reset-failed")
    assert OWN_UNIT not in reset


def test_only_ends_since_the_restart_count(systemctl: Systemctl) -> None:
    units = Systemd(systemctl)
    units.restart()
    systemctl.restarts[FIRST] = 2
    assert units.stays().ends == {"limpid-console.service": 0, FIRST: 2}


def test_a_unit_that_was_given_up_is_down(systemctl: Systemctl) -> None:
    systemctl.failed = [FIRST, OWN_UNIT]
    assert Systemd(systemctl).stays().down == (FIRST,)


def test_our_own_unit_watches_where_it_is_installed(systemctl: Systemctl) -> None:
    assert Systemd(systemctl).settles()
    assert systemctl.asked[-1] == ["--no-block", "restart", OWN_UNIT]
    systemctl.installed = False
    assert not Systemd(systemctl).settles()


def test_where_nothing_runs_nothing_is_restarted() -> None:
    systemctl = Systemctl({})
    Systemd(systemctl).restart()
    assert not [asked for asked in systemctl.asked if "restart" in asked]


def test_a_live_process_runs_where_its_unit_is_active(systemctl: Systemctl) -> None:
    assert Systemd(systemctl).has_live()
    del systemctl.restarts[FIRST]
    assert not Systemd(systemctl).has_live()
    assert not Nothing().has_live()


def write(record: Path, pid: int, born: float, ends: dict[str, int]) -> None:
    record.write_bytes(msgspec.json.encode(Ran(pid, born, 0, ends)))


def test_a_supervisor_is_known_by_its_number_and_its_birth(tmp_path: Path) -> None:
    record, born = tmp_path / "run.json", psutil.Process().create_time()
    assert running(record) is None
    write(record, os.getpid(), born, {"live": 1})
    assert Supervised(record).stays() == Stays({"live": 1})
    write(record, os.getpid(), born - 60, {})  # another process had this number
    assert running(record) is None
    assert Supervised(record).stays().down == ("limpid run",)
    with pytest.raises(SourceUnavailable):
        Supervised(record).restart()


@pytest.mark.parametrize(("ends", "runs"), [({"live": 0, "console": 2}, True), ({"live": 1}, False), ({}, False)])
def test_a_live_process_that_has_ended_by_itself_is_not_sure_to_run(
    tmp_path: Path, ends: dict[str, int], *, runs: bool
) -> None:
    record = tmp_path / "run.json"
    assert not Supervised(record).has_live()
    write(record, os.getpid(), psutil.Process().create_time(), ends)
    assert Supervised(record).has_live() is runs
