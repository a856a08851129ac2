"""Lesions that are kept, weakened or exaggerated, and structures that a treatment made up."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest

from calibration.measures import (
    ChannelisedObserver,
    Invented,
    Search,
    against_surroundings,
    calibrated,
    contrast_recovery,
    invented,
    laguerre_gauss,
    lesion_mask,
)
from calibration.measures._arrays import Floats

HEIGHT, WIDTH, SIDE, RADIUS, SIGMA = 96, 128, 33, 5.0, 0.15
Treat = Callable[[Floats], Floats]
MASK = np.full((HEIGHT, WIDTH), 255, np.uint8)


def disc(row: float, column: float, radius: float = RADIUS, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Floats:
    down, across = np.mgrid[0 : shape[0], 0 : shape[1]]
    return (1 / (1 + np.exp(2 * (np.hypot(down - row, across - column) - radius)))).astype(np.float32)


def anatomy() -> Floats:
    """Blobs of the very size that the observer looks for, and an edge."""
    blobs = sum((disc(*at) for at in ((30, 30), (60, 90), (30, 100))), start=np.zeros((HEIGHT, WIDTH), np.float32))
    return (0.4 + 0.3 * blobs + 0.2 * (np.arange(WIDTH) > 64)).astype(np.float32)


def noisy(truth: Floats, seed: int) -> Floats:
    return truth + SIGMA * np.random.default_rng(seed).standard_normal(truth.shape).astype(np.float32)


def weakly(picture: Floats, sigma: float = 1.5) -> Floats:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


@pytest.fixture(scope="module")
def searches() -> tuple[Search, ...]:
    """Two sizes, trained in white noise, with thresholds from forty input frames."""
    rng, made = np.random.default_rng(1), []
    for radius in (RADIUS, 3.0):
        middle = (SIDE - 1) / 2
        signal = 0.2 * disc(middle, middle, radius, (SIDE, SIDE))
        absent = SIGMA * rng.standard_normal((600, SIDE, SIDE)).astype(np.float32)
        observer = ChannelisedObserver(against_surroundings(laguerre_gauss(SIDE, radius)))
        made.append(Search.for_lesion(observer.template(absent + signal, absent), signal, radius))
    truth = [anatomy()] * 40
    return calibrated(made, (noisy(truth[0], 1000 + i) for i in range(40)), truth, MASK, rate=0.1)


def test_a_score_is_a_contrast_in_units_of_the_lesion(searches: tuple[Search, ...]) -> None:
    for search in searches:
        picture = 0.5 + 0.2 * disc(48, 64, search.radius)
        assert search.template.over(picture)[48, 64] == pytest.approx(1.0, abs=0.02)
        assert search.template.over(1 - 0.5 * picture)[48, 64] == pytest.approx(-0.5, abs=0.02)
        assert 0.1 < search.threshold < 3.0


def test_a_lesion_at_the_threshold_is_found_half_of_the_time(searches: tuple[Search, ...]) -> None:
    """What just detectable means: the score of a lesion of that contrast is as often above as below."""
    search = searches[0]
    lesion = 0.2 * search.threshold * disc(48, 64)
    scores = [search.template.over(noisy(lesion, seed))[48, 64] for seed in range(200)]
    assert np.mean(np.array(scores) > search.threshold) == pytest.approx(0.5, abs=0.11)


def count(searches: tuple[Search, ...], treat: Treat, frames: int = 30) -> Invented:
    total, truth = Invented(), anatomy()
    for seed in range(frames):
        given = noisy(truth, seed)
        total += invented(treat(given), given, truth, searches, MASK)
    return total


def test_the_input_itself_has_its_own_rate_and_no_surplus(searches: tuple[Search, ...]) -> None:
    found = count(searches, lambda given: given, frames=100)
    assert 2 <= found.given <= 25  # a false alarm in about a tenth of the frames
    assert found.treated == found.given
    assert found.per_1000 == 0.0
    assert found.unsupported == 0


@pytest.mark.parametrize(
    "treat",
    [weakly, lambda given: anatomy(), lambda given: weakly(given, 6.0), lambda given: 0.3 * given + 0.3],
    ids=["smoothed", "the truth itself", "smeared", "flattened"],
)
def test_keeping_or_weakening_what_is_there_invents_nothing(searches: tuple[Search, ...], treat: Treat) -> None:
    found = count(searches, treat)
    assert found.per_1000 == 0.0
    assert found.treated <= found.given


@pytest.mark.parametrize("sign", [1, -1])
def test_a_lesion_that_is_made_up_is_counted_once_a_frame_at_either_sign(
    searches: tuple[Search, ...], sign: int
) -> None:
    def treat(given: Floats) -> Floats:
        return weakly(given) + sign * 0.5 * disc(70, 40)

    found = count(searches, treat)
    assert found.treated == 30
    assert found.unsupported > 20
    assert found.per_1000 == pytest.approx((30 - found.given) * 1000 / 30)


def test_two_made_up_lesions_are_two(searches: tuple[Search, ...]) -> None:
    truth = anatomy()
    found = invented(truth + 0.5 * disc(70, 40) - 0.5 * disc(30, 66, 3.0), truth, truth, searches, MASK)
    assert (found.treated, found.given, found.unsupported) == (2, 0, 2)


def test_exaggerating_what_is_there_counts_but_weakening_it_does_not(searches: tuple[Search, ...]) -> None:
    truth = anatomy()
    bolder, fainter = (invented(0.4 + part * (truth - 0.4), truth, truth, searches, MASK) for part in (2.0, 0.1))
    assert bolder.treated >= 3
    assert fainter.treated == 0


def test_a_treatment_that_swaps_the_inputs_structures_for_its_own_is_seen_through(
    searches: tuple[Search, ...],
) -> None:
    """As many structures as the input has, elsewhere: no surplus, and none has a cause."""
    truth = anatomy()
    given, treated = truth + 0.5 * disc(70, 40), truth + 0.5 * disc(30, 66)
    found = invented(treated, given, truth, searches, MASK)
    assert (found.treated, found.given, found.per_1000, found.unsupported) == (1, 1, 0.0, 1)


def test_the_border_of_the_region_is_no_structure(searches: tuple[Search, ...]) -> None:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[10:86, 10:118] = 255
    truth = anatomy() * (mask > 0)
    assert invented(truth + 0.5 * (mask == 0), truth, truth, searches, mask).treated == 0


def test_searches_without_a_threshold_or_without_room_are_refused(searches: tuple[Search, ...]) -> None:
    truth, fresh = anatomy(), [Search(search.template, search.radius) for search in searches]
    with pytest.raises(ValueError, match="calibrate"):
        invented(truth, truth, truth, fresh, MASK)
    with pytest.raises(ValueError, match="calibrate"):
        invented(truth, truth, truth, [], MASK)
    with pytest.raises(ValueError, match="inside the mask"):
        invented(truth, truth, truth, searches, np.zeros_like(MASK))
    with pytest.raises(ValueError, match="own lesion"):
        Search.for_lesion(fresh[0].template, -disc(16, 16, RADIUS, (SIDE, SIDE)), RADIUS)


def test_a_false_alarm_is_as_rare_as_asked_for(searches: tuple[Search, ...]) -> None:
    """From forty frames for thresholds to two hundred others, at three rates."""
    truth = anatomy()
    for rate in (0.5, 0.2, 0.05):
        few = calibrated(searches[:1], (noisy(truth, 1000 + i) for i in range(40)), [truth] * 40, MASK, rate)
        given = [noisy(truth, 5000 + i) for i in range(200)]
        alarmed = np.mean([invented(frame, frame, truth, few, MASK).given > 0 for frame in given])
        assert alarmed == pytest.approx(rate, abs=0.03 + 0.3 * rate)
    for rate in (0.0, 1.0):
        with pytest.raises(ValueError, match="not within 0 to 1"):
            calibrated(searches, [truth] * 2, [truth] * 2, MASK, rate)
    with pytest.raises(ValueError, match="fewer than two"):
        calibrated(searches, [truth], [truth], MASK)


def test_counts_add_up_and_say_how_sure_they_are() -> None:
    total = Invented(500, 30, 10, 4) + Invented(500, 10, 5, 1)
    assert total == Invented(1000, 40, 15, 5)
    assert total.per_1000 == 25.0
    assert total.stderr_per_1000 == pytest.approx(math.sqrt(55))
    assert math.isnan(Invented().per_1000)


def lesion_clip() -> tuple[Floats, Floats]:
    without = np.stack([anatomy()] * 4)
    drifting = np.stack([0.2 * disc(66, 30 + 2 * index) for index in range(4)])
    return without + drifting, without


@pytest.mark.parametrize("kept", [0.0, 0.5, 1.0, 1.3])
def test_contrast_that_is_kept_is_told_as_its_part(kept: float) -> None:
    truth_with, truth_without = lesion_clip()
    signal, background = truth_with - truth_without, np.stack([noisy(frame, 3) for frame in truth_without])
    mask = lesion_mask(truth_with, truth_without)
    for treated in (background, 0.7 * background + 0.1):
        found = contrast_recovery(treated + kept * signal, treated, truth_with, truth_without, mask)
        assert found == pytest.approx(kept, abs=1e-4)


def test_smoothing_costs_a_small_lesion_its_contrast_whatever_lies_behind_it() -> None:
    small = [0.2 * disc(48, 64, radius) for radius in (2.0, 14.0)]
    recovered = [
        contrast_recovery(weakly(anatomy() + s, 2), weakly(anatomy(), 2), s, np.zeros_like(s), lesion_mask(s, 0 * s))
        for s in small
    ]
    assert recovered[0] < 0.6 < 0.9 < recovered[1] < 1.0


def test_a_lesion_that_moves_is_followed() -> None:
    mask = lesion_mask(*lesion_clip())
    assert mask.shape == (4, HEIGHT, WIDTH)
    centres = [float(np.mean(np.nonzero(frame)[1])) for frame in mask]
    assert centres == pytest.approx([30, 32, 34, 36], abs=0.1)


def test_no_lesion_no_figure() -> None:
    truth = anatomy()
    assert math.isnan(contrast_recovery(truth, truth, truth, truth, MASK))
    assert math.isnan(contrast_recovery(truth, truth, truth, truth, lesion_mask(truth, truth)))
