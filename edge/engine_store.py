"""Engines that were installed here: versions side by side, which of them is active, and the way back.

One folder, the first of `[engines] folders`; the catalogue reads it as any other. What is on the disk is the state:

    NAME                  a link to one of the generations below: the active engine; without it, the shipped one
    .NAME~g0007           a link to the version that the seventh activation chose; the way back is to .NAME~g0006
    .NAME~2.1~k3v9x2m1/   a version: manifest.toml, model, card ... and bundle.head where it came as a bundle
    .NAME~tmp~...         a version that is being written, or that was interrupted
    .NAME~trial           the active generation is on trial in the daemon
    .keys/                the keys that are trusted and revoked here, where [engines] keys names no other folder
    audit.jsonl           who installed, activated, rolled back, removed or was refused what

Whether to activate or to go back, it is one rename of one link: whoever reads, and whatever is cut off at any moment,
finds the old engine or the new one, whole. Called from commands and from the daemon's engines thread, which take turns
by a lock; never from the live thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import msgspec

from edge import bundle
from edge.audit import Audit
from edge.bundle import Listing, Stream
from edge.catalog import CONTRACT, KEYS, Engine, check_judgement, float_twin, read_engine
from edge.config import Engines
from edge.errors import ConfigError, EngineRefused, LimpidError
from edge.signing import Keyring

USUAL_HOME = Path("~/.local/share/limpid/engines")
SEPARATOR = "~"  # no engine's name and no version holds one
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,47}")
VERSION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})(?:\+([a-z0-9]+(?:\.[a-z0-9]+){0,5}))?")
KEPT_GENERATIONS = 4  # how often one can go back
SPARE_BYTES = 64 << 20  # left on the disk beside what is installed
Facts = Mapping[str, object]  # for the audit log: names and numbers


class Trial(msgspec.Struct, frozen=True):
    """An activation that the daemon has not yet seen to hold."""

    generation: int
    state: Literal["due", "running"]


@dataclass(frozen=True, slots=True)
class Version:
    """One installed version, and where it stands."""

    name: str
    home: Path
    engine: Engine | None  # None where it cannot be read; `fault` says why
    fault: str
    signed_by: str  # a key's id; empty: not from a bundle
    active: bool
    previous: bool

    @property
    def number(self) -> str:
        return self.engine.manifest.version if self.engine is not None else ""


def home_of(engines: Engines) -> Path:
    """Where engines are installed: the first of the configured folders."""
    return (Path(engines.folders[0]) if engines.folders else USUAL_HOME).expanduser()


def keyring_of(engines: Engines) -> Keyring:
    return Keyring(Path(engines.keys).expanduser() if engines.keys else home_of(engines) / KEYS)


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def is_older(version: str, other: str) -> bool:
    """Whether VERSION comes before OTHER. A site's own calibration of a version comes after it."""
    return _ordered(version) < _ordered(other)


