"""The region on made-up screens and on real frames: what may be altered, what not, when to start anew.

The rectangles of the real frames were measured by hand, in pixels. Real frames are absent on a user's
machine: those tests skip there.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import EngineFault
from edge.frame import Box, Frame, Modality, PixelFormat
from edge.region import (
    COLOUR_TOLERANCE,
    Layout,
    Region,
    Tracker,
    colourless,
    find,
    grey_of,
    layout_changed,
    put_back,
    scene_cut,
    thumb,
)

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real frames (../shared/data) are not here")
Composition = tuple[np.ndarray, np.ndarray, np.ndarray, bool]  # original, enhanced, mask, whether strided
NOWHERE = Layout((), 255, None, np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.int32), 0)


def frame_of(pixels: np.ndarray, **more: object) -> Frame:
    colour = pixels.ndim == 3
    deep = pixels.dtype == np.uint16
    pixel_format = PixelFormat.BGR8 if colour else PixelFormat.GREY16 if deep else PixelFormat.GREY8
    fields: dict = {"stream": "s", "seq": 0, "captured_ns": 0, "received_ns": 0, "format": pixel_format}
    pixels = pixels.view()
    pixels.flags.writeable = False
    return Frame(pixels=pixels, **{**fields, "bits": 16 if deep else 8, **more})


def enhanced_screen(frame: Frame, region: Region) -> np.ndarray:
    """The whole frame after the strangest of engines: one that inverts the picture."""
    out = frame.pixels.copy()
    original = frame.pixels[region.box.slices]
    grey = grey_of(original, frame.format)
    put_back(original, frame.format, (frame.full_scale - grey).astype(grey.dtype), region, out[region.box.slices])
    return out


def altered(frame: Frame, region: Region) -> np.ndarray:
    differs = enhanced_screen(frame, region) != frame.pixels
    return differs.any(axis=2) if differs.ndim == 3 else differs


def full_mask(frame: Frame, region: Region) -> np.ndarray:
    whole = np.zeros((frame.height, frame.width), bool)
    whole[region.box.slices] = region.mask > 0
    return whole


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def box_mask(frame: Frame, left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((frame.height, frame.width), bool)
    mask[top:bottom, left:right] = True
    return mask


# --- made-up screens


def speckle(height: int, width: int, seed: int = 0, sigma: float = 1.5) -> np.ndarray:
    """Log-compressed speckle around level 90."""
    noise = np.random.default_rng(seed)
    field = [cv2.GaussianBlur(noise.normal(size=(height, width)), (0, 0), sigma) for _ in range(2)]
    envelope = np.hypot(*field)
    return np.clip(90 + 45 * np.log10(envelope / envelope.mean() + 1e-3), 0, 255).astype(np.uint8)


def sector_mask(height: int, width: int, *, top: int = 20) -> np.ndarray:
    """A convex probe's sector: 30 degrees to each side, with the probe's own arc cut off on top."""
    y, x = np.mgrid[:height, :width].astype(float)
    apex = top - 120.0
    radius, angle = np.hypot(x - width / 2, y - apex), np.arctan2(x - width / 2, y - apex)
    return (np.abs(angle) < np.radians(30)) & (radius > 160) & (radius < 160 + 0.8 * (height - top))


def write(pixels: np.ndarray, text: str, at: tuple[int, int], level: int = 220, scale: float = 0.5) -> None:
    value = (level,) * 3 if pixels.ndim == 3 else level
    cv2.putText(pixels, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, value, 1, cv2.LINE_AA)


def sector_screen(seed: int = 0, clock: str = "12:30:01", height: int = 480, width: int = 640) -> np.ndarray:
    """A sector with text, a depth ruler and a grey bar."""
    screen = np.where(sector_mask(height, width), speckle(height, width, seed), 0).astype(np.uint8)
    write(screen, "Abdomen  MI 0.9", (8, 14))
    write(screen, clock, (520, 14))
    write(screen, "C5-1", (8, 440))
    for depth in range(40, height - 20, 40):
        screen[depth : depth + 2, 625:635] = 200
    screen[150:300, 10:25] = np.linspace(255, 0, 150)[:, None].astype(np.uint8)
    return screen


def hull_of(mask: np.ndarray) -> np.ndarray:
    hull = cv2.convexHull(cv2.findNonZero(mask.astype(np.uint8)))
    return cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), hull, 1) > 0


FURNITURE = [Box(0, 0, 640, 18), Box(0, 425, 80, 20), Box(615, 18, 25, 462), Box(8, 148, 20, 154)]


def in_colour(grey: np.ndarray) -> np.ndarray:
    return np.dstack([grey] * 3)


class TestFind:
    def test_a_sector_is_found_and_its_furniture_left_alone(self) -> None:
        frame = frame_of(sector_screen())
        region = find(frame)
        assert region is not None
        truth = sector_mask(480, 640)
        changed = altered(frame, region)
        assert not any(changed[box.slices].any() for box in FURNITURE)
        assert (full_mask(frame, region) & truth).sum() > 0.97 * truth.sum()
        assert not (changed & ~hull_of(truth)).any()

    def test_text_in_the_notch_of_a_sector_is_cut_out(self) -> None:
        screen = sector_screen()
        notch = screen[43:58, 300:340]
        assert not notch.any()  # black, and inside the hull
        write(screen, "4 V", (308, 55), level=120, scale=0.35)
        lit = np.zeros(screen.shape, bool)
        lit[43:58, 300:340] = notch > 0
        region = find(frame_of(screen))
        assert region is not None
        assert not (full_mask(frame_of(screen), region) & lit).any()

    @pytest.mark.parametrize("level", [0, 17, 128, 255])
    def test_an_empty_screen_has_no_image(self, level: int) -> None:
        assert find(frame_of(np.full((480, 640), level, np.uint8))) is None

    def test_a_screen_of_text_has_no_image(self) -> None:
        screen = np.zeros((480, 640), np.uint8)
        for line in range(20):
            write(screen, "Patient list, examination, worklist, 42 cm/s", (10, 20 + 22 * line))
        assert find(frame_of(screen)) is None
        assert find(frame_of(in_colour(screen))) is None

    def test_a_compressed_screen_of_text_has_no_image(self) -> None:
        screen = np.zeros((480, 640), np.uint8)
        for line in range(12):
            write(screen, "Patient list, examination, worklist", (10, 30 + 36 * line), scale=0.7)
        coded = cv2.imencode(".jpg", screen, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
        assert find(frame_of(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))) is None

    def test_a_menu_of_panels_and_buttons_has_no_image(self) -> None:
        screen = np.full((480, 640), 40, np.uint8)
        for row, column in itertools.product(range(5), range(4)):
            x, y = 20 + 155 * column, 20 + 90 * row
            screen[y : y + 70, x : x + 130] = 70 + 20 * column
            write(screen, "Preset", (x + 20, y + 40))
        screen[:, 600:630] = np.linspace(255, 0, 480)[:, None].astype(np.uint8)
        assert find(frame_of(screen)) is None

    def test_faint_camera_noise_is_not_an_image(self) -> None:
        noise = np.random.default_rng(0).integers(0, 6, (480, 640), dtype=np.uint8)
        assert find(frame_of(noise)) is None

    @pytest.mark.parametrize("shape", [(64, 64), (64, 4096), (480, 640), (4096, 4096)])
    def test_a_frame_that_is_all_image_is_the_region(self, shape: tuple[int, int]) -> None:
        tile = speckle(min(shape[0], 640), min(shape[1], 640))
        pixels = np.tile(tile, (7, 7))[: shape[0], : shape[1]]
        region = find(frame_of(pixels))
        assert region is not None
        assert region.covers_all
        assert region.box == Box(0, 0, shape[1], shape[0])

    def test_noise_all_over_the_frame_counts_as_image(self) -> None:
        region = find(frame_of(np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)))
        assert region is not None
        assert region.covers_all

    def test_a_sector_that_touches_the_border(self) -> None:
        truth = sector_mask(640, 640)[:480]  # its lower arc ends below the frame
        assert truth[-1].any()
        frame = frame_of(np.where(truth, speckle(480, 640), 0).astype(np.uint8))
        region = find(frame)
        assert region is not None
        assert (full_mask(frame, region) & truth).sum() > 0.97 * truth.sum()
        assert full_mask(frame, region)[-1].any()

    def test_a_large_frame_is_found_to_the_pixel_of_its_working_size(self) -> None:
        pixels = np.zeros((3000, 4096), np.uint8)
        pixels[400:2600, 800:3200] = np.tile(speckle(550, 600, sigma=4), (4, 4))
        write(pixels, "DEPTH 12 cm", (100, 200), scale=4)
        frame = frame_of(pixels)
        region = find(frame)
        assert region is not None
        truth = box_mask(frame, 800, 400, 3200, 2600)
        mask = full_mask(frame, region)
        assert not (mask & ~truth).any()
        assert iou(mask, truth) > 0.97

    def test_colour_in_the_sector_neither_breaks_nor_joins_the_region(self) -> None:
        screen = in_colour(sector_screen())
        screen[200:300, 260:380] = (30, 60, 200)
        frame = frame_of(screen)
        region = find(frame)
        assert region is not None
        changed = altered(frame, region)
        assert not changed[200:300, 260:380].any()
        assert changed[320:400, 280:360].mean() > 0.9

    def test_a_strided_view_gives_the_same_region_as_its_copy(self) -> None:
        screen = in_colour(sector_screen())
        padded = np.zeros((500, 700, 3), np.uint8)
        padded[:480, :640] = screen
        view, copy = find(frame_of(padded[:480, :640])), find(frame_of(screen))
        assert view is not None
        assert copy is not None
        assert view.box == copy.box
        assert np.array_equal(view.mask, copy.mask)

    @pytest.mark.parametrize("bits", [10, 12, 16])
    def test_a_deep_collimated_field_keeps_its_implant_and_its_bare_beam(self, bits: int) -> None:
        y, x = np.mgrid[:512, :512]
        field = (x - 256) ** 2 + (y - 256) ** 2 < 240**2
        level = np.random.default_rng(0).poisson(300, (512, 512)) * ((1 << bits) - 1) / 600
        level[100:200, 60:140] = (1 << bits) - 1
        level[300:420, 150:260] = 0
        pixels = np.where(field, level, 0).clip(0, (1 << bits) - 1).astype(np.uint16)
        frame = frame_of(pixels, bits=bits, modality=Modality.FLUOROSCOPY)
        region = find(frame)
        assert region is not None
        assert iou(full_mask(frame, region), field) > 0.97
        assert full_mask(frame, region)[300:420, 150:260].all()

    def test_the_mask_is_read_only(self) -> None:
        region = find(frame_of(sector_screen()))
        assert region is not None
        with pytest.raises(ValueError, match="read-only"):
            region.mask[0, 0] = 1


class TestGivenRegion:
    BOX = Box(61, 20, 517, 443)

    def test_the_scanners_box_is_the_outline(self) -> None:
        region = find(frame_of(sector_screen(), region=self.BOX))
        assert region is not None
        assert region.box == self.BOX
        assert region.mask[200, 250] == 255

    def test_it_holds_on_a_black_picture(self) -> None:
        region = Tracker().update(frame_of(np.zeros((480, 640), np.uint8), region=self.BOX))
        assert region is not None
        assert region.box == self.BOX
        assert region.covers_all

    def test_text_inside_it_is_left_alone(self) -> None:
        screen = sector_screen()
        write(screen, "TIS 0.4", (490, 60))
        frame = frame_of(screen, region=self.BOX)
        region = find(frame)
        assert region is not None
        lit = np.zeros(screen.shape, bool)
        lit[45:65, 485:560] = screen[45:65, 485:560] > 0
        assert not (altered(frame, region) & lit).any()

    def test_a_new_box_is_followed_at_once(self) -> None:
        tracker = Tracker()
        before = tracker.update(frame_of(sector_screen(), region=self.BOX))
        moved = Box(62, 20, 517, 443)
        assert before is not None
        assert not layout_changed(before, frame_of(sector_screen(seed=1), region=self.BOX))
        assert layout_changed(before, frame_of(sector_screen(), region=moved))
        after = tracker.update(frame_of(sector_screen(), region=moved))
        assert after is not None
        assert after.box == moved


# --- putting the picture back


@st.composite
def compositions(draw: st.DrawFn) -> Composition:
    height, width = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    noise = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["grey8", "grey16", "colour", "nearly grey"]))
    dtype, top = (np.uint16, 65536) if kind == "grey16" else (np.uint8, 256)
    if kind == "colour":
        original = noise.integers(0, top, (height, width, 3)).astype(dtype)
    else:
        original = noise.integers(0, top, (height, width)).astype(dtype)
    if kind == "nearly grey":
        tint = noise.integers(-4, 5, (height, width, 3))
        original = np.clip(original[..., None].astype(int) + tint, 0, 255).astype(np.uint8)
    enhanced = noise.integers(0, top, (height, width)).astype(dtype)
    mask = np.where(noise.random((height, width)) < draw(st.floats(0, 1)), 255, 0).astype(np.uint8)
    return original, enhanced, mask, draw(st.booleans())


def region_of(mask: np.ndarray) -> Region:
    return Region(Box(0, 0, mask.shape[1], mask.shape[0]), mask, bool(mask.all()), NOWHERE)


def any_format(pixels: np.ndarray) -> PixelFormat:
    return PixelFormat.RGB8 if pixels.ndim == 3 else PixelFormat.GREY8


class TestPutBack:
    @settings(max_examples=300, deadline=None)
    @given(compositions())
    def test_only_what_the_mask_allows_is_changed(self, case: Composition) -> None:
        original, enhanced, mask, strided = case
        wide = np.full((original.shape[0], 2 * original.shape[1], *original.shape[2:]), 77, original.dtype)
        out = wide[:, ::2] if strided else wide[:, : original.shape[1]]
        out[...] = original
        put_back(original, any_format(original), enhanced, region_of(mask), out)
        assert np.array_equal(out[mask == 0], original[mask == 0])
        if original.ndim == 2:
            assert np.array_equal(out[mask > 0], enhanced[mask > 0])
        else:
            spread = original.max(axis=2).astype(int) - original.min(axis=2)
            coloured = spread > COLOUR_TOLERANCE
            assert np.array_equal(out[coloured], original[coloured])
            assert np.array_equal(colourless(original) == 0, coloured)
            grey = grey_of(original, PixelFormat.RGB8).astype(int)
            added = original.astype(int) + (enhanced.astype(int) - grey)[..., None]
            allowed = (mask > 0) & ~coloured
            assert np.array_equal(out[allowed], np.clip(added, 0, 255).astype(np.uint8)[allowed])
        rest = wide[:, 1::2] if strided else wide[:, original.shape[1] :]
        assert (rest == 77).all()

    @settings(max_examples=100, deadline=None)
    @given(compositions(), st.sampled_from((PixelFormat.RGB8, PixelFormat.BGR8)))
    def test_the_same_picture_back_changes_nothing(self, case: Composition, order: PixelFormat) -> None:
        original, _, mask, _ = case
        out = original.copy()
        pixel_format = order if original.ndim == 3 else any_format(original)
        put_back(original, pixel_format, grey_of(original, pixel_format), region_of(mask), out)
        assert np.array_equal(out, original)

    def test_equal_channels_take_the_enhanced_level_exactly(self) -> None:
        grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
        out = np.empty((16, 16, 3), np.uint8)
        put_back(in_colour(grey), PixelFormat.BGR8, 255 - grey, region_of(np.full((16, 16), 255, np.uint8)), out)
        assert np.array_equal(out, in_colour(255 - grey))

    @pytest.mark.parametrize(
        "enhanced", [np.zeros((4, 5), np.uint8), np.zeros((5, 5), np.uint16)], ids=["size", "depth"]
    )
    def test_a_picture_of_the_wrong_shape_is_the_engines_fault(self, enhanced: np.ndarray) -> None:
        original = np.full((5, 5), 9, np.uint8)
        out = original.copy()
        with pytest.raises(EngineFault, match="wrong shape"):
            put_back(original, PixelFormat.GREY8, enhanced, region_of(np.full((5, 5), 255, np.uint8)), out)
        assert (out == 9).all()

    @pytest.mark.parametrize("pixel_format", [PixelFormat.RGB8, PixelFormat.BGR8])
    def test_grey_of_colour_knows_the_channel_order(self, pixel_format: PixelFormat) -> None:
        red = np.zeros((2, 2, 3), np.uint8)
        red[..., 0 if pixel_format is PixelFormat.RGB8 else 2] = 255
        assert grey_of(red, pixel_format).tolist() == [[76, 76], [76, 76]]

    def test_grey_of_a_grey_box_costs_no_copy(self) -> None:
        frame = np.arange(64, dtype=np.uint16).reshape(8, 8)
        grey = grey_of(frame[2:6, 1:7], PixelFormat.GREY16)
        assert np.shares_memory(grey, frame)
        assert np.array_equal(grey, frame[2:6, 1:7])


# --- over time


class TestLayoutChanged:
    def test_a_clock_a_counter_and_moving_tissue_do_not_change_the_layout(self) -> None:
        region = find(frame_of(sector_screen()))
        assert region is not None
        for second in range(20):
            screen = sector_screen(seed=second, clock=f"12:31:{second:02}")
            write(screen, f"HR {60 + second}", (8, 460))
            assert not layout_changed(region, frame_of(screen))

    def test_a_larger_image_changes_it(self) -> None:
        region = find(frame_of(sector_screen()))
        wider = sector_screen()
        wider[60:420, 60:580] = speckle(360, 520)
        assert region is not None
        assert layout_changed(region, frame_of(wider))

    def test_a_menu_beside_the_image_changes_it(self) -> None:
        region = find(frame_of(sector_screen()))
        screen = sector_screen()
        screen[40:140, 40:200] = 80
        assert region is not None
        assert layout_changed(region, frame_of(screen))

    def test_another_ruler_and_other_text_change_it(self) -> None:
        region = find(frame_of(sector_screen()))
        bare = np.where(sector_mask(480, 640), speckle(480, 640), 0).astype(np.uint8)
        assert region is not None
        assert layout_changed(region, frame_of(bare))

    def test_another_size_or_depth_changes_it(self) -> None:
        screen = sector_screen()
        region = find(frame_of(screen))
        assert region is not None
        assert layout_changed(region, frame_of(screen[:470]))
        assert layout_changed(region, frame_of(in_colour(screen)))
        assert layout_changed(region, frame_of(screen.astype(np.uint16) << 8))

    def test_a_whole_frame_has_no_layout_to_change(self) -> None:
        region = find(frame_of(speckle(480, 640)))
        assert region is not None
        assert not layout_changed(region, frame_of(255 - speckle(480, 640)))


class TestTracker:
    def test_the_region_stays_the_same_object_while_the_tissue_moves(self) -> None:
        tracker = Tracker()
        first = tracker.update(frame_of(sector_screen()))
        assert first is not None
        assert all(tracker.update(frame_of(sector_screen(seed=n))) is first for n in range(1, 12))

    def test_it_gives_what_find_gives_on_the_first_frame(self) -> None:
        frame = frame_of(sector_screen())
        tracked, found = Tracker().update(frame), find(frame)
        assert tracked is not None
        assert found is not None
        assert tracked.box == found.box
        assert np.array_equal(tracked.mask, found.mask)

    def test_half_the_image_in_shadow_does_not_shrink_it(self) -> None:
        tracker = Tracker()
        first = tracker.update(frame_of(sector_screen()))
        dark = sector_screen(seed=3)
        dark[300:, 50:600] //= 24
        assert tracker.update(frame_of(dark)) is first

    def test_it_grows_into_tissue_that_was_dark(self) -> None:
        tracker = Tracker()
        dark = sector_screen()
        dark[250:, 81:600] = 0
        small, large = tracker.update(frame_of(dark)), tracker.update(frame_of(dark))
        assert small is large
        for seed in range(2):
            large = tracker.update(frame_of(sector_screen(seed=seed)))
        assert small is not None
        assert large is not None
        assert large.mask.size > 1.5 * small.mask.size

    def test_one_black_frame_keeps_the_region_and_three_lose_it(self) -> None:
        tracker = Tracker()
        furniture = sector_screen()
        furniture[sector_mask(480, 640)] = 0
        first = tracker.update(frame_of(sector_screen()))
        assert first is not None
        assert tracker.update(frame_of(furniture)) is first
        assert tracker.update(frame_of(sector_screen(seed=1))) is first
        assert [tracker.update(frame_of(furniture)) for _ in range(3)] == [first, first, None]

    def test_a_new_layout_is_taken_up_at_once(self) -> None:
        tracker = Tracker()
        for seed in range(8):
            tracker.update(frame_of(sector_screen(seed=seed)))
        other = np.zeros((480, 640), np.uint8)
        other[100:300, 200:400] = speckle(200, 200)
        write(other, "L12-3", (8, 14))
        region = tracker.update(frame_of(other))
        assert region is not None
        assert region.box == Box(201, 101, 198, 198)

    @staticmethod
    def screens(*, moving: bool) -> Iterator[np.ndarray]:
        for seed in range(6):
            screen = sector_screen(seed=seed if moving else 0)
            write(screen, "+ 12.4 mm", (280, 260), level=250)
            yield screen

    def test_text_over_moving_tissue_is_found_and_left_alone(self) -> None:
        tracker = Tracker()
        letters = np.zeros((480, 640), np.uint8)
        write(letters, "+ 12.4 mm", (280, 260), level=250)
        for screen in self.screens(moving=True):
            frame = frame_of(screen)
            region = tracker.update(frame)
        assert region is not None
        assert not (altered(frame, region) & (letters > 128)).any()
        assert full_mask(frame, region)[sector_mask(480, 640)].mean() > 0.9

    def test_a_frozen_picture_is_not_all_overlay(self) -> None:
        tracker = Tracker()
        for screen in self.screens(moving=False):
            frame = frame_of(screen)
            region = tracker.update(frame)
        assert region is not None
        assert full_mask(frame, region)[sector_mask(480, 640)].mean() > 0.97

    def test_the_same_frames_give_the_same_regions(self) -> None:
        def run() -> list[bytes]:
            tracker = Tracker()
            regions = [tracker.update(frame_of(screen)) for screen in self.screens(moving=True)]
            return [region.mask.tobytes() for region in regions if region is not None]

        assert run() == run()

    def test_a_text_screen_never_gives_a_region(self) -> None:
        tracker = Tracker()
        screen = np.zeros((480, 640), np.uint8)
        write(screen, "No probe", (200, 240), scale=1)
        assert [tracker.update(frame_of(screen)) for _ in range(5)] == [None] * 5


class TestSceneCut:
    BOX = Box(0, 0, 640, 480)

    @staticmethod
    def place(seed: int, echo: int) -> np.ndarray:
        """Tissue of one fixed anatomy under the speckle of another instant."""
        noise = np.random.default_rng(seed)
        anatomy = cv2.GaussianBlur(noise.normal(size=(480, 640)), (0, 0), 40)
        bright = 60 * anatomy / np.abs(anatomy).max()
        return np.clip(speckle(480, 640, echo, sigma=3) + bright, 0, 255).astype(np.uint8)

    def cut(self, before: np.ndarray, after: np.ndarray) -> bool:
        return scene_cut(thumb(frame_of(before), self.BOX), thumb(frame_of(after), self.BOX))

    def test_decorrelated_speckle_is_the_same_place(self) -> None:
        assert not self.cut(self.place(1, echo=10), self.place(1, echo=11))

    @pytest.mark.parametrize("gain", [0.85, 0.9, 1.1, 1.15])
    def test_gain_and_flicker_are_the_same_place(self, gain: float) -> None:
        before = self.place(1, echo=10)
        assert not self.cut(before, np.clip(before * gain, 0, 255).astype(np.uint8))
        assert not self.cut(before, np.clip(before + 100.0 * (gain - 1), 0, 255).astype(np.uint8))

    def test_motion_is_the_same_place(self) -> None:
        assert not self.cut(self.place(1, echo=10), np.roll(self.place(1, echo=11), (8, 12), (0, 1)))

    @pytest.mark.parametrize("other", range(2, 8))
    def test_another_place_is_a_cut(self, other: int) -> None:
        assert self.cut(self.place(1, echo=10), self.place(other, echo=10))

    def test_black_to_tissue_is_a_cut_and_black_to_black_is_not(self) -> None:
        black = np.zeros((480, 640), np.uint8)
        assert self.cut(black, self.place(1, echo=10))
        assert self.cut(self.place(1, echo=10), black)
        assert not self.cut(black, black)

    def test_it_reads_every_format_on_one_scale(self) -> None:
        grey = self.place(1, echo=10)
        expected = thumb(frame_of(grey), self.BOX)
        assert np.array_equal(thumb(frame_of(in_colour(grey)), self.BOX), expected)
        deep = frame_of(grey.astype(np.uint16) << 4, bits=12)
        assert np.allclose(thumb(deep, self.BOX), expected, atol=1.5)

    def test_the_smallest_box_has_a_thumb(self) -> None:
        assert thumb(frame_of(speckle(64, 64)), Box(3, 5, 1, 1)).shape == (12, 16)


# --- real frames


def stills(pattern: str) -> list[Path]:
    return sorted((DATA / "ultrasound" / "muscle_ge_logiq_e9").glob(pattern))


def read_mha(path: Path) -> np.ndarray:
    """A compressed 8-bit MetaImage: frames x rows x columns."""
    head, mark, body = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    assert mark
    fields = dict(line.split(" = ", 1) for line in head.decode("latin-1").splitlines() if " = " in line)
    width, height, count = (int(number) for number in fields["DimSize"].split())
    levels = np.frombuffer(zlib.decompressobj().decompress(body), np.uint8)
    return levels[: width * height * count].reshape(count, height, width)


def grain(screen: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, (*screen.shape[:2], 1))
    return np.clip(screen + noise, 0, 255).astype(np.uint8)


def recoded(screen: np.ndarray, quality: int) -> np.ndarray:
    coded = cv2.imencode(".jpg", screen, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def clip(name: str) -> np.ndarray:
    return read_mha(DATA / "ultrasound" / "phantom_clips" / f"{name}.igs.mha")


def clarius() -> list[np.ndarray]:
    video = cv2.VideoCapture(str(DATA / "ultrasound" / "eye_clarius" / "clarius-ocular-short.mp4"))
    frames = []
    while True:
        more, pixels = video.read()
        if not more:
            return frames
        frames.append(pixels)


def heart() -> np.ndarray:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    path = get_testdata_file("examples_ybr_color.dcm", download=False)
    if path is None:
        pytest.skip("pydicom's colour clip is not installed")
    return pydicom.dcmread(path).pixel_array


# What must not change in the GE whole screens: left, top, right, bottom.
GE_FURNITURE = {
    "header": (0, 0, 800, 30),
    "top ruler": (0, 30, 800, 58),
    "logo": (50, 58, 110, 96),
    "grey bar": (0, 215, 45, 385),
    "right ruler, figures and focus": (770, 30, 800, 600),
    "foot": (0, 522, 800, 600),
}
GE_IMAGE = (111, 60, 689, 520)


@needs_data
class TestRealFrames:
    @pytest.mark.parametrize("still", stills("gastroc*"), ids=lambda path: path.stem[-3:])
    def test_ge_whole_screens(self, still: Path) -> None:
        frame = frame_of(cv2.imread(str(still)), modality=Modality.ULTRASOUND)
        region = find(frame)
        assert region is not None
        changed = altered(frame, region)
        for name, (left, top, right, bottom) in GE_FURNITURE.items():
            assert not changed[top:bottom, left:right].any(), name
        assert iou(full_mask(frame, region), box_mask(frame, *GE_IMAGE)) > 0.98
        assert not (changed & ~box_mask(frame, *GE_IMAGE)).any()

    @pytest.mark.parametrize(
        ("grabbed", "scale"),
        [
            (lambda screen: grain(screen, 4.0), 1.0),
            (lambda screen: recoded(screen, 60), 1.0),
            (lambda screen: (16 + screen * (219 / 255)).astype(np.uint8), 1.0),  # black is 16 in video
            (lambda screen: cv2.resize(screen, None, fx=1.6, fy=1.6), 1.6),
            (lambda screen: cv2.resize(screen, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA), 0.8),
        ],
        ids=["noise", "jpeg 60", "video range", "scaled up", "scaled down"],
    )
    def test_ge_whole_screens_through_a_frame_grabber(
        self, grabbed: Callable[[np.ndarray], np.ndarray], scale: float
    ) -> None:
        for still in stills("gastroc*")[::8]:
            frame = frame_of(grabbed(cv2.imread(str(still))))
            region = find(frame)
            assert region is not None
            changed = altered(frame, region)
            for name, corners in GE_FURNITURE.items():
                left, top, right, bottom = (int(v * scale) for v in corners)
                assert not changed[top:bottom, left:right].any(), name
            image = box_mask(frame, *(round(v * scale) for v in GE_IMAGE))
            assert iou(full_mask(frame, region), image) > 0.98

    @pytest.mark.parametrize("still", stills("S?_*"), ids=lambda path: path.stem)
    def test_cropped_muscle_is_the_whole_frame(self, still: Path) -> None:
        pixels = cv2.imread(str(still), cv2.IMREAD_UNCHANGED)
        region = find(frame_of(pixels))
        assert region is not None
        assert region.box == Box(0, 0, 514, 458)
        assert (region.mask > 0).mean() > 0.998  # single specks in the darkest set look like full stops

    @pytest.mark.parametrize(
        ("name", "image"),
        [("BoneUltrasound_L14", (176, 1, 643, 615)), ("SpinePhantomFreehand", (187, 12, 632, 602))],
    )
    def test_linear_probe_clips(self, name: str, image: tuple[int, int, int, int]) -> None:
        for pixels in clip(name):
            frame = frame_of(pixels)
            region = find(frame)
            assert region is not None
            mask = full_mask(frame, region)
            assert iou(mask, box_mask(frame, *image)) > 0.95
            assert not (mask & ~box_mask(frame, *image)).any()

    def test_a_wire_phantom_of_scattered_echoes(self) -> None:
        """Few echoes and no furniture: where the image ends cannot be seen. The echoes must be in it."""
        tracker = Tracker()
        for number, pixels in enumerate(clip("NwirePhantomFreehand")):
            frame = frame_of(pixels)
            assert find(frame) is not None
            if number % 10 == 0:
                region = tracker.update(frame)
            assert region is not None
            bright = pixels > 30
            assert full_mask(frame, region)[bright].mean() > 0.9  # an echo cut by the image's edge is sharp

    def test_the_clarius_clip(self) -> None:
        tracker = Tracker()
        for number, pixels in enumerate(clarius()):
            frame = frame_of(pixels)
            region = find(frame)
            assert region is not None
            image = box_mask(frame, 264, 86, 1017, 873)
            assert iou(full_mask(frame, region), image) > 0.9
            if number % 5 == 0:
                tracked = tracker.update(frame)
            assert tracked is not None
            changed = altered(frame, tracked)
            assert not changed[:80].any(), "logo"
            assert not changed[878:].any(), "depth"

    def test_the_clarius_rulers_dots_lie_on_the_tissue_and_are_found_over_time(self) -> None:
        tracker = Tracker()
        frames = clarius()
        for pixels in frames[::5]:
            region = tracker.update(frame_of(pixels))
        assert region is not None
        mask = full_mask(frame_of(frames[-1]), region)
        dots = [round(86 + 39.4 * n) for n in range(21)]
        left_alone = [not mask[y - 1 : y + 2, 994:997].any() for y in dots]
        assert sum(left_alone) >= 19

    def test_a_cardiac_sector_in_colour(self) -> None:
        for pixels in heart():
            frame = frame_of(pixels, format=PixelFormat.RGB8)
            region = find(frame)
            assert region is not None
            sector = np.zeros((240, 320), np.uint8)
            outline = [
                (160, 19),
                (184, 19),
                (240, 82),
                (246, 175),
                (200, 201),
                (135, 201),
                (84, 176),
                (103, 84),
            ]
            cv2.fillConvexPoly(sector, np.array(outline), 1)
            mask = full_mask(frame, region)
            assert iou(mask, sector > 0) > 0.8  # its dark sides come and go with the heart
            bright = (pixels.max(axis=2) > 30) & (sector > 0)
            assert mask[bright].mean() > 0.97
            changed = altered(frame, region)
            assert not changed[:, 272:].any(), "text and ruler at the right"
            assert not changed[:40, :100].any(), "text at the left"
            assert not changed[212:].any(), "menu"

    @pytest.mark.parametrize("number", ["0020", "0022", "0024", "0026"])
    def test_round_fluoroscopy_fields(self, number: str) -> None:
        frame = self.fluoroscopy(number)
        region = find(frame)
        assert region is not None
        y, x = np.mgrid[:1024, :1024]
        field = (x - 513.5) ** 2 + (y - 511) ** 2 < 482.5**2
        assert iou(full_mask(frame, region), field) > 0.97
        assert not (altered(frame, region) & ~field).any()

    @pytest.mark.parametrize("number", ["0030", "0032"])
    def test_cut_fluoroscopy_fields(self, number: str) -> None:
        frame = self.fluoroscopy(number)
        region = find(frame)
        assert region is not None
        y, x = np.mgrid[:1024, :1024]
        field = (x - 513.5) ** 2 + (y - 511) ** 2 < 482.5**2
        field &= box_mask(frame, 0, 129, 925, 884)
        assert iou(full_mask(frame, region), field) > 0.95

    @staticmethod
    def fluoroscopy(number: str) -> Frame:
        pydicom = pytest.importorskip("pydicom")
        path = DATA / "fluoroscopy" / "ge_stills" / f"IM-0001-{number}.dcm"
        return frame_of(pydicom.dcmread(path).pixel_array, modality=Modality.FLUOROSCOPY)

    @pytest.mark.parametrize("name", ["BoneUltrasound_L14", "SpinePhantomFreehand", "NwirePhantomFreehand"])
    def test_no_cut_and_no_new_layout_within_a_clip(self, name: str) -> None:
        frames = [frame_of(pixels) for pixels in clip(name)]
        region = find(frames[0])
        assert region is not None
        thumbs = [thumb(frame, region.box) for frame in frames]
        assert not any(scene_cut(a, b) for a, b in itertools.pairwise(thumbs))
        assert not any(layout_changed(region, frame) for frame in frames)

    def test_no_cut_and_no_new_layout_while_an_eye_moves(self) -> None:
        frames = [frame_of(pixels) for pixels in clarius()]
        region = find(frames[0])
        assert region is not None
        thumbs = [thumb(frame, region.box) for frame in frames]
        assert not any(scene_cut(a, b) for a, b in itertools.pairwise(thumbs))
        assert not any(layout_changed(region, frame) for frame in frames)

    def test_another_leg_is_a_cut(self) -> None:
        first = [stills(f"{leg}_step_225*")[0] for leg in ("S1_L20", "S1_R20", "S2_L20", "S2_R20", "S3_L20")]
        frames = [frame_of(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) for path in first]
        thumbs = [thumb(frame, Box(0, 0, 514, 458)) for frame in frames]
        assert all(scene_cut(a, b) for a, b in itertools.combinations(thumbs, 2))

    def test_ge_screens_keep_their_layout_though_the_clock_runs(self) -> None:
        frames = [frame_of(cv2.imread(str(path))) for path in stills("gastroc*")]
        region = find(frames[0])
        assert region is not None
        assert not any(layout_changed(region, frame) for frame in frames)
        assert layout_changed(region, frame_of(np.roll(frames[0].pixels, 20, axis=1)))
