"""`limpid support-bundle`: one file for whoever helps from afar, and nothing of a patient in it.

What goes in is chosen, never copied wholesale: counts instead of captures, hashes instead of UIDs, the configuration
without its secrets. Each part that cannot be had is told in the manifest, with the reason.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from edge import __version__, durable
from edge.commands import support_parts
from edge.commands.support_parts import Asked
from edge.errors import ConfigError, LimpidError

Made = Callable[[Asked], object]


@dataclass(frozen=True, slots=True)
class Part:
    file: str
    words: str
    make: Made


PARTS: tuple[Part, ...] = (
    Part("versions.json", "versions of Limpid, Python, libraries and the kernel", support_parts.versions),
    Part(
        "config.json", "the configuration, without secrets, names of people, hosts and places", support_parts.settings
    ),
    Part("doctor.json", "what `limpid doctor` finds", support_parts.doctor),
    Part(
        "status.json", "what the daemon does, stream by stream; streams are numbered, not named", support_parts.status
    ),
    Part("events.jsonl", "the last events: names, severity and figures", support_parts.events),
    Part("metrics.txt", "a snapshot of /metrics where the console answers", support_parts.metrics),
    Part("processes.json", "how each process reported last", support_parts.processes),
    Part("outbox.json", "counts by state and destination; SHA-256 of UIDs in place of UIDs", support_parts.outbox),
    Part("engines.json", "the engines: versions, hashes, judgements", support_parts.engines),
    Part("quality.json", "the daily figures of the last year", support_parts.quality),
    Part("sbom.json", "the bill of materials, where it is installed", support_parts.sbom),
    Part("journal.jsonl", "the last of our entries in the journal: names, severity and figures", support_parts.journal),
)


def run(config: Path | None, to: Path | None, *, listing: bool, as_json: bool) -> int:
    if listing:
        _print_parts(as_json=as_json)
        return 0
    place = to or Path(f"limpid-support-{time.strftime('%Y%m%d-%H%M%S')}.tar.gz")
    if not as_json:
        _print_parts(as_json=False)
    content, manifest = made(Asked.of(config))
    _write(place, content)
    if as_json:
        print(json.dumps({"file": str(place), "bytes": len(content), "parts": manifest["parts"]}))
    else:
        for file, facts in manifest["parts"].items():
            if "missing" in facts:
                print(f"not in it: {file} ({facts['missing']})")
        print(f"{place}: {len(content)} bytes")
    return 0


def _print_parts(*, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"parts": {part.file: part.words for part in PARTS}}))
        return
    console = Console(highlight=False)
    console.print("What goes into the bundle; no patient's name, number or date, no pictures, no DICOM:", markup=False)
    for part in PARTS:
        console.print(f"  {part.file:16} {part.words}", markup=False, soft_wrap=True)


def made(asked: Asked) -> tuple[bytes, dict[str, Any]]:
    """The bundle and its manifest."""
    contents: dict[str, bytes] = {}
    parts: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        parts[part.file] = {"what": part.words}
        try:
            content = _as_bytes(part.make(asked))
        except (LimpidError, OSError, ValueError, LookupError) as error:
            # Its words may quote a path or an answer from outside; a kind is enough to ask further.
            parts[part.file]["missing"] = (
                str(error) if isinstance(error, support_parts.NotHere) else type(error).__name__
            )
            continue
        contents[part.file] = content
        parts[part.file] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest = {"limpid": __version__, "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "parts": parts}
    contents = {"manifest.json": _as_bytes(manifest), **contents}
    return _packed(contents), manifest


def _as_bytes(told: object) -> bytes:
    if isinstance(told, str):
        return told.encode()
    return (json.dumps(told, indent=1, default=str) + "\n").encode()


def _packed(contents: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"limpid-support/{name}")
            member.size, member.mtime, member.mode = len(content), int(time.time()), 0o600
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _write(place: Path, content: bytes) -> None:
    try:
        fd = durable.create(place)
    except FileExistsError:
        raise ConfigError(f"{place} is there already") from None
    except OSError as error:
        raise ConfigError(f"{place}: {error.strerror}") from error
    with os.fdopen(fd, "wb") as file:
        file.write(content)
