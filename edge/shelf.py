"""A folder of versions side by side: who writes takes turns, and nothing has its name before it is whole and durable.

For what is installed here, engines and the application alike: what lies in the folder, and what its names mean, is
`engine_disk`'s and `update.store`'s to say. Called from commands and from the daemon's engines thread.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

from edge.errors import ConfigError, LimpidError


class Shelf:
    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()

    @contextlib.contextmanager
    def locked(self) -> Generator[None, None, None]:
        """One at a time, whoever it is. An OSError inside becomes an error for whoever asked."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigError(f"{self.root}: {error.strerror}") from error
        try:
            self.give_to_owner(self.root / ".lock")
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise LimpidError(f"{self.root}: {error.strerror}; what was active still is") from error
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def unfinished(self, prefix: str, what: str) -> Generator[Path, None, None]:
        """A folder to write to. Held by a lock of its own, so that one that an interrupted process left shows."""
        with self.locked():
            self._clear_unfinished(prefix)
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self.root))
            down = contextlib.ExitStack()
            fcntl.flock(down.enter_context(_opened(folder)), fcntl.LOCK_EX)
        with down:
            try:
                yield folder
            except OSError as error:
                raise LimpidError(f"{what} was not installed: {error.strerror}") from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)  # it has another name already where all went well

    def _clear_unfinished(self, prefix: str) -> None:
        for path in self.root.glob(".*.tmp"):  # written under the lock, which is ours now
            path.unlink(missing_ok=True)
        for path in self.root.glob(f"{prefix}*"):
            with _opened(path) as fd, contextlib.suppress(BlockingIOError):  # somebody is writing it
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)

    def give_to_owner(self, path: Path) -> None:
        """What root installs must be the service's to replace, where the folder is the service's."""
        owner = self.root.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            for each in (path, *path.glob("*")):
                os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)


@contextlib.contextmanager
def _opened(folder: Path) -> Generator[int, None, None]:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)
