"""What must hold for as long as an engine runs: no drift, strength 0 is the original, and nothing outside the region
is touched.
"""

from __future__ import annotations

from typing import TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.judging.clips import Field, Scene, film, halved, levels, phantom_of
from calibration.judging.contestants import Contestant, Kind
from calibration.judging.lesions import HEIGHT, WIDTH
from calibration.judging.plan import HELD_OUT, Plan
from calibration.measures import drift_db, psnr_db, steady
from calibration.treatment import Treatment
from edge import region as regions
from edge.frame import Frame, Modality, PixelFormat, Pixels
from edge.phantom import FluoroscopyScene, UltrasoundScene

_SEEDS = HELD_OUT + 500_000
_MARGIN = 8  # pixels by which a region may be found larger than the picture is: black corners of its box
Mask: TypeAlias = NDArray[np.bool_]


def drift(contestants: Field, kind: Kind, plan: Plan) -> dict[str, float]:
    """Engine -> dB by which the last frames of a long film lie above the mean of all; below 0 where it got worse.

    The film runs forth and back, so that its last frames show just what all of it showed.
    """
    forth = plan.drift_tail // 2 + 1
    clip = film(_busy(kind, 0), range(forth), tuple(range(forth)))
    order = [*range(forth), *range(forth - 2, 0, -1)]
    before = [psnr_db(picture, truth, clip.mask) for picture, truth in zip(clip.inputs, clip.truths, strict=True)]
    given = [halved(picture) for picture in clip.pictures] if contestants.enlarges else clip.pictures
    found: dict[str, float] = {}
    for who in contestants.without("input", "peer", "float").contestants:
        treatment = contestants.treatment(who, clip.bits)
        treatment.forget()
        gains: list[float] = []
        for at in range(plan.drift_frames):
            moment = order[at % len(order)]
            result = levels(treatment(given[moment]), clip.bits)
            gains.append(psnr_db(result, clip.truths[moment], clip.mask) - before[moment])
        found[who.key] = drift_db(steady(np.array(gains)), plan.drift_tail)
    return found


def _busy(kind: Kind, number: int) -> Scene:
    """A patient with everything in it."""
    seed = _SEEDS + number
    if kind == "fluoroscopy":
        return FluoroscopyScene.of("cardiac", seed=seed, width=WIDTH, height=HEIGHT, dose=0.25)
    return UltrasoundScene.of("curved", seed=seed, width=WIDTH, height=HEIGHT)


def strength_nought(treatment: Treatment, kind: Kind) -> bool:
    """Whether an engine at strength 0 gives the very picture it was given, frame after frame.

    Super-resolution cannot: its result has another size. There it must be the same twice over.
    """
    clip = film(_busy(kind, 1), range(4), tuple(range(4)))
    if kind == "superres":
        small = [halved(picture) for picture in clip.pictures]
        first, again = ([treatment(picture) for picture in small] for _ in range(2))
        return all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    treatment.forget()
    return all(np.array_equal(treatment(picture), picture) for picture in clip.pictures)


def outside_unchanged(contestants: Field, who: Contestant, kind: Kind) -> bool:
    """Whether whole screens, put together as the daemon does it, are the original wherever they may not change: where
    the region says so, clear of the picture as the phantom knows it, and where there is colour.
    """
    if kind == "superres":
        return True  # the daemon shows it beside the original screen, never inside it
    return all(_screen_unchanged(contestants, who, _busy(kind, number)) for number in (2, 3))


def _screen_unchanged(contestants: Field, who: Contestant, scene: Scene) -> bool:
    phantom = phantom_of(scene)
    pixels = phantom.frame(0).pixels
    treatment = contestants.treatment(who, phantom.bits)
    beyond = cv2.dilate(phantom.mask.astype(np.uint8), np.ones((2 * _MARGIN + 1, 2 * _MARGIN + 1), np.uint8)) == 0
    screens = [(pixels, beyond)]
    if phantom.bits == 8:
        tinted, colour = _with_colour(pixels, phantom.mask > 0)
        screens.append((tinted, beyond | colour))
    for screen, fixed in screens:
        frame = whole_frame(screen, phantom.bits, phantom.modality)
        found = regions.find(frame)
        if found is None:
            return False
        treatment.forget()
        shown = composed(frame, found, treatment(regions.grey_of(frame.pixels[found.box.slices], frame.format)))
        if not unchanged(frame, found, shown) or not np.array_equal(shown[fixed], screen[fixed]):
            return False
    return True


def _with_colour(pixels: Pixels, picture: Mask) -> tuple[Pixels, Mask]:
    """Flow in the midst of the picture, red and blue, as Doppler shows it; and where it is."""
    tinted = np.repeat(pixels[..., None], 3, axis=2)
    rows, columns = (np.flatnonzero(picture.any(axis=axis)) for axis in (1, 0))
    middle = (int(rows.mean()), int(columns.mean()))
    colour = np.zeros_like(picture)
    for channel, across in ((2, middle[1] - 20), (0, middle[1] + 20)):
        place = np.s_[middle[0] - 15 : middle[0] + 15, across - 15 : across + 15]
        tinted[place] = 20
        tinted[(*place, channel)] = 180
        colour[place] = True
    return cast("Pixels", tinted), colour


def whole_frame(pixels: Pixels, bits: int, modality: Modality) -> Frame:
    grey = PixelFormat.GREY8 if bits == 8 else PixelFormat.GREY16
    kind = PixelFormat.BGR8 if pixels.ndim == 3 else grey
    return Frame(pixels, "judge", 1, 0, 0, format=kind, bits=bits, modality=modality)


def composed(frame: Frame, found: regions.Region, enhanced: Pixels) -> Pixels:
    """The screen as the daemon would show it."""
    shown = frame.pixels.copy()
    part = found.box.slices
    regions.put_back(frame.pixels[part], frame.format, enhanced, found, shown[part])
    return shown


def unchanged(frame: Frame, found: regions.Region, shown: Pixels) -> bool:
    """Whether every pixel that may not be altered came out bit for bit."""
    fixed = np.ones(frame.pixels.shape[:2], bool)
    fixed[found.box.slices] = found.mask == 0
    return bool(np.array_equal(shown[fixed], frame.pixels[fixed]))
