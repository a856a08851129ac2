"""The private block: what the standard has no place for. This table is its dictionary, its writer and its page.

Group 0099, creator "LIMPID EDGE 1". Elements marked safe carry nothing about a person and outlive de-identification. A
meaning never changes; what comes new gets a new number, and what breaks gets a new creator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from edge.dicom.facts import Facts, item
from edge.dicom.storedpixels import mapping
from edge.dicom.take import is_enhanced
from edge.dicom.texts import fit
from edge.frame import Box, EngineId, Shown

GROUP = 0x0099
CREATOR = "LIMPID EDGE 1"
BLOCK = 0x10
_LONGEST_LIST = 60  # runs of frames that are listed before "and more"


@dataclass(frozen=True)
class Element:
    """One entry of the dictionary."""

    number: int  # the last byte of its tag
    vr: str
    vm: str
    name: str
    meaning: str
    value: Callable[[Facts], Any]  # None or empty: absent
    safe: bool = True

    @property
    def tag(self) -> BaseTag:
        return Tag(GROUP, BLOCK << 8 | self.number)


@dataclass(frozen=True, slots=True)
class Treatment:
    """What one engine did to an object."""

    engine: EngineId
    version: str  # empty: not known
    frames: int


def treatments(facts: Facts) -> list[Treatment]:
    """By the engines that treated these frames; none for an original."""
    if not facts.is_enhanced:
        return []
    counted = Counter(shown.engine for shown in facts.shown if is_enhanced(shown))
    versions = facts.take.engine_versions
    return [Treatment(engine, versions.get(engine.sha256, ""), count) for engine, count in counted.items()]


def runs(numbers: Iterable[int]) -> str:
    """1, 2, 3, 7 -> "1-3, 7"."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    texts = [str(first) if first == last else f"{first}-{last}" for first, last in found]
    more = len(texts) - _LONGEST_LIST
    return ", ".join(texts[:_LONGEST_LIST]) + (f" and {more} more places" if more > 0 else "")


def shown_original(shown: Iterable[Shown]) -> str:
    """Which frames were shown as they came, by reason: "late: 3, 7-9; opening: 1-2"."""
    by_reason: dict[str, list[int]] = {}
    for number, one in enumerate(shown, start=1):
        if not is_enhanced(one):
            by_reason.setdefault(one.why.words, []).append(number)
    return "; ".join(f"{why}: {runs(numbers)}" for why, numbers in by_reason.items())


def outside_judgement(shown: Iterable[Shown]) -> int:
    """How many frames were enhanced by an engine that was not judged on pictures like them."""
    return sum(one.outside for one in shown)


def gaps_in_words(facts: Facts) -> str:
    gaps = facts.times.gaps if facts.times else ()
    told = [
        f"{f'{gap.missing} missing' if gap.missing else 'pause'} before frame {gap.frame} ({gap.ms:g} ms)"
        for gap in gaps[:_LONGEST_LIST]
    ]
    return "; ".join(told) + (f"; and {len(gaps) - len(told)} more" if len(gaps) > len(told) else "")


def _each(pick: Callable[[Treatment], Any]) -> Callable[[Facts], Any]:
    return lambda facts: [pick(treatment) for treatment in treatments(facts)]


def _strength(facts: Facts) -> list[float] | None:
    strengths = [100 * shown.strength for shown in facts.shown if is_enhanced(shown)]
    return [min(strengths), max(strengths)] if strengths and facts.is_enhanced else None


def _corners(box: Box | None) -> list[int] | None:
    return [box.x, box.y, box.width, box.height] if box is not None else None


def _measured(pick: Callable[[Facts], Any]) -> Callable[[Facts], Any]:
    return lambda facts: pick(facts) if facts.is_enhanced else None


