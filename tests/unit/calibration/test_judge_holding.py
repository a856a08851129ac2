"""Peers held to the gate of lesions: mixed with the picture as it came, as strongly as lesions allow."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.judging import general
from calibration.judging.clips import Field
from calibration.judging.contestants import INPUT, of_peers, unprocessed
from calibration.judging.figures import Recovered
from calibration.judging.holding import STRENGTHS, Mixed, largest_strength
from calibration.judging.tables import held, peers
from calibration.measures import psnr_db
from tests.unit.calibration.judged_engines import faultless
from tests.unit.calibration.test_judge import TINY


def lesion(value: float, given: float = 1.0, plain: bool = True) -> Recovered:
    return Recovered("still", "1 mm, -10", 80, value, 0.01, given, plain)


@pytest.mark.parametrize(
    ("lesions", "strength"),
    [
        ([lesion(0.95)], 1.0),
        ([lesion(0.5)], 0.2),  # 0.9 of 1 is kept with a fifth of a half lost
        ([lesion(0.5), lesion(0.0)], 0.1),
        ([lesion(0.8, given=0.8)], 1.0),  # the scanner's own blur
        ([lesion(0.1, plain=False)], 1.0),  # a faint one is no matter of this gate
        ([lesion(1.5, plain=False)], 0.2),  # but none may be exaggerated
        ([lesion(1.3, given=1.2, plain=False)], 0.0),
        ([lesion(1.1, given=1.2, plain=False)], 1.0),
        ([lesion(1.0, given=1.2, plain=False), lesion(0.8)], 0.5),
    ],
)
def test_a_peer_is_mixed_in_as_far_as_lesions_pass(lesions: list[Recovered], strength: float) -> None:
    assert largest_strength(lesions) == pytest.approx(strength)


def test_a_mixture_is_measured_as_a_picture_of_its_own() -> None:
    field = Field([unprocessed("ultrasound"), *of_peers("ultrasound", ("median",))])
    mixed = Mixed()
    general.examine(field, "ultrasound", TINY, mixed)
    clip = next(general.clips("ultrasound", TINY))
    shown = {who.key: results for who, results in field.show(clip)}
    for strength in (0.0, 0.35, 1.0):
        pictures = [a + strength * (b - a) for a, b in zip(shown[INPUT], shown["median"], strict=True)]
        wanted = [psnr_db(picture, truth, clip.mask) for picture, truth in zip(pictures, clip.truths, strict=True)]
        first = mixed._found["psnr_db", "median"][: len(wanted)]
        assert np.mean([values[STRENGTHS.index(strength)] for values in first]) == pytest.approx(np.mean(wanted))
    assert mixed._found.keys() == {("psnr_db", "median")}, "nobody else is mixed"


def test_it_is_told_beside_the_engine() -> None:
    mixed, judged = Mixed(), faultless()
    who = of_peers("ultrasound", ("median",))[0]
    for measure in ("psnr_db", "gcnr"):
        mixed.note(measure, who, np.ones(4), np.zeros(4), lambda picture: float(picture[0]))
    found = mixed.held("median", [lesion(0.5)])
    assert found is not None
    assert (found.strength, found.psnr_db, found.gcnr) == pytest.approx((0.2, 0.2, 0.2))
    assert mixed.held("nlm", [lesion(0.5)]) is None
    assert mixed.held("median", [lesion(0.5, plain=False)]) is None
    assert held(judged).rows == []
    judged.peers_held = {"median": found}
    assert [row[:2] for row in held(judged).rows] == [[judged.engine, "100 %"], ["median", "20 %"]]
    assert len(peers(judged).rows) == 3
