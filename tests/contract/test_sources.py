"""One contract for every file of `edge/sources`: what the receive thread may rely on, whatever it reads."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

import edge.sources
from edge import plugins, wire
from edge.clock import MonotonicClock
from edge.errors import ConfigError, SourceUnavailable
from edge.frame import Box, Frame, Modality, PixelFormat
from edge.sources import Source, open_source

KINDS = plugins.kinds(edge.sources)
PATIENCE_S = 20.0
ENOUGH = 5
LEVELS = (np.arange(96 * 128) % 256).astype(np.uint8).reshape(96, 128)


@dataclass
class Peer:
    """What stands on the other side of a source, and the options that lead there."""

    options: dict[str, object]
    push: Callable[[int], None] = lambda _seq: None  # called before each `next`: sources that are sent to need it


@contextlib.contextmanager
def replayed_folder(folder: Path) -> Iterator[Peer]:
    (folder / "clip").mkdir()
    for index in range(ENOUGH):
        cv2.imwrite(str(folder / "clip" / f"{index}.png"), LEVELS)
    yield Peer({"path": str(folder / "clip"), "fps": 200, "loop": True})


@contextlib.contextmanager
def video_file(folder: Path) -> Iterator[Peer]:
    writer = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 50.0, (128, 96))
    for _ in range(100):
        writer.write(cv2.cvtColor(LEVELS, cv2.COLOR_GRAY2BGR))
    writer.release()
    yield Peer({"device": str(folder / "clip.avi"), "crop": [0, 0, 64, 64]})


@contextlib.contextmanager
def igtl_server(_folder: Path) -> Iterator[Peer]:
    pyigtl = pytest.importorskip("pyigtl", reason="the extra `igtl` is not installed")
    message = pyigtl.ImageMessage(LEVELS[np.newaxis], device_name="probe").pack()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        peers: list[socket.socket] = []

        def push(_seq: int) -> None:
            if not peers:
                peers.append(listener.accept()[0])
            peers[0].sendall(message)

        yield Peer({"port": listener.getsockname()[1]}, push)
        for peer in peers:
            peer.close()


@contextlib.contextmanager
def zeromq_sender(folder: Path) -> Iterator[Peer]:
    import zmq

    address = f"ipc://{folder}/frames"
    frame = Frame(LEVELS, "probe", 0, 0, 0, session=7, region=Box(1, 2, 64, 64))
    with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
        sender.setsockopt(zmq.LINGER, 0)
        sender.setsockopt(zmq.SNDTIMEO, round(PATIENCE_S * 1000))
        sender.connect(address)

        def push(seq: int) -> None:
            stamped = replace(frame, seq=seq, stamped_ns=time.monotonic_ns())
            sender.send_multipart(wire.encode_frame(stamped))

        yield Peer({"bind": address}, push)


@contextlib.contextmanager
def phantom(_folder: Path) -> Iterator[Peer]:
    yield Peer({"width": 160, "height": 128, "fps": 100})


PEERS = {
    "openigtlink": igtl_server,
    "phantom": phantom,
    "replay": replayed_folder,
    "video": video_file,
    "zeromq": zeromq_sender,
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    assert request.param in PEERS, f"edge/sources/{request.param}.py is new: give it a line in PEERS"
    return request.param


@pytest.fixture
def peer(kind: str, tmp_path: Path) -> Iterator[Peer]:
    with PEERS[kind](tmp_path) as peer:
        yield peer


@pytest.fixture
def source(kind: str, peer: Peer) -> Iterator[Source]:
    source = open_source(kind, peer.options, MonotonicClock())
    yield source
    source.close()


def received(source: Source, peer: Peer, count: int = ENOUGH) -> list[Frame]:
    frames: list[Frame] = []
    give_up = time.monotonic() + PATIENCE_S
    while len(frames) < count and time.monotonic() < give_up:
        peer.push(len(frames))
        frame = source.next(1.0)
        if frame is not None:
            frames.append(frame)
    assert len(frames) == count, "frames stopped coming"
    return frames


def test_the_table_knows_no_source_that_is_gone():
    assert set(PEERS) <= set(KINDS)


def test_pixels_are_what_the_frame_says(source: Source, peer: Peer):
    for frame in received(source, peer):
        channels = (3,) if frame.format.channels == 3 else ()
        assert frame.pixels.shape == (frame.height, frame.width, *channels)
        assert frame.pixels.dtype == (np.uint16 if frame.format is PixelFormat.GREY16 else np.uint8)
        assert frame.pixels.dtype.isnative
        assert (frame.bits == 8) != (frame.format is PixelFormat.GREY16)
        assert int(frame.pixels.max()) <= frame.full_scale
        assert not frame.pixels.flags.writeable
        assert isinstance(frame.modality, Modality)
        assert frame.region is None or frame.region.inside(frame.width, frame.height)


def test_frames_can_go_over_the_wire_and_come_back(source: Source, peer: Peer):
    for frame in received(source, peer):
        back = wire.decode_frame(wire.encode_frame(frame), frame.captured_ns, frame.received_ns)
        assert np.array_equal(back.pixels, frame.pixels)
        for field in (
            "stream",
            "seq",
            "session",
            "stamped_ns",
            "format",
            "bits",
            "modality",
            "region",
            "cut",
        ):
            assert getattr(back, field) == getattr(frame, field)


def test_numbers_rise_within_one_session(source: Source, peer: Peer):
    frames = received(source, peer)
    assert all(one.seq < other.seq for one, other in itertools.pairwise(frames))
    assert len({(frame.stream, frame.session) for frame in frames}) == 1
    assert frames[0].session != 0


def test_frames_are_captured_before_they_are_received_and_received_before_now(kind: str, peer: Peer):
    before = time.monotonic_ns()
    with contextlib.closing(open_source(kind, peer.options, MonotonicClock())) as source:
        frames = received(source, peer)
    after = time.monotonic_ns()
    assert all(before <= frame.received_ns <= after for frame in frames)
    assert all(frame.captured_ns <= frame.received_ns for frame in frames)
    assert [frame.captured_ns for frame in frames] == sorted(frame.captured_ns for frame in frames)


def test_a_source_that_is_asked_without_time_does_not_raise(source: Source):
    assert source.ended is False
    with contextlib.suppress(SourceUnavailable):
        frame = source.next(0.0)
        assert frame is None or isinstance(frame, Frame)


def test_earlier_pixels_stay_as_they_were(source: Source, peer: Peer):
    first = received(source, peer, 1)[0]
    kept = first.pixels.copy()
    received(source, peer)
    assert np.array_equal(first.pixels, kept)


def test_closing_leaves_no_thread(kind: str, peer: Peer):
    before = set(threading.enumerate())
    source = open_source(kind, peer.options, MonotonicClock())
    received(source, peer, 1)
    source.close()
    source.close()
    assert set(threading.enumerate()) - before == set()


def test_a_closed_source_can_be_opened_again_at_once(kind: str, peer: Peer):
    for _ in range(2 if kind != "openigtlink" else 1):  # its peer here serves one connection
        source = open_source(kind, peer.options, MonotonicClock())
        received(source, peer, 1)
        source.close()


def test_a_stranger_among_the_options_is_refused(kind: str, peer: Peer):
    with pytest.raises(ConfigError, match=rf'unknown key "strange_key" in \[source\.{kind}\]'):
        open_source(kind, {**peer.options, "strange_key": 1}, MonotonicClock())


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(ConfigError, match=", ".join(KINDS)):
        open_source("telepathy", {}, MonotonicClock())
