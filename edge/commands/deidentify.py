"""`limpid deidentify`: copies without identity, of captures in the outbox or of any DICOM files, into a folder.

The copies are those a destination with `deidentify` would get: the same key gives the same pseudonyms and UIDs, so the
objects of a set go on pointing at each other, and another day's copies fit in.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edge import durable
from edge.commands.outbox import WRONG, Desk, find
from edge.copies import own_key, read_key
from edge.dicom import Made
from edge.dicom.deidentify import UncleanPixels, deidentified
from edge.errors import ConfigError, OutboxFault
from edge.outbox import Capture
from edge.sinks._plain import readable


@dataclass(frozen=True, slots=True)
class Source:
    """One object to be copied, and what to call it towards the user."""

    name: str
    open: Callable[[], BinaryIO]
    capture: Capture | None = None


def run(desk: Desk, into: Path, what: Sequence[str], *, everything: bool, key_file: Path | None, unclean: bool) -> int:
    """Exit status 1 where something was left out; each with its reason."""
    if bool(what) == everything:
        raise ConfigError("name files, folders or captures, or give --all" if not what else "either names or --all")
    key = read_key(key_file) if key_file else own_key(desk.box.folder)
    copies, left_out = list[dict[str, Any]](), list[dict[str, str]]()
    counts: dict[str, int] = {}
    for source in _sources(desk, what, everything=everything):
        try:
            with contextlib.closing(source.open()) as file:
                made = deidentified(readable(file), key, keep_unclean=unclean)
                path = _write(into, made)
        except (UncleanPixels, OutboxFault) as error:
            left_out.append({"source": source.name, "reason": str(error)})
            continue
        copies.append({"source": source.name, "file": str(path.relative_to(into)), "frames": made.frames})
        if source.capture is not None:
            counts[source.capture.id] = counts.get(source.capture.id, 0) + 1
    for capture, count in counts.items():
        desk.box.note_export(capture, count)
    words = [f"{len(copies)} copies without identity in {into}"]
    words += [f"left out: {one['source']}: {one['reason']}" for one in left_out]
    desk.answer({"copies": copies, "left_out": left_out}, "\n".join(words))
    return WRONG if left_out else 0


def _sources(desk: Desk, what: Sequence[str], *, everything: bool) -> Iterator[Source]:
    if everything:
        yield from _stored(desk, desk.box.captures())
    for word in what:
        path = Path(word)
        if path.is_dir():
            yield from (_file(one) for one in sorted(path.rglob("*")) if one.is_file() and one.name != "DICOMDIR")
        elif path.exists():
            yield _file(path)
        else:
            yield from _stored(desk, find(desk, [word]))


def _file(path: Path) -> Source:
    def opened() -> BinaryIO:
        try:
            return path.open("rb")
        except OSError as error:
            raise OutboxFault(f"it cannot be read ({error.strerror})") from error

    return Source(str(path), opened)


def _stored(desk: Desk, captures: Sequence[Capture]) -> Iterator[Source]:
    for capture in captures:
        for stored in capture.objects:
            yield Source(f"{capture.id}/{stored.name}", functools.partial(desk.box.read, capture, stored), capture)


def _write(into: Path, made: Made) -> Path:
    """By its new UIDs, which tell nothing; whole or not there."""
    path = into / made.study_uid / f"{made.sop_uid}.dcm"
    new = path.with_suffix(".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        with new.open("xb") as file:
            made.write(file)
            file.flush()
            os.fsync(file.fileno())
        durable.rename_durably(new, path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise ConfigError(f"{into} cannot be written ({error.strerror or error})") from error
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    return path
