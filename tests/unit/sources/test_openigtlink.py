"""The OpenIGTLink source against pyigtl's own server and client, over loopback, and against hostile bytes."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.clock import ManualClock, MonotonicClock
from edge.errors import BadFrame, ConfigError, SourceUnavailable
from edge.frame import Frame, Modality, PixelFormat
from edge.sources import open_source

pyigtl = pytest.importorskip("pyigtl", reason="the extra `igtl` is not installed")
from edge.sources.openigtlink import Arrived, OpenIgtLink, Options, decode, stamp_ns  # noqa: E402

PATIENCE_S = 20.0
Open = Callable[..., OpenIgtLink]


@pytest.fixture
def opened() -> Iterator[Open]:
    sources: list[OpenIgtLink] = []

    def open_one(**options: object) -> OpenIgtLink:
        source = open_source("openigtlink", options, MonotonicClock())
        assert isinstance(source, OpenIgtLink)
        sources.append(source)
        return source

    yield open_one
    for source in sources:
        source.close()


class Scanner:
    """A sender of whole messages on a plain socket: it can leave in the middle of one."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_S)
        self.port = self._listener.getsockname()[1]
        self._peer: socket.socket | None = None

    def accept(self) -> None:
        self.hang_up()
        self._peer, _ = self._listener.accept()

    def send(self, data: bytes) -> None:
        assert self._peer is not None
        self._peer.sendall(data)

    def hang_up(self) -> None:
        if self._peer is not None:
            self._peer.close()

    def close(self) -> None:
        self.hang_up()
        self._listener.close()


@pytest.fixture
def scanner() -> Iterator[Scanner]:
    scanner = Scanner()
    yield scanner
    scanner.close()


def image(pixels: np.ndarray, device: str = "Image_Reference", **more: object) -> bytes:
    return bytes(pyigtl.ImageMessage(pixels[np.newaxis], device_name=device, **more).pack())


def ramp(height: int = 70, width: int = 90) -> np.ndarray:
    return (np.arange(height * width) % 251).astype(np.uint8).reshape(height, width)