def _ordered(version: str) -> tuple[tuple[int, ...], str]:
    found = VERSION.fullmatch(version)
    if found is None:
        raise EngineRefused(f'version "{version}" is not of the form 1.2.3 or 1.2.3+site.20261120')
    numbers = [int(number) for number in found[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), found[2] or ""


class EngineStore:
    def __init__(self, root: Path, keys: Keyring, who: str, wall: Callable[[], datetime] = utc_now) -> None:
        self.root = root.expanduser().resolve()
        self.keys = keys
        self.audit = Audit(root / "audit.jsonl", wall, who)

    # ------------------------------------------------ what is there

    def names(self) -> list[str]:
        """Every engine with a version here, active or not."""
        if not self.root.is_dir():
            return []
        return sorted({path.name[1:].split(SEPARATOR)[0] for path in self.root.iterdir() if _is_version(path)})

    def versions(self, name: str) -> list[Version]:
        """All of one engine, those that cannot be read as well."""
        if not NAME.fullmatch(name):
            raise ConfigError(f'"{name}" is no engine\'s name')
        active, before = self.active_home(name), self.home_before(name)
        homes = [path for path in self.root.glob(f".{name}{SEPARATOR}*") if _is_version(path)]
        found = [self._read(name, home, active, before) for home in sorted(homes)]
        return sorted(found, key=lambda version: (version.number, version.home.name))

    def _read(self, name: str, home: Path, active: Path | None, before: Path | None) -> Version:
        engine, signed_by, fault = None, "", ""
        try:
            engine = read_engine(home)
            listing = bundle.check_folder(home, self.keys)
            signed_by = listing.key if listing is not None else ""
            check_judgement(engine.manifest)
            engine.read_model()
        except (EngineRefused, ConfigError) as error:
            fault = str(error)
        return Version(name, home, engine, fault, signed_by, home == active, home == before)

    def find(self, name: str, number: str = "") -> Version:
        """One that can be activated: by its version, or the newest that is not active."""
        versions = self.versions(name)
        fitting = [one for one in versions if one.engine is not None and number in ("", one.number)]
        if not number:
            fitting = sorted((one for one in fitting if not one.active), key=lambda one: _ordered(one.number))[-1:]
        if not fitting:
            known = ", ".join(one.number or one.home.name for one in versions) or "none"
            raise ConfigError(f"{name}: no version {number or 'that is not active'} is installed; there are: {known}")
        return fitting[-1]

    def active_home(self, name: str) -> Path | None:
        link = self.root / name
        return link.resolve() if link.is_symlink() and link.exists() else None

    def home_before(self, name: str) -> Path | None:
        """The version that `roll_back` goes to; None: the shipped one, or nothing that is kept."""
        link = self._generation_link(name, self.generation(name) - 1)
        return link.resolve() if link.exists() else None

    def generation(self, name: str) -> int:
        """Of the active link; 0 where none was ever chosen."""
        link = self.root / name
        if not link.is_symlink():
            return 0
        found = re.fullmatch(rf"\.{re.escape(name)}{SEPARATOR}g([0-9]{{4,9}})", link.readlink().name)
        return int(found[1]) if found else 0

    def _generation_link(self, name: str, number: int) -> Path:
        return self.root / f".{name}{SEPARATOR}g{number:04d}"

    # ------------------------------------------------ installing: nothing that is active is touched

    def install(
        self, stream: Stream, current: Callable[[str], str] = lambda _name: "", *, downgrade: bool = False
    ) -> tuple[Version, bool]:
        """A bundle beside what is there; not activated. CURRENT: of a name, the version that runs now. Gives the
        version, and whether it is new here."""
        head = bundle.read_head(stream, self.keys)
        listing = head.listing
        try:
            self._check_listing(listing, current(listing.name), downgrade=downgrade)
            if (there := self._there_already(listing)) is not None:
                return there, False
            home = self.put(listing.name, listing.version, lambda folder: self._unpack(stream, head, folder))
        except EngineRefused as error:
            raise EngineRefused(f"{listing.name} {listing.version}: {error}") from error
        self.audit.append("engine-installed", listing.name, self._facts(home))
        return self._at(listing.name, home), True

    def _unpack(self, stream: Stream, head: bundle.Head, folder: Path) -> None:
        bundle.unpack(stream, head, folder)
        check_content(folder, head.listing)

    def _check_listing(self, listing: Listing, current: str, *, downgrade: bool) -> None:
        if listing.contract != CONTRACT:
            raise EngineRefused(f"made for contract {listing.contract}; this daemon has {CONTRACT}")
        _ordered(listing.version)
        if current and is_older(listing.version, current) and not downgrade:
            raise EngineRefused(f"it is older than the active {current}; to go back on purpose, --allow-downgrade")
        place = self.root if self.root.exists() else self.root.parent
        if place.exists() and shutil.disk_usage(place).free < listing.size + SPARE_BYTES:
            raise EngineRefused(f"the disk has no room for it: {listing.size + SPARE_BYTES >> 20} MB are needed")

    def _there_already(self, listing: Listing) -> Version | None:
        """The same one again is no mistake; another under the same version is. One that is damaged here counts not."""
        for version in self.versions(listing.name):
            if version.number != listing.version or version.fault:
                continue
            if bundle.check_folder(version.home, self.keys) == listing:
                return version
            raise EngineRefused("this version is here already, with other content: a new engine needs a new version")
        return None

    def put(self, name: str, version: str, fill: Callable[[Path], None]) -> Path:
        """A version's folder, filled by FILL, durable and whole before it has its name."""
        _ordered(version)
        with self._unfinished(name) as folder:
            fill(folder)  # may take as long as a network does: nobody waits for it
            folder.chmod(0o755)  # the daemon may be another user
            self._give_to_owner(folder)
            _sync(folder)
            home = self.root / f".{name}{SEPARATOR}{version}{SEPARATOR}{folder.name.rpartition(SEPARATOR)[2]}"
            with self._locked():
                folder.replace(home)
                _sync(self.root)
        return home

    @contextlib.contextmanager
    def _unfinished(self, name: str) -> Generator[Path, None, None]:
        """A folder to write to. Held by a lock of its own, so that one that an interrupted process left shows."""
        with self._locked():
            self._clear_unfinished(name)
            folder = Path(tempfile.mkdtemp(prefix=f".{name}{SEPARATOR}tmp{SEPARATOR}", dir=self.root))
            down = contextlib.ExitStack()
            fcntl.flock(down.enter_context(_opened(folder)), fcntl.LOCK_EX)
        with down:
            try:
                yield folder
            except OSError as error:
                raise LimpidError(f"{name} was not installed: {error.strerror}") from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)  # it has another name already where all went well

    def put_files(self, name: str, version: str, files: Mapping[str, bytes]) -> Path:
        """A version that was made here, unsigned."""

        def fill(folder: Path) -> None:
            for file, content in files.items():
                _write(folder / file, content)

        return self.put(name, version, fill)

    def install_files(self, name: str, version: str, files: Mapping[str, bytes]) -> Path:
        """A version that was made and judged here, installed and active. Gives the link to it."""
        self.check_place(name)
        self.activate(name, self.put_files(name, version, files))
        return self.root / name

    # ------------------------------------------------ which one is active

    def activate(self, name: str, home: Path, facts: Facts | None = None, *, trial: bool = False) -> None:
        """Turn the link to a version. The one before stays, for `roll_back`."""
        self.check_place(name)
        with self._locked():
            number = self.generation(name) + 1
            told = {**self._facts(home), **(facts or {})}
            self.audit.append("engine-activating", name, told)
            self._keep_what_an_older_calibration_linked(name)
            self._turn(self._generation_link(name, number), home.name)
            if trial:
                self._write_trial(name, Trial(number, "due"))
            self._turn(self.root / name, self._generation_link(name, number).name)
            self._tell("engine-activated", name, told)
            self._prune(name, number)

    def roll_back(self, name: str, why: str, facts: Facts | None = None) -> Path | None:
        """Turn the link back by one activation. Gives the version that is active now, or None where that is the shipped
        one; where none is shipped, the ladder takes the family's next."""
        with self._locked():
            number, link = self.generation(name), self.root / name
            left = self.active_home(name)
            if not link.is_symlink():
                raise ConfigError(f"{name}: no version was activated here; there is nothing to go back from")
            before = self._generation_link(name, number - 1)
            if number > 1 and not before.exists():
                raise ConfigError(f"{name}: no version from before is kept; activate another one")
            told = {**(self._facts(left) if left is not None else {}), "why": why, **(facts or {})}
            self.audit.append("engine-rolling-back", name, told)
            if before.exists():
                self._turn(link, before.name)
            else:
                link.unlink()
                _sync(self.root)
            now = self.active_home(name)
            self._tell("engine-rolled-back", name, {**told, "to": now.name if now is not None else "shipped"})
            return now

    def remove(self, name: str, home: Path) -> None:
        """A version that is neither active nor the way back."""
        with self._locked():
            if home in (self.active_home(name), self.home_before(name)):
                raise ConfigError(f"{name}: this version is active, or the way back")
            self.audit.append("engine-removed", name, self._facts(home))
            self._remove(home)

    def refused(self, name: str, why: str, facts: Facts | None = None) -> None:
        """Into the audit log: somebody wanted an engine in, and it was not let in."""
        with self._locked():
            self.audit.append("engine-refused", name, {"why": why, **(facts or {})})

    def note(self, did: str, to: str) -> None:
        """Into the audit log: something about keys."""
        with self._locked():
            self.audit.append(did, to)

    def write_beside(self, home: Path, name: str, content: bytes) -> None:
        """A file of this device's own beside a version's: not part of what was signed."""
        with self._locked():
            new = home / f".{name}.tmp"
            new.unlink(missing_ok=True)
            _write(new, content)
            self._give_to_owner(new)
            new.replace(home / name)
            _sync(home)

    def check_place(self, name: str) -> None:
        """Whether an engine could be installed and activated here. Raises ConfigError."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.root}: {error.strerror}") from error
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise ConfigError(f"{self.root} cannot be written")
        link = self.root / name
        if link.exists() and not link.is_symlink():
            raise ConfigError(f"{link} was put there by hand: choose another folder, or move it away")

    # ------------------------------------------------ trials

    def trial(self, name: str) -> Trial | None:
        """Of the active generation; one of another generation is over, whatever became of it."""
        try:
            trial = msgspec.json.decode(self._trial_file(name).read_bytes(), type=Trial)
        except (OSError, msgspec.MsgspecError):
            return None
        return trial if trial.generation == self.generation(name) else None

    def set_trial(self, name: str, state: Literal["due", "running", "over"]) -> None:
        with self._locked():
            if state != "over":
                self._write_trial(name, Trial(self.generation(name), state))
                return
            self._trial_file(name).unlink(missing_ok=True)
            _sync(self.root)

    def _write_trial(self, name: str, trial: Trial) -> None:
        new = self.root / f".{name}{SEPARATOR}trial.tmp"
        new.unlink(missing_ok=True)
        _write(new, msgspec.json.encode(trial))
        self._give_to_owner(new)
        new.replace(self._trial_file(name))
        _sync(self.root)

    def _trial_file(self, name: str) -> Path:
        return self.root / f".{name}{SEPARATOR}trial"

    # ------------------------------------------------ on the disk

    def _keep_what_an_older_calibration_linked(self, name: str) -> None:
        """A link straight to a version becomes a generation, so that there is a way back to it."""
        link, first = self.root / name, self._generation_link(name, 0)
        if link.is_symlink() and self.generation(name) == 0 and link.readlink().name != first.name:
            self._turn(first, link.readlink().name)

    def _turn(self, link: Path, target: str) -> None:
        new = self.root / f".{link.name.lstrip('.')}{SEPARATOR}link"
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(link)
        _sync(self.root)

    def _prune(self, name: str, number: int) -> None:
        """Generations beyond those that are kept, and the versions that only they led to."""
        old: list[Path] = []
        for link in self.root.glob(f".{name}{SEPARATOR}g[0-9]*"):
            generation = int(link.name.rpartition(SEPARATOR)[2][1:])
            if not number - KEPT_GENERATIONS < generation <= number:
                old += [link.resolve()] if generation < number else []
                link.unlink()
        kept = {link.resolve() for link in self.root.glob(f".{name}{SEPARATOR}g[0-9]*")}
        for home in old:
            if home not in kept and home.parent == self.root and _is_version(home):
                self._remove(home)

    def _remove(self, home: Path) -> None:
        """First it loses its name, so that no half of it is ever taken for a version."""
        name, *_, mark = home.name.split(SEPARATOR)
        gone = home.with_name(SEPARATOR.join((name, "tmp", mark)))
        home.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _clear_unfinished(self, name: str) -> None:
        for path in self.root.glob(f".{name}{SEPARATOR}tmp{SEPARATOR}*"):
            with _opened(path) as fd, contextlib.suppress(BlockingIOError):  # somebody is writing it
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)

    def _tell(self, did: str, name: str, facts: Facts) -> None:
        """What has happened has happened, whether or not it can be written down; that it was meant to stands there."""
        with contextlib.suppress(OSError):
            self.audit.append(did, name, facts)

    def _facts(self, home: Path) -> dict[str, object]:
        with contextlib.suppress(EngineRefused):
            manifest = read_engine(home).manifest
            return {"version": manifest.version, "sha256": manifest.sha256, "folder": home.name}
        return {"folder": home.name}

    def _at(self, name: str, home: Path) -> Version:
        return next(version for version in self.versions(name) if version.home == home)

    @contextlib.contextmanager
    def _locked(self) -> Generator[None, None, None]:
        """One at a time, whoever it is. An OSError inside becomes an error for whoever asked."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"{self.root}: {error.strerror}") from error
        try:
            self._give_to_owner(self.root / ".lock")
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise LimpidError(f"{self.root}: {error.strerror}; what was active still is") from error
        finally:
            os.close(fd)

    def _give_to_owner(self, path: Path) -> None:
        """What root installs must be the service's to replace."""
        owner = self.root.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            for each in (path, *path.glob("*")):
                os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)


def check_content(folder: Path, listing: Listing) -> None:
    """What a bundle holds is the engine it says, whole, for this daemon, and not found unsafe. Raises EngineRefused."""
    engine = read_engine(folder)
    manifest = engine.manifest
    if (manifest.name, manifest.version) != (listing.name, listing.version):
        raise EngineRefused(f"it holds {manifest.name} {manifest.version}")
    check_judgement(manifest)
    engine.read_model()
    if manifest.fp32:
        float_twin(engine).read_model()


def _is_version(path: Path) -> bool:
    """A version's folder: `.NAME~VERSION~xxxx`, or as calibrations once named theirs, `.NAME~xxxx`."""
    parts = path.name.split(SEPARATOR)
    named = path.name.startswith(".") and len(parts) in (2, 3) and parts[1] != "tmp"
    return named and path.is_dir() and not path.is_symlink()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


@contextlib.contextmanager
def _opened(folder: Path) -> Generator[int, None, None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def _sync(folder: Path) -> None:
    with _opened(folder) as fd:
        os.fsync(fd)
