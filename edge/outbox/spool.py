"""Captures into their folders: put, replace, and sweeping up what a power cut left.

Runs on the capture thread of the live process, the single owner of putting. A capture exists once its rename is
durable. Before that, whatever there is of it lies in a folder ending in ".tmp", which nobody lists.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

import msgspec

from edge import durable
from edge.errors import CaptureRefused, ConfigError, OutboxFault
from edge.outbox.listing import CAPTURE_FILE, RELEASED, read_capture
from edge.outbox.record import CAPTURE_ID, OBJECT_NAME, Broken, Draft, Record, Stored, Wall, new_id
from edge.outbox.seal import Key
from edge.outbox.settings import Settings
from edge.outbox.writing import write_file, write_objects

UNFINISHED, LEAVING = ".tmp", ".gone"
_SAFE = "what is stored already is safe, but nothing more can be stored"
_CALL = "call the technician"
_WHY = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "the outbox may not be written",
    errno.EPERM: "the outbox may not be written",
    errno.EIO: "the disk fails",
}


def refusal(error: OSError) -> CaptureRefused:
    """In the words of the one who pressed the button, with who must act."""
    why = _WHY.get(error.errno or 0, f"the disk refuses ({error.strerror or type(error).__name__})")
    return CaptureRefused(f"not stored: {why}; {_SAFE}: {_CALL}")


class Spool:
    def __init__(self, folder: Path, settings: Settings, wall: Wall, key: Key | None) -> None:
        self.captures = folder / "captures"
        self._settings = settings
        self._wall = wall
        self._key = key

    def put(self, draft: Draft) -> str:
        if not draft.objects:
            raise CaptureRefused("not stored: there is nothing to store")
        self.check_room()
        name = new_id(self._wall())
        new, final = self.captures / (name + UNFINISHED), self.captures / name
        try:
            durable.make_folder(self.captures)
            new.mkdir(durable.FOLDER_MODE)
            with locked(new):  # as long as this is being written, nobody sweeps it away
                record = _record(name, draft, self._write_objects(new, draft, 1), 1)
                write_file(new / CAPTURE_FILE, record.encoded())
                durable.sync_folder(new)
                new.rename(final)
            durable.sync_folder(self.captures)
        except BaseException as error:
            _undo(new, final)
            if isinstance(error, OSError):
                raise refusal(error) from error
            raise
        durable.touch(self.captures)
        return name

    def check_room(self) -> None:
        """Refuse before anything is written, so that what is stored already keeps room for its markers."""
        used, free_mb = durable.room(self.captures)
        if used > self._settings.watermark_percent:
            over = f"{used:.0f} % used, allowed are {self._settings.watermark_percent:g} %"
        elif free_mb < self._settings.least_free_mb:
            over = f"{free_mb:.0f} MB free, needed are {self._settings.least_free_mb}"
        else:
            return
        raise CaptureRefused(f"not stored: the disk is too full ({over}); {_SAFE}: {_CALL}")

    def _write_objects(self, folder: Path, draft: Draft, revision: int) -> tuple[Stored, ...]:
        more = f".{revision}" if revision > 1 else ""
        names = [f"{number}-{made.role}{more}.dcm" for number, made in enumerate(draft.objects, start=1)]
        for name in names:
            if not OBJECT_NAME.fullmatch(name):
                raise ValueError(f"{name} is no name of an object")
        return tuple(write_objects(folder, names, draft.objects, self._key))

    def replace(self, capture: str, draft: Draft) -> None:
        """Other objects for a held capture of which nothing was sent. All at once, or not at all."""
        folder = self.captures / capture
        with locked(folder):
            old = _replaceable(folder)
            self.check_room()
            revision = old.revision + 1
            try:
                stored = self._write_objects(folder, draft, revision)
                durable.write_durably(folder / CAPTURE_FILE, _record(capture, draft, stored, revision).encoded())
            except BaseException as error:
                if _revision_of(folder) != revision:  # not taken: what was written of it goes
                    _remove_strangers(folder)
                if isinstance(error, OSError):
                    raise refusal(error) from error
                raise
            _remove_strangers(folder)
        self.tell(capture)

    def tell(self, capture: str) -> None:
        """Other processes remember what they have read: let them look again."""
        durable.touch(self.captures / capture)
        durable.touch(self.captures)

    def sweep(self) -> int:
        """Remove what a power cut left half-written; what is being written right now is locked, and stays."""
        swept = 0
        for entry in scan(self.captures):
            path = Path(entry.path)
            with contextlib.suppress(BlockingIOError, OutboxFault), locked(path, wait=False):
                if entry.name.endswith(UNFINISHED):
                    durable.remove_tree(path)
                    swept += 1
                elif CAPTURE_ID.fullmatch(entry.name):
                    swept += _remove_strangers(path)
        durable.touch(self.captures)
        return swept


def scan(folder: Path) -> list[os.DirEntry[str]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        return list(entries)
    return []


@contextlib.contextmanager
def locked(folder: Path, *, wait: bool = True) -> Generator[None, None, None]:
    """Put, replace, release and removal of one capture take turns. Without waiting: BlockingIOError."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OutboxFault(f"{folder.name} is not in the outbox") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def sole_owner(folder: Path, part: str) -> Generator[None, None, None]:
    """One process at a time, until it ends; the lock goes with it however it ends."""
    try:
        durable.make_folder(folder)
        fd = os.open(folder / f"{part}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, durable.FILE_MODE)
    except OSError as error:
        raise ConfigError(f"the outbox {folder} cannot be used ({error.strerror})") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f"another process has the outbox {folder} ({part})") from error
        yield
    finally:
        os.close(fd)


def _record(name: str, draft: Draft, objects: tuple[Stored, ...], revision: int) -> Record:
    return Record(
        id=name, exam_uid=str(draft.exam_uid), modality=draft.modality, priority=draft.priority, kind=draft.kind,
        captured=draft.captured, held=draft.held, objects=objects, revision=revision,
    )  # fmt: skip


def _undo(new: Path, final: Path) -> None:
    """Nothing may stay of what the user is told was not stored; a disk that fails is swept at the next start."""
    with contextlib.suppress(OSError):
        if final.exists():
            final.rename(new)  # a folder that is being emptied must not be listed
    durable.remove_tree(new)


def _replaceable(folder: Path) -> Record:
    capture = read_capture(folder)
    if isinstance(capture, Broken) or capture is None:
        raise CaptureRefused(f"{folder.name} cannot be corrected: it is damaged")
    if not capture.held or (folder / RELEASED).exists():
        raise CaptureRefused(f"{folder.name} is released already: make corrected copies with new UIDs")
    if capture.marks:
        raise CaptureRefused(f"{folder.name} was sent already, or parked: make corrected copies with new UIDs")
    return capture.record


def _revision_of(folder: Path) -> int:
    with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
        return Record.decoded((folder / CAPTURE_FILE).read_bytes()).revision
    return 0


def _remove_strangers(folder: Path) -> int:
    """Files of objects that the capture does not name: of a correction that was cut short, or overcome."""
    found = [(entry, OBJECT_NAME.fullmatch(entry.name.removesuffix(".sealed"))) for entry in scan(folder)]
    if not any(name["revision"] for _, name in found if name):
        return 0  # it was never corrected, as most never are
    capture = read_capture(folder)
    if capture is None or isinstance(capture, Broken):
        return 0
    known = {stored.file for stored in capture.objects}
    removed = 0
    for entry, name in found:
        if name and entry.name not in known:
            with contextlib.suppress(OSError):
                Path(entry.path).unlink()
                removed += 1
    return removed
