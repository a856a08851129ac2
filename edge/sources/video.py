"""Cameras and grabbers through OpenCV: V4L2, RTSP and other addresses, GStreamer, a file played as a camera.

A thread of its own reads all the time, so that the driver's queue never holds old frames; `next` takes the
newest.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Literal

import cv2
import msgspec
import numpy as np

from edge.clock import SECOND, Clock
from edge.errors import BadFrame, ConfigError, SourceUnavailable
from edge.frame import Box, Frame, PixelFormat
from edge.sources._feed import Feed
from edge.sources._pace import Pace
from edge.sources._picture import MODALITIES, check_size, checked_stream, picture_of

_APIS = {
    "any": cv2.CAP_ANY, "v4l2": cv2.CAP_V4L2, "ffmpeg": cv2.CAP_FFMPEG, "gstreamer": cv2.CAP_GSTREAMER,
}  # fmt: skip
_OPEN_TIMEOUT_MS, _READ_TIMEOUT_MS = 5000, 3000

Side = Annotated[int, msgspec.Meta(ge=0, le=4096)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[source.video]"""

    device: int | str = 0  # an index, /dev/video0, rtsp://..., a file, or a GStreamer pipeline
    api: Literal["any", "v4l2", "ffmpeg", "gstreamer"] = "any"
    width: Side = 0  # asked of the device; 0: its own choice
    height: Side = 0
    fps: Annotated[float, msgspec.Meta(ge=0, le=240)] = 0.0
    crop: tuple[Side, Side, Side, Side] | None = None  # x, y, width, height of the image in the frame
    grey: bool = False  # send brightness alone
    stream: str = "video"
    modality: Literal["unknown", "ultrasound", "fluoroscopy"] = "unknown"


class Video:
    """A camera, followed through unplugging. `superseded` counts frames not fetched before the next one."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._ended = False
        self._closed = threading.Event()
        self._feed: Feed[Frame | BadFrame] = Feed(
            "video", lambda session: Camera(options, clock, session, self._closed)
        )

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def superseded(self) -> int:
        return self._feed.superseded

    def next(self, timeout_s: float) -> Frame | None:
        ended = self._feed.ended
        frame = self._feed.take(timeout_s)
        if isinstance(frame, BadFrame):
            raise frame
        self._ended = ended and frame is None
        return frame

    def close(self) -> None:
        self._closed.set()
        self._feed.close()


class Camera:
    """One open device. Owned by the feed's thread."""

    def __init__(self, options: Options, clock: Clock, session: int, closed: threading.Event) -> None:
        self._options = options
        self._clock = clock
        self._session = session
        self._closed = closed
        self._seq = 0
        self._box = Box(*options.crop) if options.crop else None
        self._capture = _opened(options)
        self._is_file = is_file(options.device)
        own_fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._pace = Pace(options.fps or (own_fps if 1 <= own_fps <= 240 else 0), fast=not self._is_file)

    def read(self) -> tuple[str, Frame | BadFrame] | None:
        if not self._capture.grab():
            if self._is_file:
                raise EOFError
            raise SourceUnavailable(f"{_shown(self._options.device)} gives no frames any more; trying again")
        due = self._pace.schedule(None, self._clock.now())
        if self._is_file:
            self._closed.wait(max(0, due - self._clock.now()) / SECOND)
        captured = self._clock.now()
        seq, self._seq = self._seq, self._seq + 1
        try:
            return self._options.stream, self._frame(self._pixels(), seq, captured)
        except BadFrame as error:
            return self._options.stream, error

    def close(self) -> None:
        self._capture.release()

    def _pixels(self) -> np.ndarray:
        got, pixels = self._capture.retrieve()
        if not got:
            raise BadFrame("damaged", "a frame cannot be decoded")
        if self._options.grey and pixels.ndim == 3:
            return cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        return pixels

    def _frame(self, pixels: np.ndarray, seq: int, captured_ns: int) -> Frame:
        picture = picture_of(pixels, PixelFormat.BGR8)
        if self._box and not self._box.inside(pixels.shape[1], pixels.shape[0]):
            raise BadFrame("region", f"crop {self._options.crop} is not inside {pixels.shape[1]}x{pixels.shape[0]}")
        return Frame(
            pixels=picture.pixels,
            stream=self._options.stream,
            seq=seq,
            captured_ns=captured_ns,
            received_ns=captured_ns,
            format=picture.format,
            bits=picture.bits,
            modality=MODALITIES[self._options.modality],
            session=self._session,
            stamped_ns=captured_ns,
            region=self._box,
            cut=seq == 0,
        )


def open_source(options: Options, clock: Clock) -> Video:
    checked_stream(options.stream)
    if options.crop and min(options.crop[2:]) < 1:
        raise ConfigError(f"[source.video] crop {list(options.crop)} is empty; it is x, y, width, height")
    if options.api != "any" and not cv2.videoio_registry.hasBackend(_APIS[options.api]):
        raise ConfigError(f'[source.video] this machine\'s OpenCV was built without "{options.api}"')
    if is_file(options.device):
        _check_file(options)
    return Video(options, clock)


def is_file(device: int | str) -> bool:
    """A file ends, and has a pace of its own; a device does neither."""
    return isinstance(device, str) and Path(device).is_file()


def _check_file(options: Options) -> None:
    try:
        capture = _opened(options)
    except SourceUnavailable:
        raise ConfigError(f"{options.device} is not a video file that can be read") from None
    try:
        check_size(int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    except BadFrame as error:
        raise ConfigError(f"{options.device}: {error}") from error
    finally:
        capture.release()


def _opened(options: Options) -> cv2.VideoCapture:
    device = int(options.device) if str(options.device).isdigit() else options.device
    capture = cv2.VideoCapture()
    # Without these an address that does not answer holds its thread for half a minute.
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        _OPEN_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        _READ_TIMEOUT_MS,
    ]
    if isinstance(device, str) and "://" in device:
        api = cv2.CAP_FFMPEG if options.api == "any" else _APIS[options.api]
        capture.open(device, api, limits)
    else:
        is_v4l2 = options.api == "any" and str(device).startswith("/dev/video")
        capture.open(device, cv2.CAP_V4L2 if is_v4l2 else _APIS[options.api])
    if not capture.isOpened():
        raise SourceUnavailable(f"{_shown(options.device)} cannot be opened; trying again")
    if not is_file(options.device):
        _ask(capture, options)
    return capture


def _ask(capture: cv2.VideoCapture, options: Options) -> None:
    """What the device will not do, it leaves as it is: frames say their own size."""
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    wanted = {
        cv2.CAP_PROP_FRAME_WIDTH: options.width,
        cv2.CAP_PROP_FRAME_HEIGHT: options.height,
        cv2.CAP_PROP_FPS: options.fps,
    }
    for what, value in wanted.items():
        if value:
            capture.set(what, value)


def _shown(device: int | str) -> str:
    """The device for a message, without the password an address may hold."""
    text = f"camera {device}" if str(device).isdigit() else str(device)
    scheme, separator, rest = text.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if separator else text
