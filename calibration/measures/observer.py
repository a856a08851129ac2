"""Can a lesion be found? A channelised Hotelling observer, the model of a reader who knows what to look for. Pure.

A patch is reduced to the outputs of a few channels; the observer weighs them by what best parts patches with a lesion
from patches without, given how the outputs vary (Hotelling: inverse covariance times mean difference). It is trained
on one half of the scenes and tested on the other, both ways round, so that nothing is found that was merely learnt by
heart. Patches are (n, side, side) in levels; an odd side puts their centre on a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from calibration.measures._arrays import Floats

_DISC_WIDTH = 1.581  # a Gaussian exp(-pi r^2 / a^2) resembles a disc of radius R most when a is so many R
_OCTAVE = 0.562  # standard deviation times frequency of a Gabor channel that is one octave wide
_RIDGE = 1e-10  # of the mean channel variance: a channel that never varies is left solvable


def laguerre_gauss(side: int, radius: float, count: int = 6) -> Floats:
    """`count` Laguerre-Gauss channels for a round lesion of `radius` pixels: (count, side, side), each of norm 1.

    They are round and complete for round signals. Their width is the one whose first channel is most like a disc of
    that radius.
    """
    square = math.pi * _from_centre(side) / (_DISC_WIDTH * radius) ** 2
    before, here = np.zeros_like(square), np.ones_like(square)
    channels: list[Floats] = []
    for order in range(count):
        channels.append(here * np.exp(-square))
        before, here = here, ((2 * order + 1 - 2 * square) * here - order * before) / (order + 1)
    return _unit(np.stack(channels))


def gabor(side: int, radius: float, bands: int = 4, orientations: int = 5) -> Floats:
    """Gabor channels: octave bands at several orientations, (bands * orientations, side, side), each of norm 1.

    Closer to what is known of human vision than round channels, and able to use noise that has a direction, as
    speckle has. The lowest band has a period of eight radii, each further one half of that. Even phase alone: a
    lesion at the centre of its patch is even.
    """
    along = np.arange(side) - (side - 1) / 2
    down, across = np.meshgrid(along, along, indexing="ij")
    channels: list[Floats] = []
    for band in range(bands):
        frequency = 2.0**band / (8.0 * radius)
        envelope = np.exp(-_from_centre(side) / (2 * (_OCTAVE / frequency) ** 2))
        for turn in range(orientations):
            angle = math.pi * turn / orientations
            phase = 2 * math.pi * frequency * (across * math.cos(angle) + down * math.sin(angle))
            channels.append(envelope * np.cos(phase))
    return _unit(np.stack(channels))


def against_surroundings(channels: Floats) -> Floats:
    """The same channels, blind to the patch's mean level: an observer that sees a lesion only against what is around.

    For scanning whole frames, whose brightness is none of a lesion's business.
    """
    return _unit(channels - channels.mean(axis=(1, 2), keepdims=True))


def cut(clip: Floats, centres: Floats, side: int) -> Floats:
    """Patches around (row, column) centres, one for each frame, or all from one picture: (n, side, side)."""
    rows, columns = (np.asarray(centres, int) - side // 2).T
    height, width = clip.shape[-2:]
    if min(rows.min(), columns.min()) < 0 or rows.max() + side > height or columns.max() + side > width:
        raise ValueError(f"a patch of {side} pixels reaches out of the picture")
    windows = np.lib.stride_tricks.sliding_window_view(clip, (side, side), axis=(-2, -1))
    return windows[rows, columns] if clip.ndim == 2 else windows[np.arange(len(clip)), rows, columns]


@dataclass(frozen=True, eq=False)
class Detectability:
    """How well lesions were told from their absence. `d_prime` is in standard deviations, signed; `auc` 0 to 1."""

    d_prime: float
    auc: float  # the chance that a patch with a lesion scores above one without
    stderr: float  # of d_prime: training and testing again on resampled scenes
    replicates: Floats = field(default_factory=lambda: np.empty(0), repr=False)  # d_prime of each resampling


def lead(of: Detectability, over: Detectability) -> tuple[float, float]:
    """Difference of two d_primes and its standard error, both in standard deviations.

    Where both come from the same patches treated in two ways (same number, groups and seed), the scenes were
    resampled alike: what an easy draw of scenes gives to both cancels, and the error is far smaller than that of two
    separate figures.
    """
    if of.replicates.shape != over.replicates.shape or not of.replicates.size:
        raise ValueError("only figures from the same resampling can be compared")
    if not math.isfinite(of.d_prime - over.d_prime):
        raise ValueError("a lesion that is found for certain has no lead to measure")
    return of.d_prime - over.d_prime, _scatter(of.replicates - over.replicates)


@dataclass(frozen=True, eq=False)
class Template:
    """A trained observer's linear weights on a patch, (side, side)."""

    weights: Floats

    def statistic(self, patches: Floats) -> Floats:
        """The observer's score of each patch, (n,): higher is more like a lesion. Unit: that of the weights."""
        return patches.reshape(len(patches), -1).astype(np.float64) @ self.weights.ravel()

    def over(self, picture: Floats) -> Floats:
        """The score of the patch around each pixel; patches that reach out of the picture see it mirrored."""
        kernel = self.weights.astype(np.float32)
        return cv2.filter2D(picture.astype(np.float32), cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)


