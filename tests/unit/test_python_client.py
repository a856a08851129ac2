"""The stand-alone Python client says the same bytes as `edge.wire`, and holds what a display must hold."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import HealthCheck, given, settings

from edge import wire
from edge.errors import BadFrame
from edge.frame import Box, EngineId, Frame, Modality, PixelFormat, Shown, Timings, Treatment, Why, original
from tests.unit.wire_cases import changed_pictures

FILE = Path(__file__).parents[2] / "tools" / "clients" / "python" / "limpid_client.py"
PATIENCE_MS = 20_000
LIVE = wire.Flag.LIVE


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("limpid_client", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["limpid_client"] = module
    spec.loader.exec_module(module)
    return module


client = load()


def picture(kind: type, shape: tuple[int, ...], bits: int = 8) -> np.ndarray:
    return np.random.default_rng(9).integers(0, 1 << bits, shape, kind)


def frame(seq: int = 1, session: int = 5) -> Frame:
    return Frame(picture(np.uint8, (64, 80)), "probe-1", seq, 0, 0, session=session)


def enhanced(seq: int = 1, session: int = 5) -> Shown:
    of = frame(seq, session)
    engine = EngineId("speckle", "ab" * 32, "openvino_cpu", "int8")
    return Shown(of, 255 - of.pixels, Treatment.ENHANCED, engine=engine, strength=0.6, region=Box(1, 2, 30, 40))


def late(seq: int, session: int = 5) -> Shown:
    return original(frame(seq, session), Why.LATE)


def message(shown: Shown, flags: wire.Flag = LIVE, now_ns: int = 0) -> list[bytes]:
    topic = wire.Topic.PICTURE.of(shown.frame.stream)
    return [topic, wire.encode_shown(shown, flags, now_ns), shown.pixels.tobytes()]


def notice(shown: Shown, flags: wire.Flag) -> list[bytes]:
    return [wire.Topic.PICTURE.of(shown.frame.stream), wire.encode_notice(shown, flags, 0)]


def read(parts: list[bytes]) -> Any:
    return client.read_picture(parts)


# ---------------------------------------------------------------- the bytes


def test_one_file_that_needs_neither_the_daemon_nor_more_than_pyzmq_and_numpy() -> None:
    imported = {line.split()[1].split(".")[0] for line in FILE.read_text().splitlines()
                if line.startswith(("import ", "from "))}  # fmt: skip
    assert imported - set(sys.stdlib_module_names) == {"numpy", "zmq"}


def test_layouts_and_numbers_are_the_daemons() -> None:
    assert (client.FRAME.format, client.SHOWN.format) == (wire._FRAME.format, wire._SHOWN.format)
    assert client.VERSION == wire.VERSION
    for number in (*PixelFormat, *wire.Flag):
        assert getattr(client, number.name) == number  # type: ignore[union-attr]
    for clock in wire.SenderClock:
        assert getattr(client, f"CLOCK_{clock.name}") == clock
    assert tuple(modality.name.lower() for modality in Modality) == client.MODALITIES
    assert client.TREATMENTS == ("notice", "enhanced", "original")
    assert ("", *(why.words for why in Why if why not in (Why.NOT_ORIGINAL, Why.UNKNOWN))) == client.REASONS


@pytest.mark.parametrize(
    ("kind", "shape", "pixel_format", "bits"),
    [(np.uint8, (64, 80), PixelFormat.GREY8, 8), (np.uint8, (65, 81, 3), PixelFormat.BGR8, 8),
     (np.uint16, (99, 64), PixelFormat.GREY16, 12)],
)  # fmt: skip
def test_a_frame_header_is_the_daemons_byte_for_byte(
    kind: type, shape: tuple[int, ...], pixel_format: PixelFormat, bits: int
) -> None:
    pixels = picture(kind, shape, bits)
    scan = client.Scan(
        "probe-1", "ultrasound", bits=12, colour="bgr", spacing_mm=(0.25, 0.5), region=(1, 2, 30, 40),
        clock=client.CLOCK_UNIX,
    )  # fmt: skip
    same = Frame(
        pixels, "probe-1", 7, 0, 0, pixel_format, bits, Modality.ULTRASOUND, 99, 12345, (0.25, 0.5),
        Box(1, 2, 30, 40), cut=True,
    )  # fmt: skip
    assert client.frame_header(scan, pixels, 99, 7, 12345, True) == wire.encode_frame(same, wire.SenderClock.UNIX)[0]


def test_a_picture_is_read_as_the_daemon_reads_it() -> None:
    sent = replace(enhanced(), timings=Timings(1000, 2000, 3000, 4000), missing_before=3, mean_change=0.25)
    flags = LIVE | wire.Flag.HAS_ORIGINAL | wire.Flag.HAS_CHANGE
    change = picture(np.uint8, (64, 80))
    parts = [b"", wire.encode_shown(sent, flags, 5_000_000), sent.pixels.tobytes(),
             sent.frame.pixels.tobytes(), change.tobytes()]  # fmt: skip
    got, same = read(parts), wire.decode_shown(parts)
    for mine, theirs in ((got.pixels, same.pixels), (got.original, same.original), (got.change, same.change)):
        np.testing.assert_array_equal(mine, theirs)
    assert (got.stream, got.seq, got.session, got.flags) == (same.stream, same.seq, same.session, same.flags)
    assert (got.engine, got.engine_sha256, got.backend, got.precision) == (
        same.engine.name, same.engine.sha256, same.engine.backend, same.engine.precision)  # fmt: skip
    assert (got.strength_percent, got.region, got.missing_before) == (60, (1, 2, 30, 40), 3)
    assert (got.stages_us, got.mean_change, got.published_age_ns) == (
        (1, 2, 3, 4),
        same.mean_change,
        same.age_ns,
    )
    assert (got.treatment, got.reason, got.badge) == ("enhanced", "", "ENHANCED")


@given(changed_pictures())
@settings(
    max_examples=1500, deadline=None, database=None, derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@pytest.mark.timeout(300)
def test_hostile_pictures_are_refused_as_the_daemon_refuses_them(parts: list[bytes]) -> None:
    try:
        got = read(parts)
    except client.Malformed:
        with pytest.raises(BadFrame):
            wire.decode_shown(parts)
        return
    if got.reason.startswith("reason "):
        return  # of a later release: a client shows the picture all the same
    same = wire.decode_shown(parts)
    assert (got.stream, got.engine) == (same.stream, same.engine.name)
    np.testing.assert_array_equal(got.pixels, same.pixels)  # type: ignore[arg-type]


def test_a_reason_of_a_later_release_is_shown() -> None:
    parts = message(late(1))
    parts[1] = parts[1][:45] + bytes([200]) + parts[1][46:]
    assert read(parts).badge == "ORIGINAL: unknown"


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((63, 64), np.uint8), np.zeros((64, 4097), np.uint8), np.zeros((64, 64), np.float32),
     np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3), np.uint16)],
)  # fmt: skip
def test_what_no_daemon_takes_is_refused_before_it_is_sent(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"8-bit|64x64"):
        client.frame_header(client.Scan(), pixels, 1, 1, 0, False)


@pytest.mark.parametrize("wrong", [{"stream": "two words"}, {"stream": ""}, {"modality": "xray"}, {"colour": "yuv"}])
def test_a_wrong_scan_is_refused_at_once(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"stream|modality"):
        client.Scan(**wrong)


# ---------------------------------------------------------------- what a display holds


def take(holding: Any, *messages: list[bytes]) -> Any:
    for parts in messages:
        shown = holding.take(read(parts))
    return shown


def stand_in(seq: int, session: int = 5) -> list[bytes]:
    return message(late(seq, session), LIVE | wire.Flag.STAND_IN)


def test_one_late_frame_keeps_the_enhanced_picture() -> None:
    now = take(client.Holding(), message(enhanced(1)), stand_in(2))
    assert (now.seq, now.treatment, now.held, now.live) == (1, "enhanced", True, True)


def test_at_most_one_in_a_row() -> None:
    now = take(client.Holding(), message(enhanced(1)), stand_in(2), stand_in(3))
    assert (now.seq, now.treatment, now.held, now.badge) == (3, "original", False, "ORIGINAL: late")


def test_after_an_enhanced_picture_one_may_be_held_again() -> None:
    now = take(client.Holding(), message(enhanced(1)), stand_in(2), message(enhanced(3)), stand_in(4))
    assert (now.seq, now.held) == (3, True)


def test_an_original_without_the_flag_is_shown_at_once() -> None:
    assert take(client.Holding(), message(enhanced(1)), message(late(2))).seq == 2


def test_nothing_is_held_over_from_another_session() -> None:
    assert take(client.Holding(), message(enhanced(1)), stand_in(1, session=6)).treatment == "original"


def test_nothing_is_held_where_nothing_enhanced_was_shown() -> None:
    assert take(client.Holding(), stand_in(1)).held is False
    assert take(client.Holding(), message(late(1)), stand_in(2)).seq == 2
    assert take(client.Holding(stand_in=False), message(enhanced(1)), stand_in(2)).seq == 2


def test_a_held_picture_goes_on_ageing() -> None:
    holding = client.Holding()
    before = holding.take(replace(read(message(enhanced(1))), base_ns=time.monotonic_ns() - 50_000_000))
    assert holding.take(read(stand_in(2))).base_ns == before.base_ns
    assert holding.current.age_ms() >= 50.0


def test_a_notice_keeps_the_picture_and_says_not_live() -> None:
    now = take(client.Holding(), message(enhanced(1)), notice(enhanced(1), wire.Flag(0)))
    assert (now.live, now.badge, now.seq, now.pixels is not None) == (False, "NOT LIVE", 1, True)


def test_frozen_is_not_not_live() -> None:
    assert take(client.Holding(), message(enhanced(1)), notice(enhanced(1), LIVE | wire.Flag.FROZEN)).badge == "FROZEN"


def test_a_picture_after_a_notice_is_live_again() -> None:
    assert take(client.Holding(), message(enhanced(1)), notice(enhanced(1), wire.Flag(0)), message(late(2))).live


def test_a_notice_of_another_session_takes_the_picture_away() -> None:
    now = take(client.Holding(), message(enhanced(1)), notice(enhanced(1, session=6), wire.Flag(0)))
    assert (now.pixels, now.badge) == (None, "NOT LIVE")


def test_a_picture_that_is_not_live_is_never_held_as_if_it_were() -> None:
    assert take(client.Holding(), message(enhanced(1)), notice(enhanced(1), wire.Flag(0)), stand_in(2)).seq == 2


def test_silence_is_said_once() -> None:
    holding = client.Holding()
    assert holding.silence() is None
    take(holding, message(enhanced(1)))
    assert holding.silence().badge == "NOT LIVE"
    assert holding.silence() is None


# ---------------------------------------------------------------- real sockets


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Any]:
    """Binds the daemon's end of a socket: peer(kind) gives it and its endpoint."""
    with zmq.Context() as context:
        opened: list[zmq.Socket[bytes]] = []

        def bind(kind: int) -> tuple[zmq.Socket[bytes], str]:
            socket = context.socket(kind)
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
            endpoint = f"ipc://{tmp_path}/{kind}"
            socket.bind(endpoint)
            opened.append(socket)
            return socket, endpoint

        yield bind
        for socket in opened:
            socket.close()


