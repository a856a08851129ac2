"""The publisher over real sockets: who gets what, and that nobody can make the live thread wait."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from edge import wire
from edge.client import Viewer
from edge.displays.publish import Options, Publisher
from edge.errors import ConfigError
from edge.frame import EngineId, Shown, Treatment, Why, original
from edge.wire import Flag, Report, Topic
from tests.fakes import SHA, frame

PATIENCE_S = 20.0


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    made = Publisher(Options(bind=f"ipc://{tmp_path}/pictures"), zmq.Context.instance())
    yield made
    made.close()


@pytest.fixture
def watch(tmp_path: Path, publisher: Publisher) -> Iterator[Callable[..., Viewer]]:
    viewers: list[Viewer] = []

    def make(stream: str = "", topic: Topic = Topic.PICTURE) -> Viewer:
        viewers.append(Viewer(f"ipc://{tmp_path}/pictures", stream, topic))
        known = set(publisher._wanted)
        poll_until(lambda: publisher._hear_subscriptions() or publisher._wanted != known)
        return viewers[-1]

    yield make
    for viewer in viewers:
        viewer.close()


def poll_until(met: Callable[[], Any]) -> None:
    """Each look gives the sockets' own thread a turn; a subscription has no event of its own to wait for."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_S * 1000)):
        if met():
            return
        pause.wait(0.001)
    raise AssertionError("waited in vain")


def enhanced(seq: int = 1, stream: str = "s", **more: Any) -> Shown:
    came = frame(seq, stream=stream, **more)
    pixels = came.pixels + 1
    return Shown(came, pixels, Treatment.ENHANCED, engine=EngineId("e", SHA, "fake", "int8"), strength=0.8)


def received(viewer: Viewer) -> Report:
    report = viewer.next(PATIENCE_S)
    assert report is not None
    return report


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object) -> bytes:
        raise AssertionError("something was made that nobody has asked for")

    monkeypatch.setattr(wire, "encode_shown", made)