def threshold(statistics: Floats, false_positive_rate: float) -> float:
    """The score that so large a part of lesion-free patches (or frames' highest scores) exceeds; 0 < rate < 1."""
    if not 0 < false_positive_rate < 1:
        raise ValueError(f"a false positive rate of {false_positive_rate:g} is not within 0 to 1")
    return float(np.quantile(np.asarray(statistics, np.float64), 1.0 - false_positive_rate))


class ChannelisedObserver:
    """An observer with given channels, and with noise of its own if asked for.

    `internal_noise` adds to each channel so much of its own variance: a reader's inconsistency, in proportion to
    what they look at. `display_noise` is white, in levels a pixel: what the eye and the screen add whatever the
    picture. The first scales every figure down alike; the second rewards a picture whose lesions are bright against
    it, as for a human reader, where without it a smooth faint lesion would be as good as a bold one.
    """

    def __init__(self, channels: Floats, internal_noise: float = 0.0, display_noise: float = 0.0) -> None:
        self.channels = np.asarray(channels, np.float64)
        self._flat = self.channels.reshape(len(channels), -1)
        self._internal = internal_noise
        self._display = display_noise**2 * (self._flat @ self._flat.T)

    def outputs(self, patches: Floats) -> Floats:
        """Channel outputs, (n, channels)."""
        if patches.shape[1:] != self.channels.shape[1:]:
            raise ValueError(f"patches of {patches.shape[1:]} for channels of {self.channels.shape[1:]}")
        flat = patches.reshape(len(patches), -1).astype(np.float32, copy=False)
        return (flat @ self._flat.T.astype(np.float32)).astype(np.float64)

    def template(self, present: Floats, absent: Floats) -> Template:
        """The observer trained on all of these patches, for use on others."""
        classes = [_Moments.of(self.outputs(patches), np.ones((1, len(patches)))) for patches in (present, absent)]
        weights, _ = self._weigh(classes[0], classes[1])
        return Template(np.tensordot(weights[0], self.channels, 1))

    def detectability(
        self, present: Floats, absent: Floats, groups: Floats | None = None, resamplings: int = 100, seed: int = 0
    ) -> Detectability:
        """Parts `present` from `absent`; trained on one half and tested on the other, and the other way round.

        Patches of one group (a scene, a clip) are alike: they stay in the same half and are resampled together. With
        `groups` (one label for each pair) there are as many present as absent patches, the pair sharing its scene;
        without, each pair is a group of its own. d_prime is the mean of both ways of the difference of mean scores over
        the root of the mean of both variances; half of the patches train, so it errs on the low side.
        """
        draw = _Draw.of(len(present), len(absent), groups, resamplings, seed)
        outputs = self.outputs(present), self.outputs(absent)
        first, second = (_Half.of(outputs, draw, half) for half in (0, 1))
        found = (self._tested(first, second) + self._tested(second, first)) / 2
        auc = (self._auc(first, second, seed) + self._auc(second, first, seed)) / 2
        return Detectability(float(found[0]), auc, _scatter(found[1:]), found[1:])

    def _weigh(self, present: _Moments, absent: _Moments) -> tuple[Floats, Floats]:
        """Hotelling's weights on the channels, and the covariance of the observer's own noise."""
        covariance = (present.covariance + absent.covariance) / 2
        variance = np.diagonal(covariance, axis1=1, axis2=2)
        each = np.eye(len(self.channels))
        own = self._internal * variance[:, :, None] * each + self._display
        ridge = _RIDGE * np.maximum(variance.mean(axis=1), 1e-30)
        total = covariance + own + ridge[:, None, None] * each
        return np.linalg.solve(total, (present.mean - absent.mean)[:, :, None])[:, :, 0], own

    def _tested(self, trained: _Half, tested: _Half) -> Floats:
        """d_prime of one half for weights from the other, for each resampling."""
        weights, own = self._weigh(*trained.moments)
        present, absent = tested.moments
        between = np.sum(weights * (present.mean - absent.mean), axis=1)
        within = (present.covariance + absent.covariance) / 2 + own
        noise = np.sqrt(np.maximum(np.einsum("ri,rij,rj->r", weights, within, weights), 0.0))
        without_noise = np.where(between == 0, 0.0, np.copysign(np.inf, between))
        return np.divide(between, noise, out=without_noise, where=noise > 0)

    def _auc(self, trained: _Half, tested: _Half, seed: int) -> float:
        """The part of all pairs of a present and an absent patch that is ranked rightly; ties count half."""
        weights, own = self._weigh(*trained.moments)
        noise = math.sqrt(max(0.0, float(weights[0] @ own[0] @ weights[0])))
        rng = np.random.default_rng((seed, 1))
        present, absent = (part @ weights[0] + noise * rng.standard_normal(len(part)) for part in tested.outputs)
        ranked = np.sort(absent)
        below = np.searchsorted(ranked, present, "left") + np.searchsorted(ranked, present, "right")
        return float(below.mean() / (2 * len(absent)))


