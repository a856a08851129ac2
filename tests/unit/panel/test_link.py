"""The panel's sockets: a real publisher, a real control socket, and nobody at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from edge.client import reachable
from edge.clock import MonotonicClock
from edge.control import ControlSocket, Desk
from edge.displays.publish import Options, Publisher
from edge.frame import EngineId, Shown, Treatment
from edge.panel.cine import Cine
from edge.panel.link import Errands, Inbox, Pictures, Status, is_local
from edge.panel.news import Reply
from edge.wire import Flag
from edge.wishes import Wish, Wishes
from tests.fakes import SHA, frame
from tests.unit.test_control import CATALOG

PATIENCE_S = 20.0


def until(met: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not met():
        assert time.monotonic() < end, "waited in vain"
        pause.wait(0.01)


@pytest.fixture
def runs() -> Iterator[Callable[[Callable[[threading.Event], None]], None]]:
    with ExitStack() as down:
        stop = threading.Event()

        def start(run: Callable[[threading.Event], None]) -> None:
            thread = threading.Thread(target=run, args=(stop,))
            thread.start()
            down.callback(thread.join, PATIENCE_S)

        yield start
        stop.set()


class Daemon:
    """A publisher, fed by hand."""

    def __init__(self, folder: Path) -> None:
        self.address = f"ipc://{folder}/pictures"
        self.publisher = Publisher(Options(bind=self.address), zmq.Context.instance())
        self.seq = 0

    def shown(self, stream: str) -> Shown:
        self.seq += 1
        at = time.monotonic_ns()
        made = frame(self.seq, at_ns=at, stream=stream)
        return Shown(
            made, np.minimum(made.pixels, 250) + 4, Treatment.ENHANCED, engine=EngineId("e", SHA, "fake", "int8")
        )

    def show(self, stream: str = "a") -> int:
        self.publisher.show(self.shown(stream), Flag.LIVE, time.monotonic_ns())
        return self.seq

    def close(self) -> None:
        self.publisher.close()


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.close()


def subscribed(daemon: Daemon, stream: str, runs: Any) -> tuple[Pictures, Inbox, Cine]:
    inbox, cine = Inbox(), Cine(10.0, 64)
    pictures = Pictures(daemon.address, stream, inbox, cine, MonotonicClock())
    runs(pictures.run)
    return pictures, inbox, cine


def all_came(daemon: Daemon, cine: Cine) -> None:
    until(lambda: (seen := cine.snapshot()) and seen[-1].report.seq == daemon.seq)


def test_the_newest_wins_and_all_are_remembered(daemon: Daemon, runs: Any) -> None:
    _, inbox, cine = subscribed(daemon, "a", runs)
    until(lambda: daemon.show() and inbox.tally.pictures)
    all_came(daemon, cine)
    inbox.take()
    before, superseded = inbox.tally.pictures, inbox.tally.superseded
    for _ in range(3):
        daemon.show()
        all_came(daemon, cine)
    until(lambda: inbox.tally.pictures == before + 3)
    news = inbox.take()
    assert news.picture is not None
    assert news.picture.report.seq == daemon.seq
    assert news.picture.report.original is not None
    assert inbox.tally.superseded == superseded + 2
    assert len(cine.snapshot()) == inbox.tally.pictures
    assert not inbox.take().anything


def test_without_a_stream_the_first_heard_is_kept_to(daemon: Daemon, runs: Any) -> None:
    pictures, inbox, cine = subscribed(daemon, "", runs)
    until(lambda: daemon.show("b") and inbox.tally.pictures)
    for _ in range(20):
        daemon.show("a")
    heard = inbox.tally.pictures
    until(lambda: daemon.show("b") and inbox.tally.pictures > heard + 2)
    assert {seen.report.stream for seen in cine.snapshot()} == {"b"}
    pictures.follow("a")
    inbox.take()
    until(lambda: daemon.show("a") and (news := inbox.take()).picture and news.picture.report.stream == "a")


def test_a_notice_comes_beside_the_picture_it_is_about_and_a_picture_ends_it(daemon: Daemon, runs: Any) -> None:
    _, inbox, _ = subscribed(daemon, "a", runs)
    until(lambda: daemon.show() and inbox.tally.pictures)
    daemon.publisher.notice(daemon.shown("a"), Flag(0), time.monotonic_ns())
    until(lambda: inbox.tally.notices)
    news = inbox.take()
    assert news.notice is not None
    assert not news.notice.report.flags & Flag.LIVE
    daemon.publisher.notice(daemon.shown("a"), Flag(0), time.monotonic_ns())
    until(lambda: inbox.tally.notices == 2)
    heard = inbox.tally.pictures
    daemon.show()
    until(lambda: inbox.tally.pictures > heard)
    assert inbox.take().notice is None


def test_a_daemon_that_comes_back_is_heard_again(tmp_path: Path, runs: Any) -> None:
    first = Daemon(tmp_path)
    _, inbox, _ = subscribed(first, "a", runs)
    until(lambda: first.show() and inbox.tally.pictures)
    first.close()
    heard = inbox.tally.pictures
    second = Daemon(tmp_path)
    try:
        until(lambda: second.show() and inbox.tally.pictures > heard)
    finally:
        second.close()


def test_what_is_no_picture_is_counted_and_costs_nothing(tmp_path: Path, runs: Any) -> None:
    address = f"ipc://{tmp_path}/odd"
    odd = zmq.Context.instance().socket(zmq.PUB)
    odd.setsockopt(zmq.LINGER, 0)
    odd.bind(address)
    inbox = Inbox()
    runs(Pictures(address, "a", inbox, Cine(1.0, 16), MonotonicClock()).run)
    try:
        until(lambda: odd.send_multipart([b"pair/a/", b"rubbish"]) or inbox.tally.unreadable)
    finally:
        odd.close()
    assert inbox.take().picture is None


# ------------------------------------------------ questions


@pytest.fixture
def control(tmp_path: Path, runs: Any) -> tuple[str, Wishes]:
    wishes = Wishes(Wish(strength=0.8))
    desk = Desk(wishes, CATALOG, lambda: {"version": "test", "streams": {}})
    address = f"ipc://{tmp_path}/control"
    runs(ControlSocket(address, desk, zmq.Context.instance()).run)
    return address, wishes


def replies(inbox: Inbox, count: int) -> list[Reply]:
    found: list[Reply] = []
    until(lambda: found.extend(inbox.take().replies) or len(found) >= count)
    return found


def test_what_is_asked_is_answered_in_its_turn(control: tuple[str, Wishes], runs: Any) -> None:
    address, wishes = control
    inbox = Inbox()
    errands = Errands(address, 10.0, inbox)
    errands.ask("set", {"stream": "a", "strength_percent": 30})
    errands.ask("set", {"engine": "nobodys"})
    errands.ask("capture-still", {})
    runs(errands.run)
    done, refused, no_captures = replies(inbox, 3)
    assert (done.do, done.facts) == ("set", {})
    assert wishes.of("a").strength == 0.3
    assert refused.facts is None
    assert refused.answered
    assert "no engine" in refused.error
    assert no_captures.error == "this daemon takes no captures"


def test_where_nobody_answers_it_is_said_so_and_not_taken_for_a_refusal(tmp_path: Path, runs: Any) -> None:
    inbox = Inbox()
    errands = Errands(f"ipc://{tmp_path}/nobody", 0.05, inbox)
    errands.ask("freeze", {})
    runs(errands.run)
    (reply,) = replies(inbox, 1)
    assert (reply.facts, reply.answered) == (None, False)


def test_asking_never_waits_and_too_much_is_told(tmp_path: Path) -> None:
    inbox = Inbox()
    errands = Errands(f"ipc://{tmp_path}/nobody", 1.0, inbox)
    for _ in range(20):
        errands.ask("capture-still", {})
    told = inbox.take().replies
    assert len(told) == 12
    assert all("too much" in reply.error for reply in told)


def test_the_status_is_asked_for_by_itself(control: tuple[str, Wishes], runs: Any) -> None:
    inbox = Inbox()
    runs(Status(control[0], inbox).run)
    until(lambda: (status := inbox.take().status) and status["version"] == "test")


@pytest.mark.parametrize(
    ("bound", "connect", "local"),
    [
        ("tcp://*:5571", "tcp://127.0.0.1:5571", True),
        ("tcp://0.0.0.0:5571", "tcp://127.0.0.1:5571", True),
        ("tcp://127.0.0.1:5571", "tcp://127.0.0.1:5571", True),
        ("ipc:///run/limpid/pictures", "ipc:///run/limpid/pictures", True),
        ("tcp://10.0.0.7:5571", "tcp://10.0.0.7:5571", False),
    ],
)
def test_it_finds_its_way_to_what_is_bound_and_knows_whose_clock_it_hears(
    bound: str, connect: str, local: bool
) -> None:
    assert reachable(bound) == connect
    assert is_local(connect) is local
