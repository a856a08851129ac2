"""Films of held-out phantoms as an engine sees them: the region's box, black outside the mask.

A clip is made once and shown to every contestant; what comes back is one picture for each measured moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.judging.contestants import Contestant, Role
from calibration.treatment import Rememberer, Treatment
from edge.frame import Pixels
from edge.phantom import Exposure, FluoroscopyPhantom, FluoroscopyScene, Phantom, UltrasoundPhantom, UltrasoundScene

Floats: TypeAlias = NDArray[Any]  # float32 levels, 0..1
Scene: TypeAlias = UltrasoundScene | FluoroscopyScene


@dataclass(frozen=True, eq=False)
class Clip:
    pictures: list[Pixels]  # what a contestant is given, in order
    truths: list[Floats]  # of the measured moments, 0..1
    mask: NDArray[np.bool_]  # of the truths' size
    measured: tuple[int, ...]  # positions in `pictures`; those before them are warm-up
    bits: int
    spacing_mm: tuple[float, float]
    box: tuple[int, int]  # where the box's upper left corner lies in the whole picture: x, y
    strata: tuple[str, ...] = ()

    @property
    def full_scale(self) -> int:
        return (1 << self.bits) - 1

    @property
    def inputs(self) -> list[Floats]:
        return [levels(self.pictures[at], self.bits) for at in self.measured]


def levels(pixels: Pixels, bits: int) -> Floats:
    return pixels.astype(np.float32) * np.float32(1.0 / ((1 << bits) - 1))


def phantom_of(scene: Scene) -> Phantom:
    return UltrasoundPhantom(scene) if isinstance(scene, UltrasoundScene) else FluoroscopyPhantom(scene)


def film(scene: Scene, frames: Iterable[int], measured: tuple[int, ...], strata: tuple[str, ...] = ()) -> Clip:
    """The moments `frames` of a scene, of which those at the positions `measured` are looked at."""
    phantom = phantom_of(scene)
    pictures: list[Pixels] = []
    truths: list[Floats] = []
    for position, index in enumerate(frames):
        exposure = phantom.frame(index)
        pictures.append(boxed(exposure, exposure.pixels))
        if position in measured:
            truths.append(levels(boxed(exposure, exposure.truth), exposure.bits))
    rows, columns = pictures[0].shape
    mask = phantom.mask[phantom.region.slices][:rows, :columns] > 0
    corner = (phantom.region.x, phantom.region.y)
    return Clip(pictures, truths, mask, measured, phantom.bits, phantom.spacing_mm, corner, strata)


def boxed(exposure: Exposure, plane: Pixels) -> Pixels:
    """The region's part of a plane with everything outside the mask black, cut to even sides."""
    part = exposure.region.slices
    rows, columns = exposure.region.height & ~1, exposure.region.width & ~1
    inside = exposure.mask[part] > 0
    return cast("Pixels", np.where(inside, plane[part], 0).astype(plane.dtype)[:rows, :columns])


def halved(picture: Pixels) -> Pixels:
    """Half the sides, each pixel the mean of four: what a coarser display or probe would have sent."""
    rows, columns = picture.shape
    return cast("Pixels", cv2.resize(picture, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA))


@dataclass(eq=False)
class Field:
    """Everyone who takes part, opened when first needed."""

    contestants: list[Contestant]
    enlarges: bool = False  # super-resolution: contestants are given halved pictures
    _open: dict[tuple[str, int], Treatment] = field(default_factory=dict[tuple[str, int], Treatment])

    def without(self, *roles: Role) -> Field:
        """The same, less some; what is open stays open in both."""
        return Field([who for who in self.contestants if who.role not in roles], self.enlarges, self._open)

    def treatment(self, contestant: Contestant, bits: int) -> Treatment:
        key = (contestant.key, bits)
        if key not in self._open:
            self._open[key] = contestant.open(bits)
        return self._open[key]

    def show(self, clip: Clip, thin: bool = False) -> Iterator[tuple[Contestant, list[Floats]]]:
        """Each contestant's pictures of the measured moments. `thin`: the slow ones sit this clip out."""
        given = [halved(picture) for picture in clip.pictures] if self.enlarges else clip.pictures
        for contestant in self.contestants:
            if not (thin and contestant.slow):
                yield contestant, self.treated(contestant, clip, given)

    def treated(self, contestant: Contestant, clip: Clip, given: list[Pixels]) -> list[Floats]:
        treatment = self.treatment(contestant, clip.bits)
        treatment.forget()
        take_in = treatment.remember if isinstance(treatment, Rememberer) else treatment
        results: list[Floats] = []
        for position, picture in enumerate(given):
            if position in clip.measured:
                results.append(levels(treatment(picture), clip.bits))
            elif contestant.remembers and position < clip.measured[-1]:
                take_in(picture)
        return results
