"""Real frames through the whole live path, with real engines: what is outside the image comes out bit for bit.

The clock is turned by hand, so that a busy machine changes nothing; engines, regions and pixels are real.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.backends import open_backend
from edge.catalog import open_catalog
from edge.config import parse
from edge.frame import Modality, PixelFormat, Pixels, Shown, Treatment
from edge.region import Region
from edge.survey import Survey
from tests.rig import Rig

DATA = Path(__file__).parents[3] / "shared" / "data"
GE = DATA / "ultrasound" / "muscle_ge_logiq_e9"
SCREENS = sorted(GE.glob("gastroc_range_of_motion_*.png"))
CROPPED = sorted(GE.glob("S1_*.png"))
FLUOROSCOPY = sorted((DATA / "fluoroscopy" / "ge_stills").rglob("*"))
# Plenty of time: here it is the pixels that are looked at.
UNHURRIED = parse('[live]\ndeadline_ms = 1000\nmax_age_ms = 5000\n[engines]\nrungs = ["large", "medium", "original"]')

pytestmark = [
    pytest.mark.skipif(not GE.is_dir(), reason="the real frames are not here (../shared/data)"),
    pytest.mark.timeout(180),
]


class RealRig(Rig):
    """The rig with real engines in place of the slow fake ones."""

    def __init__(self) -> None:
        super().__init__(config=UNHURRIED)
        self.survey = Survey(open_catalog([]), self.config.engines, self.events, open_backend)

    def region(self) -> Region:
        found = self.live.lanes["s"]._region
        assert found is not None
        return found

    def show(self, pictures: list[Pixels], rounds: int, **more: object) -> list[Shown]:
        self.play(rounds * len(pictures), fps=1, pixels=lambda seq: pictures[(seq - 1) % len(pictures)], **more)
        return [shown for shown in self.shown if shown.treatment is Treatment.ENHANCED]


def load(paths: list[Path]) -> list[Pixels]:
    pictures = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
    assert all(picture is not None for picture in pictures)
    return [picture[..., :3].copy() if picture.ndim == 3 else picture for picture in pictures]


def kind(picture: Pixels) -> dict[str, object]:
    return {"format": PixelFormat.BGR8 if picture.ndim == 3 else PixelFormat.GREY8, "bits": 8}


def outside(shown: Shown, region: Region) -> np.ndarray:
    """Every pixel that may not be altered: beyond the box, and inside it where the mask says so."""
    fixed = np.ones(shown.pixels.shape[:2], bool)
    fixed[region.box.slices] = region.mask == 0
    return fixed


def test_on_whole_screens_text_and_rulers_stay_bit_for_bit_and_the_image_is_enhanced() -> None:
    rig = RealRig()
    pictures = load(SCREENS[:6])
    enhanced = rig.show(pictures, 3, **kind(pictures[0]))
    assert len(enhanced) >= 6
    region = rig.region()
    assert 0.15 < region.mask.size / pictures[0][..., :1].size < 0.95  # a part of the screen, not all of it
    for shown in enhanced:
        fixed = outside(shown, region)
        assert fixed.any()
        assert np.array_equal(shown.pixels[fixed], shown.frame.pixels[fixed])
        inside = ~fixed
        assert (shown.pixels[inside] != shown.frame.pixels[inside]).mean() > 0.2
        assert shown.region == region.box
        assert 0 < shown.mean_change < 0.12


def test_the_originals_beside_them_are_the_files_own_pixels() -> None:
    rig = RealRig()
    pictures = load(SCREENS[:3])
    rig.show(pictures, 2, **kind(pictures[0]))
    assert len(rig.shown) == 6
    for shown in rig.shown:
        assert np.array_equal(shown.frame.pixels, pictures[(shown.frame.seq - 1) % len(pictures)])


def test_strength_nought_on_real_frames_is_the_file_itself() -> None:
    rig = RealRig()
    rig.wishes.change(None, strength=0.0)
    pictures = load(SCREENS[:2])
    rig.show(pictures, 2, **kind(pictures[0]))
    for shown in rig.shown:
        assert shown.pixels is shown.frame.pixels


@pytest.mark.parametrize("paths", [CROPPED[:4], SCREENS[6:10]], ids=["cropped", "whole"])
def test_grain_becomes_less_and_brightness_stays_but_for_a_veil(paths: list[Path]) -> None:
    rig = RealRig()
    pictures = load(paths)
    enhanced = rig.show(pictures, 3, **kind(pictures[0]))
    assert enhanced
    region = rig.region()
    for shown in enhanced:
        image = region.mask > 0
        before, after = (grey(pixels[region.box.slices]) for pixels in (shown.frame.pixels, shown.pixels))
        brighter = after[image].mean() - before[image].mean()
        # What lies over a picture is lifted: a level or so of all of it, most below the skin line. Never the other way.
        assert -3.0 < brighter < 2.0
        assert grain(after, image) < grain(before, image)


def grey(pixels: Pixels) -> np.ndarray:
    return (pixels if pixels.ndim == 2 else pixels[..., 1]).astype(np.float32)


def grain(plane: np.ndarray, image: np.ndarray) -> float:
    return float(np.abs(cv2.Laplacian(plane, cv2.CV_32F))[image].mean())


def test_fluoroscopy_stills_are_enhanced_inside_the_collimator_alone() -> None:
    pydicom = pytest.importorskip("pydicom", reason="the extra `dicom` is not installed")
    files = [path for path in FLUOROSCOPY if path.is_file()]
    if not files:
        pytest.skip("no fluoroscopy stills in ../shared/data")
    dataset = pydicom.dcmread(files[0], force=True)
    pixels = np.ascontiguousarray(dataset.pixel_array).astype(np.uint16)
    rig = RealRig()
    bits = int(dataset.BitsStored)
    facts = {"format": PixelFormat.GREY16, "bits": bits, "modality": Modality.FLUOROSCOPY}
    enhanced = rig.show([pixels], 5, **facts)
    assert enhanced
    region = rig.region()
    for shown in enhanced:
        fixed = outside(shown, region)
        assert fixed.any()
        assert np.array_equal(shown.pixels[fixed], shown.frame.pixels[fixed])
        assert (shown.pixels[~fixed] != shown.frame.pixels[~fixed]).mean() > 0.2
        assert int(shown.pixels.max()) <= (1 << bits) - 1
