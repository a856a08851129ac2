"""From frames to a profile: where the figures of what an engine was judged on lie. Pure but for the phantoms it films.

The frames are those of scenes drawn as the judge draws its general ones, of seeds that nothing else uses. Real frames
are not among them: the judge shows them and does not rest a gate on them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from edge.drift import FIGURES, FORMAT, Cloud, Profile, Statistics, statistics
from edge.frame import Pixels
from edge.phantom import FluoroscopyPhantom, FluoroscopyScene, Phantom, UltrasoundPhantom, UltrasoundScene

FIRST_SEED, SCENES = 910_000, 240  # inside the training range, outside every bank and the calibration clips
FIRST_HELD_OUT = 970_000  # scenes that tell how often a profile cries wolf; those from 960,000 on chose the limit
WIDTHS = (640, 480)
MADE_BY = "calibration.profile 1"
SMALLEST_SPREAD = 0.02
APART = 0.05  # how much of each correlation is not believed: so many figures, so few frames
INSIDE, MARGIN = 97.0, 1.05  # the limit: what so many per cent of the frames keep to, and a little more
AREA_MARGIN, FILLED_MARGIN = 0.6, 0.3  # four times the pixels; how much of its box a region fills

Rows = Sequence[Statistics]


def phantom_rows(modality: str, first: int = FIRST_SEED, scenes: int = SCENES) -> Iterator[Statistics]:
    """One frame of each scene."""
    for number in range(scenes):
        grey, mask, full = filmed(modality, first + number, WIDTHS[number % len(WIDTHS)], 11 * number % 60)
        found = statistics(grey, mask, full)
        if found is not None:
            yield found


def filmed(modality: str, seed: int, width: int, moment: int) -> tuple[Pixels, NDArray[np.uint8], int]:
    """The region's box of one moment of a scene, its mask, and full scale."""
    phantom = phantom_of(modality, seed, width)
    exposure = phantom.frame(moment)
    part = exposure.region.slices
    grey = cast("Pixels", np.ascontiguousarray(exposure.pixels[part]))
    return grey, np.ascontiguousarray(exposure.mask[part]), (1 << exposure.bits) - 1


def phantom_of(modality: str, seed: int, width: int) -> Phantom:
    if modality == "fluoroscopy":
        return FluoroscopyPhantom(FluoroscopyScene.random(seed, width, 3 * width // 4))
    scene = UltrasoundScene.random(seed, width, 3 * width // 4)
    return UltrasoundPhantom(dataclasses.replace(scene, furniture=False))


def profile_of(engine: str, sha256: str, rows: Rows, of: str) -> Profile:
    return Profile(FORMAT, engine, sha256, MADE_BY, tuple(FIGURES), (cloud_of(rows, of),), extent_of(rows))


def with_site(base: Profile | None, sha256: str, engine: str, rows: Rows, of: str) -> Profile:
    """A profile that takes a site's own pictures, too. One recording is one view of one patient: the site's others are
    taken to be spread around it as the phantoms are around theirs."""
    if base is None:
        return profile_of(engine, sha256, rows, of)
    phantoms, values = base.clouds[0], _matrix(rows)
    centre = np.median(values, axis=0)
    cloud = Cloud(
        of, len(rows), _told(centre), phantoms.spread, phantoms.precision,
        max(phantoms.limit, round(_limit(_distances(values, centre, phantoms)), 3)),
    )  # fmt: skip
    own = extent_of(rows)
    extent = {name: (min(low, own[name][0]), max(high, own[name][1])) for name, (low, high) in base.extent.items()}
    return Profile(FORMAT, engine, sha256, MADE_BY, base.figures, (*base.clouds, cloud), extent)


def cloud_of(rows: Rows, of: str) -> Cloud:
    values = _matrix(rows)
    centre = values.mean(axis=0)
    spread = np.sqrt(values.var(axis=0) + SMALLEST_SPREAD**2)
    z = (values - centre) / spread
    correlations = (1 - APART) * (z.T @ z) / len(rows) + APART * np.eye(values.shape[1])
    precision = np.linalg.inv(correlations)
    loose = Cloud(of, len(rows), _told(centre), _told(spread), tuple(_told(row) for row in precision), 1.0)
    limit = _limit(_distances(values, centre, loose))
    return Cloud(of, len(rows), loose.centre, loose.spread, loose.precision, round(limit, 3))


def extent_of(rows: Rows) -> dict[str, tuple[float, float]]:
    margins = {"area": AREA_MARGIN, "filled": FILLED_MARGIN}
    return {
        name: (round(min(row[name] for row in rows) - margin, 3), round(max(row[name] for row in rows) + margin, 3))
        for name, margin in margins.items()
    }


def _distances(values: NDArray[np.float64], centre: NDArray[np.float64], cloud: Cloud) -> NDArray[np.float64]:
    z = (values - centre) / np.array(cloud.spread)
    return np.sqrt(np.einsum("ni,ij,nj->n", z, np.array(cloud.precision), z))


def _limit(distances: NDArray[np.float64]) -> float:
    return float(np.percentile(distances, INSIDE)) * MARGIN


def _matrix(rows: Rows) -> NDArray[np.float64]:
    return np.array([[row[name] for name in FIGURES] for row in rows], np.float64)


def _told(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)
