"""The desk alone: every request, every mistake, and bytes that are no request at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import example, given
from hypothesis import strategies as st

from edge.catalog import open_catalog
from edge.client import REACHED_S, Control
from edge.control import ControlSocket, Desk, outcome
from edge.errors import CaptureRefused, SourceUnavailable
from edge.requests import Back
from edge.wishes import Wish, Wishes
from tests.archives import until

CATALOG = open_catalog([])
FIRST = Wish(strength=0.8)


class Counter:
    """A desk, the wishes it writes, and a stream that already has one of its own."""

    def __init__(self) -> None:
        self.wishes = Wishes(FIRST)
        self.desk = Desk(self.wishes, CATALOG, lambda: {"version": "test", "streams": {}})

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        return self.desk.answer(json.dumps({"do": do, **more}).encode())

    def state(self) -> tuple[Wish, Wish, dict[str, Wish]]:
        return self.wishes.of("a"), self.wishes.of("never-heard-of"), dict(self.wishes._by_stream)


def test_status_is_what_the_daemon_says_of_itself() -> None:
    assert Counter().ask("status") == {"ok": True, "version": "test", "streams": {}}


def test_engines_are_told_with_what_is_needed_to_find_the_very_file() -> None:
    answer = Counter().ask("engines")
    assert answer["ok"]
    assert all("found unsafe by" in why for why in answer["refused"].values())
    assert answer["engines"]["handbuilt-large"]["family"] == "handbuilt"
    assert len(answer["engines"]["handbuilt-large"]["sha256"]) == 64


def test_strength_view_and_engine_are_set_for_one_stream_alone() -> None:
    counter = Counter()
    assert counter.ask("set", stream="a", strength_percent=25, view="original", engine="handbuilt") == {"ok": True}
    assert counter.wishes.of("a") == Wish(0.25, original_view=True, family="handbuilt")
    assert counter.wishes.of("b") == FIRST


def test_without_a_stream_it_is_for_all_and_for_those_to_come() -> None:
    counter = Counter()
    counter.ask("set", stream="a", view="original")
    counter.ask("set", strength_percent=0)
    assert counter.wishes.of("a") == Wish(0.0, original_view=True)
    assert counter.wishes.of("tomorrow") == Wish(0.0)


def test_what_is_not_named_stays_as_it_was() -> None:
    counter = Counter()
    counter.ask("set", stream="a", strength_percent=25)
    counter.ask("freeze", stream="a")
    counter.ask("set", stream="a")
    assert counter.wishes.of("a") == Wish(0.25, frozen=True)
    counter.ask("unfreeze", stream="a")
    assert counter.wishes.of("a") == Wish(0.25)


def test_freezing_all_freezes_each() -> None:
    counter = Counter()
    counter.ask("set", stream="a", strength_percent=10)
    counter.ask("freeze")
    assert counter.wishes.of("a").frozen
    assert counter.wishes.of("b").frozen


REFUSED = [
    b"", b"{}", b"null", b"[]", b"1", b'"status"', b"\xff\xfe", b'{"do":"status"', b"[" * 100_000,
    b'{"do":"reboot"}', b'{"do":null}', b'{"do":"status","extra":1}', b'{"do":"set","strength":50}',
    b'{"do":"set","strength_percent":-1}', b'{"do":"set","strength_percent":100.01}',
    b'{"do":"set","strength_percent":"50"}',
    b'{"do":"set","strength_percent":NaN}', b'{"do":"set","strength_percent":1e999}',
    b'{"do":"set","strength_percent":true}',
    b'{"do":"set","view":"ENHANCED"}', b'{"do":"set","view":0}', b'{"do":"set","engine":"nobody-made-this"}',
    b'{"do":"set","strength_percent":10,"engine":"nobody-made-this"}', b'{"do":"set","engine":""}',
    b'{"do":"freeze","stream":""}', b'{"do":"freeze","stream":"../../etc"}', b'{"do":"freeze","stream":"a\\n"}',
    b'{"do":"freeze","stream":"' + b"a" * 49 + b'"}', b'{"do":"freeze","stream":7}',
    b'{"do":"freeze","stream":"\\u00e9"}',
]  # fmt: skip


@pytest.mark.parametrize("request_", REFUSED, ids=lambda request: repr(request[:40]))
def test_a_refused_request_is_told_why_and_changes_nothing(request_: bytes) -> None:
    counter = Counter()
    counter.ask("set", stream="a", strength_percent=25)
    before = counter.state()
    answer = counter.desk.answer(request_)
    assert answer["ok"] is False
    assert answer["error"]
    assert counter.state() == before


def test_an_unknown_engine_is_told_the_known_ones() -> None:
    complaint = Counter().ask("set", engine="magic")["error"]
    assert "there are: " in complaint
    assert "handbuilt" in complaint


def test_captures_and_exams_are_handed_on_and_their_answers_may_come_later() -> None:
    later: Future[dict[str, Any]] = Future()
    asked: list[object] = []

    def capture(request: object) -> Future[dict[str, Any]]:
        asked.append(request)
        return later

    desk = Desk(Wishes(FIRST), CATALOG, dict, capture, lambda _request: {"exam": None})
    assert desk.answer(b'{"do":"capture-back","seconds":3}') is later
    assert asked == [Back(seconds=3.0)]
    assert desk.answer(b'{"do":"exam-show"}') == {"ok": True, "exam": None}
    later.set_exception(CaptureRefused("not stored: the disk is full"))
    assert outcome(later) == {"ok": False, "error": "not stored: the disk is full"}


def test_a_capture_that_is_refused_at_once_is_an_answer_too() -> None:
    def refuse(_request: object) -> dict[str, Any]:
        raise CaptureRefused("there is no picture")

    desk = Desk(Wishes(FIRST), CATALOG, dict, refuse)
    assert desk.answer(b'{"do":"capture-still"}') == {"ok": False, "error": "there is no picture"}
    assert Counter().ask("exam-close")["ok"] is False  # a desk that has nobody for exams


@pytest.fixture
def client(tmp_path: Path) -> Iterator[tuple[Control, list[Future[dict[str, Any]]]]]:
    """A control socket in a thread, whose captures are answered by the test."""
    address, stop, waiting = f"ipc://{tmp_path}/control", threading.Event(), []

    def capture(_request: object) -> Future[dict[str, Any]]:
        waiting.append(Future())
        return waiting[-1]

    desk = Desk(Wishes(FIRST), CATALOG, lambda: {"streams": {}}, capture)
    served = ControlSocket(address, desk, zmq.Context.instance())
    thread = threading.Thread(target=served.run, args=(stop,))
    thread.start()
    yield Control(address, timeout_s=20), waiting
    stop.set()
    thread.join(5)


def test_others_are_served_while_an_answer_is_awaited(client: tuple[Control, list[Future[dict[str, Any]]]]) -> None:
    control, waiting = client
    with ThreadPoolExecutor(2) as others:
        late = others.submit(control.ask, "capture-still")
        until(lambda: len(waiting) == 1, "the capture is asked for")
        assert control.ask("status") == {"streams": {}}
        assert not late.done()
        second = others.submit(control.ask, "capture-still")
        until(lambda: len(waiting) == 2, "another one")
        waiting[1].set_result({"captures": ["b"]})
        assert second.result(20) == {"captures": ["b"]}
        waiting[0].set_result({"captures": ["a"]})
        assert late.result(20) == {"captures": ["a"]}


def test_who_goes_away_before_the_answer_disturbs_nobody(client: tuple[Control, list[Future[dict[str, Any]]]]) -> None:
    control, waiting = client
    with pytest.raises(SourceUnavailable):
        Control(control._address, timeout_s=0.2).ask("capture-still")
    waiting[0].set_result({"captures": ["a"]})
    assert control.ask("status") == {"streams": {}}


def test_nobody_there_is_said_soon_and_nothing_waits_for_who_comes_later(tmp_path: Path) -> None:
    address, asked, stop = f"ipc://{tmp_path}/nobody", threading.Event(), threading.Event()
    with pytest.raises(SourceUnavailable, match="no daemon answers"):
        Control(address, timeout_s=10 * REACHED_S).ask("capture-still")

    def capture(_request: object) -> Future[dict[str, Any]]:
        asked.set()
        return Future()

    served = ControlSocket(
        address, Desk(Wishes(FIRST), CATALOG, lambda: {"streams": {}}, capture), zmq.Context.instance()
    )
    thread = threading.Thread(target=served.run, args=(stop,))
    thread.start()
    assert Control(address, timeout_s=20).ask("status") == {"streams": {}}
    assert not asked.is_set()
    stop.set()
    thread.join(5)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {"do": st.sampled_from(["status", "engines", "freeze", "unfreeze", "set", "capture-back", "exam-open"]) | JSON},
    optional={
        "stream": JSON,
        "strength_percent": JSON,
        "view": JSON,
        "engine": JSON,
        "other": JSON,
        "seconds": JSON,
        "patient": JSON,
        "item": JSON,
    },
)
SOUND = st.fixed_dictionaries(
    {"do": st.just("set")},
    optional={
        "stream": st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,48}", fullmatch=True),
        "strength_percent": st.none() | st.floats(0, 100),
        "view": st.sampled_from([None, "enhanced", "original"]),
        "engine": st.sampled_from([None, "handbuilt"]),
    },
)


@given(st.binary(max_size=200) | (JSON | NEARLY).map(lambda tree: json.dumps(tree).encode()))
@example(b'{"do":"set","engine":["handbuilt"]}')
def test_whatever_bytes_come_there_is_an_answer_and_it_can_be_sent(message: bytes) -> None:
    counter = Counter()
    before = counter.state()
    answer = counter.desk.answer(message)
    assert json.loads(json.dumps(answer))["ok"] in (True, False)
    if not answer["ok"]:
        assert answer["error"]
        assert counter.state() == before


@given(SOUND)
def test_every_sound_request_is_taken(request_: dict[str, Any]) -> None:
    counter = Counter()
    assert counter.desk.answer(json.dumps(request_).encode()) == {"ok": True}
    wish = counter.wishes.of(request_.get("stream") or "any")
    if request_.get("strength_percent") is not None:
        assert wish.strength == request_["strength_percent"] / 100
    assert 0 <= wish.strength <= 1
