from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge import settling
from edge.clock import SECOND
from edge.errors import SinkUnavailable
from edge.outbox import Outbox, Settings
from edge.sinks import Answer
from tests.archives import phantom, put
from tests.fake_sink import Post

MINUTE = 60 * SECOND


@pytest.fixture
def post(tmp_path: Path) -> Post:
    post = Post(tmp_path / "outbox", commitment_minutes=60, ask_every_s=15)
    post.outbox.own_sending()
    return post


def sent(post: Post, count: int = 1) -> list[str]:
    things = [phantom(number, size=16) for number in range(count)]
    for thing in things:
        put(post.outbox, thing)
    post.send_all()
    return [thing.sop_uid for thing in things]


def test_what_the_archive_has_safe_is_confirmed(post: Post) -> None:
    sent(post, 3)
    post.settling.settle()
    assert post.count("confirmed") == 3
    assert len(post.sink.questions) == 1


def test_success_and_then_lost_is_sent_again_under_the_same_uid(post: Post) -> None:
    post.sink.loses = True
    (uid,) = sent(post)
    post.settling.settle()
    assert post.count("waiting") == 1
    post.sink.loses = False
    post.clock.advance(MINUTE)
    post.send_all()
    post.settling.settle()
    assert post.sink.arrived == [uid, uid]
    assert post.count("confirmed") == 1
    assert len(post.log.of("object.lost")) == 1


def test_what_is_lost_again_and_again_goes_out_less_and_less_often(post: Post) -> None:
    post.sink.loses = True
    sent(post)
    while post.clock.now() < 60 * MINUTE:
        post.send_all()
        post.settling.settle()
        post.clock.advance(SECOND)
    assert 10 < len(post.sink.arrived) < 40
    assert post.count("confirmed") == 0


def test_no_answer_in_time_and_it_is_asked_again_with_a_new_transaction(post: Post) -> None:
    post.sink.mute = True
    (uid,) = sent(post)
    post.settling.settle()
    post.clock.advance(59 * MINUTE)
    post.settling.settle()
    assert len(post.sink.questions) == 1
    post.clock.advance(2 * MINUTE)
    post.sink.mute = False
    post.settling.settle()
    first, second = post.sink.questions
    assert first != second
    assert post.count("confirmed") == 1
    assert post.sink.arrived == [uid]


def test_an_answer_that_comes_after_a_restart_still_counts(post: Post) -> None:
    post.sink.mute = True
    (uid,) = sent(post)
    post.settling.settle()
    (transaction,) = post.sink.questions
    post.restart()
    post.settling.settle()
    assert post.sink.questions == [transaction]
    post.sink.answer(transaction, [uid])
    post.settling.settle()
    assert post.count("confirmed") == 1


def session(post: Post, minutes: int) -> None:
    """The appliance is switched on, and off again without a word: what it remembers goes."""
    post.outbox.close()
    post.outbox = Outbox(post.outbox.folder, Settings(watermark_percent=100, least_free_mb=0), clock=post.clock)
    post.outbox.own_sending()
    post.around = replace(post.around, outbox=post.outbox)
    post.restart(commitment_minutes=60, ask_every_s=15)
    for _ in range(minutes * 4):
        post.outbox.remove_confirmed()
        post.send_all()
        post.settling.settle()
        post.clock.advance(15 * SECOND)


def test_a_question_is_asked_again_on_an_appliance_that_is_never_on_for_so_long(post: Post) -> None:
    put(post.outbox, phantom(0, size=16))
    post.sink.mute = True
    session(post, 45)
    assert len(post.sink.questions) == 1
    session(post, 10)
    assert len(post.sink.questions) == 1
    session(post, 10)
    assert len(post.sink.questions) == 2
    for _ in range(4):
        session(post, 45)
    assert len(post.sink.questions) == 4


