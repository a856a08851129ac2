"""What became of lesions is told for everyone who was shown them, and held against what the input shows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calibration.judging.contestants import INPUT
from calibration.judging.examination import _recovered
from calibration.judging.fidelity import Kept
from calibration.judging.figures import least_kept
from calibration.judging.lesions import Condition, Pair, pairs


@pytest.fixture(scope="module")
def shown() -> tuple[Condition, list[Pair]]:
    condition = Condition("ultrasound", False, 1.0)
    return condition, list(pairs(condition, 4, 0))


def flattened(pair: Pair, part: float) -> tuple[np.ndarray, np.ndarray]:
    """A treatment that leaves this part of every lesion."""
    absent = pair.absent.truths[0]
    return absent + part * (pair.present.truths[0] - absent), absent


def test_the_least_that_is_kept_of_a_plain_lesion(shown: tuple[Condition, list[Pair]]) -> None:
    condition, some = shown
    kept = Kept()
    for pair in some:
        truth = pair.present.truths[0], pair.absent.truths[0]
        kept.listen(condition, pair, {INPUT: truth, "dull": flattened(pair, 0.4), "true": truth})
    assert least_kept(_recovered("dull", kept), plain=True) == pytest.approx(0.4, abs=0.01)
    assert least_kept(_recovered("true", kept), plain=True) == pytest.approx(1.0, abs=0.01)
    assert math.isnan(least_kept(_recovered("absent", kept), plain=True))


def test_who_is_shown_some_lesions_is_held_against_what_the_input_shows_of_these(
    shown: tuple[Condition, list[Pair]],
) -> None:
    condition, some = shown
    kept = Kept()
    for number, pair in enumerate(some):
        given = flattened(pair, 0.6 if number % 2 else 1.0)
        kept.listen(condition, pair, {INPUT: given, "slow": given} if number % 2 else {INPUT: given})
    assert {round(row.input, 1) for row in _recovered("slow", kept)} == {0.6}
    assert all(0.65 < row.input < 0.95 for row in _recovered(INPUT, kept))
