"""Out of an archive into a folder, and nowhere else.

The archive was signed; that its maker's tool or machine was sound is not something a signature says. Whatever is not a
plain file or a folder with a plain name below the folder is refused before anything of the archive is written.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from edge.durable import write_all
from edge.errors import UpdateRefused
from edge.sealed import CHUNK

MOST_MEMBERS = 200_000
LONGEST_NAME = 400


def unpack(archive: Path, into: Path, most_bytes: int, progress: Callable[[int], None] = lambda _bytes: None) -> None:
    """Every member, INTO being an empty folder. Raises UpdateRefused."""
    try:
        with tarfile.open(archive, "r:") as content:  # not compressed: nothing in it is larger than it looks
            members = _checked(content, most_bytes)
            for member in members:
                _write(content, member, into, progress)
    except tarfile.TarError as error:
        raise UpdateRefused(f"{archive.name} in it is no archive: {error}") from error


def _checked(content: tarfile.TarFile, most_bytes: int) -> list[tarfile.TarInfo]:
    members, total, seen = list[tarfile.TarInfo](), 0, set[str]()
    for member in content:
        if why := why_not(member):
            raise UpdateRefused(f"its archive names {member.name[:80]!r}, {why}")
        total += member.size
        if member.name in seen:
            raise UpdateRefused(f"its archive names {member.name[:80]!r} twice")
        if total > most_bytes or len(members) >= MOST_MEMBERS:
            raise UpdateRefused("its archive holds more than it says")
        seen.add(member.name)
        members.append(member)
    return members


def why_not(member: tarfile.TarInfo) -> str:
    """Why a member is not taken, or an empty text."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return "which leads out of its folder"
    if len(member.name) > LONGEST_NAME or any(ord(letter) < 32 or letter == "\\" for letter in member.name):
        return "which is no plain name"
    if member.issym() or member.islnk():
        return "a link: there are none in an update"
    if not (member.isreg() or member.isdir()):
        return "which is neither a file nor a folder"
    if member.mode & 0o7000:
        return "which would run as somebody else"
    return ""


def _write(content: tarfile.TarFile, member: tarfile.TarInfo, into: Path, progress: Callable[[int], None]) -> None:
    place = into.joinpath(*PurePosixPath(member.name).parts)
    if member.isdir():
        place.mkdir(0o755, parents=True, exist_ok=True)
        return
    place.parent.mkdir(0o755, parents=True, exist_ok=True)
    source = content.extractfile(member)
    assert source is not None
    mode = 0o755 if member.mode & 0o100 else 0o644
    fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        while piece := source.read(CHUNK):
            write_all(fd, piece)
            progress(len(piece))
    finally:
        os.close(fd)