@pytest.mark.parametrize("lost", ["the count", "the marker's content"])
def test_where_it_is_not_known_how_long_ago_it_was_asked_it_is_asked_again(post: Post, lost: str) -> None:
    session(post, 10)
    put(post.outbox, phantom(0, size=16))
    post.sink.mute = True
    session(post, 10)
    assert len(post.sink.questions) == 1
    if lost == "the count":
        (post.outbox.folder / "served.json").unlink()
    else:
        next((post.outbox.folder / "captures").glob("*/*.asked")).write_bytes(b"")
    session(post, 1)
    assert len(post.sink.questions) == 2


def test_a_notice_holds_nothing_up_for_ever_on_an_appliance_that_is_never_on_for_so_long(post: Post) -> None:
    post.unannounced.add("exam-1")
    put(post.outbox, phantom(0, size=16))
    session(post, 45)
    session(post, 10)
    assert post.sink.questions == []
    session(post, 10)
    assert len(post.sink.questions) == 1


def test_an_answer_to_another_question_decides_nothing(post: Post) -> None:
    post.sink.mute = True
    (uid,) = sent(post)
    post.settling.settle()
    post.sink._answers.append(Answer("2.25.666", {uid: True, "2.25.1": True}))
    post.settling.settle()
    assert post.count("asked") == 1
    assert post.log.names().count("commitment.stray") == 2


def test_an_archive_that_cannot_be_asked_is_asked_later(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(post)

    def unavailable(*_: object) -> None:
        raise SinkUnavailable("nobody there")

    with monkeypatch.context() as patch:
        patch.setattr(post.sink, "ask", unavailable)
        for _ in range(10):
            post.settling.settle()
            post.clock.advance(SECOND)
    assert 1 < len(post.log.of("commitment.later")) < 6
    post.clock.advance(MINUTE)
    post.settling.settle()
    assert post.count("confirmed") == 1


def test_many_objects_are_asked_for_in_several_questions(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "MOST_AT_ONCE", 5)
    sent(post, 12)
    post.settling.settle()
    assert len(post.sink.questions) == 3
    assert post.count("confirmed") == 12


def test_what_was_lost_there_and_damaged_here_is_parked(post: Post) -> None:
    post.sink.loses = True
    sent(post)
    (capture,) = post.outbox.captures()
    (post.outbox.folder / "captures" / capture.id / "1-original.dcm").write_bytes(b"torn")
    post.settling.settle()
    (item,) = post.outbox.items("pacs", "parked")
    facts = post.outbox.facts(item, "parked")
    assert facts is not None
    assert "damaged here" in facts.reason


def test_confirmed_and_kept_for_its_time_it_is_removed(post: Post) -> None:
    sent(post)
    assert post.outbox.remove_confirmed() == []
    post.settling.settle()
    assert len(post.outbox.remove_confirmed()) == 1


def test_with_nothing_to_do_it_lets_go_of_its_associations(post: Post) -> None:
    sent(post)
    post.settling.settle()
    assert post.sink.rests == 0
    post.clock.advance(6 * SECOND)
    post.settling.settle()
    post.settling.settle()
    assert post.sink.rests == 1


def test_what_the_archive_is_yet_to_hear_of_an_exam_goes_first_but_holds_nothing_up_for_ever(post: Post) -> None:
    sent(post, 2)
    post.unannounced.add("exam-1")
    post.settling.settle()
    assert post.sink.questions == []
    post.unannounced.clear()
    post.clock.advance(MINUTE)
    post.settling.settle()
    assert post.count("confirmed") == 2
    post.unannounced.add("exam-1")  # and now nobody can be told for hours
    sent(post)
    for _ in range(59):
        post.clock.advance(MINUTE)
        post.settling.settle()
        assert post.count("sent") == 1
    post.clock.advance(2 * MINUTE)
    post.settling.settle()
    assert post.count("confirmed") == 3


def test_another_exams_notice_holds_nothing_up(post: Post) -> None:
    post.unannounced.add("exam-2")
    sent(post)
    post.settling.settle()
    assert post.count("confirmed") == 1
