from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from edge.alarm import Alarm
from edge.clock import SECOND
from edge.errors import SinkRejected, SinkUnavailable
from edge.sinks import Parcel, Receipt
from tests.archives import phantom, put
from tests.fake_sink import FakeSink, Post

HOUR = 3600 * SECOND


def away(_parcel: Parcel) -> Receipt:
    raise SinkUnavailable("nobody there")


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path / "outbox")


def test_what_waits_is_sent_and_marked(post: Post) -> None:
    one, two = phantom(1), phantom(2)
    put(post.outbox, one, two)
    assert post.send_all() == 2
    assert post.sink.holds == {one.sop_uid: one.content, two.sop_uid: two.content}
    assert post.count("sent") == 2
    assert not post.courier.step()


def test_stat_goes_first_then_the_oldest(post: Post) -> None:
    first, second, urgent = phantom(1), phantom(2), phantom(3)
    put(post.outbox, first)
    put(post.outbox, second)
    put(post.outbox, urgent, priority="stat")
    post.send_all()
    assert post.sink.arrived == [urgent.sop_uid, first.sop_uid, second.sop_uid]


def test_what_is_held_stays(post: Post) -> None:
    capture = put(post.outbox, phantom(1), held=True)
    assert not post.courier.step()
    post.outbox.release(capture)
    assert post.courier.step()


def test_a_warning_stays_visible(post: Post) -> None:
    put(post.outbox, phantom(1))
    post.sink.mood = lambda _parcel: Receipt("stored, with some elements discarded", 0xB006)
    post.courier.step()
    (item,) = post.outbox.items("pacs", "sent")
    facts = post.outbox.facts(item, "sent")
    assert facts is not None
    assert facts.warning == "stored, with some elements discarded"
    assert post.log.of("object.sent")[0]["warning"]


def test_a_refusal_for_good_is_parked_with_its_reason_and_the_queue_goes_on(post: Post) -> None:
    bad, good = phantom(1), phantom(2)
    put(post.outbox, bad)
    put(post.outbox, good)

    def mood(parcel: Parcel) -> Receipt:
        if parcel.sop_uid == bad.sop_uid:
            raise SinkRejected("cannot understand the object (0xC000)")
        return Receipt()

    post.sink.mood = mood
    post.send_all()
    (item,) = post.outbox.items("pacs", "parked")
    facts = post.outbox.facts(item, "parked")
    assert facts is not None
    assert facts.reason == "cannot understand the object (0xC000)"
    assert list(post.sink.holds) == [good.sop_uid]


def test_an_object_that_never_gets_through_does_not_stop_the_others(post: Post) -> None:
    poison, others = phantom(0), [phantom(number) for number in range(1, 6)]
    for thing in (poison, *others):
        put(post.outbox, thing)

    def mood(parcel: Parcel) -> Receipt:
        if parcel.sop_uid == poison.sop_uid:
            raise SinkUnavailable("aborted")
        return Receipt()

    post.sink.mood = mood
    for _ in range(20):
        post.send_all()
        post.clock.advance(5 * SECOND)
    assert set(post.sink.holds) == {other.sop_uid for other in others}
    assert post.count("waiting") == 1
    post.sink.mood = lambda _parcel: Receipt()
    post.clock.advance(400 * SECOND)
    assert post.send_all() == 1


def test_the_wait_grows_and_ends_never(post: Post) -> None:
    put(post.outbox, phantom(1))
    post.sink.mood = away
    moments: list[int] = []
    while post.clock.now() < 6 * HOUR:
        if post.courier.step():
            moments.append(post.clock.now())
        post.clock.advance(SECOND)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert gaps[0] <= 9 * SECOND
    assert max(gaps) <= 301 * SECOND
    assert len(moments) > 6 * 3600 / 301


def test_seven_days_away_then_everything_goes_within_minutes(post: Post) -> None:
    things = [phantom(number, size=16) for number in range(40)]
    for thing in things:
        put(post.outbox, thing)
    post.sink.mood = away
    start = post.clock.now()
    while post.clock.now() - start < 7 * 24 * HOUR:
        post.send_all()
        post.clock.advance(60 * SECOND)
    assert post.count("waiting") == 40
    post.sink.mood = lambda _parcel: Receipt()
    post.clock.advance(301 * SECOND)  # at most the longest wait
    assert post.send_all() == 40
    assert sorted(post.sink.arrived) == sorted(thing.sop_uid for thing in things)
    assert "destination.back" in post.log.names()


def test_a_restart_in_between_forgets_nothing_and_repeats_nothing(post: Post) -> None:
    for number in range(6):
        put(post.outbox, phantom(number))
    for _ in range(3):
        post.courier.step()
    post.restart()
    post.send_all()
    assert len(post.sink.arrived) == len(set(post.sink.arrived)) == 6


