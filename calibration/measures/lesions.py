"""Is a lesion kept at its contrast, and is one invented where there is none? Pure.

What a false structure is
    A place where an observer that looks for lesions of a size finds, in a treated lesion-free frame, more than the
    truth holds there, by at least the contrast of a lesion that is just detectable in the unprocessed input.

Why not simply scan the treated frame
    Anatomy is full of blobs, and a good treatment keeps them. What counts is how a frame differs from its truth. The
    observer is linear, so its score of `treated - truth` is the difference of two scores. One more thing is forgiven:
    where the score lies between nothing and the truth's own, a true structure was weakened, not invented (contrast
    recovery and edge width punish that). Only what goes beyond both counts:

        beyond = score(treated) - nearest value between 0 and score(truth)

    Strengthening a true structure beyond its truth counts, a blob of the wrong sign counts, a ghost of what has moved
    away counts, either sign of contrast counts.

The unit
    Templates are blind to mean brightness and scaled so that the lesion they were trained on, as it is in truth,
    scores 1. Scores are thus estimates of contrast in units of that lesion's, the same unit in every picture, however
    noisy or smooth it is.

The threshold
    It is set on the input's own lesion-free frames (`calibrated`): the score that the highest place of a frame
    exceeds in `rate` of them. A lesion of that contrast in the input is found half of the time by an observer who
    raises a false alarm in `rate` of the frames: that is what just detectable means here. A smooth picture is judged
    by this same threshold, not by one of its own: on its own scale each picture would have the same rate, by
    construction. The other side of that coin: a false structure that is too faint to be noticed in the input is not
    counted, although a smooth picture shows it more clearly. A `Search` may be given a lower threshold by hand, for
    instance half of a lesion's contrast (0.5), to look at those.

The rate
    The input is scanned by the same rule. What noise makes there a treatment may leave standing; what it adds is
    invented: `Invented.per_1000` is the surplus over the input's number for every 1,000 frames, never below 0.
    `unsupported` tells how many of the treated frame's structures have nothing in the input's frame behind them: a
    treatment that removed twenty false structures and made ten of its own has no surplus, but is not innocent.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.measures._arrays import Floats, Mask, inside, require_alike
from calibration.measures.motion import footprint
from calibration.measures.observer import Template

_RIM = 3.0  # radii: an observer blind to brightness answers to any structure with a ring of the other sign around it
_SUPPORT = 0.5  # of the threshold: so much of a structure in the input is a cause for it


def lesion_mask(truth_with: Floats, truth_without: Floats) -> Mask:
    """Where the lesion is: its true signal has at least half of its strength. For a clip, frame by frame."""
    signal = truth_with.astype(np.float64) - truth_without
    return footprint(signal) if signal.ndim == 2 else np.stack([footprint(frame) for frame in signal])


def contrast_recovery(
    treated_with: Floats, treated_without: Floats, truth_with: Floats, truth_without: Floats, mask: Mask
) -> float:
    """A lesion's contrast after treatment over its true contrast (no unit): 1 is kept, 0 erased, above 1 exaggerated.

    Contrast is the mean, over the mask, of the difference between two streams that differ only in the lesion: the
    background's structure, speckle and noise are in both and cancel. Pictures or clips (a mask for all frames, or one
    each); means are taken before the quotient, so that noise does not bias it. NaN where the truth has no lesion.
    """
    for other in (treated_without, truth_with, truth_without):
        require_alike(treated_with, other)
    if not np.any(mask):
        return math.nan
    kept = float(np.mean(inside(treated_with, mask) - inside(treated_without, mask)))
    true = float(np.mean(inside(truth_with, mask) - inside(truth_without, mask)))
    return kept / true if abs(true) > 1e-9 else math.nan


@dataclass(frozen=True, eq=False)
class Search:
    """An observer that looks everywhere in a frame for lesions of one size."""

    template: Template  # scaled: see `for_lesion`
    radius: float  # pixels
    threshold: float = math.inf  # in contrasts of the lesion it was made for

    @classmethod
    def for_lesion(cls, template: Template, signal: Floats, radius: float) -> Search:
        """`signal`: the lesion's mean true signal on the template's patch, truth_with - truth_without."""
        weights = template.weights - template.weights.mean()
        response = float(np.sum(weights * signal))
        if not response > 0:
            raise ValueError("this template does not answer to its own lesion")
        return cls(Template(weights / response), radius)

    def beyond(self, picture: Floats, truth_score: Floats) -> Floats:
        """By how much each place scores beyond what is true there, signed, in contrasts of the lesion."""
        score = self.template.over(picture)
        return score - np.clip(score, np.minimum(truth_score, 0), np.maximum(truth_score, 0))

    def room(self, mask: Mask) -> Mask:
        """Where a whole patch lies inside the mask: the border of a sector is no lesion."""
        counts = (np.asarray(mask) != 0).astype(np.uint8)
        patch = np.ones(self.template.weights.shape, np.uint8)
        room = cv2.erode(counts, patch, borderType=cv2.BORDER_CONSTANT, borderValue=0) != 0
        if not room.any():
            raise ValueError(f"no patch of {patch.shape} lies inside the mask")
        return room


def calibrated(
    searches: Sequence[Search], given: Iterable[Floats], truth: Iterable[Floats], mask: Mask, rate: float = 0.05
) -> tuple[Search, ...]:
    """The same searches with thresholds: all together raise a false alarm in about `rate` of these input frames.

    Hand in some thirty frames, other ones than are judged afterwards, and of one scene at a time: a threshold for
    scenes of unlike noise or gain is set by the worst of them, and the clean ones would go unjudged. The highest scores
    of frames follow Gumbel's law, as the greatest of many do; the threshold is read off its fit, since of so few
    frames hardly one lies above it.
    """
    if not 0 < rate < 1:
        raise ValueError(f"a rate of {rate:g} is not within 0 to 1")
    rooms = [search.room(mask) for search in searches]
    highest: list[list[float]] = []
    for frame, true in zip(given, truth, strict=True):
        highest.append(
            [
                float(np.abs(search.beyond(frame, search.template.over(true)))[room].max(initial=0.0))
                for search, room in zip(searches, rooms, strict=True)
            ]
        )
    limits = [_rarely_exceeded(scores, rate / len(searches)) for scores in np.transpose(highest)]
    return tuple(dataclasses.replace(s, threshold=limit) for s, limit in zip(searches, limits, strict=True))


def _rarely_exceeded(highest: Floats, rate: float) -> float:
    """The value that the greatest of many exceeds at a rate, fitted to examples by mean and deviation."""
    if len(highest) < 2:
        raise ValueError("a rate cannot be told from fewer than two frames")
    scale = float(np.std(highest, ddof=1)) * math.sqrt(6) / math.pi
    return float(np.mean(highest)) - scale * (np.euler_gamma + math.log(-math.log1p(-rate)))


@dataclass(frozen=True)
class Invented:
    """Structures that are not in the truth, counted over lesion-free frames. Counts of more frames can be added."""

    frames: int = 0
    treated: int = 0  # in the treated frames
    given: int = 0  # in the input frames, by the same rule
    unsupported: int = 0  # in the treated frames, with less than half of that in the input at that place

    def __add__(self, other: Invented) -> Invented:
        return Invented(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))

    @property
    def per_1000(self) -> float:
        """Structures beyond the input's own number, in 1,000 frames; never below 0."""
        return max(0, self.treated - self.given) * 1000.0 / self.frames if self.frames else math.nan

    @property
    def stderr_per_1000(self) -> float:
        """Standard error of the surplus, both numbers taken as counts of independent events."""
        return math.sqrt(self.treated + self.given) * 1000.0 / self.frames if self.frames else math.nan


