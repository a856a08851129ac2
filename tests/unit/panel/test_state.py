"""What becomes of pictures, answers and fingers: the whole panel but its screen and threads, on a manual clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge.clock import MS, SECOND
from edge.frame import EngineId, Treatment, Why
from edge.panel import words
from edge.panel.freeze import TO_CONFIRM, TO_THAW
from edge.panel.keys import Do, Intent
from edge.panel.notes import Mood
from edge.panel.state import STRENGTH_STEP
from edge.panel.watch import Liveness
from edge.wire import Flag
from tests.unit.panel.scenes import Bedside, grey


@pytest.fixture
def bed() -> Bedside:
    made = Bedside()
    made.pictures(30, original=grey(shape=(96, 128)))
    return made


def told(bed: Bedside) -> list[str]:
    return [note.text for note in bed.state.notes.now(bed.clock.now())]


def shown_seq(bed: Bedside) -> int:
    assert bed.state.shown is not None
    return bed.state.shown.report.seq


# ------------------------------------------------ how this display looks at it


def test_original_and_back_is_instant_and_asks_nobody(bed: Bedside) -> None:
    for original in (True, False):
        bed.do(Do.ORIGINAL)
        assert bed.state.view.look.original is original
    assert bed.asked == []


def test_where_the_whole_appliance_shows_the_original_it_is_asked_to_go_back(bed: Bedside) -> None:
    more: dict[str, Any] = {"treatment": Treatment.ORIGINAL, "why": Why.OPERATOR, "engine": EngineId()}
    bed.picture(flags=Flag.LIVE | Flag.ORIGINAL_VIEW, **more)
    bed.do(Do.ORIGINAL)
    assert bed.asked == [("set", {"stream": "probe-1", "view": "enhanced"})]
    assert not bed.state.view.original


def test_original_leaves_the_split(bed: Bedside) -> None:
    bed.do(Do.SPLIT)
    bed.state.do(Intent(Do.DIVIDE, 0.3))
    assert bed.state.view.look.split_at == 0.3
    bed.do(Do.ORIGINAL)
    assert (bed.state.view.look.split_at, bed.state.view.look.original) == (None, True)


def test_brightness_and_contrast_and_the_way_back(bed: Bedside) -> None:
    bed.do(Do.BRIGHTER, Do.STEEPER)
    assert bed.state.view.tone.centre < 0.5
    assert bed.state.view.tone.width < 1
    bed.do(Do.AUTO)
    assert bed.state.view.tone.width < 0.9
    bed.do(Do.RESET)
    assert (bed.state.view.tone.centre, bed.state.view.tone.width) == (0.5, 1.0)


# ------------------------------------------------ one late frame


LATE: dict[str, Any] = {
    "treatment": Treatment.ORIGINAL, "why": Why.LATE, "flags": Flag.LIVE | Flag.STAND_IN, "engine": EngineId(),
}  # fmt: skip


def test_for_one_late_frame_the_enhanced_picture_stays_and_its_age_counts_on(bed: Bedside) -> None:
    before = shown_seq(bed)
    bed.picture(original=grey(shape=(96, 128)), **LATE)
    assert shown_seq(bed) == before
    assert bed.state.shown.age_ns(bed.clock.now()) > 40 * MS  # type: ignore[union-attr]
    bed.picture(original=grey(shape=(96, 128)), **LATE)
    assert shown_seq(bed) == before + 2, "at most one in a row"


@pytest.mark.parametrize("view", [Do.ORIGINAL, Do.SPLIT])
def test_who_looks_at_the_original_gets_the_newest(bed: Bedside, view: Do) -> None:
    bed.do(view)
    before = shown_seq(bed)
    bed.picture(original=grey(shape=(96, 128)), **LATE)
    assert shown_seq(bed) == before + 1


def test_of_another_session_or_size_nothing_is_held_over(bed: Bedside) -> None:
    before = shown_seq(bed)
    bed.picture(original=grey(shape=(96, 128)), session=8, **LATE)
    assert shown_seq(bed) == before + 1


# ------------------------------------------------ freeze and scroll


def test_frozen_here_it_stands_at_once_and_the_daemon_is_asked(bed: Bedside) -> None:
    at = shown_seq(bed)
    bed.do(Do.FREEZE)
    assert bed.asked == [("freeze", {"stream": "probe-1"})]
    assert bed.state.frozen is not None
    assert shown_seq(bed) == at


def test_what_stands_in_the_end_is_what_the_daemon_froze(bed: Bedside) -> None:
    at = shown_seq(bed)
    bed.do(Do.FREEZE)
    bed.picture(original=grey(shape=(96, 128)))  # it had left before the daemon heard
    bed.notice(Flag.FROZEN | Flag.LIVE)
    assert shown_seq(bed) == at + 1
    assert bed.state.frozen is not None
    assert bed.state.frozen.confirmed


def test_a_picture_that_the_daemon_froze_and_nobody_drew_is_found_among_the_last_seconds(bed: Bedside) -> None:
    at = shown_seq(bed)
    bed.do(Do.FREEZE)
    bed.passes(TO_CONFIRM + MS)  # a daemon that takes its time
    bed.picture(original=grey(shape=(96, 128)))
    assert shown_seq(bed) == at
    bed.notice(Flag.FROZEN | Flag.LIVE)
    assert shown_seq(bed) == at + 1
    bed.do(Do.STILL)
    assert bed.asked[-1][0] == "capture-still"


def test_a_late_frame_that_was_held_over_is_what_stands_when_it_is_what_the_daemon_froze(bed: Bedside) -> None:
    bed.picture(original=grey(shape=(96, 128)), **LATE)
    bed.notice(Flag.FROZEN | Flag.LIVE)
    assert bed.state.shown.report.treatment is Treatment.ORIGINAL  # type: ignore[union-attr]


def test_where_the_picture_that_the_daemon_froze_never_came_a_still_is_refused(bed: Bedside) -> None:
    bed.do(Do.FREEZE)
    bed.last = replace(bed.last, seq=bed.seq + 3)  # type: ignore[type-var]
    bed.notice(Flag.FROZEN | Flag.LIVE)
    bed.passes(TO_CONFIRM + MS)
    assert words.FREEZE_ALONE in told(bed)
    bed.do(Do.STILL)
    assert words.FREEZE_ALONE_STILL in told(bed)


def test_scrolling_shows_both_pictures_of_earlier_frames_and_no_others(bed: Bedside) -> None:
    at = shown_seq(bed)
    bed.do(Do.FREEZE, Do.OLDER, Do.OLDER)
    assert shown_seq(bed) == at - 2
    assert bed.state.shown.report.original is not None  # type: ignore[union-attr]
    bed.do(Do.NEWER)
    assert shown_seq(bed) == at - 1
    bed.state.do(Intent(Do.SCROLL, 0.0))
    assert shown_seq(bed) == at - 29
    bed.do(*[Do.OLDER] * 5)
    assert shown_seq(bed) == at - 29
    bed.state.do(Intent(Do.SCROLL, 1.0))
    assert shown_seq(bed) == at


def test_while_one_scrolls_a_late_picture_does_not_move_the_view(bed: Bedside) -> None:
    bed.do(Do.FREEZE, Do.OLDER, Do.OLDER)
    at = shown_seq(bed)
    bed.picture(original=grey(shape=(96, 128)))
    assert shown_seq(bed) == at


def test_frozen_elsewhere_it_is_frozen_here_and_let_go_as_well(bed: Bedside) -> None:
    bed.notice(Flag.FROZEN | Flag.LIVE)
    assert bed.state.frozen is not None
    assert len(bed.state.frozen.pictures) == 30
    bed.picture(original=grey(shape=(96, 128)))
    assert bed.state.frozen is None
    assert bed.asked == []


def test_letting_go_is_asked_and_frozen_is_said_until_the_first_picture(bed: Bedside) -> None:
    bed.do(Do.FREEZE)
    bed.notice(Flag.FROZEN | Flag.LIVE)
    bed.do(Do.FREEZE)
    assert bed.asked[-1] == ("unfreeze", {"stream": "probe-1"})
    bed.notice(Flag.FROZEN | Flag.LIVE)  # it was on its way already
    assert bed.state.frozen is not None
    bed.picture(original=grey(shape=(96, 128)))
    assert bed.state.frozen is None


def test_where_no_picture_comes_after_letting_go_it_is_not_live(bed: Bedside) -> None:
    bed.do(Do.FREEZE)
    bed.notice(Flag.FROZEN)
    bed.do(Do.FREEZE)
    bed.passes(TO_THAW + MS)
    assert bed.state.frozen is None
    assert bed.state.watch.liveness(bed.clock.now()) is Liveness.NOT_LIVE


def test_a_daemon_that_does_not_confirm_is_told_and_a_still_refused(bed: Bedside) -> None:
    bed.do(Do.FREEZE)
    bed.do(Do.STILL)
    assert told(bed) == [words.FREEZE_PENDING]
    bed.passes(TO_CONFIRM + MS)
    assert words.FREEZE_ALONE in told(bed)
    bed.do(Do.STILL)
    assert words.FREEZE_ALONE_STILL in told(bed)
    at = shown_seq(bed)
    bed.picture(original=grey(shape=(96, 128)))  # it goes on sending
    assert shown_seq(bed) == at
    assert [do for do, _ in bed.asked] == ["freeze"]


def test_without_a_picture_there_is_nothing_to_freeze_or_to_store() -> None:
    bed = Bedside()
    bed.do(Do.FREEZE, Do.STILL)
    assert told(bed) == [words.NOTHING_TO_FREEZE, words.NOTHING_TO_STORE]
    assert bed.asked == []


# ------------------------------------------------ strength


def test_strength_goes_in_steps_from_what_the_daemon_has_and_stays_in_bounds(bed: Bedside) -> None:
    bed.status(strength=75.0)
    bed.do(Do.STRONGER, Do.STRONGER, Do.STRONGER)
    asked = [more["strength_percent"] for _, more in bed.asked]
    assert asked == [85.0, 95.0, 100.0]
    bed.status(strength=75.0)  # from before it was asked
    bed.do(Do.WEAKER)
    assert bed.asked[-1][1] == {"stream": "probe-1", "strength_percent": 100.0 - STRENGTH_STEP}
    bed.passes(2 * SECOND)
    bed.status(strength=40.0)  # somebody else has changed it since
    bed.do(Do.WEAKER)
    assert bed.asked[-1][1]["strength_percent"] == 30.0


def test_a_frozen_picture_keeps_its_strength(bed: Bedside) -> None:
    bed.do(Do.FREEZE, Do.STRONGER)
    assert [do for do, _ in bed.asked] == ["freeze"]


def test_a_refused_wish_is_told(bed: Bedside) -> None:
    bed.reply("set", "64 streams have settings of their own already")
    bed.reply("freeze", "none", answered=False)
    assert told(bed) == [words.REFUSED.format(reason="64 streams have settings of their own already"), words.NO_REPLY]


# ------------------------------------------------ captures


@pytest.mark.parametrize(
    ("deed", "asked", "more"),
    [
        (Do.STILL, "capture-still", {}),
        (Do.BACK, "capture-back", {"seconds": 10.0}),
        (Do.CLIP, "capture-clip-start", {}),
    ],
)
def test_a_capture_is_asked_of_this_stream(bed: Bedside, deed: Do, asked: str, more: dict[str, Any]) -> None:
    bed.do(deed)
    assert bed.asked == [(asked, {"stream": "probe-1", **more})]
    assert len(told(bed)) == 1
    bed.passes(30 * SECOND)
    assert len(told(bed)) == 1, "until its answer comes"


def test_stored_is_told_with_all_that_came_with_it(bed: Bedside) -> None:
    bed.do(Do.BACK)
    bed.stored("capture-back", kind="clip", frames=300, seconds=9.97, held=True, notices=["a gap"], opened_exam=True)
    (note,) = bed.state.notes.now(bed.clock.now())
    assert note.text.startswith("STORED: clip of 10.0 s, 300 frames")
    for part in (words.HELD_NOTE, words.EMERGENCY, "a gap"):
        assert part in note.text
    assert note.mood is Mood.CAUTION


def test_a_refusal_is_told_with_its_reason_and_stays(bed: Bedside) -> None:
    bed.do(Do.STILL)
    bed.reply("capture-still", "not stored: the disk is too full")
    bed.passes(10 * SECOND)
    (note,) = bed.state.notes.now(bed.clock.now())
    assert (note.text, note.mood) == ("NOT STORED: the disk is too full", Mood.ALARM)
    bed.do(Do.DISMISS)
    assert told(bed) == []


def test_an_answer_that_did_not_come_is_not_taken_for_no(bed: Bedside) -> None:
    bed.do(Do.STILL)
    bed.reply("capture-still", "no daemon answers", answered=False)
    assert told(bed) == [words.NOT_CONFIRMED]


def test_a_refusal_is_not_pushed_out_by_lesser_news(bed: Bedside) -> None:
    bed.reply("capture-still", "not stored: the disk is too full")
    for _ in range(3):
        bed.do(Do.STRONGER, Do.CLIP)
    assert "NOT STORED: the disk is too full" in told(bed)


def test_scrolled_back_a_still_would_store_another_picture_and_is_refused(bed: Bedside) -> None:
    bed.do(Do.FREEZE)
    bed.notice(Flag.FROZEN | Flag.LIVE)
    bed.do(Do.OLDER, Do.STILL)
    assert told(bed) == [words.SCROLLED_BACK]
    bed.do(Do.NEWER, Do.STILL)
    assert bed.asked[-1] == ("capture-still", {"stream": "probe-1"})


def test_a_clip_is_started_and_stopped_by_the_same_button(bed: Bedside) -> None:
    bed.do(Do.CLIP)
    bed.reply("capture-clip-start", recording=True, longest_s=60.0, opened_exam=False)
    assert bed.state.clip.is_running
    bed.status(recording=False)  # asked before the clip was
    assert bed.state.clip.is_running
    bed.do(Do.CLIP)
    assert bed.asked[-1][0] == "capture-clip-stop"
    bed.stored("capture-clip-stop", kind="clip", frames=31, seconds=1.0)
    assert not bed.state.clip.is_running


def test_a_clip_that_others_started_is_told_and_can_be_stopped_here(bed: Bedside) -> None:
    bed.status(recording=True)
    assert bed.state.clip.is_running
    assert bed.state.clip.since_ns is None, "since when is not known here"
    bed.do(Do.CLIP)
    assert bed.asked[-1][0] == "capture-clip-stop"


def test_a_clip_that_ended_by_itself_is_asked_about(bed: Bedside) -> None:
    bed.do(Do.CLIP)
    bed.reply("capture-clip-start", recording=True, longest_s=1.0, opened_exam=False)
    bed.pictures(90, original=grey(shape=(96, 128)))
    bed.status(recording=False)
    assert bed.asked[-1][0] == "capture-clip-stop"


def test_a_daemon_lost_while_recording_is_told(bed: Bedside) -> None:
    bed.do(Do.CLIP)
    bed.reply("capture-clip-start", recording=True, longest_s=60.0, opened_exam=False)
    bed.passes(SECOND)
    assert words.CLIP_BROKEN in told(bed)
    assert not bed.state.clip.is_running


# ------------------------------------------------ streams


def test_another_stream_starts_with_nothing_of_the_first(bed: Bedside) -> None:
    bed.status(streams=("probe-1", "probe-2"))
    assert bed.state.other_stream() == "probe-2"
    bed.do(Do.ORIGINAL, Do.FREEZE)
    bed.state.follow("probe-2")
    assert (bed.state.stream, bed.state.shown, bed.state.frozen) == ("probe-2", None, None)
    assert not bed.state.view.original
    bed.picture(stream="probe-2", original=grey(shape=(96, 128)))
    bed.do(Do.STILL)
    assert bed.asked[-1] == ("capture-still", {"stream": "probe-2"})


def test_where_there_is_no_other_stream_it_says_so(bed: Bedside) -> None:
    bed.status()
    assert bed.state.other_stream() == ""
    assert told(bed) == [words.ONE_STREAM]


def test_it_looks_again_in_time_for_not_live_and_at_least_four_times_a_second(bed: Bedside) -> None:
    now = bed.clock.now()
    assert now < bed.state.due_ns() <= now + 65 * MS
    bed.passes(5 * SECOND)
    assert bed.state.due_ns() <= bed.clock.now() + 250 * MS
