"""A capture into its objects: the original and the enhanced, pointing at each other. Pure; nothing is stored here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO

from pydicom.dataset import Dataset

from edge.dicom import part10, private, uids
from edge.dicom.encoding import Layout, Syntax, syntax_of
from edge.dicom.facts import Address, Facts, fill, put
from edge.dicom.frametimes import times_of
from edge.dicom.kinds import Kind, kind_of
from edge.dicom.measure import change_of
from edge.dicom.part10 import Made
from edge.dicom.storedpixels import bits_stored, burn_label, label_corner, stored
from edge.dicom.take import Look, Options, Role, Station, Take, look_of
from edge.errors import CaptureRefused
from edge.exam import Exam
from edge.frame import Modality, Pixels, Shown

ROLES: tuple[Role, Role] = ("original", "enhanced")


@dataclass(frozen=True)
class Plan:
    """What all objects of one capture share."""

    take: Take
    exam: Exam
    station: Station
    options: Options
    look: Look
    kind: Kind
    modality: str
    series_base: int


def make_pair(take: Take, exam: Exam, station: Station, options: Options, numbers: tuple[int, int]) -> list[Made]:
    """[original, enhanced]; of a burst, one such pair after the other. `numbers`: series base, first instance number.

    The original's series has the base as its number, the enhanced one the next. Raises CaptureRefused where the frames
    do not fit together in one object, and says at which frame.
    """
    look = look_of(take)
    is_clip = take.kind == "clip" and len(take.shown) > 1
    kind = kind_of(look, is_clip=is_clip, has_angles=take.angles is not None)
    modality = "RF" if kind.modality == "OT" and look.modality is Modality.FLUOROSCOPY else kind.modality
    plan = Plan(take, exam, station, options, look, kind, modality, numbers[0])
    _check_length(plan)
    if is_clip:
        return _pair(plan, take.shown, numbers[1])
    return [made for at, one in enumerate(take.shown) for made in _pair(plan, (one,), numbers[1] + at)]


def _check_length(plan: Plan) -> None:
    frames = len(plan.take.shown) if plan.kind.is_clip else 1
    if plan.options.compression == "none" and _layout(plan.look, frames).total_bytes > part10.MOST_PLAIN_BYTES:
        raise CaptureRefused(f"{frames} frames are more than the 4 GiB that one uncompressed object can hold")


def _layout(look: Look, frames: int) -> Layout:
    bits = bits_stored(look)
    shape = (look.rows, look.columns, *((3,) if look.is_colour else ()))
    return Layout(shape, 8 if bits == 8 else 16, bits, frames)


def _pair(plan: Plan, shown: tuple[Shown, ...], number: int) -> list[Made]:
    original, enhanced = (
        Address(plan.kind.sop_class, uids.fresh(plan.station.uid_root), _series_uid(plan, role)) for role in ROLES
    )
    times, change = times_of(shown), change_of(shown, plan.look)
    moment = _moment(plan.take, shown[0])

    def made(role: Role, own: Address, partner: Address) -> Made:
        facts = Facts(
            plan.exam, plan.station, moment, plan.take, plan.options, plan.look, shown, times, change, role,
            plan.modality, own, partner, plan.series_base + ROLES.index(role), number,
        )  # fmt: skip
        return _made(plan, facts)

    return [made("original", original, enhanced), made("enhanced", enhanced, original)]


def _made(plan: Plan, facts: Facts) -> Made:
    dataset = Dataset()
    fill(dataset, plan.kind.modules, facts)
    private.write(dataset, facts)
    put(dataset, "PrivateDataElementCharacteristicsSequence", private.characteristics(dataset))
    syntax = syntax_of(plan.options.compression)
    picture = Picture(facts, syntax)
    return part10.made_of(dataset, syntax.uid, picture.write)


def _series_uid(plan: Plan, role: Role) -> str:
    """The same for every capture of one series of one exam; another body part or side is another series."""
    exam = plan.exam
    names = (exam.study_uid, exam.uid, exam.body_part, exam.laterality, plan.station.name, plan.modality)
    return uids.derived(plan.station.uid_root, *names, str(plan.series_base), role)


def _moment(take: Take, first: Shown) -> datetime:
    """Wall time of a frame: the take's, moved by the machine's own clock, which no clock change can bend."""
    return take.started + timedelta(microseconds=(first.frame.captured_ns - take.shown[0].frame.captured_ns) / 1000)


@dataclass(frozen=True)
class Picture:
    """The pixels of one object: references to the frames, encoded one after the other while they are written."""

    facts: Facts
    syntax: Syntax

    def write(self, to: BinaryIO) -> None:
        layout = _layout(self.facts.look, self.facts.frames)
        part10.write_frames(to, self._frames(), layout, self.syntax)

    def _frames(self) -> Iterator[Pixels]:
        look, label = self.facts.look, self.facts.is_enhanced and self.facts.options.burn_label
        corner = None
        for shown in self.facts.shown:
            pixels = stored(shown.pixels if self.facts.is_enhanced else shown.frame.pixels, look)
            if label:
                corner = corner or label_corner(pixels)
                pixels = burn_label(pixels, corner, (1 << look.bits) - 1 if bits_stored(look) > 8 else 255)
            yield pixels
