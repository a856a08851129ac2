"""How installed engines lie on the disk: one folder, the first of `[engines] folders`, and what is in it is the state.

    NAME                  a link to one of the generations below: the active engine; without it, the shipped one
    .NAME~g0007           a link to the version that the seventh activation chose; the way back is to .NAME~g0006
    .NAME~2.1~k3v9x2m1/   a version: manifest.toml, model, card ... and bundle.head where it came as a bundle
    .NAME~tmp~...         a version that is being written, or that was interrupted
    .NAME~trial           the active generation is on trial in the daemon
    .keys/                the keys that are trusted and revoked here, where [engines] keys names no other folder
    audit.jsonl           who installed, activated, rolled back, removed or was refused what

Whether to activate or to go back, it is one rename of one link: whoever reads, and whatever is cut off at any moment,
finds the old engine or the new one, whole. What may be let in, and who is told, is in `engine_store`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from edge.durable import create_durably, remove_durably, sync_folder, turn_link, write_durably
from edge.shelf import Shelf

SEPARATOR = "~"  # no engine's name and no version holds one
KEPT_GENERATIONS = 4  # how often one can go back


class Trial(msgspec.Struct, frozen=True):
    """An activation that the daemon has not yet seen to hold."""

    generation: int
    state: Literal["due", "running"]


class EngineDisk(Shelf):
    # ------------------------------------------------ versions

    def homes(self, name: str = "*") -> list[Path]:
        return sorted(path for path in self.root.glob(f".{name}{SEPARATOR}*") if _is_version(path))

    def put(self, name: str, version: str, fill: Callable[[Path], None]) -> Path:
        """A version's folder, filled by FILL, durable and whole before it has its name."""
        with self.unfinished(f".{name}{SEPARATOR}tmp{SEPARATOR}", name) as folder:
            fill(folder)  # may take as long as a network does: nobody waits for it
            folder.chmod(0o755)  # the daemon may be another user
            self.give_to_owner(folder)
            sync_folder(folder)
            home = self.root / f".{name}{SEPARATOR}{version}{SEPARATOR}{folder.name.rpartition(SEPARATOR)[2]}"
            with self.locked():
                folder.rename(home)
                sync_folder(self.root)
        return home

    def put_files(self, name: str, version: str, files: Mapping[str, bytes]) -> Path:
        """A version that was made here, unsigned."""

        def fill(folder: Path) -> None:
            for file, content in files.items():
                create_durably(folder / file, content, mode=0o644)

        return self.put(name, version, fill)

    def write_beside(self, home: Path, name: str, content: bytes) -> None:
        """A file of this device's own beside a version's: not part of what was signed."""
        with self.locked():
            write_durably(home / name, content, mode=0o644)

    def take_away(self, home: Path) -> None:
        """First it loses its name, so that no half of it is ever taken for a version."""
        name, *_, mark = home.name.split(SEPARATOR)
        gone = home.with_name(SEPARATOR.join((name, "tmp", mark)))
        home.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    # ------------------------------------------------ links

    def active_home(self, name: str) -> Path | None:
        link = self.root / name
        return link.resolve() if link.is_symlink() and link.exists() else None

    def home_before(self, name: str) -> Path | None:
        """The version that `roll_back` goes to; None: the shipped one, or nothing that is kept."""
        link = self.generation_link(name, self.generation(name) - 1)
        return link.resolve() if link.exists() else None

    def goes_back_to_shipped(self, name: str) -> bool:
        """Whether `roll_back` leaves no installed version active: what was activated first is what runs."""
        number = self.generation(name)
        return (self.root / name).is_symlink() and number < 2 and not self.generation_link(name, number - 1).exists()

    def generation(self, name: str) -> int:
        """Of the active link; 0 where none was ever chosen."""
        link = self.root / name
        if not link.is_symlink():
            return 0
        found = re.fullmatch(rf"\.{re.escape(name)}{SEPARATOR}g([0-9]{{4,9}})", link.readlink().name)
        return int(found[1]) if found else 0

    def generation_link(self, name: str, number: int) -> Path:
        return self.root / f".{name}{SEPARATOR}g{number:04d}"

    def turn_on(self, name: str, home: Path, *, trial: bool) -> None:
        """The next generation, to HOME. The caller holds the lock."""
        number = self.generation(name) + 1
        self._keep_what_an_older_calibration_linked(name)
        turn_link(self.generation_link(name, number), home.name)
        if trial:
            self._write_trial(name, Trial(number, "due"))
        turn_link(self.root / name, self.generation_link(name, number).name)

    def turn_back(self, name: str) -> None:
        """To the generation before, or to none. The caller holds the lock."""
        before = self.generation_link(name, self.generation(name) - 1)
        if before.exists():
            turn_link(self.root / name, before.name)
        else:
            remove_durably(self.root / name)

    def _keep_what_an_older_calibration_linked(self, name: str) -> None:
        """A link straight to a version becomes a generation, so that there is a way back to it."""
        link, first = self.root / name, self.generation_link(name, 0)
        if link.is_symlink() and self.generation(name) == 0 and link.readlink().name != first.name:
            turn_link(first, link.readlink().name)

    def prune(self, name: str) -> None:
        """Generations beyond those that are kept, and the versions that only they led to."""
        number, old = self.generation(name), list[Path]()
        for link in self.root.glob(f".{name}{SEPARATOR}g[0-9]*"):
            generation = int(link.name.rpartition(SEPARATOR)[2][1:])
            if not number - KEPT_GENERATIONS < generation <= number:
                old += [link.resolve()] if generation < number else []
                link.unlink()
        kept = {link.resolve() for link in self.root.glob(f".{name}{SEPARATOR}g[0-9]*")}
        for home in old:
            if home not in kept and home.parent == self.root and _is_version(home):
                self.take_away(home)

    # ------------------------------------------------ trials

    def trial(self, name: str) -> Trial | None:
        """Of the active generation; one of another generation is over, whatever became of it."""
        try:
            trial = msgspec.json.decode(self._trial_file(name).read_bytes(), type=Trial)
        except (OSError, msgspec.MsgspecError):
            return None
        return trial if trial.generation == self.generation(name) else None

    def set_trial(self, name: str, state: Literal["due", "running", "over"]) -> None:
        with self.locked():
            if state == "over":
                remove_durably(self._trial_file(name))
            else:
                self._write_trial(name, Trial(self.generation(name), state))

    def _write_trial(self, name: str, trial: Trial) -> None:
        write_durably(self._trial_file(name), msgspec.json.encode(trial), mode=0o644)

    def _trial_file(self, name: str) -> Path:
        return self.root / f".{name}{SEPARATOR}trial"


def _is_version(path: Path) -> bool:
    """A version's folder: `.NAME~VERSION~xxxx`, or as calibrations once named theirs, `.NAME~xxxx`."""
    parts = path.name.split(SEPARATOR)
    named = path.name.startswith(".") and len(parts) in (2, 3) and parts[1] != "tmp"
    return named and path.is_dir() and not path.is_symlink()
