"""The shutter on a manual clock: what is stored for each press of the button, and what is said when it cannot be."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from edge.clock import SECOND
from edge.config import parse
from edge.dicom.stored import Stored
from edge.errors import CaptureRefused, ConfigError
from edge.exam import Patient
from edge.exams import Opening
from edge.frame import Modality, Shown
from edge.requests import Back, Burst, ClipStart, ClipStop, Request, Still
from tests.studio import START, Studio

ONE = Patient(name="PHANTOM^ONE", id="P-1")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def originals(studio: Studio, capture: str) -> list[np.ndarray]:
    return list(Stored(io.BytesIO(studio.shelf.files[capture][0])).each_frame())


def same(stored: list[np.ndarray], shown: list[Shown]) -> bool:
    return len(stored) == len(shown) and all(
        np.array_equal(a, b.frame.pixels) for a, b in zip(stored, shown, strict=True)
    )


def test_a_still_is_the_picture_that_is_shown_as_a_pair(studio: Studio) -> None:
    *_, last = studio.show(5)
    answer = studio.ask(Still())
    (capture,) = answer["captures"]
    assert same(originals(studio, capture), [last])
    enhanced = Stored(io.BytesIO(studio.shelf.files[capture][1])).frame(0)
    assert np.array_equal(enhanced, last.pixels)
    assert [made.role for made in studio.shelf.drafts[capture].objects] == ["original", "enhanced"]
    assert (answer["frames"], answer["kind"], answer["missing_frames"]) == (1, "still", 0)
    assert answer["first_seq"] == answer["last_seq"] == last.frame.seq


def test_without_an_exam_an_emergency_is_opened_and_its_captures_are_held(studio: Studio) -> None:
    studio.show()
    answer = studio.ask(Still())
    assert answer["opened_exam"]
    assert answer["held"]
    assert studio.shelf.drafts[answer["captures"][0]].held
    assert studio.shelf.developed == [(answer["captures"][0], True)]
    again = studio.ask(Still())
    assert not again["opened_exam"]
    assert again["exam"] == answer["exam"]


def test_an_exam_with_an_identity_lets_its_captures_go_once_they_are_developed(studio: Studio) -> None:
    studio.exams.open(Opening(ONE), studio.clock.now())
    studio.show()
    answer = studio.ask(Still())
    assert answer["held"] is False
    assert studio.shelf.drafts[answer["captures"][0]].held  # until the darkroom has compressed it
    assert studio.shelf.developed == [(answer["captures"][0], False)]


def test_where_nothing_is_compressed_nothing_is_held(tmp_path: Path) -> None:
    studio = Studio(tmp_path, parse('[capture]\ncompression = "none"'))
    studio.exams.open(Opening(ONE), studio.clock.now())
    studio.show()
    assert not studio.shelf.drafts[studio.ask(Still())["captures"][0]].held


def test_the_last_seconds_are_those_before_the_button(studio: Studio) -> None:
    passed = studio.show(120, step_ms=40)
    pressed = studio.shutter.ask(Back(seconds=2.0))
    studio.show(30)  # what comes while it waits its turn is not in it
    answer = studio.settle(pressed)
    assert same(originals(studio, answer["captures"][0]), passed[-50:])
    assert answer["seconds"] == pytest.approx(49 / 25, abs=0.01)
    assert answer["notices"] == []
    started = Stored(io.BytesIO(studio.shelf.files[answer["captures"][0]][0])).elements
    taken = START + timedelta(microseconds=passed[-50].frame.captured_ns / 1000)
    assert str(started.AcquisitionDateTime).startswith(f"{taken:%Y%m%d%H%M%S}")


def test_fewer_seconds_than_asked_for_are_told(studio: Studio) -> None:
    studio.show(30)
    answer = studio.ask(Back(seconds=8.0))
    assert answer["frames"] == 30
    assert "1.0 s were at hand, not 8" in answer["notices"]


def test_a_gap_is_in_the_frame_times_and_told(studio: Studio) -> None:
    studio.show(10)
    studio.skip(5)
    studio.show(10)
    answer = studio.ask(Back(seconds=5.0))
    assert answer["missing_frames"] == 5
    assert [(gap["frame"], gap["missing"]) for gap in answer["gaps"]] == [(11, 5)]
    assert any("5 frames are missing before frame 11" in notice for notice in answer["notices"])
    elements = Stored(io.BytesIO(studio.shelf.files[answer["captures"][0]][0])).elements
    assert float(elements.FrameTimeVector[10]) == pytest.approx(200, abs=1)
    assert float(elements.FrameTimeVector[9]) == pytest.approx(33.3, abs=1)


def test_many_gaps_are_told_in_one_line_and_one_by_one_to_whoever_asks(studio: Studio) -> None:
    for missing in (1, 2, 1, 1):
        studio.show(4)
        studio.skip(missing)
    studio.show(4)
    answer = studio.ask(Back(seconds=5.0))
    assert len(answer["gaps"]) == 4
    told = [notice for notice in answer["notices"] if "missing" in notice]
    assert told == ["5 frames are missing in 4 places, at most 100 ms: the frame times keep them"]


def test_a_size_that_changes_on_the_way_makes_two_objects(studio: Studio) -> None:
    small, large = studio.show(6), studio.show(4, shape=(32, 48))
    answer = studio.ask(Back(seconds=5.0))
    first, second = answer["captures"]
    assert same(originals(studio, first), small)
    assert same(originals(studio, second), large)
    assert any("stored as 2 clips" in notice for notice in answer["notices"])


def test_a_frozen_picture_is_captured_though_other_streams_have_long_gone_on(studio: Studio) -> None:
    frozen = studio.show(3, stream="frozen")[-1]
    studio.show(600, stream="other")
    answer = studio.ask(Still(stream="frozen"))
    assert same(originals(studio, answer["captures"][0]), [frozen])
    assert answer["age_ms"] == pytest.approx(20_000, rel=0.01)
    assert answer["frames"] == studio.ask(Back(stream="frozen", seconds=1))["frames"] == 1


def test_several_streams_have_to_be_told_apart(studio: Studio) -> None:
    studio.show(stream="a")
    studio.show(stream="b")
    with pytest.raises(ConfigError, match="which stream\\? there are: a, b"):
        studio.shutter.ask(Still())
    with pytest.raises(CaptureRefused, match="no picture of stream c"):
        studio.shutter.ask(Still(stream="c"))


def test_before_the_first_picture_there_is_nothing_to_capture(studio: Studio) -> None:
    for request in (Still(), Back(), Burst(), ClipStart()):
        with pytest.raises(CaptureRefused, match="nothing has been shown"):
            studio.shutter.ask(request)
    assert len(studio.events_named("capture.refused")) == 4


# ------------------------------------------------ whose picture it is


def test_no_picture_of_the_last_patient_gets_into_the_next_exam(studio: Studio) -> None:
    studio.exams.open(Opening(ONE), studio.clock.now())
    studio.show(30)
    studio.exams.close(studio.clock.now())
    studio.exams.open(Opening(Patient(name="PHANTOM^TWO")), studio.clock.now())
    with pytest.raises(CaptureRefused, match="older than this exam"):
        studio.ask(Still())
    own = studio.show(3)
    answer = studio.ask(Back(seconds=9.0))
    assert same(originals(studio, answer["captures"][0]), own)
    assert "30 frames from before this exam were left out" in answer["notices"]


def test_an_emergency_takes_what_was_seen_before_the_button_but_not_before_the_last_close(studio: Studio) -> None:
    studio.exams.open(Opening(ONE), studio.clock.now())
    studio.show(10)
    studio.exams.close(studio.clock.now())
    own = studio.show(10)
    answer = studio.ask(Back(seconds=9.0))
    assert answer["opened_exam"]
    assert same(originals(studio, answer["captures"][0]), own)


def test_a_capture_belongs_to_the_exam_that_was_open_when_the_button_was_pressed(studio: Studio) -> None:
    first = studio.exams.open(Opening(ONE), studio.clock.now()).uid
    studio.show(3)
    pressed = studio.shutter.ask(Still())
    closed = studio.shutter.do(lambda: {"exam": studio.exams.close(studio.clock.now()).uid}, Future())
    assert studio.settle(pressed)["exam"] == first
    assert studio.settle(closed)["exam"] == first


# ------------------------------------------------ what comes


def test_a_clip_forward_holds_what_came_between_start_and_stop(studio: Studio) -> None:
    studio.show(10)
    assert studio.ask(ClipStart())["recording"]
    passed = studio.show(25)
    answer = studio.ask(ClipStop())
    assert same(originals(studio, answer["captures"][0]), passed)
    studio.show(5)
    with pytest.raises(ConfigError, match="no clip of stream s"):
        studio.ask(ClipStop())


def test_a_clip_longer_than_the_ring_is_whole(studio: Studio) -> None:
    studio.show()
    studio.ask(ClipStart())
    passed = studio.show(450)
    assert same(originals(studio, studio.ask(ClipStop())["captures"][0]), passed)


def test_a_second_start_is_refused_and_the_first_clip_goes_on(studio: Studio) -> None:
    studio.show()
    studio.ask(ClipStart())
    passed = studio.show(3)
    with pytest.raises(ConfigError, match="recorded already"):
        studio.ask(ClipStart())
    assert studio.ask(ClipStop())["frames"] == len(passed)


@pytest.mark.parametrize(
    ("setting", "why"), [("clip_seconds = 1.0", "1 s long"), ("clip_megabytes = 16", "take 16 MB")]
)
def test_a_clip_that_reaches_its_bound_is_stored_and_whoever_stops_it_is_told(
    tmp_path: Path, setting: str, why: str
) -> None:
    studio = Studio(tmp_path, parse(f"[capture]\n{setting}"))
    big = {"shape": (512, 512)} if "mega" in setting else {}
    studio.show(**big)
    studio.ask(ClipStart())
    studio.show(60, **big)
    studio.shutter.step(0.0)
    assert len(studio.shelf.drafts) == 1
    answer = studio.ask(ClipStop())
    assert why in answer["notices"][0]
    assert answer["frames"] in (29, 30) if "seconds" in setting else answer["frames"] == 32
    assert studio.events_named("clip.ended")
    with pytest.raises(ConfigError, match="no clip"):
        studio.ask(ClipStop())


def test_a_clip_that_is_recorded_when_the_exam_ends_is_its(studio: Studio) -> None:
    uid = studio.exams.open(Opening(ONE), studio.clock.now()).uid
    studio.show()
    studio.ask(ClipStart())
    studio.show(5)

    def close() -> dict[str, object]:
        studio.shutter.finish_recordings()
        return {"exam": studio.exams.close(studio.clock.now()).uid}

    studio.do(close)
    (draft,) = studio.shelf.drafts.values()
    assert draft.exam_uid == uid
    assert studio.ask(ClipStop())["exam"] == uid


def idle_after_a_minute(tmp_path: Path) -> tuple[Studio, str]:
    studio = Studio(tmp_path, parse("[capture]\nexam_idle_minutes = 1\nclip_seconds = 30\n"))
    uid = studio.exams.open(Opening(ONE), studio.clock.now()).uid
    studio.show()
    studio.shutter.step(0.0)
    return studio, uid


@pytest.mark.parametrize("jump", [timedelta(0), timedelta(hours=9), timedelta(days=-3650)], ids=str)
def test_an_exam_does_not_end_for_idleness_in_the_middle_of_a_clip(tmp_path: Path, jump: timedelta) -> None:
    studio, uid = idle_after_a_minute(tmp_path)
    studio.clock.advance(50 * SECOND)
    studio.ask(ClipStart())
    studio.wall_shift = jump
    passed: list[Shown] = []
    for _ in range(20):
        passed += studio.show(30)
        studio.shutter.step(0.0)
    answer = studio.ask(ClipStop())
    assert (answer["exam"], answer["frames"], answer["opened_exam"]) == (uid, len(passed), False)
    studio.clock.advance(6 * SECOND)
    studio.shutter.step(0.0)
    assert not studio.events_named("exam.closed-idle"), "a clip was stored a moment ago"


def test_nor_in_the_middle_of_a_burst(tmp_path: Path) -> None:
    studio, uid = idle_after_a_minute(tmp_path)
    studio.clock.advance(55 * SECOND)
    pressed = studio.shutter.ask(Burst(count=4, every_ms=3000))
    studio.shutter.step(0.0)
    studio.wall_shift = timedelta(hours=9)
    for _ in range(10):
        studio.show(30)
        studio.shutter.step(0.0)
    answer = studio.settle(pressed)
    assert (answer["exam"], answer["frames"]) == (uid, 4)


def test_nor_while_a_button_that_was_pressed_in_it_waits_its_turn(tmp_path: Path) -> None:
    studio, uid = idle_after_a_minute(tmp_path)
    studio.clock.advance(59 * SECOND)
    studio.show()
    pressed = studio.shutter.ask(Still())
    studio.clock.advance(5 * SECOND)
    assert studio.settle(pressed)["exam"] == uid


def test_a_clip_that_was_refused_was_something_that_happened(tmp_path: Path) -> None:
    studio, _ = idle_after_a_minute(tmp_path)
    studio.clock.advance(55 * SECOND)
    studio.ask(ClipStart())
    studio.clock.advance(10 * SECOND)
    with pytest.raises(CaptureRefused, match="no picture"):
        studio.ask(ClipStop())
    studio.clock.advance(5 * SECOND)
    studio.shutter.step(0.0)
    assert not studio.events_named("exam.closed-idle")


def test_a_clip_whose_scanner_fell_silent_keeps_no_exam_open_and_is_stored_in_it(tmp_path: Path) -> None:
    studio, uid = idle_after_a_minute(tmp_path)
    studio.ask(ClipStart())
    passed = studio.show(20)
    for _ in range(15):
        studio.clock.advance(5 * SECOND)
        studio.shutter.step(0.0)
    assert studio.exams.current is None
    (draft,) = studio.shelf.drafts.values()
    assert draft.exam_uid == uid
    assert same(originals(studio, "capture-1"), passed)


def test_at_the_start_yesterdays_exam_ends_before_anything_that_was_asked_for(tmp_path: Path) -> None:
    studio, uid = idle_after_a_minute(tmp_path)
    studio.clock.advance(9 * 3600 * SECOND)
    studio.start()
    asked = studio.shutter.do(lambda: {"exam": studio.exams.current}, Future())
    assert studio.settle(asked)["exam"] is None
    assert [event["exam"] for event in studio.events_named("exam.closed-idle")] == [uid]


def test_a_clip_without_a_picture_is_refused(studio: Studio) -> None:
    studio.show()
    studio.ask(ClipStart())
    with pytest.raises(CaptureRefused, match="no picture of stream s came"):
        studio.ask(ClipStop())
    assert not studio.recorder.is_recording("s")


def test_a_burst_is_so_many_stills_so_far_apart(studio: Studio) -> None:
    studio.show()
    pressed = studio.shutter.ask(Burst(count=3, every_ms=100))
    studio.shutter.step(0.0)
    passed = studio.show(9)
    answer = studio.settle(pressed)
    assert len(answer["captures"]) == 3
    stored = [originals(studio, capture)[0] for capture in answer["captures"]]
    assert same(stored, [passed[0], passed[3], passed[6]]) or same(stored, [passed[0], passed[4], passed[8]])
    assert [draft.kind for draft in studio.shelf.drafts.values()] == ["burst"] * 3


def test_a_burst_whose_pictures_stop_coming_stores_what_came_and_says_so(studio: Studio) -> None:
    studio.show()
    pressed = studio.shutter.ask(Burst(count=5, every_ms=0))
    studio.shutter.step(0.0)
    studio.show(2)
    studio.clock.advance(2 * SECOND)
    answer = studio.settle(pressed)
    assert answer["frames"] == 2
    assert "2 pictures came, not 5" in answer["notices"]


def test_captures_go_on_while_a_burst_waits_for_its_pictures(studio: Studio) -> None:
    studio.show()
    pressed = studio.shutter.ask(Burst(count=3, every_ms=500))
    assert studio.ask(Still())["frames"] == 1
    assert not pressed.done()


# ------------------------------------------------ what cannot be stored


def test_what_cannot_be_stored_is_said_at_once_with_the_reason(studio: Studio) -> None:
    studio.show(3)
    studio.shelf.refusal = CaptureRefused("not stored: the disk is full")
    for request in (Still(), Back(), ClipStart()):
        with pytest.raises(CaptureRefused, match="the disk is full"):
            studio.ask(request)
    assert [event["reason"] for event in studio.events_named("capture.refused")] == ["not stored: the disk is full"] * 3
    studio.shelf.refusal = None
    assert studio.ask(Still())["frames"] == 1


def test_half_a_burst_says_how_much_of_it_is_stored(studio: Studio) -> None:
    studio.show()
    studio.shelf.room_for = 2
    pressed = studio.shutter.ask(Burst(count=4, every_ms=0))
    studio.shutter.step(0.0)
    studio.show(4)
    with pytest.raises(CaptureRefused, match="only 2 of 4 parts are stored; then: not stored: the disk is full"):
        studio.settle(pressed)
    assert len(studio.shelf.drafts) == 2


def test_a_fault_of_our_own_costs_the_capture_and_nothing_else(studio: Studio) -> None:
    studio.show()
    studio.shelf.refusal = ValueError("PHANTOM^ONE is no good")
    with pytest.raises(CaptureRefused, match="a fault of this software \\(ValueError\\)") as caught:
        studio.ask(Still())
    assert "PHANTOM" not in str(caught.value) + repr(studio.heard)
    assert studio.events_named("capture.fault")
    studio.shelf.refusal = None
    assert studio.ask(Still())["frames"] == 1


def test_what_waits_to_be_stored_is_bounded_in_number_and_in_memory(tmp_path: Path) -> None:
    studio = Studio(tmp_path, parse("[capture]\nclip_megabytes = 16"))
    studio.show(40, shape=(512, 512))
    first = studio.shutter.ask(Back(seconds=9.0))  # 40 frames of 0.5 MB: alone it may be larger than the bound
    with pytest.raises(CaptureRefused, match="still being stored"):
        studio.shutter.ask(Still())
    studio.settle(first)
    asked = [studio.shutter.ask(Still()) for _ in range(16)]
    with pytest.raises(CaptureRefused, match="16 captures are waiting"):
        studio.shutter.ask(Still())
    assert [studio.settle(one)["frames"] for one in asked] == [1] * 16


def test_at_the_end_what_was_recorded_is_stored_and_what_waits_is_told(studio: Studio) -> None:
    studio.show()
    studio.ask(ClipStart())
    studio.show(4)
    waiting = studio.shutter.ask(Still())
    studio.shutter._end()
    assert len(studio.shelf.drafts) == 1
    with pytest.raises(CaptureRefused, match="stopping"):
        waiting.result(0)
    with pytest.raises(CaptureRefused, match="stopping"):
        studio.shutter.ask(Still())


def test_a_clock_that_jumps_back_ten_years_loses_nothing(studio: Studio) -> None:
    studio.show(30, step_ms=40)
    studio.wall_shift = timedelta(days=-3650)
    answer = studio.ask(Back(seconds=0.4))
    assert answer["frames"] == 10
    assert studio.shelf.drafts[answer["captures"][0]].captured.startswith("2016")


# ------------------------------------------------ the C-arm's angles

XA, XRF = "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.12.2"
FLUOROSCOPY = {"modality": Modality.FLUOROSCOPY}


def take_clip(studio: Studio, start: ClipStart) -> dict[str, Any]:
    studio.ask(start)
    studio.show(3, **FLUOROSCOPY)
    return studio.ask(ClipStop())


def take_burst(studio: Studio, burst: Burst) -> dict[str, Any]:
    answer = studio.shutter.ask(burst)
    studio.shutter.step(0.0)
    studio.show(3, **FLUOROSCOPY)
    return studio.settle(answer)


ANGLED: dict[str, Callable[[Studio, tuple[float, float] | None], dict[str, Any]]] = {
    "still": lambda studio, angles: studio.ask(Still(angles=angles)),
    "back": lambda studio, angles: studio.ask(Back(seconds=0.2, angles=angles)),
    "clip": lambda studio, angles: take_clip(studio, ClipStart(angles=angles)),
    "burst": lambda studio, angles: take_burst(studio, Burst(count=2, every_ms=0, angles=angles)),
}


@pytest.mark.parametrize("kind", ANGLED)
@pytest.mark.parametrize(("angles", "sop_class"), [((30.5, -12.0), XA), (None, XRF)])
def test_fluoroscopy_with_the_c_arms_angles_is_angiography(
    studio: Studio, kind: str, angles: tuple[float, float] | None, sop_class: str
) -> None:
    studio.show(8, **FLUOROSCOPY)
    answer = ANGLED[kind](studio, angles)
    assert answer["captures"]
    for capture in answer["captures"]:
        for made, file in zip(studio.shelf.drafts[capture].objects, studio.shelf.files[capture], strict=True):
            elements = Stored(io.BytesIO(file)).elements
            assert made.sop_class == sop_class
            told = elements.get("PositionerPrimaryAngle"), elements.get("PositionerSecondaryAngle")
            assert told == (angles or (None, None))


def test_the_angles_of_one_clip_are_not_the_next_ones(studio: Studio) -> None:
    studio.show(2, **FLUOROSCOPY)
    take_clip(studio, ClipStart(angles=(1.0, 2.0)))
    (capture,) = take_clip(studio, ClipStart())["captures"]
    assert {made.sop_class for made in studio.shelf.drafts[capture].objects} == {XRF}


def test_angles_of_an_ultrasound_picture_are_left_out_and_that_is_told(studio: Studio) -> None:
    studio.show(2, modality=Modality.ULTRASOUND)
    answer = studio.ask(Still(angles=(1.0, 2.0)))
    assert answer["notices"] == ["the angles are left out: this is no fluoroscopy"]
    assert studio.shelf.drafts[answer["captures"][0]].modality == "US"


@pytest.mark.parametrize("angles", [[181, 0], [0, -91], [1], "30"])
def test_angles_that_no_c_arm_has_are_refused(angles: object) -> None:
    message = json.dumps({"do": "capture-still", "angles": angles})
    with pytest.raises(msgspec.ValidationError, match="angles"):
        msgspec.json.decode(message, type=Request)
