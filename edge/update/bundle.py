"""A version of the application as one signed file, `limpid-VERSION-....limpid-update`. The form is `sealed.py`'s.

It holds either a wheelhouse, all wheels of one version and of what it needs, or one archive of a `site-packages`
that was installed elsewhere (`tree.tar`). What is signed also says which machines it is for, from which version on it
may be installed over another, and what is new in it.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge import sealed, versions
from edge.durable import FILE_MODE, sync_folder
from edge.errors import ConfigError, UpdateRefused
from edge.sealed import CHUNK, Digest, Kind
from edge.signing import Keyring, Signer
from edge.update.target import WHEEL, Target, of_files, of_wheels

SUFFIX = ".limpid-update"
FORMAT = 1
NAME = "limpid-edge"
TREE = "tree.tar"
LARGEST_LISTING = 256 << 10
LARGEST_FILE = 2 << 30
LARGEST_BUNDLE = 4 << 30
MOST_BYTES = LARGEST_BUNDLE + LARGEST_LISTING + 4096
NOUN = "update"  # of the commands

Progress = Callable[[str, int, int], None]  # what is being done, how much of how much


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}\Z")]
    size: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_FILE)]
    sha256: Digest


class Listing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The manifest of a version."""

    format: int
    name: Literal["limpid-edge"]
    version: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    holds: Literal["wheels", "tree"]
    python: Annotated[str, msgspec.Meta(pattern=r"^(any|3\.[0-9]{1,2})\Z")]
    machine: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{1,32}\Z")]
    minimum: Annotated[str, msgspec.Meta(max_length=64)]  # the oldest version that it may follow; empty: any
    unpacked: Annotated[int, msgspec.Meta(ge=0, le=64 << 30)]  # bytes, once installed
    notes: Annotated[str, msgspec.Meta(max_length=20_000)]
    key: sealed.KeyId
    files: Annotated[tuple[Listed, ...], msgspec.Meta(min_length=1, max_length=500)]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def target(self) -> Target:
        return Target(self.python, self.machine)


Head = sealed.Head[Listing]
KIND = Kind(
    "update", b"LIMPUPD", FORMAT, b"limpid update bundle\0", Listing, LARGEST_LISTING, LARGEST_BUNDLE, UpdateRefused
)


def keyring(folder: Path) -> Keyring:
    """Whose updates are taken: not the same keys as engines', whose makers need not be able to replace everything."""
    return Keyring(folder, NOUN, UpdateRefused)


def read_head(stream: sealed.Stream, keys: Keyring) -> Head:
    """Raises UpdateRefused."""
    head = sealed.read_head(KIND, stream, keys)
    compared(head.listing.version)
    if head.listing.minimum:
        compared(head.listing.minimum)
    if head.listing.holds == "tree" and [file.name for file in head.listing.files] != [TREE]:
        raise UpdateRefused(f"it says that it holds a tree, which is one file, {TREE}")
    return head


def compared(version: str) -> tuple[tuple[int, ...], str]:
    try:
        return versions.ordered(version)
    except ValueError as error:
        raise UpdateRefused(str(error)) from error


# ------------------------------------------------ making one


@dataclass(frozen=True, slots=True)
class Made:
    """What a bundle is made from."""

    version: str
    holds: Literal["wheels", "tree"]
    target: Target
    unpacked: int
    files: dict[str, Path]


def wheelhouse(folder: Path) -> Made:
    """All wheels of a folder; one of them is ours, and says which version this is."""
    wheels = sorted(folder.glob("*.whl"))
    ours = [found["version"] for found in (WHEEL.fullmatch(path.name) for path in wheels) if found is not None
            and found["name"].lower() == "limpid_edge"]  # fmt: skip
    if len(ours) != 1:
        raise ConfigError(f"{folder} holds {len(ours)} wheels of {NAME}; it must be one, with the wheels that it needs")
    unpacked = 0
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as content:
                unpacked += sum(member.file_size for member in content.infolist())
        except (OSError, zipfile.BadZipFile) as error:
            raise ConfigError(f"{wheel} is no wheel: {error}") from error
    return Made(_usable(ours[0]), "wheels", of_wheels(path.name for path in wheels), unpacked,
                {path.name: path for path in wheels})  # fmt: skip


def tree(site_packages: Path, archive: Path) -> Made:
    """An installed `site-packages`, as it is but for what Python has cached; written to ARCHIVE on the way."""
    found = sorted(site_packages.glob("limpid_edge-*.dist-info"))
    if len(found) != 1:
        raise ConfigError(f"{site_packages} is no site-packages with one {NAME} in it")
    version = found[0].name.removeprefix("limpid_edge-").removesuffix(".dist-info")
    names, unpacked = list[str](), 0
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as out:
        for path in sorted(site_packages.rglob("*")):
            name = path.relative_to(site_packages).as_posix()
            if "__pycache__" in name.split("/") or path.is_dir():
                continue
            content = path.read_bytes()  # what a link leads to: there are no links in a tree
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755 if path.stat().st_mode & 0o100 else 0o644
            out.addfile(member, io.BytesIO(content))
            names.append(name)
            unpacked += len(content)
    return Made(_usable(version), "tree", of_files(names), unpacked, {TREE: archive})


def _usable(version: str) -> str:
    version = version.replace("_", ".")
    try:
        versions.ordered(version)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return version


def write(made: Made, minimum: str, notes: str, signer: Signer, to: Path, progress: Progress) -> tuple[Path, Listing]:
    """The signed file: TO, or in the folder TO under a name that says what it is."""
    total, done = sum(path.stat().st_size for path in made.files.values()), 0
    listed: list[Listed] = []
    for name, path in sorted(made.files.items()):
        progress("hashing", done, total)
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while piece := file.read(CHUNK):
                digest.update(piece)
        listed.append(Listed(name, path.stat().st_size, digest.hexdigest()))
        done += path.stat().st_size
    if minimum:
        _usable(minimum)
    listing = Listing(
        FORMAT, NAME, made.version, made.holds, made.target.python, made.target.machine, minimum, made.unpacked, notes,
        signer.id, tuple(listed),
    )  # fmt: skip
    head = sealed.signed_head(KIND, listing, signer)
    place = to / name_of(listing) if to.is_dir() else to
    _copy(head, [made.files[one.name] for one in listed], place, lambda done: progress("writing", done, total))
    return place, listing


def name_of(listing: Listing) -> str:
    parts = ["limpid", listing.version]
    parts += [f"py{listing.python}"] if listing.python != "any" else []
    parts += [listing.machine] if listing.machine != "any" else []
    return "-".join(parts) + SUFFIX


def _copy(head: bytes, files: list[Path], place: Path, progress: Callable[[int], None]) -> None:
    new, done = place.with_name(f".{place.name}.tmp"), 0
    try:
        with new.open("wb") as out:
            out.write(head)
            for path in files:
                with path.open("rb") as file:
                    while piece := file.read(CHUNK):
                        out.write(piece)
                        done += len(piece)
                        progress(done)
            out.flush()
        new.chmod(FILE_MODE | 0o044)
        new.replace(place)
        sync_folder(place.parent)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise ConfigError(f"{place}: {error.strerror}") from error
