"""The observer against the matched filter, against theory in coloured noise, and against learning by heart."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest

from calibration.measures import ChannelisedObserver, against_surroundings, cut, gabor, laguerre_gauss, lead, threshold
from calibration.measures._arrays import Floats
from calibration.measures.observer import Template

SIDE, RADIUS, SIGMA = 33, 5.0, 0.1


def away(side: int = SIDE) -> Floats:
    row, column = np.mgrid[0:side, 0:side] - (side - 1) / 2
    return np.hypot(row, column)


def disc(radius: float = RADIUS, side: int = SIDE) -> Floats:
    """A soft-edged disc."""
    return 1 / (1 + np.exp(2 * (away(side) - radius)))


def bell(strength: float = 0.03) -> Floats:
    """A Gaussian lesion that the first of the round channels is made for."""
    return strength * np.exp(-math.pi * (away() / (1.581 * RADIUS)) ** 2)


def noise(seed: int, count: int = 3000, sigma: float = SIGMA) -> Floats:
    return (0.5 + sigma * np.random.default_rng(seed).standard_normal((count, SIDE, SIDE))).astype(np.float32)


def matched(signal: Floats, sigma: float = SIGMA) -> float:
    return float(np.sqrt(np.sum(signal**2))) / sigma


@pytest.mark.parametrize("channels", [laguerre_gauss(SIDE, RADIUS), gabor(SIDE, RADIUS)], ids=["round", "gabor"])
def test_channels_have_norm_one_and_fit_their_patch(channels: Floats) -> None:
    assert channels.shape[1:] == (SIDE, SIDE)
    assert np.sum(channels**2, axis=(1, 2)) == pytest.approx(1.0)


def test_round_channels_are_independent_of_each_other() -> None:
    flat = laguerre_gauss(65, RADIUS).reshape(6, -1)
    assert flat @ flat.T == pytest.approx(np.eye(6), abs=1e-3)


def test_the_first_round_channel_is_the_gaussian_most_like_the_disc() -> None:
    """A hard disc and the best Gaussian for it overlap by 0.9027 at most; other widths do worse."""
    hard = (away(129) <= 20).astype(float)
    hard /= np.linalg.norm(hard)
    overlaps = [float(np.sum(laguerre_gauss(129, 20 * part, 1)[0] * hard)) for part in (0.85, 1.0, 1.15)]
    assert overlaps[1] == max(overlaps)
    assert overlaps[1] == pytest.approx(0.9027, abs=2e-3)


def test_in_white_noise_a_signal_in_the_channels_is_found_as_by_the_matched_filter() -> None:
    signal = bell()
    found = ChannelisedObserver(laguerre_gauss(SIDE, RADIUS)).detectability(noise(1) + signal, noise(2))
    assert found.d_prime == pytest.approx(matched(signal), rel=0.05)
    assert found.auc == pytest.approx(NormalDist().cdf(found.d_prime / math.sqrt(2)), abs=0.02)


@pytest.mark.parametrize("kind", [laguerre_gauss, gabor])
def test_a_soft_disc_loses_little_in_the_channels(kind: Callable[[int, float], Floats]) -> None:
    signal = 0.03 * disc()
    found = ChannelisedObserver(kind(SIDE, RADIUS)).detectability(noise(3) + signal, noise(4))
    assert 0.85 * matched(signal) < found.d_prime < 1.05 * matched(signal)


def test_the_observer_weighs_coloured_noise_rightly() -> None:
    """A second source of noise along one channel: Hotelling's d' is known, the matched filter's is lower."""
    channels, rng = laguerre_gauss(SIDE, RADIUS), np.random.default_rng(5)
    hum = 0.8 * channels[0]
    present, absent = (noise(seed) + hum * rng.standard_normal((3000, 1, 1)) for seed in (6, 7))
    signal = 0.2 * (channels[0] + channels[1])
    best = math.sqrt(0.2**2 / (SIGMA**2 + 0.8**2) + 0.2**2 / SIGMA**2)
    plain = (2 * 0.2**2) / math.sqrt(2 * 0.2**2 * SIGMA**2 + 0.2**2 * 0.8**2)
    found = ChannelisedObserver(channels).detectability(present + signal, absent)
    assert found.d_prime == pytest.approx(best, rel=0.06)
    assert found.d_prime > 2 * plain


def test_where_nothing_is_nothing_is_learnt_by_heart() -> None:
    """Twenty channels and few patches: tested on what it was trained on, an observer would find a lesion."""
    found = [
        ChannelisedObserver(gabor(SIDE, RADIUS)).detectability(noise(s, 120), noise(s + 50, 120)) for s in range(12)
    ]
    assert abs(np.mean([one.d_prime for one in found])) < 0.15
    assert np.mean([one.auc for one in found]) == pytest.approx(0.5, abs=0.05)


def test_the_standard_error_is_that_of_many_repeats() -> None:
    observer, signal = ChannelisedObserver(laguerre_gauss(SIDE, RADIUS)), bell()
    found = [observer.detectability(noise(s, 400) + signal, noise(s + 500, 400)) for s in range(40)]
    scatter = float(np.std([one.d_prime for one in found], ddof=1))
    assert float(np.mean([one.stderr for one in found])) == pytest.approx(scatter, rel=0.35)