@dataclass(frozen=True, eq=False)
class _Moments:
    """Mean and covariance of channel outputs, for each resampling."""

    mean: Floats  # (resamplings, channels)
    covariance: Floats  # (resamplings, channels, channels)

    @classmethod
    def of(cls, outputs: Floats, times: Floats) -> _Moments:
        """`times`: how often each output counts in each resampling, (resamplings, n)."""
        count, channels = outputs.shape
        centre = outputs.mean(axis=0)
        away = outputs - centre
        shares = times / times.sum(axis=1, keepdims=True)
        mean = shares @ away
        square = (away[:, :, None] * away[:, None, :]).reshape(count, -1)
        covariance = (shares @ square).reshape(-1, channels, channels) - mean[:, :, None] * mean[:, None, :]
        return cls(mean + centre, covariance * (count / max(1, count - 1)))


@dataclass(frozen=True, eq=False)
class _Draw:
    """Which half each patch is in, and how often its group was drawn in each resampling; the first is no resampling."""

    halves: tuple[Floats, Floats]  # of present and of absent patches: 0 or 1
    drawn: tuple[Floats, Floats]  # (1 + resamplings, n)

    def times(self, which: int, half: int) -> Floats:
        return self.drawn[which][:, self.halves[which] == half]

    @classmethod
    def of(cls, present: int, absent: int, groups: Floats | None, resamplings: int, seed: int) -> _Draw:
        if groups is not None and not len(groups) == present == absent:
            raise ValueError(f"{len(groups)} group labels for {present} and {absent} patches: all three must match")
        labels = np.arange(max(present, absent)) if groups is None else np.unique(groups, return_inverse=True)[1]
        count = int(labels.max()) + 1
        if count < 2:
            raise ValueError("two halves need two groups at least")
        rng = np.random.default_rng(seed)
        drawn = np.ones((1 + resamplings, count))
        for half in (0, 1):  # each half from itself alone: no group may come to lie in both
            size = len(range(half, count, 2))
            drawn[1:, half::2] = rng.multinomial(size, np.full(size, 1 / size), resamplings)
        each = [labels[:size] for size in (present, absent)]
        return cls((each[0] % 2, each[1] % 2), (drawn[:, each[0]], drawn[:, each[1]]))


@dataclass(frozen=True, eq=False)
class _Half:
    """One half of the patches: their channel outputs and the moments of these, of present and of absent ones."""

    outputs: tuple[Floats, Floats]
    moments: tuple[_Moments, _Moments]

    @classmethod
    def of(cls, outputs: tuple[Floats, Floats], draw: _Draw, half: int) -> _Half:
        present, absent = (part[sides == half] for part, sides in zip(outputs, draw.halves, strict=True))
        fewest = min(len(present), len(absent))
        if fewest <= present.shape[1] + 1:
            raise ValueError(f"{present.shape[1]} channels cannot be trained on {fewest} patches")
        moments = _Moments.of(present, draw.times(0, half)), _Moments.of(absent, draw.times(1, half))
        return cls((present, absent), moments)


def _scatter(values: Floats) -> float:
    """Standard deviation; NaN for a lesion that is found for certain, and where nothing was resampled."""
    return float(np.std(values, ddof=1)) if len(values) > 1 and np.isfinite(values).all() else math.nan


def _from_centre(side: int) -> Floats:
    """Squared distance from the middle of a patch."""
    along = np.arange(side) - (side - 1) / 2
    return along[:, None] ** 2 + along[None, :] ** 2


def _unit(channels: Floats) -> Floats:
    return channels / np.sqrt(np.sum(channels**2, axis=(1, 2), keepdims=True))
