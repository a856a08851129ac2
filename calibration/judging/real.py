"""Real frames: no truth, so no score. Original beside enhanced, and nothing may change outside the region."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from calibration.judging import grid
from calibration.judging.clips import Field
from calibration.judging.contestants import Contestant, Kind
from calibration.judging.drawing import ENHANCED, save, side_by_side, windowed
from calibration.judging.figures import RealFrames
from calibration.judging.lasting import composed, unchanged
from edge import region as regions
from edge.errors import BadFrame, ConfigError
from edge.fidelity import mean_change
from edge.frame import Frame, Modality, Pixels
from edge.sources.replay import open_clip

_GRID_FRAMES = 3  # the last ones of a clip: each is treated seven times over
_WARM_UP = 8  # frames of a clip that a recurrent engine sees before it is looked at
_FOLDERS: dict[Kind, tuple[str, ...]] = {
    "ultrasound": ("ultrasound",),
    "fluoroscopy": ("fluoroscopy",),
    "superres": ("ultrasound", "fluoroscopy"),
}
_NOTES = (".md", ".txt")


@dataclass(frozen=True, eq=False)
class Seen:
    """One file's last frame that was looked at."""

    file: Path
    before: Pixels
    after: Pixels
    region: regions.Region | None
    change: float
    grid_percent: float
    untouched: bool  # nothing outside the region changed


def look(contestants: Field, who: Contestant, kind: Kind, data: Path, pictures: Path | None) -> RealFrames | None:
    """Every file below `data` that is of this kind; None where there is none. Pictures go to the folder `pictures`."""
    found = [seen for path in files(kind, data) if (seen := _seen(contestants, who, kind, path)) is not None]
    if not found:
        return None
    for seen in found if pictures is not None else ():
        name = "_".join(seen.file.relative_to(data).with_suffix("").parts)
        save(pictures / f"{name}.png", _beside(seen))  # type: ignore[operator]
    treated = [seen for seen in found if seen.region is not None]
    worst = max(treated, key=lambda seen: seen.grid_percent, default=None)
    return RealFrames(
        files=len(found),
        frames=len(treated),
        without_region=[seen.file.name for seen in found if seen.region is None],
        changed_outside=[seen.file.name for seen in treated if not seen.untouched],
        mean_change=statistics.fmean(seen.change for seen in treated) if treated else 0.0,
        grid_percent=worst.grid_percent if worst else 0.0,
        grid_in=worst.file.name if worst else "",
    )


def files(kind: Kind, data: Path) -> list[Path]:
    return sorted(
        path
        for folder in _FOLDERS[kind]
        for path in (data / folder).rglob("*")
        if path.is_file() and path.suffix.lower() not in _NOTES and not path.name.startswith(".")
    )


def _seen(contestants: Field, who: Contestant, kind: Kind, path: Path) -> Seen | None:
    """None where the file cannot be read here: a format whose reader is not installed."""
    try:
        frames = list(frames_of(path, kind))
    except (BadFrame, ConfigError):
        return None
    region = next((found for frame in frames if (found := regions.find(frame)) is not None), None)
    last = frames[-1]
    if region is None or region.layout.shape != last.pixels.shape:
        return Seen(path, last.pixels, last.pixels, None, 0.0, 0.0, True)
    treatment = contestants.treatment(who, last.bits)
    treatment.forget()
    part = region.box.slices
    greys = [regions.grey_of(frame.pixels[part], frame.format) for frame in frames]
    results = [treatment(grey) for grey in greys]
    stands = grid.highest_percent(treatment, greys[-_GRID_FRAMES:], last.bits, contestants.enlarges)
    if contestants.enlarges:
        larger = cv2.resize(greys[-1], None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        change = mean_change(larger, results[-1], last.full_scale)  # type: ignore[arg-type]
        return Seen(path, larger, results[-1], region, change, stands, True)  # type: ignore[arg-type]
    after = composed(last, region, results[-1])
    change = mean_change(greys[-1], results[-1], last.full_scale)
    return Seen(path, last.pixels, after, region, change, stands, unchanged(last, region, after))


def frames_of(path: Path, kind: Kind) -> Iterator[Frame]:
    """A still, or the first frames of a clip."""
    modality = Modality.FLUOROSCOPY if kind == "fluoroscopy" else Modality.ULTRASOUND
    clip = open_clip(path)
    try:
        for number in range(_WARM_UP + 1):
            if not clip.advance():
                break
            picture = clip.picture()
            yield Frame(
                cast("Pixels", np.ascontiguousarray(picture.pixels)), "real", number + 1, 0, 0,
                format=picture.format, bits=picture.bits, modality=modality, region=picture.region,
            )  # fmt: skip
    finally:
        clip.close()


def _beside(seen: Seen) -> Pixels:
    before, after = windowed([seen.before, seen.after])
    return side_by_side([("ORIGINAL", before), (ENHANCED if seen.region else "ORIGINAL (no region found)", after)])