def test_a_damaged_object_is_set_aside_and_the_queue_goes_on(post: Post) -> None:
    damaged, good = phantom(1), phantom(2)
    capture = put(post.outbox, damaged)
    put(post.outbox, good)
    file = post.outbox.folder / "captures" / capture / "1-original.dcm"
    file.write_bytes(file.read_bytes()[:-10] + b"0123456789")
    post.send_all()
    assert list(post.sink.holds) == [good.sop_uid]
    assert post.count("damaged") == 1
    assert post.log.of("object.damaged")[0]["capture"] == capture


def test_while_it_fails_one_thread_tries_and_the_others_wait(tmp_path: Path) -> None:
    post = Post(tmp_path / "outbox", FakeSink(lanes=4))
    for number in range(4):
        put(post.outbox, phantom(number))
    found: list[bool] = []

    def mood(parcel: Parcel) -> Receipt:
        post.sink.mood = away
        found.append(post.courier.step())  # what another thread finds at this moment
        raise SinkUnavailable("hung")

    post.sink.mood = mood
    post.courier.step()
    assert found == [True]  # nothing was known yet
    post.clock.advance(10 * SECOND)
    post.sink.mood = mood
    post.courier.step()
    assert found == [True, False]


def test_outside_its_window_only_stat_goes(tmp_path: Path) -> None:
    post = Post(tmp_path / "outbox", schedule=("22:00-06:00",))
    routine, stat = phantom(1), phantom(2)
    put(post.outbox, routine)
    put(post.outbox, stat, priority="stat")
    post.send_all()
    assert post.sink.arrived == [stat.sop_uid]
    post.wall = post.wall.replace(hour=23)
    post.send_all()
    assert post.sink.arrived == [stat.sop_uid, routine.sop_uid]


def test_a_metered_link_is_spared(tmp_path: Path) -> None:
    post = Post(tmp_path / "outbox", metered="hold")
    put(post.outbox, phantom(1), priority="stat")
    post.is_metered = True
    assert post.send_all() == 0
    post.is_metered = False
    assert post.send_all() == 1


def test_only_a_destination_taken_at_its_word_confirms_by_storing(tmp_path: Path) -> None:
    for trust, state in ((False, "sent"), (True, "confirmed")):
        post = Post(tmp_path / str(trust), FakeSink(confirms=False), trust=trust)
        put(post.outbox, phantom(1))
        post.send_all()
        post.settling.settle()
        assert post.count(state) == 1


def test_stopping_is_nobodys_failure(post: Post) -> None:
    put(post.outbox, phantom(1))

    def mood(parcel: Parcel) -> Receipt:
        post.stop.set()
        raise SinkUnavailable("we are leaving")

    post.sink.mood = mood
    post.courier.step()
    assert post.log.names() == []


def test_a_copy_for_teaching_carries_nobodys_name_and_keeps_one_uid(tmp_path: Path) -> None:
    post = Post(tmp_path / "outbox", deidentify=True)
    thing = phantom(1)
    put(post.outbox, thing)
    post.send_all()
    # The phantom does not say where its image is, so writing might be burnt in: a person must look first.
    assert post.count("parked") == 1
    assert post.sink.holds == {}
    assert post.courier.sop_uid(post.outbox.items("pacs", "parked")[0]) != thing.sop_uid


def test_no_event_names_the_patient(post: Post) -> None:
    put(post.outbox, phantom(1))
    post.sink.mood = away
    post.courier.step()
    post.sink.mood = lambda _parcel: Receipt()
    post.clock.advance(HOUR)
    post.send_all()
    post.settling.settle()
    said = json.dumps(post.log.lines)
    assert "object.confirmed" in said
    assert "PHANTOM" not in said
    assert "PH-0001" not in said


def test_the_alarm_tells_of_what_waits_too_long_and_when_it_is_over(post: Post) -> None:
    capture = put(post.outbox, phantom(1))
    alarm = Alarm("pacs", 24.0, post.around)
    alarm.look()
    assert post.log.names() == []
    post.clock.advance(25 * HOUR)
    alarm.look()
    alarm.look()
    assert post.log.of("queue.old") == [{"destination": "pacs", "hours": 25.0, "objects": 1, "capture": capture}]
    post.send_all()
    alarm.look()
    assert post.log.names()[-1] == "queue.well"


def test_the_alarm_is_not_fooled_by_a_clock_that_jumps_back(post: Post) -> None:
    put(post.outbox, phantom(1))
    post.wall = post.wall.replace(year=2016)
    alarm = Alarm("pacs", 24.0, post.around)
    alarm.look()
    post.clock.advance(25 * HOUR)
    alarm.look()
    assert "queue.old" in post.log.names()
