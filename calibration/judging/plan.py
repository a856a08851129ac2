"""How much a run of the judge looks at. Pure values."""

from __future__ import annotations

from dataclasses import dataclass

HELD_OUT = 2_000_000  # the first seed that neither training nor tuning has seen


@dataclass(frozen=True)
class Plan:
    quick: bool
    general_scenes: int
    general_frames: int  # consecutive ones that are measured, after the warm-up
    warm_up: int  # frames a recurrent engine sees before it is looked at
    pairs: int  # scenes filmed with and without lesions, for each condition (12 lesions each)
    contrast_scenes: int
    wire_scenes: int
    free_frames: int  # lesion-free frames searched for invented structure
    calibration_frames: int  # others, on each background, that set the thresholds of that search
    template_pairs: int  # scenes that train the searching observer
    passing_scenes: int
    passing_peers: int  # of these, those that peers are shown, too
    artefact_scenes: int
    grid_scenes: int
    drift_frames: int
    drift_tail: int  # the last ones, held against the mean of all
    enlarging_scenes: int
    timing_rounds: int
    thin: int = 1  # a slow peer is shown every so many-th pair
    width: int = 640  # of the random scenes
    peers: tuple[str, ...] = ()  # those that take part; empty for all of them
    resamples: int = 400  # of the bootstrap behind each interval


FULL = Plan(
    quick=False,
    general_scenes=20,
    general_frames=4,
    warm_up=12,
    pairs=72,
    contrast_scenes=10,
    wire_scenes=4,
    free_frames=1000,
    calibration_frames=240,
    template_pairs=32,
    passing_scenes=24,
    passing_peers=4,
    artefact_scenes=4,
    grid_scenes=6,
    drift_frames=2000,
    drift_tail=100,
    enlarging_scenes=12,
    timing_rounds=60,
    thin=3,
)

QUICK = Plan(
    quick=True,
    general_scenes=3,
    general_frames=2,
    warm_up=6,
    pairs=14,
    contrast_scenes=2,
    wire_scenes=1,
    free_frames=40,
    calibration_frames=20,
    template_pairs=12,
    passing_scenes=4,
    passing_peers=0,
    artefact_scenes=1,
    grid_scenes=2,
    drift_frames=200,
    drift_tail=50,
    enlarging_scenes=3,
    timing_rounds=12,
    width=384,
    peers=("nlm", "recursive", "lanczos"),  # of each kind the best in tuning that does not take seconds a picture
    resamples=200,
)