def test_patches_of_one_scene_count_as_one() -> None:
    """Five copies of each patch, each clip a group: no surer than the patches alone. Ungrouped it would claim so."""
    observer, signal = ChannelisedObserver(laguerre_gauss(SIDE, RADIUS)), bell()
    present, absent = noise(8, 300) + signal, noise(9, 300)
    once = observer.detectability(present, absent)
    copied = [np.repeat(part, 5, axis=0) for part in (present, absent)]
    grouped = observer.detectability(copied[0], copied[1], groups=np.repeat(np.arange(300), 5))
    assert grouped.d_prime == pytest.approx(once.d_prime, rel=0.02)
    assert grouped.stderr == pytest.approx(once.stderr, rel=0.1)
    assert observer.detectability(copied[0], copied[1]).stderr < 0.6 * grouped.stderr


def test_a_difference_on_the_same_scenes_is_surer_than_either_figure() -> None:
    observer, signal = ChannelisedObserver(laguerre_gauss(SIDE, RADIUS)), bell()
    absent, more = noise(10, 800), noise(11, 800)
    present = noise(12, 800) + signal
    plain = observer.detectability(present, absent)
    worse = observer.detectability(present + 0.3 * more, absent + 0.3 * noise(13, 800))
    gained, error = lead(plain, worse)
    assert gained == pytest.approx(plain.d_prime - worse.d_prime)
    assert 0 < error < 0.8 * math.hypot(plain.stderr, worse.stderr)
    with pytest.raises(ValueError, match="same resampling"):
        lead(plain, observer.detectability(present, absent, resamplings=10))


def test_the_same_twice_is_the_same_and_grey_scale_does_not_matter() -> None:
    observer, signal = ChannelisedObserver(laguerre_gauss(SIDE, RADIUS), internal_noise=0.5), bell()
    present, absent = (noise(14, 400) + signal).astype(float), noise(15, 400).astype(float)
    once, again = observer.detectability(present, absent), observer.detectability(present, absent)
    stretched = observer.detectability(3 * present - 1, 3 * absent - 1)
    assert (once.d_prime, once.auc, once.stderr) == (again.d_prime, again.auc, again.stderr)
    assert stretched.d_prime == pytest.approx(once.d_prime, rel=1e-4)


def test_noise_of_its_own_costs_what_arithmetic_says() -> None:
    """In white noise all channels vary alike: own noise of the same variance halves d' squared, whichever its kind."""
    signal, channels = bell(), laguerre_gauss(65, RADIUS)[:, 16:49, 16:49]
    plain, proportional, screen = (
        ChannelisedObserver(channels, *own).detectability(noise(16) + signal, noise(17))
        for own in ((0.0, 0.0), (1.0, 0.0), (0.0, SIGMA))
    )
    for noisy in (proportional, screen):
        assert noisy.d_prime == pytest.approx(plain.d_prime / math.sqrt(2), rel=0.03)
        assert noisy.auc == pytest.approx(NormalDist().cdf(noisy.d_prime / math.sqrt(2)), abs=0.03)


def test_a_lesion_without_any_noise_is_found_for_certain_and_no_lesion_is_not() -> None:
    flat = np.full((60, SIDE, SIDE), 0.5, np.float32)
    observer = ChannelisedObserver(laguerre_gauss(SIDE, RADIUS))
    assert observer.detectability(flat + bell().astype(np.float32), flat).d_prime > 1000
    nothing = observer.detectability(flat, flat)
    assert (nothing.d_prime, nothing.auc) == (0.0, 0.5)


def test_a_template_scores_patches_and_whole_pictures_alike() -> None:
    observer = ChannelisedObserver(laguerre_gauss(SIDE, RADIUS))
    template = observer.template(noise(18, 500) + bell(), noise(19, 500))
    picture = np.random.default_rng(20).random((80, 90), dtype=np.float32)
    centres = np.array([[20, 20], [40, 45], [63, 73]])
    scores = template.statistic(cut(picture, centres, SIDE))
    assert template.over(picture)[tuple(centres.T)] == pytest.approx(scores, rel=1e-3)
    clip = np.stack([picture, 1 - picture, picture])
    assert np.array_equal(cut(clip, centres, SIDE)[1], 1 - cut(picture, centres, SIDE)[1])
    with pytest.raises(ValueError, match="reaches out"):
        cut(picture, np.array([[3, 40]]), SIDE)


def test_a_template_against_surroundings_does_not_see_brightness() -> None:
    observer = ChannelisedObserver(against_surroundings(laguerre_gauss(SIDE, RADIUS)))
    template = observer.template(noise(21, 500) + bell(), noise(22, 500))
    assert template.statistic(np.full((1, SIDE, SIDE), 7.0)) == pytest.approx(0.0, abs=1e-6)
    assert template.statistic(bell()[None])[0] > 0


def test_a_threshold_lets_through_what_it_is_asked_to() -> None:
    scores = Template(np.ones((SIDE, SIDE))).statistic(noise(23, 2000))
    limit = threshold(scores, 0.05)
    assert np.mean(scores > limit) == pytest.approx(0.05, abs=0.001)
    for rate in (0.0, 1.0):
        with pytest.raises(ValueError, match="false positive rate"):
            threshold(scores, rate)


def test_what_cannot_be_trained_is_refused() -> None:
    observer = ChannelisedObserver(laguerre_gauss(SIDE, RADIUS))
    with pytest.raises(ValueError, match="cannot be trained"):
        observer.detectability(noise(1, 12), noise(2, 12))
    with pytest.raises(ValueError, match="two groups"):
        observer.detectability(noise(1, 50), noise(2, 50), groups=np.zeros(50, int))
    with pytest.raises(ValueError, match="must match"):
        observer.detectability(noise(1, 50), noise(2, 40), groups=np.arange(50))
    with pytest.raises(ValueError, match="channels of"):
        observer.detectability(noise(1, 50)[:, 1:], noise(2, 50)[:, 1:])
