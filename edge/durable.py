"""Durable writing: what these functions have returned from is there after a power cut. Called from any thread but live.

The one place for it: the outbox, the console, engines, keys and updates all write through here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import threading
import time
from pathlib import Path

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_SYNC_FILE_RANGE_WRITE = 2


def sync_folder(folder: Path) -> None:
    """A rename is durable once its folder is."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """The folder and its parents, durably, closed to others. It may be there already."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(FOLDER_MODE)
        _give_to_owner_of(folder.parent, folder)
    sync_folder(folder.parent)


def create(path: Path) -> int:
    """A new file, for writing; whoever owns the folder can read it, also when root writes it for them."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    _give_to_owner_of(path.parent, fd)
    return fd


def _give_to_owner_of(folder: Path, what: Path | int) -> None:
    if os.geteuid() == 0:
        owner = folder.stat()
        if owner.st_uid != 0:
            if isinstance(what, Path):
                os.chown(what, owner.st_uid, owner.st_gid, follow_symlinks=False)
            else:
                os.fchown(what, owner.st_uid, owner.st_gid)


def create_durably(path: Path, content: bytes, *, mode: int = FILE_MODE) -> None:
    """A new file that must not be there yet, nor a link in its place; its name is durable once its folder is."""
    fd = create(path)
    try:
        os.fchmod(fd, mode)
        write_all(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def begin_flush(fd: int, start: int, length: int) -> None:
    """Let the disk begin with this part of a file now. Promises nothing: fsync does. Linux; elsewhere it waits."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).sync_file_range(fd, ctypes.c_int64(start), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)


def write_durably(path: Path, content: bytes, *, mode: int = FILE_MODE, owner: tuple[int, int] | None = None) -> None:
    """All of the new content or all of the old, never something between. `owner`: user and group, where we may."""
    new = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_native_id()}.tmp")
    new.unlink(missing_ok=True)  # of a process that had the same number and was cut off
    fd = create(new)
    try:
        try:
            if owner is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        new.rename(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def turn_link(link: Path, target: str) -> None:
    """A symbolic link to another target in one step: whoever follows it finds the old one or the new one. Those who
    turn the same link take turns."""
    new = link.with_name(f".~new~{link.name}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    _give_to_owner_of(link.parent, new)
    try:
        new.rename(link)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync_folder(link.parent)


def remove_durably(path: Path) -> None:
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def rename_durably(old: Path, new: Path) -> None:
    old.rename(new)
    sync_folder(new.parent)
    if old.parent != new.parent:
        sync_folder(old.parent)


def sync_tree(folder: Path) -> None:
    """Everything that was written under this folder, whoever wrote it: its whole file system, which is quicker than a
    thousand files one by one."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    except AttributeError:  # not Linux
        os.sync()
    finally:
        os.close(fd)


def remove_tree(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def touch(folder: Path) -> None:
    """Tell whoever watches this folder that something in it changed.

    The kernel stamps a folder by the tick, and two changes of one tick look like one; a time of our own does not.
    """
    with contextlib.suppress(OSError):
        now = time.time_ns()
        os.utime(folder, ns=(now, now))


def room(folder: Path) -> tuple[float, float]:
    """(per cent used, megabytes free) of the disk this folder lies on, or will lie on."""
    while not folder.exists():
        folder = folder.parent
    about = os.statvfs(folder)
    used = about.f_blocks - about.f_bfree
    usable = used + about.f_bavail
    return 100.0 * used / usable if usable else 100.0, about.f_bavail * about.f_frsize / 1e6
