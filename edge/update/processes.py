"""The appliance's processes, as an update sees them: how they are started again, and whether they stay.

systemd where the units are installed; `limpid run` where there is no systemd, by the record that it keeps beside the
updates' state (`limpid run --update-state`); and nothing at all, on a machine where nothing runs yet.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
import psutil

from edge.errors import LimpidError, SourceUnavailable

RECORD = "run.json"
OWN_UNIT = "limpid-update.service"
UNITS = "limpid-*.service"
FIRST = "limpid-live.service"  # started again before all others: the picture first
PATIENCE_S = 20.0
SYSTEMCTL_S = 60.0


@dataclass(frozen=True, slots=True)
class Stays:
    """Since they were told to start again."""

    ends: Mapping[str, int] = field(default_factory=dict)  # process -> how often it ended by itself
    down: tuple[str, ...] = ()  # given up


class Processes(Protocol):
    what: str

    def has_live(self) -> bool:
        """Whether a live process runs that should answer. False where nobody can say."""
        ...

    def restart(self) -> None:
        """With what is current now. Returns once it is under way. Raises LimpidError."""
        ...

    def stays(self) -> Stays: ...


class Ran(msgspec.Struct, frozen=True):
    """What `limpid run` writes down, each time that something changes."""

    pid: int
    born: float  # of the process with that number, so that another one is not taken for it
    round: int  # how often it was told to start everything again
    ends: dict[str, int]  # in this round


class Nothing:
    what = "nothing runs"

    def has_live(self) -> bool:
        return False

    def restart(self) -> None: ...

    def stays(self) -> Stays:
        return Stays()


class Supervised:
    """Under `limpid run`."""

    what = "limpid run"

    def __init__(self, record: Path) -> None:
        self._record = record
        self._pause = threading.Event()

    def has_live(self) -> bool:
        """One that has ended by itself may be ending again and again: an update can be what mends it."""
        ran = self._read()
        return ran is not None and ran.ends.get("live") == 0

    def restart(self) -> None:
        ran = self._read()
        if ran is None:
            raise SourceUnavailable("`limpid run` has ended")
        os.kill(ran.pid, signal.SIGHUP)
        for _ in range(int(PATIENCE_S / 0.05)):
            now = self._read()
            if now is None or now.round != ran.round:
                return
            self._pause.wait(0.05)
        raise LimpidError(f"`limpid run` (process {ran.pid}) did not start its processes again")

    def stays(self) -> Stays:
        ran = self._read()
        return Stays(ran.ends) if ran is not None else Stays(down=("limpid run",))

    def _read(self) -> Ran | None:
        return running(self._record)


def running(record: Path) -> Ran | None:
    """What a supervisor wrote that is still there."""
    try:
        ran = msgspec.json.decode(record.read_bytes(), type=Ran)
        return ran if abs(psutil.Process(ran.pid).create_time() - ran.born) < 1.0 else None
    except (OSError, msgspec.MsgspecError, psutil.Error):
        return None


Systemctl = Callable[[Sequence[str]], str]


class Systemd:
    what = "systemd"

    def __init__(self, systemctl: Systemctl | None = None) -> None:
        self._ask = systemctl or _systemctl
        self._before: dict[str, int] = {}

    def has_live(self) -> bool:
        return bool(self._ask(["list-units", "--plain", "--no-legend", "--state=active", FIRST]).strip())

    def restart(self) -> None:
        """Live first. Not waited for: a unit of a version that is never ready would be waited for in vain."""
        units = self._units()
        if not units:
            return
        self._ask(["reset-failed", *units])  # those that were given up are to be tried again
        self._before = self._restarts()
        for unit in sorted(units, key=lambda name: name != FIRST):
            self._ask(["--no-block", "restart", unit])

    def stays(self) -> Stays:
        ends = {unit: max(0, count - self._before.get(unit, 0)) for unit, count in self._restarts().items()}
        down = self._ask(["list-units", "--plain", "--no-legend", "--state=failed", UNITS]).splitlines()
        return Stays(ends, tuple(line.split()[0] for line in down if line.split() and line.split()[0] != OWN_UNIT))

    def settles(self) -> bool:
        """Have our own unit watch the trial, where it is installed: it outlives whoever has asked."""
        try:
            self._ask(["cat", OWN_UNIT])
            self._ask(["--no-block", "restart", OWN_UNIT])
        except LimpidError:
            return False
        return True

    def _units(self) -> list[str]:
        lines = self._ask(
            ["list-units", "--plain", "--no-legend", "--state=active,activating,reloading,failed", UNITS]
        ).splitlines()
        names = [line.split()[0] for line in lines if line.split()]
        return [name for name in names if name != OWN_UNIT]

    def _restarts(self) -> dict[str, int]:
        units = self._units()
        if not units:
            return {}
        said = self._ask(["show", "--property=Id,NRestarts", *units])
        blocks = [
            dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in said.split("\n\n")
        ]
        return {block["Id"]: int(block.get("NRestarts") or 0) for block in blocks if "Id" in block}


def _systemctl(arguments: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            ["systemctl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SYSTEMCTL_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LimpidError(f"systemctl {arguments[0]}: {error}") from error
    if done.returncode and arguments[0] not in ("reset-failed", "show"):
        raise LimpidError(f"systemctl {' '.join(arguments[:2])}: {done.stderr.strip()[:300]}")
    return done.stdout


def found(state: Path) -> Processes:
    """Whatever runs the appliance here: `limpid run` where one does, or systemd."""
    if running(state / RECORD) is not None:
        return Supervised(state / RECORD)
    if Path("/run/systemd/system").is_dir():
        return Systemd()
    return Nothing()
