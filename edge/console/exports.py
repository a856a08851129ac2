"""Copies of captures onto a medium: one at a time, each a DICOM file-set in a folder of its own. The export thread."""

from __future__ import annotations

import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from edge import durable
from edge.console.archive import Archive
from edge.console.errors import Refusal, not_found, refused
from edge.errors import LimpidError
from edge.outbox import Capture

REMEMBERED = 20


@dataclass(slots=True)
class Job:
    """Written by the export thread, read by calls."""

    id: str
    target: str
    folder: str
    captures: list[str]
    state: Literal["running", "done", "failed"] = "running"
    total: int = 1
    written: int = 0
    objects: int = 0
    left_out: list[str] = field(default_factory=list[str])
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        done = 1.0 if self.state == "done" else min(0.999, self.written / max(1, self.total))
        return {
            "id": self.id, "target": self.target, "folder": self.folder, "state": self.state, "done": round(done, 3),
            "captures": len(self.captures), "objects": self.objects, "left_out": self.left_out, "error": self.error,
        }  # fmt: skip


class Exports:
    def __init__(self, archive: Archive, roots: Sequence[str]) -> None:
        self._archive = archive
        self._roots = [Path(root) for root in roots]
        self._thread = ThreadPoolExecutor(1, "export")
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def targets(self) -> dict[str, Path]:
        """What is mounted beneath the folders; a folder that is itself given as a place for exports holds none."""
        found: dict[str, Path] = {}
        for root in self._roots:
            places = _mounted_below(root)
            for place in places or ([root] if root.is_dir() and not _is_mount_root(root) else []):
                found.setdefault(place.name, place)
        return {name: place for name, place in found.items() if os.access(place, os.W_OK)}

    def told(self) -> dict[str, Any]:
        targets = [{"name": name, "free_mb": round(durable.room(path)[1])} for name, path in self.targets().items()]
        with self._lock:
            return {"targets": targets, "jobs": [job.as_dict() for job in reversed(self._jobs.values())]}

    def job(self, name: str) -> Job:
        with self._lock:
            if name not in self._jobs:
                raise not_found("there is no such export")
            return self._jobs[name]

    def begin(self, who: str, target: str, captures: Sequence[Capture], *, held: bool) -> Job:
        places = self.targets()
        if target not in places:
            raise refused(f"there is no such medium; there are: {', '.join(places) or 'none'}")
        folder = f"limpid-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
        with self._lock:
            if any(job.state == "running" for job in self._jobs.values()):
                raise Refusal(429, "throttled", "an export is being written: wait for it", 5.0)
            job = Job(secrets.token_hex(6), target, folder, [capture.id for capture in captures])
            self._jobs[job.id] = job
            while len(self._jobs) > REMEMBERED:
                self._jobs.popitem(last=False)
        self._thread.submit(self._write, job, who, places[target] / folder, list(captures), held)
        return job

    def _write(self, job: Job, who: str, folder: Path, captures: list[Capture], held: bool) -> None:
        from edge.outbox import fileset

        chosen = [
            (capture, stored)
            for capture in captures
            if held or not capture.held
            for stored in capture.objects
            if stored.name not in capture.damaged
        ]
        taken = {(capture.id, stored.name) for capture, stored in chosen}
        job.left_out = [
            f"{capture.id} {stored.name}"
            for capture in captures
            for stored in capture.objects
            if (capture.id, stored.name) not in taken
        ]
        job.total = 2 * sum(stored.size for _, stored in chosen)
        if not chosen:
            job.error, job.state = "there is nothing to export: all of it is held or damaged", "failed"
            return
        box = self._archive.by(who)
        try:
            folder.mkdir()
            exported = fileset.export(box, chosen, folder, lambda count: _add(job, count))
            for capture in {one.capture for one in exported}:
                box.note_export(capture, sum(one.capture == capture for one in exported))
            job.objects = len(exported)
            job.state = "done"
        except (LimpidError, OSError) as error:
            job.error = str(error) if isinstance(error, LimpidError) else error.strerror or type(error).__name__
            job.state = "failed"
        except Exception as error:
            job.error = f"a fault of this software ({type(error).__name__})"  # its words may be somebody's name
            job.state = "failed"
            raise

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


def _add(job: Job, count: int) -> None:
    job.written += count


def _is_mount_root(root: Path) -> bool:
    """Where a system mounts its media, as against a folder that somebody chose."""
    return str(root) in ("/media", "/run/media", "/mnt")


def _mounted_below(root: Path) -> list[Path]:
    """Media lie directly beneath, or beneath a folder of their user's."""
    try:
        near = [path for path in sorted(root.iterdir()) if path.is_dir()]
        far = [path for one in near if not one.is_mount() for path in sorted(one.iterdir()) if path.is_mount()]
    except OSError:
        return []
    return [path for path in near if path.is_mount()] + far