def test_frames_are_sent_and_a_new_sender_is_a_new_session(peer: Any) -> None:
    daemon, endpoint = peer(zmq.PULL)
    pixels = picture(np.uint16, (70, 90), 12)
    sessions = set()
    for _ in range(2):
        with client.Sender(client.Scan("probe-1", bits=12), endpoint) as sender:
            assert sender.wait_for_daemon(20.0)
            assert sender.send(pixels[:, ::-1], captured_ns=42, cut=True)
            got = wire.decode_frame(daemon.recv_multipart(), 0, 0)
        np.testing.assert_array_equal(got.pixels, pixels[:, ::-1])
        assert (got.seq, got.stamped_ns, got.cut, got.bits, got.stream) == (1, 42, True, 12, "probe-1")
        sessions.add(got.session)
    assert len(sessions) == 2
    assert 0 not in sessions


def test_without_a_daemon_frames_are_dropped_and_leave_a_gap(peer: Any, tmp_path: Path) -> None:
    with client.Sender(client.Scan(), f"ipc://{tmp_path}/nobody") as sender:
        assert [sender.send(picture(np.uint8, (64, 64))) for _ in range(3)] == [False] * 3
        assert (sender.offered, sender.dropped, sender.seq) == (3, 3, 3)


def test_a_stalled_daemon_never_stalls_the_scanner(peer: Any) -> None:
    _, endpoint = peer(zmq.PULL)
    pixels = np.zeros((1024, 1024), np.uint8)
    with client.Sender(client.Scan(), endpoint) as sender:
        assert sender.wait_for_daemon(20.0)
        while sender.send(pixels):  # ends: nobody reads, and every buffer on the way is bounded
            assert sender.offered < 5000
        sender._socket.setsockopt(zmq.LINGER, 0)
    assert sender.dropped == 1


