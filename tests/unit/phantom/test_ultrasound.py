"""The ultrasound phantom: its physics, its truth, and that any moment can be asked for in any order."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from edge.errors import ConfigError
from edge.frame import Box, Modality
from edge.phantom import UltrasoundPhantom, UltrasoundScene, make
from edge.phantom._pointspread import PointSpread

SMALL = {"width": 160, "height": 120, "samples": 256, "lines": 96}
STILL = {"breathing_mm": 0.0, "sway_mm": 0.0, "press_mm": 0.0, "pulsation_mm": 0.0, "needle": False}
BARE = {"layers": 0, "vessels": 0, "cysts": 0, "lesions": 0, "texture": 0.0, "reverberation": 0.0}
QUIET = {"haze_db": -200.0, "noise_db": -200.0, "attenuation_db_cm_mhz": 0.0}


def scene(probe: str = "linear", **changes: object) -> UltrasoundScene:
    return UltrasoundScene.of(probe, **{**SMALL, **changes})


def phantom(probe: str = "linear", **changes: object) -> UltrasoundPhantom:
    return UltrasoundPhantom(scene(probe, **changes))


@pytest.mark.parametrize("persistence", [0.0, 0.4])
def test_any_order_of_asking_gives_the_same_pictures(persistence: float) -> None:
    wanted = phantom("curved", seed=3, persistence=persistence)
    other = phantom("curved", seed=3, persistence=persistence)
    in_order = [wanted.frame(index) for index in range(4)]
    for index in (3, 0, 2, 1):
        again = other.frame(index)
        assert np.array_equal(again.pixels, in_order[index].pixels)
        assert np.array_equal(again.truth, in_order[index].truth)


def test_another_seed_is_another_patient_and_another_take_only_other_speckle() -> None:
    first = phantom(seed=1).frame(0)
    patient, take = phantom(seed=2).frame(0), phantom(seed=1, take=1).frame(0)
    assert not np.array_equal(first.truth, patient.truth)
    assert np.array_equal(first.truth, take.truth)
    assert np.mean(first.pixels != take.pixels) > 0.3


def test_speckle_of_even_tissue_is_fully_developed() -> None:
    even = phantom("linear", **STILL, **BARE, **QUIET, samples=512, lines=192, focus_mm=20.0, turnover_hz=3.0)
    ratios = []
    for index in range(0, 40, 5):
        strength = even.envelope(index)[120:440, 20:-20]
        ratios.append(float(strength.mean() / strength.std()))
    assert np.mean(ratios) == pytest.approx(1.91, abs=0.06)


def test_a_point_is_smeared_more_away_from_the_focus() -> None:
    shape = scene("linear", samples=512, lines=192, focus_mm=12.0, depth_mm=40.0)
    spread = PointSpread(shape.beams(), shape.optics(), shape.samples)
    widths = []
    for depth in (12.0, 25.0, 38.0):
        point = np.zeros((shape.samples, shape.lines), np.float32)
        row = round(depth / shape.beams().sample_mm)
        point[row, 96] = 1.0
        power = np.sum(np.square(np.stack(spread.blur(point, np.zeros_like(point)))), axis=(0, 1))
        offset = np.arange(shape.lines) - 96
        widths.append(float(np.sqrt(np.sum(power * offset**2) / np.sum(power))))
        assert float(power.sum()) == pytest.approx(1.0, rel=0.05)  # wider, not brighter
    assert widths[0] < 0.75 * widths[1] < 0.75 * 0.95 * widths[2]


def test_a_stone_darkens_what_lies_behind_it_in_picture_and_truth() -> None:
    common = {**STILL, "seed": 5, "cysts": 0, "vessels": 0, "lesions": 0}
    without, with_stone = phantom("curved", **common), phantom("curved", **common, stones=4)
    clear, shadowed = without.frame(0), with_stone.frame(0)
    shadow = clear.truth.astype(int) - shadowed.truth > 60
    assert np.count_nonzero(shadow) > 50
    assert clear.pixels[shadow].mean() - shadowed.pixels[shadow].mean() > 40


def test_depth_gain_gives_back_what_tissue_takes_and_lifts_the_noise_with_it() -> None:
    even = {**STILL, **BARE, "haze_db": -200.0, "attenuation_db_cm_mhz": 0.7, "furniture": False}
    clean, noisy = (phantom("linear", **even, noise_db=level).frame(0) for level in (-200.0, -50.0))
    shallow, deep = slice(30, 50), slice(95, 115)
    columns = slice(60, 100)
    assert abs(clean.truth[deep, columns].mean() - clean.truth[shallow, columns].mean()) < 15
    lifted = [
        float(np.mean(noisy.pixels[rows, columns] - clean.pixels[rows, columns].astype(float)))
        for rows in (shallow, deep)
    ]
    assert lifted[0] < 5
    assert lifted[1] > lifted[0] + 15


def test_fluid_brightens_what_lies_behind_it() -> None:
    common = {**STILL, "seed": 2, "vessels": 0, "lesions": 0}
    without, with_cyst = (
        phantom("curved", **common, cysts=0).frame(0),
        phantom("curved", **common, cysts=1).frame(0),
    )
    brighter = with_cyst.truth.astype(int) - without.truth > 10
    assert np.count_nonzero(brighter) > 50
    assert np.mean(with_cyst.pixels[brighter] - without.pixels[brighter].astype(float)) > 5


def test_the_mean_over_many_takes_is_the_truth() -> None:
    calm = {**STILL, "smoothing": 0.0, "dynamic_range_db": 90.0, "noise_db": -200.0, "haze_db": -200.0}
    fixed = {"seed": 4, "reverberation": 0.0, "cysts": 0, "vessels": 0, "furniture": False}
    total, takes = 0.0, 14
    for take in range(takes):
        exposure = phantom("linear", **calm, **fixed, take=take).frame(0)
        total = total + exposure.pixels.astype(np.float64)
    mean, truth = total / takes, exposure.truth.astype(np.float64)
    # What is left after so many takes is still speckle: compare at the scale of several grains.
    inner = exposure.region.slices
    error = cv2.blur(mean - truth, (7, 7))[inner][8:-8, 8:-8]
    spread = cv2.blur(truth, (7, 7))[inner][8:-8, 8:-8]
    assert abs(float(error.mean())) < 2.0
    assert float(np.abs(error).mean()) < 4.0
    assert np.corrcoef((spread + error).ravel(), spread.ravel())[0, 1] > 0.95


def test_breathing_moves_the_tissue_as_far_as_it_says() -> None:
    moving = {**STILL, "breathing_mm": 1.5, "breathing_hz": 0.25, "fps": 100.0, "reverberation": 0.0}
    patient = phantom("linear", **moving, width=640, height=480, furniture=False, seed=2)
    out, inside = patient.frame(0), patient.frame(168)  # the start of a breath, and its top
    part = (slice(220, 420), slice(200, 440))
    window = cv2.createHanningWindow((240, 200), cv2.CV_32F)
    (_, down), _ = cv2.phaseCorrelate(out.truth[part].astype(np.float32), inside.truth[part].astype(np.float32), window)
    assert down * patient.spacing_mm[1] == pytest.approx(3.0, abs=0.6)


def test_without_motion_the_truth_stands_still_and_the_noise_does_not() -> None:
    still = phantom("curved", **STILL, turnover_hz=0.0)
    first, later = still.frame(0), still.frame(9)
    assert np.array_equal(first.truth, later.truth)
    assert not np.array_equal(first.pixels, later.pixels)


def test_drift_out_of_the_plane_renews_the_speckle() -> None:
    drifting = phantom("linear", **STILL, **BARE, **QUIET, turnover_hz=0.5, fps=10.0)
    first = drifting.envelope(0)[60:200].ravel()
    soon, later = (np.corrcoef(first, drifting.envelope(index)[60:200].ravel())[0, 1] for index in (1, 10))
    assert soon > 0.9
    assert abs(later) < 0.15


def test_a_needle_is_bright_and_advances() -> None:
    with_needle = phantom("linear", **{**STILL, "needle": True}, seed=1, needle_period_s=2.0)
    without = phantom("linear", **STILL, seed=1)
    bright = []
    for index in (0, 15, 30):  # drawn back, half way, fully in
        pair = with_needle.frame(index), without.frame(index)
        bright.append(np.count_nonzero(pair[0].truth.astype(int) - pair[1].truth > 30))
    assert 20 < bright[0] < bright[1] < bright[2]


def test_bounces_are_an_artefact_and_never_truth() -> None:
    clean, bouncing = (phantom("linear", **STILL, seed=1, reverberation=part).frame(0) for part in (0.0, 0.5))
    assert np.array_equal(clean.truth, bouncing.truth)
    assert not np.array_equal(clean.pixels, bouncing.pixels)


@pytest.mark.parametrize("size", [(64, 64), (333, 257), (1024, 1024), (1920, 1080)])
@pytest.mark.parametrize("probe", ["linear", "curved", "phased"])
def test_the_region_is_exactly_the_box_around_the_mask(probe: str, size: tuple[int, int]) -> None:
    exposure = phantom(probe, width=size[0], height=size[1]).frame(1)
    rows, columns = np.nonzero(exposure.mask)
    box = exposure.region
    assert box == Box(columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert box.inside(*size)
    assert exposure.pixels.shape == exposure.truth.shape == exposure.mask.shape == size[::-1]
    assert not exposure.truth[exposure.mask == 0].any()
    assert exposure.truth[exposure.mask > 0].std() > 5


def test_furniture_lies_outside_the_region_and_never_changes() -> None:
    patient = phantom("curved", width=640, height=480)
    first, later = patient.frame(0), patient.frame(20)
    outside = first.mask == 0
    assert np.count_nonzero(first.pixels[outside]) > 500
    assert np.array_equal(first.pixels[outside], later.pixels[outside])
    bare = phantom("curved", width=640, height=480, furniture=False).frame(0)
    assert not bare.pixels[bare.mask == 0].any()


def test_more_bits_are_the_same_picture_in_finer_steps() -> None:
    coarse, fine = phantom("curved", bits=8).frame(3), phantom("curved", bits=12).frame(3)
    assert fine.pixels.dtype == np.uint16
    assert fine.pixels.max() <= 4095
    inside = fine.mask > 0
    assert np.abs(fine.truth[inside] / 4095 - coarse.truth[inside] / 255).max() < 0.01


def test_a_drawn_scene_is_repeatable_and_can_be_played() -> None:
    assert UltrasoundScene.random(7) == UltrasoundScene.random(7)
    drawn = [UltrasoundScene.random(seed, 96, 80) for seed in range(60)]
    assert {each.probe for each in drawn} == {"linear", "curved", "phased"}
    assert len({each.depth_mm for each in drawn}) == len(drawn)
    for each in drawn[:6]:
        small = dataclasses.replace(each, samples=128, lines=64)
        assert UltrasoundPhantom(small).frame(5).pixels.any()


def test_what_cannot_be_is_refused_by_name() -> None:
    assert make("ultrasound", **SMALL).modality is Modality.ULTRASOUND
    with pytest.raises(ConfigError, match='did you mean "depth_mm"'):
        make("ultrasound", depht_mm=40.0)
    with pytest.raises(ConfigError, match="known: linear, curved, phased"):
        make("ultrasound", probe="square")
    with pytest.raises(ConfigError, match="known: ultrasound, fluoroscopy"):
        make("sonar")
    for wrong in (
        {"width": 8},
        {"bits": 9},
        {"fps": 0.0},
        {"persistence": 1.0},
        {"span": 2.0, "probe": "curved"},
    ):
        with pytest.raises(ConfigError):
            make("ultrasound", **wrong)


def test_tissue_keeps_its_brightness_while_it_moves() -> None:
    """The truth is the mean of what is shown, whatever part of a sample the tissue has moved by."""
    plain = {"texture": 0.0, "layers": 0, "vessels": 0, "cysts": 0, "lesions": 0, "needle": False, "furniture": False}
    phantom = UltrasoundPhantom(
        UltrasoundScene.of("linear", seed=3, width=384, height=288, haze_db=-30.0, reverberation=0.0, **plain)
    )
    middle = (slice(100, 220), slice(80, 280))
    for index in (0, 5, 12, 20, 40):
        exposure = phantom.frame(index)
        part = phantom.region.slices
        shown, true = (picture[part][middle].mean() / 255 for picture in (exposure.pixels, exposure.truth))
        assert abs(shown - true) < 0.015
