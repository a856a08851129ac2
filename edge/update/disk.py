"""How versions of the application lie on the disk, side by side; what is there is the state.

    /opt/limpid/current -> versions/0.2.0     what the units run; one link, turned in one step
    /opt/limpid/good -> versions/0.1.0        the last that held: its code runs trials, and `settle` at a start
    /opt/limpid/versions/0.2.0/               venv/, bundle.head (signed), installed.json (what was installed)
    /opt/limpid/.staging~...                  a version that is being written, or that was interrupted
    /var/lib/limpid/update/history.json       versions in the order in which they became current
    /var/lib/limpid/update/trial.json         there while the current one is on trial
    /var/lib/limpid/update/audit.jsonl        who staged, switched, kept, took back or was refused what

What is current is one link. A trial is only one while `current` leads to its version: the file is written before the
link is turned. What may be let in, and who is told, is in `store.py`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from edge.durable import remove_durably, turn_link, write_durably
from edge.shelf import Shelf
from edge.update.install import VENV
from edge.update.trial import Trial

VERSIONS, CURRENT, GOOD = "versions", "current", "good"


class VersionDisk(Shelf):
    def __init__(self, root: Path, state: Path) -> None:
        super().__init__(root)
        self.state = state

    # ------------------------------------------------ links

    @property
    def current(self) -> str:
        return self._leads_to(CURRENT)

    @property
    def good(self) -> str:
        return self._leads_to(GOOD)

    @property
    def previous(self) -> str:
        """Where `roll_back` goes; empty where there is no way back."""
        trial = self.trial()
        if trial is not None:
            return trial.before if self.is_there(trial.before) else ""
        history, current = self.history(), self.current
        before = history[: len(history) - 1 - history[::-1].index(current)] if current in history else history
        return next((one for one in reversed(before) if one != current and self.is_there(one)), "")

    def turn(self, link: str, number: str) -> None:
        turn_link(self.root / link, f"{VERSIONS}/{number}")

    def _leads_to(self, link: str) -> str:
        path = self.root / link
        with contextlib.suppress(OSError):
            target = path.readlink()
            if target.parts[:-1] == (VERSIONS,) and self.is_there(target.name):
                return target.name
        return ""

    def is_there(self, number: str) -> bool:
        return bool(number) and (self.root / VERSIONS / number / VENV).is_dir()

    def home(self, number: str) -> Path:
        return self.root / VERSIONS / number

    # ------------------------------------------------ history and trial

    def history(self) -> list[str]:
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode((self.state / "history.json").read_bytes(), type=list[str])
        return [self.good] if self.good else []

    def history_to(self, number: str) -> list[str]:
        """Without what came after NUMBER: a version that was gone back from, or never quite became current."""
        history = self.history()
        if number in history:
            return history[: len(history) - history[::-1].index(number)]
        return [*history, number] if number else history

    def write_history(self, history: list[str]) -> None:
        write_durably(self.state / "history.json", msgspec.json.encode(history[-20:]), mode=0o644)

    def trial(self) -> Trial | None:
        """Of the current version; one of another is over, whatever became of it."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            trial = msgspec.json.decode(self._trial_file.read_bytes(), type=Trial)
            return trial if trial.version == self.current else None
        return None

    def keep_trial(self, trial: Trial) -> None:
        """The caller holds the lock."""
        write_durably(self._trial_file, msgspec.json.encode(trial), mode=0o644)

    def end_trial(self) -> None:
        remove_durably(self._trial_file)

    @property
    def _trial_file(self) -> Path:
        return self.state / "trial.json"
