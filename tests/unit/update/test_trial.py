"""When a version goes back, when it is kept, and when neither yet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.clock import SECOND
from edge.frame import Why
from edge.update.trial import (
    FEWEST_FRAMES,
    LENGTH_S,
    LOST_S,
    PICTURE_S,
    READY_S,
    SETTLE_S,
    Look,
    StreamLook,
    Stretch,
    Trial,
    Watch,
    stretches,
)  # fmt: skip

LATE, FAULT = Why.LATE.words, Why.FAULT.words
BEFORE = {"s": Stretch(enhanced=2000, late=10, faults=0, p99_ms=12.0)}


def trial(**more: object) -> Trial:
    return Trial("2", "1", "2026-11-20T10:00:00+00:00", streams=BEFORE, starts=1, **more)  # type: ignore[arg-type]


def at(seconds: float, enhanced: int = 0, late: int = 0, faults: int = 0, p99_ms: float = 12.0, **more: object) -> Look:
    stream = StreamLook({"engine": enhanced}, {LATE: late, FAULT: faults}, p99_ms)
    look = Look(int(seconds * SECOND), "2", 10, {"s": stream})
    return replace(look, **more)  # type: ignore[arg-type]


def watched(*looks: Look, of: Trial | None = None) -> tuple[str, str]:
    watch = Watch(of or trial(), 0)
    for look in looks:
        verdict = watch.see(look)
        if verdict.outcome != "watch":
            return verdict.outcome, verdict.why
    return "watch", ""


def steady(until_s: float, frames_a_second: int = 30, **more: object) -> list[Look]:
    return [at(second, 1 + second * frames_a_second, **more) for second in range(1, int(until_s) + 1)]


def test_a_version_that_does_as_before_is_kept_when_its_time_is_over() -> None:
    assert watched(*steady(LENGTH_S - 1)) == ("watch", "")
    assert watched(*steady(LENGTH_S + 1)) == ("held", "")


def test_without_a_scanner_its_processes_alone_decide() -> None:
    nobody = [replace(look, streams={}) for look in steady(LENGTH_S + 1)]
    assert watched(*nobody, of=replace_streams(trial())) == ("held", "")


def replace_streams(of: Trial) -> Trial:
    return Trial(of.version, of.before, of.began, starts=of.starts)


def test_one_that_never_answers_goes_back() -> None:
    silent = [Look(int(second * SECOND)) for second in range(1, int(READY_S) + 2)]
    assert watched(*silent[:-1]) == ("watch", "")
    assert watched(*silent) == ("back", f"not ready in {READY_S:g} s")


def test_that_the_old_one_answers_is_no_answer() -> None:
    old = [at(second, version="1") for second in range(1, int(READY_S) + 2)]
    assert watched(*old) == ("back", f"not ready in {READY_S:g} s; what answers is 1")


def test_one_end_is_forgiven_a_second_is_not() -> None:
    assert watched(at(1, 1, ends={"live": 1}))[0] == "watch"
    assert watched(at(1, 1, ends={"live": 2})) == ("back", "live ended 2 times by itself")
    assert watched(at(1, 1, ends={"live": 1, "console": 1}))[0] == "back"


def test_a_process_that_was_given_up_is_the_end_of_it() -> None:
    assert watched(at(1, 1, down=("limpid-forward.service",)))[1] == "limpid-forward.service does not run"


def test_one_that_falls_silent_goes_back() -> None:
    looks = [at(1, 1), *(Look(int(second * SECOND)) for second in range(2, int(LOST_S) + 3))]
    assert watched(*looks[:-1])[0] == "watch"
    assert watched(*looks)[0] == "back"


def test_a_stream_that_was_there_must_be_shown_again() -> None:
    dark = [at(second, streams={}) for second in range(1, int(PICTURE_S) + 3)]
    outcome, why = watched(*dark)
    assert outcome == "back"
    assert "no picture" in why
    assert watched(*dark, of=trial_after_a_power_cut())[0] == "watch"  # nobody knows whether the scanner is on


def trial_after_a_power_cut() -> Trial:
    return Trial("2", "1", "", streams=BEFORE, starts=2)


def test_the_time_until_the_picture_is_told() -> None:
    watch = Watch(trial(), 0)
    watch.see(at(1.5))
    assert watch.picture_back_s is None
    watch.see(at(2.0, 1))
    assert watch.picture_back_s == 2.0


def test_faults_take_it_back_at_once() -> None:
    outcome, why = watched(at(1), at(1 + SETTLE_S), at(8, enhanced=60, faults=5))
    assert outcome == "back"
    assert "5 of 65 frames without a usable result" in why


def test_late_frames_take_it_back_once_there_are_enough_of_them() -> None:
    start = (at(1), at(1 + SETTLE_S))
    few, many = FEWEST_FRAMES // 2, FEWEST_FRAMES
    assert watched(*start, at(10, enhanced=0, late=few))[0] == "watch"
    assert watched(*start, at(10, enhanced=0, late=many))[0] == "back"
    assert watched(*start, at(10, enhanced=many, late=many // 50))[0] == "watch"  # hardly more than before


def test_a_slower_tail_takes_it_back() -> None:
    looks = [at(1), at(1 + SETTLE_S), at(40, enhanced=FEWEST_FRAMES, p99_ms=24.0)]
    outcome, why = watched(*looks)
    assert outcome == "back"
    assert why == "s: p99 24.0 ms from frame to picture, 12.0 ms before"


def test_frames_of_its_first_seconds_are_not_counted() -> None:
    assert watched(at(1), at(2, late=900), at(1 + SETTLE_S, late=900), at(20, enhanced=900, late=900))[0] == "watch"


@pytest.mark.parametrize("pid", [10, 11])
def test_before_the_switch_only_streams_that_frames_come_from_count(pid: int) -> None:
    gone = StreamLook({"engine": 50}, {}, None)
    first = replace(at(0, 100), streams={"s": at(0, 100).streams["s"], "gone": gone})
    last = replace(at(5, 900), streams={"s": at(5, 900, late=3).streams["s"], "gone": gone}, pid=pid)
    found = stretches(first, last)
    assert found["s"] == Stretch(900, 3, 0, 12.0)
    assert ("gone" in found) is (pid != 10)  # of another process nothing is known from before