def viewer(peer: Any, **options: str) -> tuple[zmq.Socket[bytes], Any]:
    daemon, endpoint = peer(zmq.XPUB)
    opened = client.Viewer(endpoint, **options)
    daemon.recv()  # its subscription: nothing sent now is lost
    return daemon, opened


def next_of(opened: Any) -> Any:
    """The next thing to show, however busy the machine."""
    for shown in opened:
        return shown
    raise AssertionError("a viewer never ends")


def test_the_newest_picture_is_shown_then_not_live(peer: Any) -> None:
    daemon, opened = viewer(peer, stream="probe-1")
    with opened:
        daemon.send_multipart(message(enhanced(1)))
        shown = next_of(opened)
        assert (shown.seq, shown.badge, shown.age_ms() > 0) == (1, "ENHANCED", True)
        np.testing.assert_array_equal(shown.pixels, enhanced(1).pixels)
        assert not shown.pixels.flags.writeable
        daemon.send_multipart(notice(enhanced(1), wire.Flag(0)))
        assert next_of(opened).badge == "NOT LIVE"


def test_older_pictures_are_passed_over(peer: Any) -> None:
    daemon, opened = viewer(peer)
    with opened:
        for seq in range(1, 4):
            daemon.send_multipart(message(enhanced(seq)))
        seqs: list[int] = []
        while seqs[-1:] != [3]:
            shown = next_of(opened)
            seqs += [shown.seq] * shown.live
        assert seqs == sorted(seqs)
        assert len(seqs) + opened.superseded == 3


