"""What a small picture itself holds: the search for invented structure is held against that."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from calibration.judging import fidelity
from calibration.judging.clips import Field
from calibration.judging.contestants import Contestant, given, unprocessed
from calibration.judging.plan import QUICK
from edge.frame import Pixels


class Amplified:
    """Local contrast twice as strong: what it shows is not in the picture."""

    name = "amplified"

    def forget(self) -> None: ...

    def __call__(self, pixels: Pixels) -> Pixels:
        large = cv2.resize(pixels, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST).astype(np.float32)
        around = cv2.GaussianBlur(large, (0, 0), 12)
        full = np.iinfo(pixels.dtype).max
        return np.clip(around + 2.0 * (large - around), 0, full).astype(pixels.dtype)


def test_a_picture_shown_pixel_by_pixel_is_its_own_measure_and_a_stronger_one_is_found_out() -> None:
    blank = given("superres").open(8)
    plain = Contestant("plain", "engine", lambda _bits: blank, remembers=False)
    amplified = Contestant("amplified", "engine", lambda _bits: Amplified(), remembers=False)
    plan = dataclasses.replace(QUICK, free_frames=20, calibration_frames=20, template_pairs=6)
    field = Field([unprocessed("superres"), plain, amplified], enlarges=True)
    found = fidelity.search(field, "superres", plan)
    assert found["plain"].treated == found["plain"].given
    assert found["amplified"].treated > found["amplified"].given + 10
