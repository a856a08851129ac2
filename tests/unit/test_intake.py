"""Which frames may join a stream, and where every one of the others went."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.clock import MS, SECOND, ManualClock
from edge.errors import BadFrame, SourceUnavailable
from edge.frame import Frame
from edge.health import Events
from edge.intake import FORGOTTEN, MOST_AT_ONCE, TAKEOVER, Intake
from tests.fakes import ScriptedSource, frame

TINY = np.zeros((4, 4), np.uint8)


class Door:
    """An intake, and what it says."""

    def __init__(self, items: Iterable[Frame | Exception | None] = (), max_streams: int = 3) -> None:
        self.clock = ManualClock()
        self.heard: list[dict[str, Any]] = []
        self._events = Events(self.clock, io.StringIO())
        self._events.listen(self.heard.append)
        self.source = ScriptedSource(items)
        self.intake = Intake(self.source, self.clock, self._events, max_streams)

    def come(self, seq: int, **more: Any) -> None:
        self.intake.admit(frame(seq, at_ns=self.clock.now(), pixels=TINY, **more))

    def events(self) -> list[dict[str, Any]]:
        self._events.start()
        self._events.close(20)
        return self.heard

    def dropped(self, stream: str = "s") -> dict[str, int]:
        return dict(self.intake.tally(stream).dropped)

    def taken(self) -> tuple[str, int] | None:
        found = self.intake.take(0)
        return None if found is None else (found.stream, found.seq)


def seqs(first: int, count: int, **more: Any) -> list[Frame]:
    return [frame(first + k, at_ns=SECOND, pixels=TINY, **more) for k in range(count)]


def test_the_newest_of_a_stream_is_taken_and_the_others_are_counted_superseded() -> None:
    door = Door(seqs(1, 5))
    assert door.taken() == ("s", 5)
    assert door.dropped() == {"superseded": 4}
    assert door.intake.tally("s").came == 5
    assert door.taken() is None


def test_the_stream_that_has_waited_longest_is_taken_first() -> None:
    door = Door()
    door.come(1, stream="a")
    door.come(1, stream="b")
    door.come(2, stream="a")  # newer, and does not lose its turn
    assert [door.taken(), door.taken()] == [("a", 2), ("b", 1)]


def test_a_second_sender_is_kept_out_while_the_first_speaks() -> None:
    door = Door()
    for seq in range(1, 4):
        door.come(seq, session=1)
        door.come(seq, session=2)
        door.clock.advance(TAKEOVER - 1)
    assert door.dropped() == {"other-sender": 3, "superseded": 2}
    assert {event["reason"] for event in door.events() if event["event"] == "frame.dropped"} == {"other-sender"}


def test_an_intruder_does_not_keep_the_first_senders_place_alive() -> None:
    door = Door()
    door.come(1, session=1)
    door.clock.advance(TAKEOVER // 2)
    door.come(1, session=2)
    door.clock.advance(TAKEOVER // 2)
    door.come(2, session=2)  # the first has been silent for long enough
    assert door.taken() == ("s", 2)
    assert door.dropped()["other-sender"] == 1


@pytest.mark.parametrize("period_ms", [700, 1000, 1400])
def test_a_slow_sender_keeps_its_stream_between_two_of_its_frames(period_ms: int) -> None:
    door = Door()
    shown: list[int] = []
    for n in range(12):
        for session in (1, 2):
            door.come(n, session=session)
            found = door.intake.take(0)
            shown += [found.session] if found is not None else []
            door.clock.advance(period_ms * MS // 2)
    assert len(set(shown[2:])) == 1, f"two senders in one picture: {shown}"


def test_one_that_counts_from_the_start_again_has_no_past_in_what_came_before() -> None:
    door = Door()
    for seq in range(50, 53):
        door.come(seq)
        door.clock.advance(200 * MS)
    door.intake.take(0)
    door.clock.advance(TAKEOVER)
    door.come(1)
    begun = door.intake.take(0)
    assert begun is not None
    assert begun.cut
    door.come(2)
    following = door.intake.take(0)
    assert following is not None
    assert not following.cut


def test_a_silent_senders_stream_is_taken_over_whatever_its_sequence() -> None:
    door = Door()
    door.come(900, session=1)
    door.clock.advance(TAKEOVER)
    door.come(1, session=2)
    assert door.taken() == ("s", 1)
    door.come(901, session=1)  # and now the old one is the stranger
    assert door.taken() is None
    assert "stream.new-session" in [event["event"] for event in door.events()]


def test_a_sequence_that_does_not_rise_is_dropped() -> None:
    door = Door()
    for seq in (5, 5, 3, 4, 6):
        door.come(seq)
    assert door.dropped() == {"backwards": 3, "superseded": 1}
    assert door.taken() == ("s", 6)


def test_a_gap_is_counted_as_lost_on_the_way() -> None:
    door = Door()
    for seq in (1, 2, 5, 6, 16):
        door.come(seq)
    assert door.intake.tally("s").lost_on_the_way == 2 + 9


def test_more_streams_than_there_are_places_are_refused_and_cost_the_others_nothing() -> None:
    door = Door(max_streams=2)
    for stream in ("a", "b", "c", "d", "a"):
        door.come(len(door.intake.tally("a").dropped) + door.intake.tally("a").came + 1, stream=stream)
    assert door.intake.refused == {"too-many-streams": 2}
    assert set(door.intake.tallies) == {"a", "b"}
    assert {event.get("stream") for event in door.events() if event["event"] == "stream.refused"} == {"c", "d"}


def test_a_place_is_free_once_its_stream_has_been_silent_for_long() -> None:
    door = Door(max_streams=1)
    door.come(1, stream="a")
    door.clock.advance(FORGOTTEN)
    door.come(1, stream="b")
    assert door.intake.refused["too-many-streams"] == 1
    door.clock.advance(1)
    door.come(2, stream="b")
    door.intake.take(0)
    assert door.taken() == ("b", 2)


def test_a_thousand_stream_names_leave_no_thousand_tallies_behind() -> None:
    door = Door(max_streams=2)
    for k in range(1000):
        door.come(1, stream=f"s{k}")
    assert len(door.intake.tallies) <= 2
    assert door.intake.refused["too-many-streams"] == 998


def test_what_is_no_frame_is_counted_by_its_reason_and_the_frames_behind_it_come_through() -> None:
    door = Door([BadFrame("malformed", "x"), BadFrame("truncated", "y"), BadFrame("malformed", "z"), *seqs(1, 1)])
    assert door.taken() == ("s", 1)
    assert door.intake.refused == {"malformed": 2, "truncated": 1}
    assert [event["event"] for event in door.events()] == ["frame.refused"] * 3 + ["stream.opened"]


def test_a_source_that_is_away_is_told_and_looked_for_again() -> None:
    door = Door([SourceUnavailable("the camera is unplugged"), *seqs(1, 1)])
    found = [door.taken(), door.taken()]
    assert ("s", 1) in found
    assert ("source.unavailable", "the camera is unplugged") in [
        (event["event"], event.get("reason")) for event in door.events()
    ]


@pytest.mark.parametrize("flood", [seqs(1, 1000), [BadFrame("malformed", "x")] * 1000])
def test_a_flood_is_read_in_bounded_helpings(flood: list[Frame | Exception]) -> None:
    door = Door(flood)
    door.intake.take(0)
    left = len(door.source._items)
    assert 1000 - left <= MOST_AT_ONCE + 1
    assert 1000 - left >= MOST_AT_ONCE  # and not one at a time either: lag must not grow


def test_it_has_ended_when_its_source_has_and_nothing_waits() -> None:
    door = Door(seqs(1, 1))
    assert not door.intake.ended
    door.intake._receive(0)
    assert not door.intake.ended
    assert door.taken() == ("s", 1)
    assert door.intake.ended


FRAMES = st.tuples(
    st.sampled_from("abcd"), st.integers(1, 3), st.integers(0, 20), st.integers(0, SECOND), st.booleans()
)


@given(st.lists(FRAMES, max_size=80))
def test_whatever_comes_every_frame_is_taken_dropped_or_waiting(
    steps: list[tuple[str, int, int, int, bool]],
) -> None:
    door = Door(max_streams=3)
    taken: list[str] = []
    for stream, session, seq, later, takes in steps:
        door.clock.advance(later)
        door.come(seq, stream=stream, session=session)
        if takes and (found := door.taken()) is not None:
            taken.append(found[0])
    waiting = 0
    while door.taken() is not None:
        waiting += 1
    assert waiting <= 3
    tallies = door.intake.tallies.values()
    dropped = sum(sum(tally.dropped.values()) for tally in tallies)
    assert sum(tally.came for tally in tallies) == dropped + len(taken) + waiting
    assert len(steps) == sum(tally.came for tally in tallies) + sum(door.intake.refused.values())


def test_a_sender_that_counts_from_the_start_again_is_heard_once_it_was_silent_for_a_while() -> None:
    clock = ManualClock()
    intake = Intake(ScriptedSource([]), clock, Events(clock, io.StringIO()), 8)
    intake.admit(frame(2**63, at_ns=clock.now()))
    intake.take(0.0)
    for seq in range(1, 30):
        clock.advance(SECOND // 30)
        intake.admit(frame(seq, at_ns=clock.now()))
    assert 0 < intake.tally("s").dropped["backwards"] < 20
    newest = intake.take(0.0)
    assert newest is not None
    assert newest.seq == 29