def test_a_notice_does_not_throw_away_the_picture_that_it_speaks_of(peer: Any) -> None:
    daemon, opened = viewer(peer)
    with opened:
        daemon.send_multipart(message(enhanced(1)))
        assert next_of(opened).seq == 1
        opened._socket.setsockopt(zmq.RCVHWM, 100)
        daemon.send_multipart(message(enhanced(2)))
        daemon.send_multipart(message(enhanced(3)))
        daemon.send_multipart(notice(enhanced(3), LIVE | wire.Flag.FROZEN))
        shown = next_of(opened)
        while not shown.frozen:  # however the messages were cut into readings
            shown = next_of(opened)
        assert shown.seq == 3
        np.testing.assert_array_equal(shown.pixels, enhanced(3).pixels)
        assert opened.superseded <= 1


def test_a_daemon_that_is_gone_is_not_live(peer: Any) -> None:
    daemon, opened = viewer(peer)
    with opened:
        daemon.send_multipart(message(enhanced(1)))
        assert next_of(opened).live
        daemon.close()
        gone = next_of(opened)
        assert (gone.badge, gone.seq) == ("NOT LIVE", 1)


def test_a_malformed_message_costs_nothing_else(peer: Any) -> None:
    daemon, opened = viewer(peer)
    with opened:
        daemon.send_multipart([b"picture/probe-1/", b"no header"])
        daemon.send_multipart([b"picture/probe-2/"])
        daemon.send_multipart(message(enhanced(2)))
        assert next_of(opened).seq == 2
        assert opened.malformed + opened.superseded == 2


@pytest.mark.parametrize(
    ("options", "subscribed"),
    [({}, b"picture/"), ({"stream": "a"}, b"picture/a/"), ({"stream": "a", "kind": "full"}, b"full/a/")],
)
def test_what_a_viewer_subscribes_to(peer: Any, options: dict[str, str], subscribed: bytes) -> None:
    daemon, endpoint = peer(zmq.XPUB)
    with client.Viewer(endpoint, **options):
        assert daemon.recv() == b"\x01" + subscribed


def test_control_after_a_timeout_is_answered_by_its_own_reply(peer: Any) -> None:
    daemon, endpoint = peer(zmq.REP)
    asked: list[dict[str, Any]] = []
    replies = [
        b'{"ok": true, "late": 1}',
        b'{"ok": true, "strength_percent": 60}',
        b'{"ok": false, "error": "no"}',
    ]
    timed_out = threading.Event()

    def answer() -> None:
        for number, reply in enumerate(replies):
            asked.append(json.loads(daemon.recv()))
            if number == 0:
                timed_out.wait(20)
            daemon.send(reply)

    thread = threading.Thread(target=answer)
    thread.start()
    with client.Control(endpoint, timeout_s=0.1) as control:
        with pytest.raises(client.NoAnswer):
            control.freeze()
        timed_out.set()
        control._timeout_ms = PATIENCE_MS
        assert control.set(stream="probe-1", strength_percent=60) == {"strength_percent": 60}
        with pytest.raises(client.Refused, match="no"):
            control.engines()
    thread.join(20)
    assert asked == [
        {"do": "freeze"},
        {"do": "set", "stream": "probe-1", "strength_percent": 60},
        {"do": "engines"},
    ]


def test_events_are_heard(peer: Any) -> None:
    daemon, endpoint = peer(zmq.XPUB)
    with client.Events(endpoint, name="frame.") as events:
        assert daemon.recv() == b"\x01event/frame."
        daemon.send_multipart([b"event/frame.late", b'{"event": "frame.late", "t_ns": 3}'])
        assert next(iter(events)) == {"event": "frame.late", "t_ns": 3}
        assert events.next(0.0) is None
