"""What a lane does with late results, probes and lost regions: the parts that the pipeline's tests do not show."""

from __future__ import annotations

import numpy as np
import pytest

from edge.clock import MS, SECOND
from edge.errors import EngineFault
from edge.frame import Box, Pixels, Treatment, Why
from tests.fakes import SlowSession
from tests.rig import Rig, textured

BASE = textured(3, (96, 128)) // 2 + 20


def numbered(seq: int) -> Pixels:
    """The same scene, and yet every frame can be told from every other."""
    picture = BASE.copy()
    picture[0, :8] = [128 + ((seq >> bit) & 1) for bit in range(8)]
    return picture


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    made.play(1.0, pixels=numbered)
    assert made.rungs()[-1] == "fake-large"
    return made


def enhanced_is_of_its_own_frame(rig: Rig) -> bool:
    pictures = [shown for shown in rig.shown if shown.treatment is Treatment.ENHANCED]
    return all(np.array_equal(shown.pixels, shown.frame.pixels + 4) for shown in pictures)


def test_a_late_result_is_discarded_and_the_next_frame_is_enhanced_with_its_past(rig: Rig) -> None:
    session = rig.backend.sessions["large"]
    rig.slow_down(3.9)  # 35 ms: the result is there 2 ms after the deadline
    rig.play(1 / 30, pixels=numbered)
    assert rig.shown[-1].why is Why.LATE
    past = session.past
    rig.slow_down(1.0)
    rig.play(1 / 30, pixels=numbered)
    assert rig.shown[-1].treatment is Treatment.ENHANCED
    assert session.past == past + 1  # the late frame is part of the past: it was really seen
    assert enhanced_is_of_its_own_frame(rig)


def test_while_a_late_frame_computes_the_next_one_says_busy_and_is_not_queued(rig: Rig) -> None:
    session = rig.backend.sessions["large"]
    before = session.past
    rig.slow_down(9.0)  # 81 ms: over two frames
    rig.play(2 / 30, pixels=numbered)
    assert [shown.why for shown in rig.shown[-2:]] == [Why.LATE, Why.BUSY]
    assert session.past == before + 1
    assert all(age <= 34 * MS for age in rig.ages_ns()[-2:])


def test_while_it_computes_the_watchdog_can_see_since_when(rig: Rig) -> None:
    rig.slow_down(9.0)
    started = rig.clock.now()
    rig.play(1 / 30, pixels=numbered)
    lane = rig.live.lanes["s"]
    assert lane.computing_since_ns is not None
    assert started <= lane.computing_since_ns <= started + 2 * MS
    rig.clock.advance(SECOND)
    lane.tidy()
    assert lane.computing_since_ns is None


