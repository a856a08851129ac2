"""The OpenIGTLink display, read by pyigtl's own client and by a receiver that does not read at all."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from edge.clock import MS
from edge.displays import open_display
from edge.errors import ConfigError
from edge.frame import EngineId, Frame, PixelFormat, Shown, Treatment, Why, original
from edge.wire import Flag

pyigtl = pytest.importorskip("pyigtl", reason="the extra `igtl` is not installed")
from edge.displays.openigtlink import OpenIgtLinkDisplay, device, label  # noqa: E402

PATIENCE_S = 20.0
Open = Callable[..., OpenIgtLinkDisplay]


@pytest.fixture
def opened() -> Iterator[Open]:
    displays: list[OpenIgtLinkDisplay] = []

    def open_one(**options: object) -> OpenIgtLinkDisplay:
        display = open_display("openigtlink", {"port": 0, **options})
        assert isinstance(display, OpenIgtLinkDisplay)
        displays.append(display)
        return display

    yield open_one
    for display in displays:
        display.close()


@pytest.fixture
def client() -> Iterator[Callable[[OpenIgtLinkDisplay], object]]:
    clients = []

    def connect(display: OpenIgtLinkDisplay) -> object:
        client = pyigtl.OpenIGTLinkClient("127.0.0.1", display.port)
        clients.append(client)
        until(lambda: display.clients == len(clients))
        return client

    yield connect
    for one in clients:
        one.stop()
    clients.clear()
    gc.collect()


def until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up, "it never came true"
        threading.Event().wait(0.005)


def shown(seq: int = 0, pixels: np.ndarray | None = None, stream: str = "probe", **more: object) -> Shown:
    pixels = np.full((64, 80), seq % 256, np.uint8) if pixels is None else pixels
    frame = Frame(pixels, stream, seq, 1000, 1000, **more)  # type: ignore[arg-type]
    engine = EngineId("handbuilt-large", "ab" * 32, "openvino_cpu", "int8")
    return Shown(frame, pixels, Treatment.ENHANCED, engine=engine, strength=0.8)


def test_the_enhanced_picture_and_its_label(opened: Open, client: Callable[[OpenIgtLinkDisplay], object]):
    display = opened()
    receiver = client(display)
    pixels = (np.arange(64 * 80) % 256).astype(np.uint8).reshape(64, 80)
    asked = time.time()
    display.show(shown(5, pixels, spacing_mm=(0.2, 0.1)), Flag.LIVE, 1000 + 40 * MS)
    picture = receiver.wait_for_message("probe_Enhanced", timeout=PATIENCE_S)
    words = receiver.wait_for_message("probe_Label", timeout=PATIENCE_S)
    assert picture.image.shape == (1, 64, 80)
    assert np.array_equal(picture.image[0], pixels)
    assert np.allclose(np.diag(picture.ijk_to_world_matrix), [0.2, 0.1, 1, 1])
    assert words.string == "ENHANCED handbuilt-large 80%"
    assert words.timestamp == picture.timestamp
    assert picture.timestamp <= time.time() - 0.039  # when it was captured, not when it was sent
    assert asked - picture.timestamp < PATIENCE_S
    until(lambda: display.sent == 1)


@pytest.mark.parametrize("pixel_format", [PixelFormat.RGB8, PixelFormat.BGR8])
def test_colours_go_out_as_rgb(opened: Open, client: Callable[[OpenIgtLinkDisplay], object], pixel_format: PixelFormat):
    display = opened()
    receiver = client(display)
    pixels = np.zeros((64, 80, 3), np.uint8)
    pixels[..., 0 if pixel_format is PixelFormat.RGB8 else 2] = 200
    display.show(shown(0, pixels, format=pixel_format), Flag.LIVE, 1000)
    picture = receiver.wait_for_message("probe_Enhanced", timeout=PATIENCE_S)
    assert picture.image[0, 3, 3].tolist() == [200, 0, 0]


def test_sixteen_bits(opened: Open, client: Callable[[OpenIgtLinkDisplay], object]):
    display = opened()
    receiver = client(display)
    pixels = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80)
    display.show(shown(0, pixels, format=PixelFormat.GREY16, bits=13), Flag.LIVE, 1000)
    assert np.array_equal(receiver.wait_for_message("probe_Enhanced", timeout=PATIENCE_S).image[0], pixels)


def test_not_live_is_said_about_the_picture_that_is_there(opened: Open, client: Callable[[OpenIgtLinkDisplay], object]):
    display = opened()
    receiver = client(display)
    display.show(shown(1), Flag.LIVE, 1000)
    assert receiver.wait_for_message("probe_Label", timeout=PATIENCE_S).string.startswith("ENHANCED")
    until(lambda: display.sent == 1)
    display.notice(shown(1), Flag(0), 1000)
    assert receiver.wait_for_message("probe_Label", timeout=PATIENCE_S).string == "NOT LIVE"
    assert display.sent == 1  # the same picture is not sent twice


def test_a_client_that_comes_while_nothing_is_live_gets_the_picture_and_the_truth(
    opened: Open, client: Callable[[OpenIgtLinkDisplay], object]
):
    display = opened()
    receiver = client(display)
    display.notice(shown(7), Flag(0), 1000)
    assert int(receiver.wait_for_message("probe_Enhanced", timeout=PATIENCE_S).image[0, 0, 0]) == 7
    assert receiver.wait_for_message("probe_Label", timeout=PATIENCE_S).string == "NOT LIVE"


def test_two_clients_both_see(opened: Open, client: Callable[[OpenIgtLinkDisplay], object]):
    display = opened()
    receivers = [client(display), client(display)]
    display.show(shown(3), Flag.LIVE, 1000)
    for receiver in receivers:
        assert int(receiver.wait_for_message("probe_Enhanced", timeout=PATIENCE_S).image[0, 0, 0]) == 3


def test_a_client_too_many_is_refused_and_counted(opened: Open, client: Callable[[OpenIgtLinkDisplay], object]):
    display = opened(max_clients=1)
    client(display)
    with socket.create_connection(("127.0.0.1", display.port)) as second:
        second.settimeout(PATIENCE_S)
        assert second.recv(1) == b""
    until(lambda: display.refused == 1)
    assert display.clients == 1


def test_a_client_that_leaves_makes_room(opened: Open):
    display = opened(max_clients=1)
    with socket.create_connection(("127.0.0.1", display.port)):
        until(lambda: display.clients == 1)
    until(lambda: display.clients == 0)
    with socket.create_connection(("127.0.0.1", display.port)):
        until(lambda: display.clients == 1)


def test_a_client_that_does_not_read_costs_itself_alone(opened: Open, client: Callable[[OpenIgtLinkDisplay], object]):
    display = opened()
    with socket.create_connection(("127.0.0.1", display.port)) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        until(lambda: display.clients == 1)
        pixels = np.zeros((1024, 1024), np.uint16)
        for seq in range(30):
            display.show(shown(seq, pixels, format=PixelFormat.GREY16, bits=16), Flag.LIVE, 1000)
        assert display.superseded >= 24  # it holds one being sent, one waiting, and what the kernel takes
        before = display.sent
        hearing = pyigtl.OpenIGTLinkClient("127.0.0.1", display.port)
        until(lambda: display.clients == 2)
        display.show(shown(99), Flag.LIVE, 1000)
        heard = hearing.wait_for_message("probe_Enhanced", timeout=PATIENCE_S)
        hearing.stop()
    assert int(heard.image[0, 0, 0]) == 99
    assert before <= 3


def test_without_clients_showing_keeps_nothing(opened: Open):
    display = opened()
    for seq in range(1000):
        display.show(shown(seq), Flag.LIVE, 1000)
    assert (display.superseded, display.sent, display.clients) == (0, 0, 0)


def test_what_a_receiver_says_is_ignored(opened: Open):
    display = opened()
    with socket.create_connection(("127.0.0.1", display.port)) as talker:
        until(lambda: display.clients == 1)
        talker.sendall(b"\xff" * 500_000)
        talker.settimeout(PATIENCE_S)
        display.show(shown(1), Flag.LIVE, 1000)
        assert len(talker.recv(58, socket.MSG_WAITALL)) == 58


def test_closing_is_prompt_and_leaves_no_thread(opened: Open):
    display = opened()
    with socket.create_connection(("127.0.0.1", display.port)):
        until(lambda: display.clients == 1)
        display.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("openigtlink-")]


def test_a_port_in_use_is_the_operators(opened: Open):
    display = opened()
    with pytest.raises(ConfigError, match=str(display.port)):
        opened(port=display.port)


def test_labels():
    enhanced = shown(0)
    late = original(enhanced.frame, Why.LATE)
    assert label(enhanced, Flag.LIVE) == "ENHANCED handbuilt-large 80%"
    assert label(late, Flag.LIVE) == "ORIGINAL late"
    assert label(enhanced, Flag.LIVE | Flag.FROZEN) == "FROZEN ENHANCED handbuilt-large 80%"
    assert label(enhanced, Flag(0)) == "NOT LIVE"
    assert label(replace(late, why=Why.STRENGTH_ZERO), Flag.LIVE) == "ORIGINAL strength zero"


def test_device_names_fit_and_stay_apart():
    assert device("probe", "_Enhanced") == "probe_Enhanced"
    assert device("12345678901", "_Enhanced") == "12345678901_Enhanced"
    long = [f"a-stream-with-a-long-name-{index}" for index in range(50)]
    names = {device(stream, suffix) for stream in long for suffix in ("_Enhanced", "_Label")}
    assert len(names) == 100
    assert max(map(len, names)) <= 20
