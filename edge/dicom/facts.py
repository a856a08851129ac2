"""What one object is made from, and the shape of the tables that say how.

A module of the standard is a table of `Attribute`s: keyword, type, where the value comes from (in words, for the
conformance statement) and how to get it. The same tables fill the objects and print the statement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from edge import __version__
from edge.dicom.frametimes import Times
from edge.dicom.measure import Change
from edge.dicom.take import Look, Options, Role, Station, Take
from edge.dicom.texts import fit
from edge.exam import Exam
from edge.frame import Shown

Type = Literal["1", "1C", "2", "2C", "3"]
EMPTY = object()  # for an element that is there without a value, whatever its type
SOFTWARE = f"limpid-edge {__version__}"


@dataclass(frozen=True)
class Address:
    """Where an object is in the archive."""

    sop_class: str
    sop_uid: str
    series_uid: str


@dataclass(frozen=True)
class Visit:
    """Whose, by what, when: all that a correction needs."""

    exam: Exam
    station: Station
    moment: datetime  # wall time of the object's first frame, or of the correction


@dataclass(frozen=True)
class Facts(Visit):
    """Everything that one object says, before it is said."""

    take: Take
    options: Options
    look: Look
    shown: Sequence[Shown]  # the frames of this object
    times: Times | None  # None: a single frame
    change: Change
    role: Role
    modality: str
    own: Address
    partner: Address
    series_number: int
    instance_number: int

    @property
    def is_enhanced(self) -> bool:
        return self.role == "enhanced"

    @property
    def frames(self) -> int:
        return len(self.shown)

    @property
    def software(self) -> str:
        return self.station.software or SOFTWARE


About = TypeVar("About", bound=Visit, contravariant=True)


@dataclass(frozen=True)
class Attribute(Generic[About]):
    keyword: str
    type: Type
    source: str  # where the value comes from, in words
    value: Callable[[About], Any]  # None or "": empty where the type is 2, absent otherwise


@dataclass(frozen=True)
class Module(Generic[About]):
    name: str  # as the standard calls it
    attributes: tuple[Attribute[About], ...]


def constant(keyword: str, type_: Type, value: object) -> Attribute[Visit]:
    return Attribute(keyword, type_, f"always {value}", lambda _: value)


def fill(dataset: Dataset, modules: Sequence[Module[About]], facts: About) -> None:
    for module in modules:
        for attribute in module.attributes:
            put(dataset, attribute.keyword, attribute.value(facts), attribute.type)


def put(dataset: Dataset, keyword: str, value: Any, type_: Type = "3") -> None:
    """One element, as its VR allows it."""
    vr = dictionary_VR(keyword)
    is_there = type_ == "2" or value is EMPTY
    value = None if value is EMPTY else _fitted(vr, value)
    if value is None or value in ("", []):
        if type_ == "1":
            raise ValueError(f"{keyword} has no value and must have one")
        if not is_there:
            return
        value = Items([]) if vr == "SQ" else None
    dataset.add_new(tag_for_keyword(keyword) or 0, vr, value)


def item(**values: Any) -> Dataset:
    """One item of a sequence; what has no value is left out."""
    made = Dataset()
    for keyword, value in values.items():
        put(made, keyword, value)
    return made


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    return [item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def _fitted(vr: str, value: Any) -> Any:
    if isinstance(value, str):
        return fit(vr, value)
    if isinstance(value, (list, tuple)):
        if vr == "SQ":
            return Items(value)
        return [fit(vr, one) if isinstance(one, str) else one for one in value]
    return value