def test_probes_are_never_shown_and_leave_no_past_behind(rig: Rig) -> None:
    session = rig.backend.sessions["large"]
    rig.slow_down(12.0, "large")
    rig.slow_down(60.0, "medium")
    rig.play(6 / 30, pixels=numbered)
    assert rig.live.lanes["s"].governor.settled is None
    rig.slow_down(1.0)
    fallen = len(rig.shown)
    for _ in range(90):
        rig.clock.advance(SECOND // 30)
        rig.play(1 / 30, pixels=numbered)
        if rig.shown[-1].treatment is Treatment.ENHANCED:
            break
    assert rig.shown[-1].engine.name == "fake-large"
    assert session.past == 1  # what the probes saw is not this picture's past
    assert {shown.treatment for shown in rig.shown[fallen:-1]} == {Treatment.ORIGINAL}
    assert enhanced_is_of_its_own_frame(rig)


def test_a_probe_that_faults_lifts_nothing(rig: Rig) -> None:
    for size in ("large", "medium", "small", "classical"):
        rig.backend.sessions[size].fault = EngineFault("raised", "no")
    rig.play(5.0, pixels=numbered)
    assert set(rig.rungs()[-100:]) == {"original"}
    assert rig.shown[-1].why is Why.FAULT
    for size in ("large", "medium", "small", "classical"):
        rig.backend.sessions[size].fault = None
    rig.play(3.0, pixels=numbered)
    assert rig.rungs()[-1] == "fake-large"


def test_an_engine_that_refuses_to_start_costs_a_frame_its_treatment_and_no_more(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: SlowSession, grey: Pixels, strength: float) -> None:
        raise EngineFault("busy", "no")

    with monkeypatch.context() as patch:
        patch.setattr(SlowSession, "start", refuses)
        rig.play(1 / 30, pixels=numbered)
    assert rig.shown[-1].why is Why.FAULT
    assert rig.shown[-1].pixels is rig.shown[-1].frame.pixels
    rig.play(1 / 30, pixels=numbered)
    assert rig.shown[-1].treatment is Treatment.ENHANCED


@pytest.mark.parametrize("size", [(96, 160), (128, 128)])
def test_a_region_found_in_another_size_alters_no_pixel(rig: Rig, size: tuple[int, int]) -> None:
    rig.push(pixels=textured(9, size))
    assert rig.shown[-1].treatment is Treatment.ORIGINAL
    assert rig.shown[-1].why is Why.NO_REGION


def test_a_change_of_depth_alone_gets_sessions_of_its_own(rig: Rig) -> None:
    deep = np.random.default_rng(1).integers(300, 3000, (96, 128), np.uint16)
    rig.push(pixels=deep)
    assert rig.shown[-1].treatment is Treatment.ORIGINAL
    rig.play(2.0, pixels=lambda _seq: deep)
    assert rig.shown[-1].treatment is Treatment.ENHANCED
    assert rig.shown[-1].pixels.dtype == np.uint16
    assert rig.backend.sessions["large"].shape.bits == 12


def test_sessions_that_are_replaced_are_closed_when_they_have_finished(rig: Rig) -> None:
    old = dict(rig.backend.sessions)
    rig.play(2.0, pixels=lambda seq: textured(3, (128, 160)))
    assert set(rig.backend.sessions.values()).isdisjoint(old.values())
    assert all(session.closed for session in old.values())


def test_a_replaced_session_that_still_computes_is_not_closed_under_its_feet(rig: Rig) -> None:
    old = rig.backend.sessions["large"]
    old.cost_ns = 3 * SECOND
    rig.play(1 / 30, pixels=numbered)
    rig.play(0.5, pixels=lambda seq: textured(3, (128, 160)))
    assert rig.backend.sessions["large"] is not old
    assert not old.closed
    rig.play(4.0, pixels=lambda seq: textured(3, (128, 160)))
    assert old.closed


def screen(seq: int, text: int) -> Pixels:
    """A scanner's screen: an image in a box of its own, and a line of text above it."""
    picture = np.zeros((240, 320), np.uint8)
    picture[60:200, 40:280] = np.random.default_rng(seq).integers(60, 160, (140, 240), np.uint8)
    picture[10:30:4, 20:300] = text
    return picture


def test_when_the_screen_around_the_image_changes_that_very_frame_stays_as_it_came() -> None:
    rig = Rig()
    box = Box(40, 60, 240, 140)
    rig.play(2.0, pixels=lambda seq: screen(seq, 230), region=box)
    assert rig.shown[-1].treatment is Treatment.ENHANCED
    other = screen(900, 230)
    other[:60] = 200
    other[200:] = 200
    rig.push(pixels=other, region=box)
    assert rig.shown[-1].why is Why.NO_REGION
    assert rig.shown[-1].pixels is rig.shown[-1].frame.pixels


def test_an_activation_makes_the_lane_ask_the_survey_at_once_and_not_when_its_time_comes() -> None:
    rig = Rig()
    rig.play(10)
    asked: list[int] = []
    ask = rig.live._ask_survey
    rig.live._ask_survey = lambda look: (asked.append(rig.clock.now()), ask(look))[1]
    rig.play(0.5)
    assert asked == []  # settled: it looks but seldom
    rig.wishes.change(None, edition=1)
    began = rig.clock.now()
    rig.play(0.5)
    assert asked[0] - began < 0.3 * SECOND
    assert not [shown for shown in rig.shown[-10:] if shown.treatment is not Treatment.ENHANCED]
