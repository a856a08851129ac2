"""A recording from the site's own scanner, as an engine would be shown it: what is used of it, and in which order.

It is read anew for each pass, so that its length costs no memory. Nothing of it is ever told but its hash and counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge import region as regions
from edge.backends import Shape
from edge.clock import MonotonicClock
from edge.errors import BadFrame, ConfigError
from edge.frame import Frame, Modality, Pixels
from edge.region import Region, Tracker
from edge.sources import open_source

FEWEST, MOST = 60, 900  # frames
LOOK_EVERY = 10  # frames between two looks for the region
FITTED = 2 / 3  # of the frames; the rest judges
Tell = Callable[[str, float], None]  # what is being done, and which part of it is done


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame to be treated, and whether it has a past."""

    frame: Frame
    grey: Pixels
    begins: bool


@dataclass(frozen=True, slots=True)
class SiteRecording:
    path: Path
    modality: str
    shape: Shape  # of the region's box
    region: Region
    sha256: str
    usable: tuple[int, ...]  # the numbers of the frames that show the same screen as the region
    told_modality: str  # by the operator, where the file knows none

    @property
    def fitting(self) -> tuple[int, ...]:
        return self.usable[: self._cut]

    @property
    def judging(self) -> tuple[int, ...]:
        return self.usable[self._cut :]

    @property
    def _cut(self) -> int:
        return round(len(self.usable) * FITTED)

    def shots(self, chosen: Iterable[int], tell: Tell, what: str) -> Iterator[Shot]:
        wanted = set(chosen)
        last, done = -2, 0
        for number, frame in enumerate(_frames(self.path, self.told_modality)):
            if number in wanted:
                grey = regions.grey_of(frame.pixels[self.region.box.slices], frame.format)
                yield Shot(frame, grey, number != last + 1 or frame.cut)
                last, done = number, done + 1
                tell(what, done / len(wanted))
                if done == len(wanted):
                    return


def open_recording(path: Path, modality: str, tell: Tell) -> SiteRecording:
    """Read it once or twice from end to end. Raises ConfigError for one that cannot serve, saying why."""
    tell("reading the recording", 0.0)
    first, screens = _surveyed(path, modality)
    tell("reading the recording", 0.5)
    region, usable = _most_shown(screens, _frames(path, modality))
    if len(usable) < FEWEST:
        raise ConfigError(
            f"{path}: only {len(usable)} of its frames show one and the same screen; {FEWEST} are needed, "
            "some hundreds are better: `limpid record --seconds 20`, without touching the scanner's settings"
        )
    return SiteRecording(
        path=path,
        modality=first.modality.name.lower(),
        shape=Shape(region.box.height, region.box.width, first.bits),
        region=region,
        sha256=_digest(path),
        usable=usable,
        told_modality=modality,
    )


def _surveyed(path: Path, modality: str) -> tuple[Frame, list[Region]]:
    """The first frame; and of each screen in turn the region as the daemon would come to know it."""
    tracker, region, first, count = Tracker(), None, None, 0
    screens: list[Region] = []
    for count, frame in enumerate(_frames(path, modality), 1):
        first = first or frame
        if frame.stream != first.stream:
            raise ConfigError(f"{path}: holds more than one stream; record one alone: `limpid record --stream NAME`")
        if (count - 1) % LOOK_EVERY:
            continue
        another = region is None or regions.layout_changed(region, frame)
        region = tracker.update(frame)
        if region is not None and another:
            screens.append(region)
        elif region is not None:
            screens[-1] = region
    if first is None or count < FEWEST:
        raise ConfigError(f"{path}: {count} frames; {FEWEST} are needed: `limpid record --seconds 20`")
    if first.modality is Modality.UNKNOWN:
        raise ConfigError(f"{path}: does not say what it shows: add --modality ultrasound or fluoroscopy")
    if not screens:
        raise ConfigError(f"{path}: no image was found in its frames")
    return first, screens


def _most_shown(screens: list[Region], frames: Iterator[Frame]) -> tuple[Region, tuple[int, ...]]:
    """The screen that most frames show, and which; of several the last."""
    shown: list[list[int]] = [[] for _ in screens]
    for number, frame in enumerate(frames):
        for region, numbers in zip(screens, shown, strict=True):
            if not regions.layout_changed(region, frame):
                numbers.append(number)
    best = max(range(len(screens)), key=lambda screen: (len(shown[screen]), screen))
    return screens[best], tuple(shown[best])


def _frames(path: Path, modality: str) -> Iterator[Frame]:
    """All frames, at most `MOST`."""
    source = open_source("replay", {"path": str(path), "fast": True, "modality": modality}, MonotonicClock())
    try:
        count = 0
        while not source.ended and count < MOST:
            frame = source.next(1.0)
            if frame is not None:
                count += 1
                yield frame
    except BadFrame as error:
        raise ConfigError(f"{path}: damaged ({error}); record it again") from error
    finally:
        source.close()


def _digest(path: Path) -> str:
    """Of the file; of all files in their order, where it is a folder of images."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    for file in files:
        with file.open("rb") as content:
            while piece := content.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()