def keep_asking(source: OpenIgtLink) -> None:
    """Until it raises; a test that waits for that ends here when it does not."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        source.next(0.1)


def one_frame(source: OpenIgtLink, wanted: Callable[[Frame], bool] = lambda _frame: True) -> Frame:
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        try:
            frame = source.next(0.1)
        except SourceUnavailable:
            continue
        if frame is not None and wanted(frame):
            return frame
    raise AssertionError("no such frame came")


# ---------------------------------------------------------------- as a client


def test_images_of_pyigtls_own_server(opened: Open):
    server = pyigtl.OpenIGTLinkServer(port=0, local_server=True, start_now=False)
    server.start()
    try:
        source = opened(port=server.server_address[1])
        matrix = np.diag([0.2, 0.1, 1, 1])
        stamp = 1_700_000_000.25
        message = pyigtl.ImageMessage(ramp()[np.newaxis], matrix, timestamp=stamp, device_name="Probe 1")
        server.send_message(message, wait=False)
        frame = one_frame(source)
    finally:
        source.close()
        server.stop()
    assert np.array_equal(frame.pixels, ramp())
    assert not frame.pixels.flags.writeable
    assert (frame.format, frame.stream, frame.seq) == (PixelFormat.GREY8, "Probe-1", 0)
    assert frame.modality is Modality.ULTRASOUND
    assert frame.spacing_mm == pytest.approx((0.2, 0.1))
    assert abs(frame.stamped_ns - 1_700_000_000_250_000_000) < 1000
    assert frame.captured_ns <= frame.received_ns
    assert frame.session


def test_each_device_is_a_stream_and_the_newest_of_each_wins(opened: Open, scanner: Scanner):
    source = opened(port=scanner.port)
    scanner.accept()
    for level in range(5):
        scanner.send(image(ramp() // 8 * 0 + np.uint8(level), "a") + image(ramp() * 0 + np.uint8(level), "b"))
    last: dict[str, int] = {}
    while len(last) < 2:  # in whatever order they come
        frame = one_frame(source, lambda frame: frame.seq == 4)
        last[frame.stream] = int(frame.pixels[0, 0])
    assert last == {"a": 4, "b": 4}


def test_only_the_devices_asked_for(opened: Open, scanner: Scanner):
    source = opened(port=scanner.port, devices=["b"], stream="probe")
    scanner.accept()
    scanner.send(image(ramp(), "a") + image(ramp(), "b"))
    frame = one_frame(source)
    assert frame.stream == "probe"
    assert source.next(0.1) is None


def test_messages_that_are_no_images_are_passed_over(opened: Open, scanner: Scanner):
    source = opened(port=scanner.port)
    scanner.accept()
    text = pyigtl.StringMessage("hello", device_name="a").pack()
    scanner.send(bytes(text) + image(ramp(), "a"))
    assert one_frame(source).seq == 0


def test_a_server_that_leaves_and_returns_is_a_new_session(opened: Open, scanner: Scanner):
    source = opened(port=scanner.port)
    scanner.accept()
    scanner.send(image(ramp()))
    before = one_frame(source)
    scanner.send(image(ramp())[:500])
    scanner.hang_up()
    with pytest.raises(SourceUnavailable, match="trying again"):
        keep_asking(source)
    scanner.accept()
    scanner.send(image(ramp()))
    after = one_frame(source)
    assert after.session != before.session
    assert after.seq == 0


def test_a_server_that_is_not_there_is_unavailable(opened: Open, scanner: Scanner):
    scanner.close()
    source = opened(port=scanner.port)
    with pytest.raises(SourceUnavailable, match=f"no server at 127.0.0.1:{scanner.port}"):
        keep_asking(source)
    assert not source.ended


def test_an_announcement_of_a_huge_message_ends_the_connection(opened: Open, scanner: Scanner):
    source = opened(port=scanner.port)
    scanner.accept()
    scanner.send(struct.pack(">H12s20sIIQQ", 1, b"IMAGE", b"a", 0, 0, 1 << 60, 0))
    with pytest.raises(SourceUnavailable, match="announced"):
        keep_asking(source)
    scanner.accept()
    scanner.send(image(ramp()))
    assert one_frame(source).seq == 0


def test_a_bad_message_costs_itself(opened: Open, scanner: Scanner):
    source = opened(port=scanner.port)
    scanner.accept()
    scanner.send(image(ramp().astype(np.float32), "a"))
    with pytest.raises(BadFrame, match="float32"):
        keep_asking(source)
    scanner.send(image(ramp(), "a"))
    assert one_frame(source).seq == 1


# ---------------------------------------------------------------- as a server


def test_pyigtls_own_client_can_send_to_us(opened: Open):
    source = opened(server=True, port=0)
    assert source.next(0.01) is None  # nobody there is no fault of a server's
    client = pyigtl.OpenIGTLinkClient("127.0.0.1", source.port, start_now=False)
    client.start()
    try:
        client.send_message(pyigtl.ImageMessage(ramp()[np.newaxis], device_name="a"), wait=False)
        frame = one_frame(source)
    finally:
        client.stop()
    assert np.array_equal(frame.pixels, ramp())


def test_a_second_sender_is_served_after_the_first_has_left(opened: Open):
    source = opened(server=True, port=0)
    sessions = set()
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", source.port)) as sender:
            sender.sendall(image(ramp()))
            sessions.add(one_frame(source).session)
    assert len(sessions) == 2


def test_a_port_in_use_is_the_operators(opened: Open, scanner: Scanner):
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{scanner.port}"):
        opened(server=True, port=scanner.port)


@pytest.mark.parametrize("options", [{"stream": "a b"}, {"bits": 9}, {"port": 70000}, {"hosts": "x"}])
def test_options_are_checked(opened: Open, options: dict[str, object]):
    with pytest.raises(ConfigError):
        opened(**options)


# ---------------------------------------------------------------- decoding


def decoded(message: bytes, **options: object) -> Frame:
    clock = ManualClock()
    arrived = Arrived(message[:58], bytearray(message[58:]), "a", 3, 7, clock.now(), clock.now())
    return decode(arrived, Options(**options))  # type: ignore[arg-type]


def test_colour_is_rgb():
    pixels = np.zeros((64, 80, 3), np.uint8)
    pixels[..., 0] = 9
    frame = decoded(image(pixels))
    assert (frame.format, frame.pixels[5, 5].tolist()) == (PixelFormat.RGB8, [9, 0, 0])
    alpha = np.dstack([pixels, pixels[..., 0]])
    assert np.array_equal(decoded(image(alpha)).pixels, pixels)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_of_either_end(order: str):
    pixels = (np.arange(64 * 64) % 4096).reshape(64, 64)
    message = bytearray(image(pixels.astype(np.uint16)))
    message[58 + 4] = 1 if order == ">u2" else 2
    message[58 + 72 :] = pixels.astype(order).tobytes()
    frame = decoded(bytes(message), bits=12)
    assert np.array_equal(frame.pixels, pixels)
    assert (frame.bits, frame.pixels.dtype) == (12, np.dtype(np.uint16))
    with pytest.raises(BadFrame, match="does not fit 11 bits"):
        decoded(bytes(message), bits=11)


def test_rotation_does_not_change_the_spacing_and_the_identity_is_no_scale():
    turned = np.array([[0, -0.1, 0, 5], [0.2, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]])
    assert decoded(image(ramp(), ijk_to_world_matrix=turned)).spacing_mm == pytest.approx((0.2, 0.1))
    assert decoded(image(ramp())).spacing_mm is None


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((64, 64), np.int16), "pixels"),
        (np.zeros((32, 64), np.uint8), "size"),
        (np.zeros((64, 64, 2), np.uint8), "pixels"),
    ],
)
def test_what_is_no_frame_says_why(pixels: np.ndarray, reason: str):
    with pytest.raises(BadFrame) as caught:
        decoded(image(pixels))
    assert caught.value.reason == reason


def test_a_volume_is_no_frame():
    message = bytes(pyigtl.ImageMessage(np.zeros((4, 64, 64), np.uint8), device_name="a").pack())
    with pytest.raises(BadFrame, match="4 slices"):
        decoded(message)


def test_the_stamp_is_exact():
    header = struct.pack(">H12s20sIIQQ", 1, b"IMAGE", b"a", 1_700_000_000, 1 << 31, 0, 0)
    assert stamp_ns(header) == 1_700_000_000_500_000_000


WHOLE = image(ramp(64, 64))


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 58 + 72), st.integers(0, 255)), max_size=8),
    st.integers(58, len(WHOLE)),
    st.booleans(),
)
def test_fuzz_no_message_raises_anything_but_bad_frame(edits: list[tuple[int, int]], length: int, cut: bool):
    message = bytearray(WHOLE)
    for at, value in edits:
        message[at] = value
    try:
        frame = decoded(bytes(message[:length] if cut else message))
    except BadFrame:
        return
    assert frame.pixels.size >= 64 * 64
