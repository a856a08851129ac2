"""Engines that were installed here: what may be let in, which of them is active, and the way back.

How they lie on the disk is in `engine_disk.py`; this is what decides, and what writes each step into the audit log.
Called from commands and from the daemon's engines thread, which take turns by a lock; never from the live thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge import bundle, versions
from edge.audit import Audit
from edge.bundle import Listing, Stream
from edge.catalog import CONTRACT, KEYS, Engine, check_judgement, float_twin, read_engine
from edge.config import Engines
from edge.engine_disk import SEPARATOR, EngineDisk
from edge.errors import ConfigError, EngineRefused
from edge.signing import Keyring

USUAL_HOME = Path("~/.local/share/limpid/engines")
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,47}")
SPARE_BYTES = 64 << 20  # left on the disk beside what is installed
Facts = Mapping[str, object]  # for the audit log: names and numbers


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
    try:
        return versions.ordered(version)
    except ValueError as error:
        raise EngineRefused(str(error)) from error


class EngineStore(EngineDisk):
    def __init__(self, root: Path, keys: Keyring, who: str, wall: Callable[[], datetime] = utc_now) -> None:
        super().__init__(root)
        self.keys = keys
        self.audit = Audit(root / "audit.jsonl", wall, who)

    # ------------------------------------------------ what is there

    def names(self) -> list[str]:
        """Every engine with a version here, active or not."""
        if not self.root.is_dir():
            return []
        return sorted({path.name[1:].split(SEPARATOR)[0] for path in self.homes()})

    def versions(self, name: str) -> list[Version]:
        """All of one engine, those that cannot be read as well."""
        if not NAME.fullmatch(name):
            raise ConfigError(f'"{name}" is no engine\'s name')
        active, before = self.active_home(name), self.home_before(name)
        found = [self._read(name, home, active, before) for home in self.homes(name)]
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
        _ordered(version)
        return super().put(name, version, fill)

    def install_files(self, name: str, version: str, files: Mapping[str, bytes]) -> Path:
        """A version that was made and judged here, installed and active. Gives the link to it."""
        self.check_place(name)
        self.activate(name, self.put_files(name, version, files))
        return self.root / name

    # ------------------------------------------------ which one is active

    def activate(self, name: str, home: Path, facts: Facts | None = None, *, trial: bool = False) -> None:
        """Turn the link to a version. The one before stays, for `roll_back`."""
        self.check_place(name)
        with self.locked():
            told = {**self._facts(home), **(facts or {})}
            self.audit.append("engine-activating", name, told)
            self.turn_on(name, home, trial=trial)
            self._tell("engine-activated", name, told)
            self.prune(name)

    def roll_back(self, name: str, why: str, facts: Facts | None = None) -> Path | None:
        """Turn the link back by one activation. Gives the version that is active now, or None where that is the shipped
        one; where none is shipped, the ladder takes the family's next."""
        with self.locked():
            number, link = self.generation(name), self.root / name
            left = self.active_home(name)
            if not link.is_symlink():
                raise ConfigError(f"{name}: no version was activated here; there is nothing to go back from")
            before = self.generation_link(name, number - 1)
            if number > 1 and not before.exists():
                raise ConfigError(f"{name}: no version from before is kept; activate another one")
            told = {**(self._facts(left) if left is not None else {}), "why": why, **(facts or {})}
            self.audit.append("engine-rolling-back", name, told)
            self.turn_back(name)
            now = self.active_home(name)
            self._tell("engine-rolled-back", name, {**told, "to": now.name if now is not None else "shipped"})
            return now

    def remove(self, name: str, home: Path) -> None:
        """A version that is neither active nor the way back."""
        with self.locked():
            if home in (self.active_home(name), self.home_before(name)):
                raise ConfigError(f"{name}: this version is active, or the way back")
            self.audit.append("engine-removed", name, self._facts(home))
            self.take_away(home)

    def refused(self, name: str, why: str, facts: Facts | None = None) -> None:
        """Into the audit log: somebody wanted an engine in, and it was not let in."""
        with self.locked():
            self.audit.append("engine-refused", name, {"why": why, **(facts or {})})

    def note(self, did: str, to: str) -> None:
        """Into the audit log: something about keys."""
        with self.locked():
            self.audit.append(did, to)

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