def invented(treated: Floats, given: Floats, truth: Floats, searches: Sequence[Search], mask: Mask) -> Invented:
    """Counts the false structures of one lesion-free frame; see this module's docstring for what one is.

    A place is as bad as the worst of the searches finds it, and weaker places within three radii of a stronger one
    belong to it: a structure is counted once, whatever sizes it is seen at.
    """
    require_alike(treated, given)
    require_alike(treated, truth)
    if not searches or not all(0 < search.threshold < math.inf for search in searches):
        raise ValueError("searches need thresholds: calibrate them on input frames first")
    shape = treated.shape
    ours, theirs, behind = _Found.none(shape), _Found.none(shape), np.zeros(shape)
    for search in searches:
        room, true = search.room(mask), search.template.over(truth)
        made = np.where(room, search.beyond(treated, true) / search.threshold, 0.0)
        had = np.where(room, search.beyond(given, true) / search.threshold, 0.0)
        behind = np.where(np.abs(made) > ours.score, _within(np.sign(made), had, search.radius), behind)
        ours, theirs = ours.worse(made, search.radius), theirs.worse(had, search.radius)
    structures = ours.structures()
    unsupported = sum(1 for place in structures if behind[place] < _SUPPORT)
    return Invented(1, len(structures), len(theirs.structures()), unsupported)


@dataclass(frozen=True, eq=False)
class _Found:
    """The worst that any search found at each place, in thresholds, and the radius that it looked for."""

    score: Floats
    radius: Floats

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> _Found:
        return cls(np.zeros(shape), np.ones(shape))

    def worse(self, scores: Floats, radius: float) -> _Found:
        strength = np.abs(scores)
        return _Found(np.maximum(self.score, strength), np.where(strength > self.score, radius, self.radius))

    def structures(self) -> list[tuple[int, int]]:
        """Places of structures beyond the threshold, the strongest first; what lies on the rim of one is its own."""
        around = cv2.dilate(self.score, np.ones((3, 3), np.uint8))
        rows, columns = np.nonzero((self.score > 1.0) & (self.score >= around))
        order = np.argsort(-self.score[rows, columns], kind="stable")
        rows, columns = rows[order], columns[order]
        places: list[tuple[int, int]] = []
        free = np.ones(len(rows), bool)
        for at in range(len(rows)):
            if free[at]:
                place = (int(rows[at]), int(columns[at]))
                places.append(place)
                free &= np.hypot(rows - place[0], columns - place[1]) > _RIM * self.radius[place]
        return places


def _within(sign: Floats, scores: Floats, radius: float) -> Floats:
    """The highest score of a sign within a radius of each place."""
    disc = _disc(radius)
    raised, lowered = cv2.dilate(scores.astype(np.float32), disc), cv2.dilate(-scores.astype(np.float32), disc)
    return np.where(sign >= 0, raised, lowered)


def _disc(radius: float) -> Floats:
    size = 2 * math.ceil(radius) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
