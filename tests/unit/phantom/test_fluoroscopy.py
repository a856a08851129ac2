"""The fluoroscopy phantom: its noise in the order of physics, its truth, its motion."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.frame import Box, Modality
from edge.phantom import FluoroscopyPhantom, FluoroscopyScene, make
from edge.phantom._detector import Detector, lag_weights

SMALL = {"width": 160, "height": 120}
STILL = {
    "breathing_mm": 0.0,
    "heart_mm": 0.0,
    "table_mm": 0.0,
    "contrast": 0.0,
    "wire": False,
    "flicker": 0.0,
}
OPEN = {"collimator": "none"}


def phantom(view: str = "cardiac", **changes: object) -> FluoroscopyPhantom:
    return FluoroscopyPhantom(FluoroscopyScene.of(view, **{**SMALL, **changes}))


def test_any_order_of_asking_gives_the_same_pictures() -> None:
    wanted, other = phantom(seed=3, lag=0.3), phantom(seed=3, lag=0.3)
    in_order = [wanted.frame(index) for index in range(6)]
    for index in (5, 0, 3, 2, 1, 4):
        again = other.frame(index)
        assert np.array_equal(again.pixels, in_order[index].pixels)
        assert np.array_equal(again.truth, in_order[index].truth)


def test_another_seed_is_another_patient_and_another_take_only_other_noise() -> None:
    first = phantom(seed=1).frame(0)
    patient, take = phantom(seed=2).frame(0), phantom(seed=1, take=1).frame(0)
    assert not np.array_equal(first.truth, patient.truth)
    assert np.array_equal(first.truth, take.truth)
    assert np.mean(first.pixels != take.pixels) > 0.5


@pytest.mark.parametrize("quanta", [0.4, 1.5, 2.9, 3.1, 8.0, 40.0, 400.0])
def test_quanta_are_poisson(quanta: float) -> None:
    detector = Detector(FluoroscopyScene(), 640, 480)
    expected = np.full((480, 640), quanta, np.float32)
    counts = detector.quanta(expected, np.random.default_rng(1)).astype(np.float64)
    away = counts - quanta
    assert counts.mean() == pytest.approx(quanta, rel=0.01)
    assert counts.var() == pytest.approx(quanta, rel=0.04)
    assert np.mean(away**3) / counts.var() ** 1.5 == pytest.approx(quanta**-0.5, abs=0.03)


def test_a_quarter_of_the_dose_is_four_times_the_variance() -> None:
    variances = []
    for dose in (1.0, 0.25):
        patient = phantom(**STILL, **OPEN, dose=dose, read_noise=0.0, detector_sigma=0.0, seed=2)
        noise = (patient.read(0) - patient.expected(0)) / dose
        variances.append(float(noise.var()))
    assert variances[1] / variances[0] == pytest.approx(4.0, rel=0.1)


def test_the_detector_blurs_the_quanta_but_not_its_own_noise() -> None:
    def neighbours(**changes: float) -> float:
        patient = phantom(**STILL, **OPEN, **changes)
        noise = patient.read(0) - patient.expected(0)
        return float(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1])

    assert abs(neighbours(detector_sigma=0.0, read_noise=0.0)) < 0.05
    assert neighbours(detector_sigma=0.8, read_noise=0.0) > 0.3
    assert neighbours(detector_sigma=0.8, read_noise=1000.0) < 0.1


def test_lag_leaves_a_trail_that_decays() -> None:
    weights = lag_weights(0.4)
    assert sum(weights) == pytest.approx(1.0)
    assert all(later < sooner for sooner, later in itertools.pairwise(weights))
    assert lag_weights(0.0) == [1.0]

    def trail(lag: float) -> list[float]:
        patient = phantom(**STILL, **OPEN, lag=lag, detector_sigma=0.0)
        alone = patient.read(5) - patient.expected(5)
        later = (patient.detected(5 + age) - patient.expected(5 + age) for age in (0, 1, 2))
        return [float(np.sum(each * alone) / np.sum(alone * alone)) for each in later]

    assert trail(0.4) == pytest.approx(weights[:3], abs=0.05)
    assert trail(0.0) == pytest.approx([1.0, 0.0, 0.0], abs=0.05)


def test_flicker_changes_whole_frames() -> None:
    def spread(flicker: float) -> float:
        patient = phantom(**{**STILL, "flicker": flicker}, photons=1e5, lag=0.0, bits=16)
        return float(np.std([patient.frame(index).pixels.mean() for index in range(8)]))

    assert spread(0.05) > 20 * spread(0.0)


def test_scatter_veils_the_contrast_but_keeps_the_level() -> None:
    clear, veiled = (phantom(**STILL, **OPEN, scatter=part).expected(0) for part in (0.0, 1.0))
    assert veiled.std() < 0.8 * clear.std()
    assert veiled.mean() == pytest.approx(clear.mean(), rel=0.05)


@pytest.mark.parametrize("view", ["cardiac", "chest", "hip"])
def test_the_mean_over_time_is_the_truth(view: str) -> None:
    patient = phantom(view, **STILL, bits=12, detector_sigma=0.0, lag=0.0, implants=0, photons=200.0)
    exposures = [patient.frame(index) for index in range(40)]
    mean = np.mean([each.pixels for each in exposures], axis=0)
    inside = exposures[0].mask > 0
    error = (mean - exposures[0].truth)[inside]
    assert abs(error.mean()) < 0.003 * 4095
    assert np.abs(error).mean() < 0.012 * 4095


def test_the_agent_fills_the_vessels_and_washes_out() -> None:
    patient = phantom(**{**STILL, "contrast": 1.0}, width=320, height=240, fps=10.0, bolus_period_s=7.0)
    before, full, after = (patient.frame(index).truth.astype(int) for index in (0, 22, 69))
    filled = before - full > 0.03 * 4095
    assert np.count_nonzero(filled) > 300
    assert np.abs(after - before)[filled].mean() < 0.2 * (before - full)[filled].mean()


def test_breath_heart_and_wire_move() -> None:
    for motion in ({"breathing_mm": 8.0}, {"heart_mm": 5.0}, {"wire": True}, {"table_mm": 20.0}):
        patient = phantom(**{**STILL, **motion}, fps=10.0)
        first, later = patient.frame(0).truth.astype(int), patient.frame(12).truth.astype(int)
        assert np.count_nonzero(np.abs(later - first) > 30) > 60, motion
    still = phantom(**STILL)
    assert np.array_equal(still.frame(0).truth, still.frame(12).truth)


@pytest.mark.parametrize("size", [(64, 64), (333, 257), (1024, 1024), (1920, 1080)])
@pytest.mark.parametrize("collimator", ["none", "circle", "rectangle"])
def test_the_region_is_exactly_the_box_around_the_mask(collimator: str, size: tuple[int, int]) -> None:
    exposure = phantom("hip", collimator=collimator, opening=0.8, width=size[0], height=size[1]).frame(1)
    rows, columns = np.nonzero(exposure.mask)
    assert exposure.region == Box(columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert exposure.region.inside(*size)
    assert exposure.pixels.shape == exposure.truth.shape == exposure.mask.shape == size[::-1]
    assert not exposure.pixels[exposure.mask == 0].any()
    assert not exposure.truth[exposure.mask == 0].any()
    assert (exposure.mask.all()) == (collimator == "none")


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_every_depth_uses_its_range(bits: int) -> None:
    exposure = phantom(bits=bits).frame(0)
    assert exposure.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    full = (1 << bits) - 1
    assert 0.3 * full < exposure.pixels[exposure.mask > 0].mean() < 0.8 * full
    assert exposure.pixels.max() <= full


def test_a_drawn_scene_is_repeatable_and_can_be_played() -> None:
    assert FluoroscopyScene.random(7) == FluoroscopyScene.random(7)
    drawn = [FluoroscopyScene.random(seed, 96, 80) for seed in range(60)]
    assert {each.view for each in drawn} == {"cardiac", "chest", "hip"}
    assert min(each.dose for each in drawn) < 0.3
    for each in drawn[:6]:
        assert FluoroscopyPhantom(dataclasses.replace(each, bits=12)).frame(5).pixels.any()


def test_what_cannot_be_is_refused_by_name() -> None:
    assert make("fluoroscopy", **SMALL).modality is Modality.FLUOROSCOPY
    with pytest.raises(ConfigError, match='did you mean "photons"'):
        make("fluoroscopy", photon=40.0)
    with pytest.raises(ConfigError, match="known: cardiac, chest, hip"):
        make("fluoroscopy", view="knee")
    for wrong in (
        {"dose": 0.0},
        {"lag": 1.0},
        {"collimator": "star"},
        {"height": 9000},
        {"read_noise": -1.0},
    ):
        with pytest.raises(ConfigError):
            make("fluoroscopy", **wrong)
