"""Built plans on disk: which one is for this engine on this machine, and is it whole? Nothing here builds or runs one.

A plan is of use to one model, on one version of one runtime, one GPU, one power mode, in one precision and for one
picture size; all of that stands in its file, before the plan itself. What does not fit to the letter is refused with
its reason and built again, never loaded. The file's name says the same for people, and the newest plan of a slot
replaces the one before it. Used by the survey thread and by commands; never by the live thread.

    <folder>/<engine>/<precision>-<shape>-<gpu>[-<power mode>][-dla<n>].plan
    "LIMPID PLAN 1\n", 8 bytes: length of the header, the header (JSON), the plan
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psutil

from edge.durable import make_folder, remove_durably, write_durably
from edge.errors import EngineRefused

MAGIC = b"LIMPID PLAN 1\n"
LONGEST_HEADER = 1 << 16
SYSTEM_CACHE = Path("/var/cache/limpid")


class PlanKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a plan depends on."""

    engine: str
    model: str  # sha256 of the ONNX file
    recipe: str  # how the file is prepared and built: changes with this program
    runtime: str  # "tensorrt 10.3.0"
    gpu: str  # "sm87 Orin", or "sm86" of a plan for any card of that kind
    precision: str
    power_mode: str  # of a Jetson: the fastest kernels of one mode are not those of another
    shape: str  # "640x480x8", "any x8"
    dla: str = ""

    @property
    def slot(self) -> Path:
        parts = [self.precision, self.shape, self.gpu, self.power_mode, f"dla{self.dla}" if self.dla else ""]
        name = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", part) for part in parts if part)
        return Path(self.engine) / f"{name}.plan"


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: PlanKey
    size: int
    sha256: str
    took_s: float  # to build


class PlanRefused(EngineRefused):
    """This plan is not loaded, and is to be built (again). `reason` is one word of REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{REASONS[reason]}: {detail}")
        self.reason = reason


REASONS = {
    "missing": "no plan was built yet",
    "unreadable": "the plan cannot be read",
    "damaged": "the file is no plan",
    "truncated": "the plan is cut short",
    "altered": "the plan's bytes are not those that were built",
    "engine": "the plan is another engine's",
    "model": "the plan was built from another model",
    "recipe": "the plan was built by another version of this program",
    "runtime": "the plan belongs to another runtime",
    "gpu": "the plan belongs to another GPU",
    "precision": "the plan has another precision",
    "power_mode": "the plan was built in another power mode",
    "shape": "the plan is for another picture size",
    "dla": "the plan is for another DLA",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the cache, as it says of itself; `fault` where it cannot be used by anybody."""

    path: Path
    bytes: int
    key: PlanKey | None
    fault: str = ""


class PlanCache:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, key: PlanKey) -> bytes:
        """The plan that was stored for exactly this. Raises PlanRefused; the file stays until one replaces it."""
        path = self.folder / key.slot
        header, plan = _read(path)
        for name in key.__struct_fields__:
            wanted, found = getattr(key, name), getattr(header.key, name)
            if wanted != found:
                raise PlanRefused(name, f"{path.name}: {_short(found)}, here it is {_short(wanted)}")
        return plan

    def store(self, key: PlanKey, plan: bytes, took_s: float) -> Path:
        """Durable when it returns. A process that is ended at any moment leaves the old plan or the new one."""
        path = self.folder / key.slot
        make_folder(path.parent)
        self._sweep(path.parent)
        header = msgspec.json.encode(_Header(key, len(plan), hashlib.sha256(plan).hexdigest(), round(took_s, 3)))
        write_durably(path, b"".join((MAGIC, struct.pack(">Q", len(header)), header, plan)))
        return path

    def drop(self, key: PlanKey) -> None:
        """The runtime itself would not take it: whoever comes next builds it again."""
        path = self.folder / key.slot
        if path.exists():
            remove_durably(path)

    def entries(self) -> Iterator[Entry]:
        for path in sorted(self.folder.glob("*/*.plan")):
            size = path.stat().st_size
            try:
                header, _ = _read(path)
                yield Entry(path, size, header.key)
            except PlanRefused as error:
                yield Entry(path, size, None, str(error))

    @staticmethod
    def _sweep(folder: Path) -> None:
        """What processes that are no more left half written."""
        for rest in folder.glob("*.tmp"):
            match = re.search(r"\.(\d+)-\d+\.tmp\Z", rest.name)
            if match and not psutil.pid_exists(int(match[1])):
                rest.unlink(missing_ok=True)


def _read(path: Path) -> tuple[_Header, bytes]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PlanRefused("missing", f"{path}") from None
    except OSError as error:
        raise PlanRefused("unreadable", f"{path}: {error.strerror}") from error
    start = len(MAGIC) + 8
    if content[: len(MAGIC)] != MAGIC[: len(content)]:
        raise PlanRefused("damaged", f"{path}")
    if len(content) < start:
        raise PlanRefused("truncated", f"{path}: {len(content)} bytes")
    (length,) = struct.unpack(">Q", content[len(MAGIC) : start])
    if length > LONGEST_HEADER:
        raise PlanRefused("damaged", f"{path}: a header of {length} bytes")
    if len(content) < start + length:
        raise PlanRefused("truncated", f"{path}: it ends within its header")
    try:
        header = msgspec.json.decode(content[start : start + length], type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlanRefused("damaged", f"{path}: {error}") from error
    return header, _plan(path, header, content[start + length :])


def _plan(path: Path, header: _Header, plan: bytes) -> bytes:
    if len(plan) < header.size:
        raise PlanRefused("truncated", f"{path}: {len(plan)} of {header.size} bytes")
    if len(plan) > header.size or hashlib.sha256(plan).hexdigest() != header.sha256:
        raise PlanRefused("altered", f"{path}")
    return plan


def _short(value: str) -> str:
    return f"{value[:12]}…" if re.fullmatch(r"[0-9a-f]{64}", value) else value or "none"


def default_folder() -> Path:
    """The appliance's own, so that what an operator builds is what its service finds; elsewhere the user's cache."""
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]  # from systemd
    if given:
        return Path(given) / "plans"
    if SYSTEM_CACHE.is_dir() and os.access(SYSTEM_CACHE, os.W_OK):
        return SYSTEM_CACHE / "plans"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "limpid/plans"
