"""What may become the current version, and which one was: staging, switching, the way back, each step in the audit log.

How versions lie on the disk is in `disk.py`. Called from commands and from `limpid update settle`, which take turns by
a lock.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from edge import sealed
from edge.audit import Audit
from edge.durable import sync_folder, sync_tree
from edge.errors import ConfigError, LimpidError, UpdateRefused
from edge.signing import Keyring
from edge.update import bundle
from edge.update.bundle import Head, Listing
from edge.update.disk import CURRENT, GOOD, VERSIONS, VersionDisk
from edge.update.install import Step, free_bytes, install, sums
from edge.update.target import Target, this_machine
from edge.update.trial import Trial

STAGING = ".staging~"
FILES = "files"  # in an unfinished version: what was in the bundle
INSTALLED = "installed.json"
SPARE_BYTES = 256 << 20
Facts = Mapping[str, object]
Install = Callable[[Listing, Path, Path, Path, Step], None]


@dataclass(frozen=True, slots=True)
class Version:
    """One installed version, and where it stands."""

    number: str
    home: Path
    listing: Listing | None  # None where it did not come as a bundle, or cannot be read; then `fault` says why
    fault: str
    states: tuple[str, ...]  # of: current, good, previous


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class VersionStore(VersionDisk):
    def __init__(
        self, root: Path, state: Path, keys: Keyring, who: str, wall: Callable[[], datetime] = utc_now
    ) -> None:
        super().__init__(root, state)
        self.keys = keys
        self.audit = Audit(state / "audit.jsonl", wall, who, name="updates")

    # ------------------------------------------------ what is there

    def versions(self) -> list[Version]:
        folder = self.root / VERSIONS
        found = [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
        return sorted((self._read(path) for path in found if path.is_dir()), key=lambda one: _place(one.number))

    def _read(self, home: Path) -> Version:
        """Its signature, not its every file: that is for `check`."""
        listing, fault = None, ""
        try:
            listing = sealed.head_of(bundle.KIND, home, self.keys)
        except (UpdateRefused, ConfigError) as error:
            fault = str(error)
        named = {"current": self.current, "good": self.good, "previous": self.previous}
        return Version(
            home.name, home, listing, fault, tuple(state for state, one in named.items() if one == home.name)
        )

    def find(self, number: str = "") -> Version:
        """One that can be applied: by its number, or the newest that is newer than the current one."""
        found = self.versions()
        fitting = [one for one in found if number == one.number or (not number and self._is_newer(one.number))]
        if not fitting:
            known = ", ".join(one.number for one in found) or "none"
            raise ConfigError(f"no version {number or 'newer than the current one'} is staged; there are: {known}")
        return fitting[-1]

    def _is_newer(self, number: str) -> bool:
        return not self.current or _place(number) > _place(self.current)

    def check(self, version: Version) -> Listing:
        """Signature, and every file of it as it was installed. Raises UpdateRefused."""
        if version.fault or version.listing is None:
            raise UpdateRefused(version.fault or "it did not come as a signed update")
        try:
            written = msgspec.json.decode((version.home / INSTALLED).read_bytes(), type=dict[str, str])
        except (OSError, msgspec.MsgspecError) as error:
            raise UpdateRefused(f"what was installed of it is not known: {error}; stage it again") from error
        found = {path: digest for path, digest in sums(version.home).items() if path != INSTALLED}
        different = sorted(path for path in {*written, *found} if written.get(path) != found.get(path))
        if different:
            raise UpdateRefused(f"{different[0]} is not what was installed, nor are {len(different) - 1} others")
        return version.listing

    # ------------------------------------------------ staging: nothing that runs is touched

    def fits(self, listing: Listing, here: Target | None = None) -> None:
        """Whether this version may be staged here now. Raises UpdateRefused."""
        if why := listing.target.why_not(here or this_machine()):
            raise UpdateRefused(why)
        if self.current and _place(listing.version) < _place(self.current):
            raise UpdateRefused(
                f"it is older than {self.current}, which is current; back goes `limpid update rollback`"
            )
        if listing.minimum and self.current and _place(self.current) < _place(listing.minimum):
            raise UpdateRefused(f"it needs {listing.minimum} first; {self.current} is current")

    def has_room(self, listing: Listing) -> None:
        needed = listing.size + listing.unpacked + listing.unpacked // 2 + SPARE_BYTES  # and what Python compiles
        if (free := free_bytes(self.root)) < needed:
            raise UpdateRefused(f"the disk has no room for it: {needed >> 20} MB are needed, {free >> 20} are free")

    def stage(
        self,
        stream: sealed.Stream,
        progress: bundle.Progress = lambda _what, _done, _total: None,
        install: Install = install,
        here: Target | None = None,
    ) -> tuple[Version, bool]:
        """A bundle beside what is there. Gives the version, and whether it is new here."""
        head = bundle.read_head(stream, self.keys)
        listing = head.listing
        try:
            self.fits(listing, here)
            if (there := self._there_already(listing)) is not None:
                return there, False
            self.has_room(listing)
            self._install(stream, head, progress, install)
        except UpdateRefused as error:
            raise UpdateRefused(f"{listing.version}: {error}") from error
        self.tell("update-staged", listing.version, {"key": listing.key, "bytes": listing.size})
        return self._read(self.home(listing.version)), True

    def _there_already(self, listing: Listing) -> Version | None:
        """The same one again is no mistake; another under the same version is. A damaged one is written anew."""
        home = self.home(listing.version)
        if not home.is_dir():
            return None
        version = self._read(home)
        try:
            if self.check(version) == listing:
                return version
        except UpdateRefused:
            if not version.states:
                return None
        raise UpdateRefused("this version is here already, with other content: a new one needs a new number")

    def _install(self, stream: sealed.Stream, head: Head, progress: bundle.Progress, install: Install) -> None:
        listing, read = head.listing, 0

        def more(count: int) -> None:
            nonlocal read
            read += count
            progress("verifying", read, listing.size)

        final = self.home(listing.version)
        with self.unfinished(STAGING, listing.version) as folder:
            files = folder / FILES
            files.mkdir()
            sealed.unpack(bundle.KIND, stream, head, files, more)
            install(listing, files, folder, final, lambda what: progress(what, listing.size, listing.size))
            (files / sealed.HEAD_FILE).rename(folder / sealed.HEAD_FILE)
            shutil.rmtree(files)
            (folder / INSTALLED).write_bytes(msgspec.json.encode(sums(folder)))
            folder.chmod(0o755)
            progress("writing to the disk", listing.size, listing.size)
            sync_tree(folder)
            with self.locked():
                (self.root / VERSIONS).mkdir(exist_ok=True)
                if final.exists():
                    self._take_away(final)
                folder.rename(final)
                sync_folder(self.root / VERSIONS)

    # ------------------------------------------------ which one is current

    def switch(self, number: str, trial: Trial | None, facts: Facts | None = None) -> None:
        """Turn the link. What is written before it counts only once it is turned."""
        with self.locked():
            before = self.current
            if not self.is_there(number):
                raise ConfigError(f"version {number} is not staged")
            self.audit.append("update-switching", number, {"before": before, **(facts or {})})
            if trial is not None:
                self.keep_trial(trial)
                if before and self.good != before:
                    self.turn(GOOD, before)
            self.write_history([*self.history_to(before), number])
            self.turn(CURRENT, number)
            if trial is None:
                self.turn(GOOD, number)
            self.tell("update-switched", number, {"before": before})

    def roll_back(self, why: str, facts: Facts | None = None) -> str:
        """Turn the link back, to the version before. Gives its number."""
        with self.locked():
            left, to = self.current, self.previous
            if not to:
                raise ConfigError("no version from before is kept: there is nothing to go back to")
            told = {"why": why, "to": to, **(facts or {})}
            self.audit.append("update-rolling-back", left, told)
            self.turn(GOOD, to)
            self.turn(CURRENT, to)
            self.write_history(self.history_to(to))
            self.end_trial()
            self.tell("update-rolled-back", left, told)
            return to

    def hold(self) -> list[str]:
        """The trial is over: the current version is the good one. Gives the versions that were removed."""
        with self.locked():
            current = self.current
            self.turn(GOOD, current)
            self.end_trial()
            self.tell("update-held", current, {})
            return self._prune()

    def remove(self, number: str) -> None:
        """A version that is neither current nor a way back."""
        with self.locked():
            home = self.home(number)
            if not home.is_dir() or home.parent != self.root / VERSIONS:
                raise ConfigError(f"there is no version {number}")
            if number in self._needed():
                raise ConfigError(f"version {number} is current, or the way back")
            self.audit.append("update-removed", number, {})
            self._take_away(home)

    def _needed(self) -> set[str]:
        trial = self.trial()
        return {self.current, self.good, self.previous, trial.before if trial is not None else ""}

    def _prune(self) -> list[str]:
        """What is older than the current one, but for the way back."""
        needed, current = self._needed(), self.current
        old = [one.number for one in self.versions() if _place(one.number) < _place(current)]
        gone = [number for number in old if number not in needed]
        for number in gone:
            self.tell("update-removed", number, {"automatic": True})
            self._take_away(self.home(number))
        return gone

    def _take_away(self, home: Path) -> None:
        """First it loses its name, so that no half of it is ever taken for a version."""
        gone = self.root / f"{STAGING}{home.name}-gone"
        shutil.rmtree(gone, ignore_errors=True)
        home.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def write_trial(self, trial: Trial) -> None:
        with self.locked():
            if trial.version == self.current:
                self.keep_trial(trial)

    # ------------------------------------------------ told

    def tell(self, did: str, to: str, facts: Facts) -> None:
        """What has happened has happened, whether or not it can be written down."""
        with contextlib.suppress(OSError):
            self.audit.append(did, to, facts)

    def check_place(self) -> None:
        """Whether something can be installed here. Raises ConfigError."""
        try:
            (self.root / VERSIONS).mkdir(parents=True, exist_ok=True)
            self.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}; updates are for root") from error
        link = self.root / CURRENT
        if link.exists() and not link.is_symlink():
            raise LimpidError(f"{link} is no link: this was not installed in a way that can be updated")


def _place(number: str) -> tuple[tuple[int, ...], str]:
    """Where a version stands among others; what is no version, before all of them."""
    with contextlib.suppress(UpdateRefused):
        return bundle.compared(number)
    return (), number
