"""The classical peers: one contract over all of them, that they calm what they are for, and how they are tuned."""

from __future__ import annotations

import dataclasses
import json
from functools import cache

import cv2
import numpy as np
import pytest

pytest.importorskip("pywt", reason="the extra for calibration is not installed")
from calibration.peers import LOOK_BACK, PEERS, TUNED, open_peer, tune
from calibration.peers._field import inside, spread_out
from calibration.peers._noise import Stabiliser, measured
from calibration.peers._search import Axis, search
from calibration.peers._trajectories import motion
from edge.errors import ConfigError
from edge.frame import Pixels
from edge.phantom import Exposure, FluoroscopyPhantom, FluoroscopyScene, Phantom, UltrasoundPhantom, UltrasoundScene

EVERY = [(modality, name) for modality, names in PEERS.items() for name in names]
DENOISERS = [(modality, name) for modality, name in EVERY if modality != "superres" and name != "clahe"]
SEED = 1_000_010


def bits_of(modality: str) -> int:
    return 12 if modality == "fluoroscopy" else 8


def noise(seed: int, bits: int, shape: tuple[int, int] = (48, 56)) -> Pixels:
    """A picture of full range: a ramp under strong noise, black and white included."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0.1, 0.9, shape[1])[None, :] + 0.2 * rng.standard_normal(shape)
    full = (1 << bits) - 1
    whole = np.rint(np.clip(ramp, 0, 1) * full)
    return whole.astype(np.uint8) if bits == 8 else whole.astype(np.uint16)


@cache
def phantom(modality: str) -> Phantom:
    if modality == "ultrasound":
        return UltrasoundPhantom(UltrasoundScene.random(SEED, 320, 240))
    return FluoroscopyPhantom(dataclasses.replace(FluoroscopyScene.random(SEED, 160, 160), dose=0.25))


@cache
def exposure(modality: str, index: int) -> Exposure:
    return phantom(modality).frame(index)


# --- the contract ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("modality", "name"), EVERY)
@pytest.mark.parametrize("bits", [8, 16])
def test_type_and_sides_are_kept_or_doubled(modality: str, name: str, bits: int) -> None:
    picture = noise(1, bits)
    treated = open_peer(name, bits)(picture)
    sides = 2 if modality == "superres" else 1
    assert treated.shape == (picture.shape[0] * sides, picture.shape[1] * sides)
    assert treated.dtype == picture.dtype


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_the_picture_given_is_not_written(modality: str, name: str) -> None:
    peer = open_peer(name, bits_of(modality))
    for seed in (1, 2, 3):
        picture = noise(seed, bits_of(modality))
        before = picture.copy()
        picture.setflags(write=False)
        peer(picture)
        assert np.array_equal(picture, before)


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_two_streams_of_the_same_pictures_are_treated_alike(modality: str, name: str) -> None:
    one, other = (open_peer(name, bits_of(modality)) for _ in range(2))
    for seed in (1, 2, 3):
        picture = noise(seed, bits_of(modality))
        assert np.array_equal(one(picture), other(picture))


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_forgotten_is_as_never_seen(modality: str, name: str) -> None:
    bits = bits_of(modality)
    peer, fresh = open_peer(name, bits), open_peer(name, bits)
    for seed in (1, 2):
        peer(noise(seed, bits))
    peer.forget()
    assert np.array_equal(peer(noise(3, bits)), fresh(noise(3, bits)))


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_those_that_look_back_are_marked_and_no_others(modality: str, name: str) -> None:
    bits = bits_of(modality)
    peer = open_peer(name, bits)
    alone = peer(noise(3, bits))
    peer.forget()
    peer(noise(2, bits))
    assert np.array_equal(peer(noise(3, bits)), alone) == (name not in LOOK_BACK)


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_a_picture_remembered_counts_as_one_treated(modality: str, name: str) -> None:
    bits = bits_of(modality)
    seen, told = open_peer(name, bits), open_peer(name, bits)
    for seed in (1, 2):
        seen(noise(seed, bits))
        told.remember(noise(seed, bits))
    assert np.array_equal(seen(noise(3, bits)), told(noise(3, bits)))


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_another_size_is_another_scene(modality: str, name: str) -> None:
    bits = bits_of(modality)
    peer, fresh = open_peer(name, bits), open_peer(name, bits)
    peer(noise(1, bits))
    small = noise(2, bits, (40, 44))
    assert np.array_equal(peer(small), fresh(small))


@pytest.mark.parametrize(("modality", "name"), [each for each in EVERY if each[1] != "clahe"])
@pytest.mark.parametrize("part", [0.0, 0.37, 1.0])
def test_an_even_picture_stays_as_it_is(modality: str, name: str, part: float) -> None:
    bits = bits_of(modality)
    level = round(part * ((1 << bits) - 1))
    picture = np.full_like(noise(1, bits), level)
    peer = open_peer(name, bits)
    for _ in range(3):
        treated = peer(picture).astype(int)
        assert np.abs(treated - level).max() <= (1 << bits) // 1024  # a thousandth of full scale: none in 8 bits


@pytest.mark.parametrize(("modality", "name"), EVERY)
def test_black_beside_white_stays_within_the_range(modality: str, name: str) -> None:
    """12 bits in a 16-bit type: an overshoot would show as a level that does not exist, or wrap round to black."""
    bits = 12
    picture = np.zeros((48, 56), np.uint16)
    picture[:, 28:] = (1 << bits) - 1
    treated = open_peer(name, bits)(picture)
    assert treated.max() <= (1 << bits) - 1
    assert treated[:, 4:16].max() < 400
    assert treated[:, -16:-4].min() > 3600


def test_an_unknown_peer_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="median"):
        open_peer("medium", 8)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="sice"):
        open_peer("median", 8, {"sice": 5})


# --- what they are for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("modality", "name"), DENOISERS)
def test_a_denoiser_comes_closer_to_the_truth(modality: str, name: str) -> None:
    last = 7
    peer = open_peer(name, phantom(modality).bits)
    for index in range(last):
        peer.remember(tune.boxed(exposure(modality, index)))
    seen = exposure(modality, last)
    picture, truth = tune.boxed(seen), seen.truth[seen.region.slices]
    field = seen.mask[seen.region.slices] > 0
    gain = tune.psnr_db(peer(picture), truth, field, seen.bits) - tune.psnr_db(picture, truth, field, seen.bits)
    assert gain > (6.0 if modality == "fluoroscopy" else 0.3)


def test_what_looks_back_gains_from_the_past() -> None:
    seen = exposure("fluoroscopy", 7)
    truth, field = seen.truth[seen.region.slices], seen.mask[seen.region.slices] > 0
    for name in ("recursive", "nvca", "block_matching", "temporal_median"):
        peer = open_peer(name, seen.bits)
        alone = tune.psnr_db(peer(tune.boxed(seen)), truth, field, seen.bits)
        peer.forget()
        for index in range(7):
            peer.remember(tune.boxed(exposure("fluoroscopy", index)))
        assert tune.psnr_db(peer(tune.boxed(seen)), truth, field, seen.bits) > alone + 0.3, name


def test_clahe_stretches_what_is_faint() -> None:
    faint = (100 + noise(5, 8) // 32).astype(np.uint8)
    assert open_peer("clahe", 8)(faint).std() > 1.5 * faint.std()


@pytest.mark.parametrize("name", PEERS["superres"])
def test_enlarging_leaves_every_sample_where_it_was(name: str) -> None:
    """Two new samples lie evenly about each old one: on a slope, their mean is the old level."""
    slope = np.add.outer(np.arange(40) * 150, np.arange(64) * 400).astype(np.uint16)
    large = open_peer(name, 16)(slope).astype(float)
    means = large.reshape(40, 2, 64, 2).mean(axis=(1, 3))
    assert np.abs(means - slope)[8:-8, 8:-8].max() <= 2


# --- what they stand on ----------------------------------------------------------------------------------------------


def test_noise_is_measured_at_each_level() -> None:
    rng = np.random.default_rng(0)
    clean = np.tile(np.linspace(0.2, 0.9, 300, dtype=np.float32), (200, 1))
    sigma = 0.08 - 0.07 * clean
    noisy = clean + sigma * rng.standard_normal(clean.shape).astype(np.float32)
    levels = np.array([0.35, 0.5, 0.7], np.float32)
    assert measured(noisy).at(levels) == pytest.approx(0.08 - 0.07 * levels, rel=0.1)


def test_evened_noise_has_deviation_one_and_the_way_back_is_exact() -> None:
    rng = np.random.default_rng(0)
    clean = np.tile(np.linspace(0.3, 0.9, 300, dtype=np.float32), (200, 1))
    noisy = clean + (0.06 - 0.05 * clean) * rng.standard_normal(clean.shape).astype(np.float32)
    scale = Stabiliser.of(measured(noisy))
    spread = (scale.even(noisy) - scale.even(clean)).reshape(200, 6, 50).std(axis=(0, 2))
    assert spread == pytest.approx(np.ones(6), abs=0.15)
    assert scale.level(scale.even(clean)) == pytest.approx(clean, abs=1e-4)


def test_the_field_ends_at_the_sector_and_a_dark_vessel_is_inside() -> None:
    levels = np.full((60, 80), 0.5, np.float32)
    levels[:, :20] = 0
    cv2.circle(levels, (50, 30), 8, 0.0, -1)
    field = inside(levels)
    assert not field[:, :20].any()
    assert field[:, 20:].all()
    assert np.all(spread_out(levels, field)[:, :20] == 0.5)


def test_grain_in_a_shadow_belongs_to_the_picture() -> None:
    rng = np.random.default_rng(0)
    levels = np.where(rng.random((60, 80)) < 0.3, 0.1, 0.0).astype(np.float32)
    assert inside(levels).mean() > 0.95


def test_motion_is_found_and_noise_is_not_motion() -> None:
    rng = np.random.default_rng(0)
    before = cv2.GaussianBlur(rng.standard_normal((80, 80)).astype(np.float32), (0, 0), 2) * 40
    now = np.roll(before, (2, -1), axis=(0, 1))
    found = motion(now, before, 3)[:, 20:60, 20:60]
    assert np.all(found[0] == -2)
    assert np.all(found[1] == 1)
    grain = [0.2 * rng.standard_normal((80, 80)).astype(np.float32) for _ in range(2)]
    assert not motion(grain[0], grain[1], 3).any()


# --- tuning ----------------------------------------------------------------------------------------------------------


def test_the_search_climbs_beyond_its_grid() -> None:
    def worth(settings: dict[str, float]) -> float:
        return -((settings["a"] - 9) ** 2) - (np.log(settings["b"] / 0.05)) ** 2 - settings["c"]

    axes = {"a": Axis((3, 5), step=2), "b": Axis((0.1, 0.4), ratio=1.5), "c": Axis((0, 1))}
    found = search(axes, rough=worth, exact=worth)
    assert found.settings["a"] == 9
    assert found.settings["b"] == pytest.approx(0.05, rel=0.15)
    assert found.settings["c"] == 0
    assert found.worth == pytest.approx(worth(found.settings))
    assert found.tried > 8


def test_the_search_keeps_to_an_axis_limits() -> None:
    found = search({"a": Axis((3, 5), step=2, most=7)}, rough=lambda s: s["a"], exact=lambda s: s["a"])
    assert found.settings == {"a": 7}


def test_every_peer_with_settings_is_tuned_and_better_for_it() -> None:
    told = json.loads(TUNED.read_text(encoding="utf-8"))
    assert list(told["peers"]) == [name for _, name in DENOISERS]
    for name, entry in told["peers"].items():
        assert entry["psnr_db"] > entry["psnr_input_db"], name
        assert set(entry["settings"]) == set(tune.GRIDS[name]), name
        assert entry["tried"] >= 3, name


def test_validation_scenes_are_neither_trained_on_nor_judged_on() -> None:
    seeds = (*tune.ULTRASOUND_SEEDS, *tune.FLUOROSCOPY_SEEDS)
    assert all(1_000_000 <= seed < 2_000_000 for seed in seeds)


@pytest.mark.parametrize("modality", ["ultrasound", "fluoroscopy"])
def test_peers_were_tuned_on_phantoms_as_they_are_drawn_today(modality: str) -> None:
    today = tune.input_db(tune.clips(modality))
    told = json.loads(TUNED.read_text())["peers"]
    tuned = [told[name]["psnr_input_db"] for name in PEERS[modality] if name in tune.GRIDS]
    assert tuned == pytest.approx([today] * len(tuned), abs=0.005)