def test_nothing_is_made_for_nobody(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(monkeypatch)
    publisher.show(enhanced(), Flag.LIVE, 0)


def test_nothing_is_made_for_those_who_watch_another_stream(
    publisher: Publisher, watch: Callable[..., Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    watch("other")
    forbid(monkeypatch)
    publisher.show(enhanced(), Flag.LIVE, 0)


def test_whoever_comes_is_heard_by_showing_alone_the_first_as_well_as_those_after(
    tmp_path: Path, publisher: Publisher
) -> None:
    viewers: list[Viewer] = []
    for topic in (Topic.PICTURE, Topic.PAIR):
        viewers.append(Viewer(f"ipc://{tmp_path}/pictures", "s", topic))
        poll_until(lambda: publisher.show(enhanced(1), Flag.LIVE, 0) or len(publisher._wanted) == len(viewers))
    for viewer in viewers:  # who has not read meanwhile has lost pictures, so more than one is shown
        poll_until(lambda one=viewer: publisher.show(enhanced(2), Flag.LIVE, 0) or _saw(one, 2))
        viewer.close()


def _saw(viewer: Viewer, seq: int) -> bool:
    report = viewer.next(0.01)
    return report is not None and report.seq == seq


def test_a_subscriber_that_has_left_is_no_longer_served(
    publisher: Publisher, watch: Callable[..., Viewer], monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = watch("s")
    viewer.close()
    poll_until(lambda: publisher._hear_subscriptions() or not publisher._wanted)
    forbid(monkeypatch)
    publisher.show(enhanced(), Flag.LIVE, 0)


@pytest.mark.parametrize(
    ("topic", "has_original", "has_change"),
    [(Topic.PICTURE, False, False), (Topic.PAIR, True, False), (Topic.FULL, True, True)],
)
def test_a_subscriber_gets_what_its_topic_says(
    publisher: Publisher, watch: Callable[..., Viewer], topic: Topic, has_original: bool, has_change: bool
) -> None:
    viewer = watch("s", topic)
    shown = enhanced()
    publisher.show(shown, Flag.LIVE, 5)
    report = received(viewer)
    assert np.array_equal(report.pixels, shown.pixels)
    assert (report.original is not None, report.change is not None) == (has_original, has_change)
    if has_original:
        assert np.array_equal(report.original, shown.frame.pixels)
    if has_change:
        assert (report.change > 128).all()  # raised by one level everywhere
    assert report.engine == shown.engine
    assert report.flags & Flag.LIVE


def test_an_original_comes_with_its_reason_and_an_empty_change_map(
    publisher: Publisher, watch: Callable[..., Viewer]
) -> None:
    viewer = watch("s", Topic.FULL)
    publisher.show(original(frame(1), Why.LATE), Flag.LIVE | Flag.STAND_IN, 5)
    report = received(viewer)
    assert (report.treatment, report.why) == (Treatment.ORIGINAL, Why.LATE)
    assert report.flags & Flag.STAND_IN
    assert np.array_equal(report.pixels, report.original)
    assert (report.change == 128).all()


def test_a_notice_has_no_picture_and_reaches_every_kind_of_subscriber(
    publisher: Publisher, watch: Callable[..., Viewer]
) -> None:
    viewers = [watch("s", topic) for topic in Topic]
    publisher.notice(enhanced(7), Flag.FROZEN, 5)
    for viewer in viewers:
        report = received(viewer)
        assert report.pixels is None
        assert (report.seq, report.flags) == (7, Flag.FROZEN)


def test_a_stream_whose_name_begins_like_anothers_is_not_sent_there(
    publisher: Publisher, watch: Callable[..., Viewer]
) -> None:
    viewer = watch("room1")
    publisher.show(enhanced(1, "room10"), Flag.LIVE, 0)
    publisher.notice(enhanced(1, "room10"), Flag.LIVE, 0)
    publisher.show(enhanced(2, "room1"), Flag.LIVE, 0)
    report = received(viewer)
    assert (report.stream, report.seq) == ("room1", 2)


def test_without_a_stream_all_of_them_come(publisher: Publisher, watch: Callable[..., Viewer]) -> None:
    viewer = watch()
    for stream in ("a", "b"):
        publisher.show(enhanced(1, stream), Flag.LIVE, 0)
    assert [received(viewer).stream, received(viewer).stream] == ["a", "b"]


def test_a_subscriber_that_stops_reading_loses_pictures_and_costs_the_others_none(
    publisher: Publisher, watch: Callable[..., Viewer]
) -> None:
    big = np.zeros((1024, 1024), np.uint8)
    watch("s")  # never reads
    reader = watch("s", Topic.PAIR)
    done = threading.Event()
    seen: list[int] = []

    def show() -> None:
        for seq in range(1, 201):
            publisher.show(enhanced(seq, pixels=big), Flag.LIVE, 0)
        done.set()

    showing = threading.Thread(target=show)
    showing.start()
    while not done.is_set() or not seen:
        report = reader.next(0.05)
        if report is not None:
            seen.append(report.seq)
    showing.join(PATIENCE_S)
    assert done.is_set()  # 200 MB went nowhere, and nobody waited
    assert seen == sorted(seen)

    def comes_through() -> bool:
        publisher.show(enhanced(999), Flag.LIVE, 0)
        report = reader.next(0)
        return report is not None and report.seq == 999

    poll_until(comes_through)


CLOSING = """
import sys
import numpy as np, zmq
from edge.displays.publish import Options, Publisher
from edge.wire import Flag
from tests.unit.test_publish import enhanced
context, address = zmq.Context(), "ipc://" + sys.argv[1]
big = enhanced(pixels=np.zeros((1024, 1024), np.uint8))
for _ in range(60):
    publisher = Publisher(Options(bind=address), context)
    deaf = context.socket(zmq.SUB)
    deaf.setsockopt(zmq.SUBSCRIBE, b"")
    deaf.connect(address)
    while not publisher._wanted:
        publisher._hear_subscriptions()
    for _ in range(10):
        publisher.show(big, Flag.LIVE, 0)
    deaf.close(linger=0)
    publisher.close()
"""


def test_it_closes_in_the_midst_of_a_picture_while_a_display_goes_and_nothing_breaks(tmp_path: Path) -> None:
    """With no patience at all libzmq gives up the whole process in one of some hundred such endings."""
    line = [sys.executable, "-c", CLOSING, str(tmp_path / "pictures")]
    left = subprocess.run(line, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=100, check=False)
    assert left.returncode == 0, left.stderr


def test_rubbish_sent_to_it_is_no_subscription(
    publisher: Publisher, tmp_path: Path, watch: Callable[..., Viewer]
) -> None:
    vandal: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.XSUB)
    vandal.connect(f"ipc://{tmp_path}/pictures")
    for rubbish in (b"", b"\2picture/", b"hello", b"\1", bytes(200)):
        vandal.send(rubbish)
    viewer = watch("s")

    def comes_through() -> bool:  # the vandal's own subscription hides when the viewer's is there
        publisher.show(enhanced(3), Flag.LIVE, 0)
        report = viewer.next(0)
        return report is not None and report.seq == 3

    try:
        poll_until(comes_through)
    finally:
        vandal.close(linger=0)


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:0:0", "ipc:///nowhere/at/all/x", "carrier-pigeon://loft"])
def test_an_address_it_cannot_have_is_the_operators_to_mend(bind: str) -> None:
    with pytest.raises(ConfigError, match="pictures = "):
        Publisher(Options(bind=bind), zmq.Context.instance())
