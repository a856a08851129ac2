"""What the outbox knows of a capture: plain facts, no disk, no thread of its own.

None of it is about the patient: UIDs, classes, sizes, sums and states. What identifies a patient lies inside the DICOM
files alone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import BinaryIO, Literal, Protocol

import msgspec

from edge.errors import ConfigError

Wall = Callable[[], datetime]
Priority = Literal["routine", "stat"]
Step = Literal["sent", "asked", "confirmed", "parked"]
State = Literal["waiting", "sent", "asked", "parked", "confirmed", "held", "damaged"]

CAPTURE_ID = re.compile(r"\d{8}T\d{6}\.\d{6}-[0-9a-f]{6}")
OBJECT_NAME = re.compile(r"\d+-[a-z]+(?P<revision>\.\d+)?\.dcm")
DESTINATION = re.compile(r"[A-Za-z0-9_-]{1,64}")
MARK = re.compile(rf"(?P<object>{OBJECT_NAME.pattern})@(?P<destination>[A-Za-z0-9_-]+)\.(?P<step>[a-z]+)")
LATEST_FIRST: tuple[Step, ...] = ("confirmed", "parked", "asked", "sent")
VERSION = 1


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def new_id(now: datetime) -> str:
    """Time-ordered and random: two captures of one microsecond, or of one a clock went through twice, stay apart."""
    return f"{now.astimezone(timezone.utc):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(3)}"


def check_destination(name: str) -> str:
    """A destination's name becomes part of a file's name."""
    if not DESTINATION.fullmatch(name):
        raise ConfigError(f'destination "{name}": a name is letters, digits, "-" and "_", 64 at most')
    return name


class Writable(Protocol):
    """One object that is ready to be written, as `edge.dicom` makes it."""

    @property
    def role(self) -> str: ...
    @property
    def sop_class(self) -> str: ...
    @property
    def sop_uid(self) -> str: ...
    @property
    def series_uid(self) -> str: ...
    @property
    def study_uid(self) -> str: ...
    @property
    def transfer_syntax(self) -> str: ...
    @property
    def modality(self) -> str: ...
    @property
    def frames(self) -> int: ...
    def write(self, to: BinaryIO) -> None:
        """The whole DICOM file, from front to back: what it is written to tells its position and cannot seek."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A capture that is to be stored."""

    exam_uid: str
    modality: str
    priority: Priority
    kind: str
    captured: str  # ISO 8601
    held: bool  # provisional identity: not to be sent before it is released
    objects: Sequence[Writable]


class Stored(msgspec.Struct, frozen=True):
    """One object as it lies on the disk."""

    name: str  # as 1-original.dcm; its file is called so too, with ".sealed" where it is sealed
    role: str
    sop_class: str
    sop_uid: str
    series_uid: str
    study_uid: str
    transfer_syntax: str
    modality: str
    frames: int
    size: int  # of the DICOM file, in bytes
    stored_size: int  # of the file on the disk
    sha256: str  # of the file on the disk
    sealed: str = ""  # the id of the key that opens it; empty: it lies there as it is

    @property
    def file(self) -> str:
        return f"{self.name}.sealed" if self.sealed else self.name


class Record(msgspec.Struct, frozen=True):
    """capture.json"""

    id: str
    exam_uid: str
    modality: str
    priority: Priority
    kind: str
    captured: str
    held: bool
    objects: tuple[Stored, ...]
    revision: int = 1  # of the objects: an identity that was corrected makes new ones
    version: int = VERSION

    def encoded(self) -> bytes:
        text = msgspec.json.encode(self)
        return b'{"record":%b,"sha256":"%b"}\n' % (text, hashlib.sha256(text).hexdigest().encode())

    @classmethod
    def decoded(cls, text: bytes) -> Record:
        """Raises ValueError for anything but what was written."""
        file = msgspec.json.decode(text, type=_RecordFile)  # its error is a ValueError
        if hashlib.sha256(file.record).hexdigest() != file.sha256:
            raise ValueError("capture.json was altered")
        record = msgspec.json.decode(file.record, type=cls)
        if record.version != VERSION:
            raise ValueError(f"capture.json is of version {record.version}, known is {VERSION}")
        return record


class _RecordFile(msgspec.Struct, frozen=True):
    record: msgspec.Raw
    sha256: str


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a marker file says."""

    when: str = ""  # wall time, for people; nothing is decided by it
    by: str = ""
    status: int = 0
    warning: str = ""
    reason: str = ""
    transaction: str = ""  # of the storage commitment
    served_s: float = 0.0  # where the outbox's own counter of time stood


@dataclass(frozen=True, slots=True)
class Mark:
    """A marker file's name, taken apart."""

    object: str
    destination: str
    step: Step


@dataclass(frozen=True, slots=True)
class Capture:
    """One folder of the outbox, as it was when it was looked at."""

    record: Record
    marks: Mapping[tuple[str, str], Step] = field(default_factory=dict[tuple[str, str], Step])  # the latest of each
    released: bool = False
    damaged: frozenset[str] = frozenset()  # names of objects that are not what was written

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def objects(self) -> tuple[Stored, ...]:
        return self.record.objects

    @property
    def exam_uid(self) -> str:
        return self.record.exam_uid

    @property
    def modality(self) -> str:
        return self.record.modality

    @property
    def priority(self) -> Priority:
        return self.record.priority

    @property
    def held(self) -> bool:
        return self.record.held and not self.released

    @property
    def destinations(self) -> tuple[str, ...]:
        """Those it has markers of."""
        return tuple(sorted({destination for _, destination in self.marks}))

    def state(self, stored: Stored, destination: str) -> State:
        step = self.marks.get((stored.name, destination))
        if step is not None:
            return step
        if stored.name in self.damaged:
            return "damaged"
        return "held" if self.held else "waiting"


Wants = Callable[[Capture, Stored], bool]


def everything(_capture: Capture, _stored: Stored) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Broken:
    """A folder whose capture.json cannot be read as it was written. It stays where it is, and nothing of it is sent."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """One object on its way to one destination."""

    capture: Capture
    object: Stored
    destination: str

    @property
    def key(self) -> tuple[str, str]:
        return self.capture.id, self.object.name

    @property
    def state(self) -> State:
        return self.capture.state(self.object, self.destination)
