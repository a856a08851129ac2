"""The live thread on a manual clock: what goes out for what comes in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge.backends import Shape
from edge.catalog import Engine
from edge.clock import MS, SECOND
from edge.config import parse
from edge.errors import EngineFault, EngineRefused
from edge.frame import Box, Modality, Treatment, Why
from edge.wire import Flag
from tests.fakes import SlowSession
from tests.rig import Rig, textured


@pytest.fixture
def rig() -> Rig:
    """A daemon in its stride: one stream, settled on the large engine."""
    made = Rig()
    made.play(1.0)
    assert made.rungs()[-1] == "fake-large"
    return made


def test_a_frame_in_is_an_enhanced_frame_out_before_the_next_is_due(rig: Rig) -> None:
    rig.push()
    shown = rig.shown[-1]
    assert shown.treatment is Treatment.ENHANCED
    assert shown.frame.seq == rig.seq
    assert np.array_equal(shown.pixels, shown.frame.pixels + 4)
    assert rig.ages_ns()[-1] < SECOND // 30
    assert not shown.pixels.flags.writeable


def test_until_an_engine_is_open_the_original_goes_out_and_says_why() -> None:
    rig = Rig()
    rig.push()
    assert rig.shown[0].why is Why.OPENING
    assert rig.shown[0].pixels is rig.shown[0].frame.pixels


def test_every_frame_is_accounted_for(rig: Rig) -> None:
    rig.play(2.0, fps=200)
    assert rig.accounted()


def test_one_late_frame_is_a_stand_in_and_neither_a_change_nor_a_reset(rig: Rig) -> None:
    session = rig.backend.sessions["large"]
    seen_before = session.past
    rig.slow_down(3.9)  # 35 ms: just over the deadline
    rig.play(1 / 30)
    assert rig.shown[-1].treatment is Treatment.ORIGINAL
    assert rig.shown[-1].why is Why.LATE
    assert rig.shown[-1].stand_in
    assert rig.glass.shown[-1][1] & Flag.STAND_IN
    rig.slow_down(1.0)
    rig.play(1.0)
    assert rig.change_times()[1:] == []  # the first is the engine's opening
    assert session.past > seen_before + 20


def test_an_engine_a_little_too_slow_gives_way_to_a_smaller_one_without_the_original_between(rig: Rig) -> None:
    rig.slow_down(3.9, "large")
    before = len(rig.shown)
    rig.play(5.0)
    after = rig.shown[before:]
    assert 1 <= sum(shown.stand_in for shown in after) <= 3
    assert {shown.engine.name for shown in after if not shown.stand_in} == {"fake-medium"}


@pytest.mark.parametrize("late_ms", [100, 135, 200])
def test_the_smaller_engine_is_not_blamed_for_what_the_one_before_still_computes(rig: Rig, late_ms: int) -> None:
    rig.slow_down(late_ms / 9, "large")
    before = len(rig.shown)
    rig.play(3.0)
    after = rig.shown[before:]
    assert {shown.engine.name for shown in after if not shown.stand_in} == {"fake-medium"}
    assert sum(shown.stand_in for shown in after) <= 2 + late_ms // 33


def test_a_rung_that_never_gets_its_turn_is_left_in_the_end(rig: Rig) -> None:
    rig.slow_down(1e6, "large")
    rig.play(3.0)
    assert not rig.shown[-1].stand_in
    assert rig.shown[-1].treatment is Treatment.ORIGINAL


def test_a_frozen_stream_that_comes_is_live(rig: Rig) -> None:
    rig.play(1.0)
    rig.wishes.change("s", frozen=True)
    rig.play(0.5)
    for _ in range(20):
        rig.clock.advance(50 * MS)
        rig.live.step()
    assert rig.live.lanes["s"].told_not_live
    rig.play(1.0)
    assert not rig.live.lanes["s"].told_not_live


@pytest.mark.parametrize("pause_s", [0.0, 0.6, 5.0])
def test_no_frame_is_enhanced_by_an_engine_for_another_modality(pause_s: float) -> None:
    rig = Rig(config=parse(""))
    rig.play(10.2, modality=Modality.ULTRASOUND)
    rig.clock.advance(int(pause_s * SECOND))
    before, open_before = len(rig.shown), rig.live.lanes["s"].open_key
    rig.play(8.0, session=9, modality=Modality.FLUOROSCOPY)
    came = [shown for shown in rig.shown[before:] if shown.frame.session == 9]
    lane = rig.live.lanes["s"]
    assert open_before is not None
    assert open_before.modality is Modality.ULTRASOUND
    assert lane.open_key is not None
    assert lane.open_key.modality is Modality.FLUOROSCOPY
    first = next(n for n, shown in enumerate(came) if shown.treatment is Treatment.ENHANCED)
    assert len(came) > 100
    assert 20 <= first < 60, "the old engine must not treat it, the new one must"


def test_a_lane_that_was_closed_is_opened_again_whatever_was_refused_before(rig: Rig) -> None:
    opens = rig.backend.open

    def choosy(engine: Engine | None, shape: Shape) -> SlowSession:
        if engine is not None and engine.manifest.family != "handbuilt":
            raise EngineRefused("not on this machine")
        return opens(engine, shape)

    rig.play(1.0)
    rig.backend.open = choosy  # type: ignore[method-assign]
    rig.wishes.change(None, family="ultrasound-clarity")
    rig.play(1.0)
    rig.clock.advance(31 * SECOND)
    rig.play(0.5, stream="another")
    before = len(rig.shown)
    rig.play(3.0)
    assert {shown.engine.name for shown in rig.shown[before + 30 :]} == {"fake-classical"}


@pytest.mark.parametrize("fps", [30, 60, 200])
def test_in_overload_the_age_stays_bounded_and_the_picture_settles(fps: int) -> None:
    rig = Rig()
    rig.play(1.0, fps=30)
    begun, overload = len(rig.glass.shown), rig.clock.now()
    rig.slow_down(12.0)  # nothing of the ladder but classical can hold 30 a second
    rig.play(60.0, fps=fps)
    during = rig.ages_ns()[begun:]
    assert max(during) <= 100 * MS
    assert max(during[-100:]) <= max(during[:100])  # lag does not grow
    changes = [t for t in rig.change_times() if t > overload]
    assert all(b - a >= SECOND for a, b in itertools.pairwise(changes))
    assert len(changes) <= 6
    assert rig.accounted()
    relief = rig.clock.now()
    rig.slow_down(1.0)
    rig.play(3.0, fps=30)
    back = next(t for s, _, t in rig.glass.shown if t > relief and s.engine.name == "fake-large")
    assert back - relief <= 2 * SECOND
    assert set(rig.rungs()[-10:]) == {"fake-large"}


def test_in_overload_the_first_result_too_late_is_followed_by_the_original_at_the_deadline(rig: Rig) -> None:
    rig.slow_down(30.0)
    before = len(rig.glass.shown)
    rig.play(0.5)
    assert all(age <= 34 * MS for age in rig.ages_ns()[before:])
    assert {s.treatment for s in rig.shown[before:]} == {Treatment.ORIGINAL}


def test_a_hung_engine_costs_no_picture_and_is_told_to_the_watchdog(rig: Rig) -> None:
    rig.slow_down(1e6)
    before = len(rig.glass.shown)
    rig.play(4.0)
    assert len(rig.glass.shown) - before == 120
    assert {s.treatment for s in rig.shown[before:]} == {Treatment.ORIGINAL}
    assert rig.vitals.trouble(3 * SECOND) is not None
    assert "engine" in (rig.vitals.trouble(3 * SECOND) or "")


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (EngineFault("raised", "no"), Why.FAULT),
        (EngineFault("not-finite", "NaN"), Why.NOT_FINITE),
    ],
)
def test_a_faulty_result_is_never_shown(rig: Rig, fault: EngineFault, why: Why) -> None:
    rig.backend.sessions["large"].fault = fault
    rig.push()
    assert rig.shown[-1].why is why
    assert rig.shown[-1].pixels is rig.shown[-1].frame.pixels
    rig.backend.sessions["large"].fault = None
    rig.push()
    assert rig.shown[-1].treatment is Treatment.ENHANCED
    assert rig.backend.sessions["large"].past == 1  # what a fault left behind is forgotten


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (np.zeros((5, 5), np.uint8), Why.FAULT),
        (np.zeros((96, 128), np.uint16), Why.FAULT),
        (np.zeros((96, 128), np.uint8), Why.FIDELITY),
    ],
)
def test_a_wrong_or_repainted_result_is_never_shown(rig: Rig, spoil: np.ndarray, why: Why) -> None:
    rig.backend.sessions["large"].spoil = spoil
    rig.push()
    assert rig.shown[-1].why is why


def test_an_engine_that_stays_faulty_gives_way_to_a_lower_rung(rig: Rig) -> None:
    rig.backend.sessions["large"].fault = EngineFault("raised", "no")
    rig.play(5.0)
    assert rig.rungs()[-1] == "fake-medium"


def test_strength_nought_is_the_original_bit_for_bit(rig: Rig) -> None:
    rig.wishes.change("s", strength=0.0)
    rig.push()
    assert rig.shown[-1].why is Why.STRENGTH_ZERO
    assert rig.shown[-1].pixels is rig.shown[-1].frame.pixels


def test_the_way_between_original_and_enhanced_is_instant_and_keeps_the_state(rig: Rig) -> None:
    rig.wishes.change(None, original_view=True)
    rig.play(1.0)
    assert rig.shown[-1].why is Why.OPERATOR
    rig.wishes.change(None, original_view=False)
    rig.push()
    assert rig.shown[-1].treatment is Treatment.ENHANCED
    assert rig.backend.sessions["large"].past > 30


def test_a_stream_outside_what_was_judged_is_flagged_while_it_is_enhanced_and_treated_as_before(rig: Rig) -> None:
    rig.live.outside = frozenset({"s"})
    rig.play(0.5)
    assert all(flags & Flag.OUTSIDE and shown.outside for shown, flags, _ in rig.glass.shown[-5:])
    assert rig.shown[-1].treatment is Treatment.ENHANCED
    rig.wishes.change(None, original_view=True)
    rig.play(0.2)
    assert not rig.glass.shown[-1][1] & Flag.OUTSIDE, "nobody has to judge an original"
    rig.wishes.change(None, original_view=False)
    rig.live.outside = frozenset({"another"})
    rig.play(0.2)
    assert not rig.glass.shown[-1][1] & Flag.OUTSIDE
    assert not rig.shown[-1].outside


def test_frozen_frames_are_counted_and_the_picture_is_told_frozen(rig: Rig) -> None:
    rig.wishes.change("s", frozen=True)
    shown = len(rig.shown)
    rig.play(1.0)
    assert len(rig.shown) == shown
    assert rig.intake.tally("s").dropped["frozen"] == 30
    assert all(flags & Flag.FROZEN for flags, _ in rig.glass.notices)
    assert len(rig.glass.notices) >= 3
    rig.wishes.change("s", frozen=False)
    rig.play(0.2)
    assert rig.shown[-1].treatment is Treatment.ENHANCED
    assert rig.accounted()


def test_displays_are_tended_while_no_frame_has_ever_come() -> None:
    rig = Rig()
    for _ in range(3):
        rig.live.step()
    assert rig.glass.tended == 3, "or whoever was put out stays in, and whoever has a new key stays out"


def test_when_frames_stop_subscribers_hear_it_within_two_periods(rig: Rig) -> None:
    last = rig.shown[-1].frame.received_ns
    while not rig.glass.notices:
        rig.clock.advance(MS)
        rig.live.step()
    flags, told = rig.glass.notices[0]
    assert not flags & Flag.LIVE
    assert told - last <= 2 * SECOND // 30
    for _ in range(1000):
        rig.clock.advance(MS)
        rig.live.step()
    assert 4 <= len(rig.glass.notices) <= 6  # repeated, for those who join late


def test_a_picture_again_is_live_again(rig: Rig) -> None:
    rig.clock.advance(SECOND)
    rig.live.step()
    rig.push()
    assert rig.glass.shown[-1][1] & Flag.LIVE
    assert rig.backend.sessions["large"].past == 1  # a second ago is not this picture's past


def test_too_old_a_frame_is_dropped_not_shown(rig: Rig) -> None:
    late = rig.frame()
    rig.clock.advance(150 * MS)
    rig.intake.admit(late)
    shown = len(rig.shown)
    rig.live.step()
    assert len(rig.shown) == shown
    assert rig.intake.tally("s").dropped["too-old"] == 1


def test_the_past_is_forgotten_on_a_cut_a_gap_and_a_new_session(rig: Rig) -> None:
    session = rig.backend.sessions["large"]
    rig.push(cut=True)
    assert session.past == 1
    rig.play(0.2)
    assert session.past > 1
    rig.clock.advance(SECOND)
    rig.push()
    assert session.past == 1
    rig.clock.advance(SECOND)
    rig.push(session=8)
    assert session.past == 1


def test_the_past_is_forgotten_when_the_picture_is_another(rig: Rig) -> None:
    session = rig.backend.sessions["large"]
    rig.play(0.2)
    other = np.full((96, 128), 40, np.uint8)
    other[20:70, 30:90] = 200
    rig.push(pixels=other)
    assert session.past == 1


def test_a_new_size_gets_engines_of_its_own(rig: Rig) -> None:
    rig.play(2.0, pixels=lambda k: textured(k, (128, 160)))
    shown = rig.shown[-1]
    assert shown.treatment is Treatment.ENHANCED
    assert shown.pixels.shape == (128, 160)
    assert any(s.why in (Why.NO_REGION, Why.OPENING) for s in rig.shown)


def test_streams_have_a_state_of_their_own() -> None:
    rig = Rig()
    for _ in range(40):
        for k in range(4):
            rig.intake.admit(rig.frame(stream=f"s{k}"))
        for _ in range(4):
            rig.live.step()
        rig.clock.advance(SECOND // 30)
    assert {s.frame.stream for s in rig.shown if s.treatment is Treatment.ENHANCED} == {
        "s0",
        "s1",
        "s2",
        "s3",
    }
    assert all(rig.accounted(f"s{k}") for k in range(4))


def test_only_the_scanners_region_is_altered(rig: Rig) -> None:
    box = Box(16, 24, 64, 48)
    rig.play(1.0, stream="boxed", region=box)
    shown = rig.shown[-1]
    assert shown.treatment is Treatment.ENHANCED
    outside = np.ones(shown.pixels.shape, bool)
    outside[box.slices] = False
    assert np.array_equal(shown.pixels[outside], shown.frame.pixels[outside])
    assert not np.array_equal(shown.pixels[box.slices], shown.frame.pixels[box.slices])


def test_a_frame_without_an_image_stays_as_it_is() -> None:
    rig = Rig()
    rig.play(1.0, pixels=lambda _k: np.zeros((96, 128), np.uint8))
    assert {s.why for s in rig.shown} <= {Why.NO_REGION, Why.OPENING}
    assert rig.shown[-1].why is Why.NO_REGION


def test_missing_frames_are_told(rig: Rig) -> None:
    rig.seq += 5
    rig.push()
    assert rig.shown[-1].missing_before == 5
    assert rig.intake.tally("s").lost_on_the_way == 5


def test_a_refused_engine_leaves_the_last_good_one(rig: Rig) -> None:
    rig.wishes.change("s", family="nobody-made-this")
    rig.play(5.0)
    assert rig.rungs()[-1] == "fake-large"


def test_the_ring_holds_both_pictures_and_stays_within_its_bytes() -> None:
    rig = Rig(config=parse("[live]\nrecent_megabytes = 16\nrecent_seconds = 60"))
    rig.play(30.0, pixels=lambda k: textured(k % 7, (256, 256)))
    assert rig.live.recent.bytes <= 16 << 20
    assert len(rig.live.recent) >= 100
    newest = rig.live.recent.snapshot()[-1]
    assert newest.frame.pixels is not newest.pixels


def test_a_stream_that_stops_is_told_however_busy_the_others_are(rig: Rig) -> None:
    rig.play(2.0, fps=200, stream="busy")
    stopped = [flags for flags, _ in rig.glass.notices if not flags & Flag.LIVE]
    assert len(stopped) >= 4


def test_frames_that_are_all_too_old_do_not_pass_for_a_live_picture(rig: Rig) -> None:
    for _ in range(60):
        late = rig.frame()
        rig.clock.advance(150 * MS)
        rig.intake.admit(late)
        rig.live.step()
    assert any(not flags & Flag.LIVE for flags, _ in rig.glass.notices)
    assert rig.accounted()


def test_one_stall_of_the_machine_does_not_shut_the_engine_out(rig: Rig) -> None:
    show = rig.glass.show

    def stalled(*shown: object) -> None:
        rig.clock.advance(400 * MS)
        rig.glass.show = show  # type: ignore[method-assign]
        show(*shown)  # type: ignore[arg-type]

    rig.glass.show = stalled  # type: ignore[method-assign]
    rig.play(4.0, fps=60)
    assert set(rig.rungs()[-10:]) == {"fake-large"}


def test_a_cut_is_not_lost_with_the_frame_that_told_it(rig: Rig) -> None:
    session = rig.backend.sessions["large"]
    rig.play(0.2)
    before = rig.intake.tally("s").dropped["superseded"]
    rig.intake.admit(rig.frame(cut=True))
    rig.intake.admit(rig.frame())
    rig.live.step()
    assert rig.intake.tally("s").dropped["superseded"] == before + 1
    assert session.past == 1


def test_an_engine_refused_for_what_it_changes_is_not_lifted_by_its_probes(rig: Rig) -> None:
    rig.backend.sessions["large"].spoil = np.zeros((96, 128), np.uint8)
    rig.play(6.0)
    assert set(rig.rungs()[-30:]) == {"fake-medium"}