DICTIONARY = (
    Element(0x01, "CS", "1", "Capture Kind", "STILL, CLIP or BURST", lambda f: f.take.kind.upper()),
    Element(0x02, "US", "1", "Bits Received", "bits a sample of the frames as received", lambda f: f.look.bits),
    Element(
        0x03, "LO", "1-2", "Level Mapping", "how received levels became stored ones; absent: unchanged",
        lambda f: mapping(f.look).split(", ", 1) if mapping(f.look) else None,
    ),
    Element(
        0x04, "US", "4", "Image Region", "x, y, width, height in pixels, from 0, of the image on the screen",
        lambda f: _corners(f.look.region),
    ),
    Element(
        0x05, "CS", "1", "Image Region Varies", "YES: the region is the smallest box around every frame's",
        lambda f: None if f.look.region is None else "YES" if f.look.region_varies else "NO",
    ),
    Element(0x06, "UL", "1", "Frames Missing", "frames that were sent and are not in the clip",
            lambda f: sum(gap.missing for gap in f.times.gaps) if f.times else None),
    Element(0x07, "UT", "1", "Gaps", "where frames are missing or the source paused; absent: nowhere", gaps_in_words),
    Element(0x08, "LO", "1", "Preset", "the rule of the configuration that chose the engine and its strength",
            lambda f: f.exam.preset, safe=False),
    Element(0x10, "LO", "1-n", "Engine Name", "each that treated a frame; the n-th value of 11 to 15 is the n-th's",
            _each(lambda t: t.engine.name)),
    Element(0x11, "LO", "1-n", "Engine Version", "its version; empty where not known",
            _each(lambda t: t.version)),
    Element(0x12, "UT", "1", "Model SHA256", "SHA-256 of each model, in hex, parted by ';'; none: a filter",
            lambda f: ";".join(t.engine.sha256 or "none" for t in treatments(f))),
    Element(0x13, "LO", "1-n", "Backend", "what ran it", _each(lambda t: t.engine.backend)),
    Element(0x14, "LO", "1-n", "Precision", "of its numbers, as int8", _each(lambda t: t.engine.precision)),
    Element(0x15, "UL", "1-n", "Frames By Engine", "how many frames it treated", _each(lambda t: t.frames)),
    Element(0x16, "FD", "2", "Strength", "per cent, lowest and highest over the enhanced frames", _strength),
    Element(0x20, "UL", "1", "Frames Shown Original", "frames of this object that were not enhanced",
            _measured(lambda f: sum(not is_enhanced(shown) for shown in f.shown))),
    Element(0x21, "UT", "1", "Why Shown Original", "these frames by reason, counted from 1",
            _measured(lambda f: shown_original(f.shown))),
    Element(0x22, "UL", "1", "Frames Outside Judgement",
            "enhanced frames while the pictures were unlike those that the engine was judged on",
            _measured(lambda f: outside_judgement(f.shown))),
    Element(0x30, "FD", "1", "Mean Change", "per cent of full scale, inside the region, over the enhanced frames",
            _measured(lambda f: f.change.percent)),
    Element(0x31, "FD", "1", "Mean Change Outside", "the same outside the region: 0, or something is wrong",
            _measured(lambda f: f.change.outside_percent)),
    Element(0x32, "US", "4", "Most Changed Place", "x, y, width, height of the square of 32 pixels that changed most",
            _measured(lambda f: _corners(f.change.most_at))),
    Element(0x33, "FD", "1", "Most Changed Place Change", "its mean change in per cent of full scale",
            _measured(lambda f: f.change.most_percent)),
    Element(0x34, "UL", "1", "Most Changed Frame", "the frame that changed most, counted from 1",
            _measured(lambda f: f.change.largest_frame or None)),
    Element(0x35, "FD", "1", "Most Changed Frame Change", "its mean change inside the region in per cent of full scale",
            _measured(lambda f: f.change.largest_percent)),
    Element(0x36, "CS", "1", "Label Burnt In", "YES: the word ENHANCED is in the pixels",
            _measured(lambda f: "YES" if f.options.burn_label else "NO")),
)  # fmt: skip
REGION, LABELLED = Tag(GROUP, BLOCK << 8 | 0x04), Tag(GROUP, BLOCK << 8 | 0x36)
ALL = {element.tag: element for element in DICTIONARY}
SAFE = frozenset(element.tag for element in DICTIONARY if element.safe)


def write(dataset: Dataset, facts: Facts) -> None:
    dataset.add_new(Tag(GROUP, BLOCK), "LO", CREATOR)
    for element in DICTIONARY:
        value = element.value(facts)
        if value is None or value in ("", []):
            continue
        if element.vr in ("LO", "UT", "CS"):
            value = [fit(element.vr, one) for one in value] if isinstance(value, list) else fit(element.vr, value)
        dataset.add_new(element.tag, element.vr, value)


def characteristics(dataset: Dataset) -> list[Dataset]:
    """The standard's own way to say which private elements carry nothing about a person (PS3.3 C.12.1.1.7)."""
    written = [tag for tag in ALL if tag in dataset]
    safe = [tag.element for tag in written if tag in SAFE]
    status = "SAFE" if len(safe) == len(written) else "MIXED"
    return [
        item(
            PrivateGroupReference=GROUP,
            PrivateCreatorReference=CREATOR,
            BlockIdentifyingInformationStatus=status,
            NonidentifyingPrivateElements=safe if status == "MIXED" else None,
        )
    ]


def is_ours(dataset: Dataset) -> bool:
    creator = Tag(GROUP, BLOCK)
    return creator in dataset and dataset[creator].value == CREATOR
