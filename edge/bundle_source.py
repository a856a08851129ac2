"""Where a bundle comes from: a file, a folder or a mounted stick, a web server. For commands.

Nothing that is read here is trusted before its signature was; what is limited here is time, and whom is asked.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

from edge.bundle import LARGEST_BUNDLE, LARGEST_LISTING, SUFFIX
from edge.errors import ConfigError, SourceUnavailable
from edge.sealed import Stream

STALLED_S = 20.0
LONGEST_S = 900.0
MOST_BYTES = LARGEST_BUNDLE + LARGEST_LISTING + 4096


def bundles_at(source: str, suffix: str = SUFFIX) -> list[str]:
    """The bundles that SOURCE stands for: itself, or those that lie in the folder. Raises ConfigError."""
    if _is_url(source):
        return [source]
    place = Path(source).expanduser()
    if not place.is_dir():
        return [str(place)]
    found = sorted(path for path in place.glob(f"*{suffix}") if path.is_file() and not path.is_symlink())
    if not found:
        raise ConfigError(f"in {place} is no bundle: files that end in {suffix} are looked for")
    return [str(path) for path in found]


def _is_url(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def shown(source: str) -> str:
    """For messages and the audit log: without a password or a token that the address may hold."""
    if not _is_url(source):
        return source
    parts = urlsplit(source)
    return urlunsplit((parts.scheme, parts.hostname or "", parts.path, "", ""))


@contextlib.contextmanager
def opened(source: str, most_bytes: int = MOST_BYTES) -> Generator[Stream, None, None]:
    """Raises ConfigError where there is nothing to read, SourceUnavailable where it cannot be reached now."""
    if _is_url(source):
        with _fetched(source, most_bytes) as stream:
            yield stream
        return
    try:
        # Not a pipe or a device, which would keep one waiting, nor what a link leads to.
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{source}: {error.strerror}") from error
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(f"{source} is no file")
        yield file


class _NoOtherScheme(urllib.request.HTTPRedirectHandler):
    """Redirected, but not to a file of this machine, nor from https to http."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if not _is_url(newurl) or (req.full_url.lower().startswith("https:") and newurl.lower().startswith("http:")):
            raise ConfigError(f"{shown(req.full_url)} sends on to {newurl[:80]}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


@contextlib.contextmanager
def _fetched(url: str, most_bytes: int) -> Generator[Stream, None, None]:
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler(), _NoOtherScheme(),
        urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler(),
    ):  # fmt: skip
        opener.add_handler(handler)
    try:
        answer: Any = opener.open(url, timeout=STALLED_S)
    except urllib.error.HTTPError as error:
        raise ConfigError(f"{shown(url)}: the server says {error.code} {error.reason}") from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise SourceUnavailable(f"{shown(url)} cannot be reached: {reason}") from error
    except ValueError as error:
        raise ConfigError(f"{shown(url)} is no address: {error}") from error
    with contextlib.closing(answer):
        yield _Limited(answer, shown(url), most_bytes)


class _Limited:
    """An answer that is still coming in: no more than a bundle can be, and not for ever."""

    def __init__(self, answer: Any, name: str, most_bytes: int) -> None:
        self._answer = answer
        self._name = name
        self._left = most_bytes
        self._until = time.monotonic() + LONGEST_S

    def read(self, size: int, /) -> bytes:
        if time.monotonic() > self._until:
            raise SourceUnavailable(f"{self._name}: not all of it came in {LONGEST_S / 60:g} minutes")
        try:
            piece: bytes = self._answer.read1(min(size, self._left))  # what has come, not what was asked for
        except http.client.IncompleteRead as error:
            piece = error.partial
        except (OSError, http.client.HTTPException) as error:
            raise SourceUnavailable(f"{self._name}: it stopped coming: {error}") from error
        self._left -= len(piece)
        return piece
