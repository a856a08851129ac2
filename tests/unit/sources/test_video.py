"""The camera source: real files, and a real camera on the network that can be unplugged."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.clock import MS, MonotonicClock
from edge.errors import BadFrame, ConfigError, SourceUnavailable
from edge.frame import Box, Frame, Modality, PixelFormat
from edge.sources import open_source
from edge.sources._feed import pause_s
from edge.sources.video import Video, is_file

PATIENCE_S = 20.0
Open = Callable[..., Video]


@pytest.fixture
def opened() -> Iterator[Open]:
    sources: list[Video] = []

    def open_one(device: object, **options: object) -> Video:
        source = open_source("video", {"device": device, **options}, MonotonicClock())
        assert isinstance(source, Video)
        sources.append(source)
        return source

    yield open_one
    for source in sources:
        source.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 100.0, (128, 96))
    for level in range(0, 240, 12):
        picture = np.zeros((96, 128, 3), np.uint8)
        picture[:, 64:] = (0, 0, level)  # red, to OpenCV
        writer.write(picture)
    writer.release()
    return tmp_path / "clip.avi"


def to_the_end(source: Video) -> list[Frame]:
    frames: list[Frame] = []
    give_up = time.monotonic() + PATIENCE_S
    while not source.ended and time.monotonic() < give_up:
        frame = source.next(0.2)
        if frame is not None:
            frames.append(frame)
    return frames


def keep_asking(source: Video) -> None:
    """Until it raises; a test that waits for that ends here when it does not."""
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        source.next(0.1)


def one_frame(source: Video, wanted: Callable[[Frame], bool] = lambda _frame: True) -> Frame:
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        try:
            frame = source.next(0.2)
        except SourceUnavailable:
            continue
        if frame is not None and wanted(frame):
            return frame
    raise AssertionError("no such frame came")


# ---------------------------------------------------------------- files


def test_a_file_plays_as_a_camera_and_ends(opened: Open, clip: Path):
    source = opened(str(clip), stream="scan", modality="ultrasound")
    frames = to_the_end(source)
    assert source.ended
    assert frames[-1].seq == 19  # newest wins, so the last is always seen
    assert len(frames) + source.superseded == 20
    assert [frame.seq for frame in frames] == sorted({frame.seq for frame in frames})
    last = frames[-1]
    assert (last.format, last.stream, last.modality) == (PixelFormat.BGR8, "scan", Modality.ULTRASOUND)
    assert np.abs(last.pixels[48, 100].astype(int) - [0, 0, 228]).max() < 12
    assert last.session
    assert not last.pixels.flags.writeable


def test_a_file_is_not_played_faster_than_it_was_made(opened: Open, clip: Path):
    began = MonotonicClock().now()
    frames = to_the_end(opened(str(clip)))
    assert all(frame.captured_ns >= began + frame.seq * 10 * MS - 1 * MS for frame in frames)


def test_grey_is_brightness(opened: Open, clip: Path):
    frame = to_the_end(opened(str(clip), grey=True))[-1]
    assert (frame.format, frame.pixels.shape) == (PixelFormat.GREY8, (96, 128))
    assert abs(int(frame.pixels[48, 100]) - 68) < 8  # 0.299 of 228


def test_the_crop_is_a_region_and_the_frame_stays_whole(opened: Open, clip: Path):
    frame = one_frame(opened(str(clip), crop=[8, 4, 100, 80]))
    assert frame.region == Box(8, 4, 100, 80)
    assert frame.pixels.shape[:2] == (96, 128)


def test_a_crop_outside_the_frame_makes_bad_frames(opened: Open, clip: Path):
    source = opened(str(clip), crop=[100, 0, 100, 80])
    with pytest.raises(BadFrame, match="not inside 128x96"):
        source.next(PATIENCE_S)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"crop": [0, 0, 0, 5]}, "is empty"),
        ({"crop": [0, 0, 5]}, "crop"),
        ({"stream": "my camera"}, "my camera"),
        ({"api": "directshow"}, "api"),
        ({"devise": 1}, 'did you mean "device"'),
    ],
)
def test_options_are_checked(opened: Open, options: dict[str, object], why: str):
    with pytest.raises(ConfigError, match=why):
        opened(0, **options)


def test_an_api_this_opencv_lacks_is_refused(opened: Open):
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(ConfigError, match='without "gstreamer"'):
        opened("videotestsrc ! appsink", api="gstreamer")


def test_a_file_that_is_no_video_is_refused_at_once(opened: Open, tmp_path: Path):
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(ConfigError, match=r"a\.mp4 is not a video"):
        opened(str(tmp_path / "a.mp4"))


def test_what_is_a_file(clip: Path):
    assert is_file(str(clip))
    assert not any(is_file(device) for device in (0, "0", "/dev/null", "rtsp://host/stream"))


# ---------------------------------------------------------------- cameras


def test_the_pause_grows_and_is_bounded():
    pauses = [pause_s(failures) for failures in range(2000)]
    assert pauses == sorted(pauses)
    assert (pauses[0], max(pauses)) == (0.1, 3.0)


def test_a_camera_that_is_not_there_is_unavailable_not_fatal(opened: Open):
    source = opened("/dev/video87")
    with pytest.raises(SourceUnavailable, match="/dev/video87 cannot be opened"):
        keep_asking(source)
    assert not source.ended


def test_a_password_in_an_address_is_never_said(opened: Open):
    source = opened("rtsp://nurse:hunter2@127.0.0.1:1/live")
    with pytest.raises(SourceUnavailable, match=r"rtsp://127\.0\.0\.1:1/live") as caught:
        keep_asking(source)
    assert "hunter2" not in str(caught.value)


class Camera:
    """A network camera: motion JPEG over HTTP, which can be unplugged and plugged in again."""

    def __init__(self) -> None:
        self.unplugged = threading.Event()
        self.level = 40
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not camera.unplugged.wait(0.01):
                        self.wfile.write(camera.part())
                except OSError:
                    pass

            def log_message(self, *_args: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/stream.mjpg"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def part(self) -> bytes:
        _, coded = cv2.imencode(".jpg", np.full((96, 128, 3), self.level, np.uint8))
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(coded)}\r\n\r\n"
        return head.encode() + coded.tobytes() + b"\r\n"

    def close(self) -> None:
        self.unplugged.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def camera() -> Iterator[Camera]:
    camera = Camera()
    yield camera
    camera.close()


def test_a_network_camera_is_followed_through_unplugging(opened: Open, camera: Camera):
    source = opened(camera.address, stream="net")
    before = one_frame(source, lambda frame: frame.seq > 3)
    assert abs(int(before.pixels[48, 64, 0]) - 40) < 6

    camera.unplugged.set()
    with pytest.raises(SourceUnavailable):
        keep_asking(source)
    assert not source.ended

    camera.level = 200
    camera.unplugged.clear()
    after = one_frame(source, lambda frame: frame.session != before.session)
    assert abs(int(after.pixels[48, 64, 0]) - 200) < 6
    assert after.captured_ns > before.captured_ns


def test_a_reader_that_was_away_gets_the_newest_frame(opened: Open, camera: Camera):
    source = opened(camera.address)
    first = one_frame(source)
    before = source.superseded
    camera.level = 220
    give_up = time.monotonic() + PATIENCE_S
    while source.superseded < before + 40 and time.monotonic() < give_up:
        threading.Event().wait(0.01)  # the reader is away while the camera goes on
    left = source.superseded - before
    frame = source.next(1.0)
    assert frame is not None
    assert frame.seq - first.seq > left - 2
    assert int(frame.pixels[48, 64, 0]) > 150


def test_closing_does_not_wait_for_a_camera_that_is_gone(opened: Open, camera: Camera):
    source = opened(camera.address)
    one_frame(source)
    camera.unplugged.set()
    began = time.monotonic()
    source.close()
    assert time.monotonic() - began < 15
