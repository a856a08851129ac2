"""Clips of video files, through OpenCV. Each picture's time is the file's own time stamp."""

from __future__ import annotations

from pathlib import Path

import cv2

from edge.clock import MS, SECOND
from edge.errors import BadFrame, ConfigError
from edge.frame import PixelFormat
from edge.sources._picture import Picture, check_size, picture_of

_SLOWEST_FPS, _FASTEST_FPS = 0.1, 1000.0  # what a container says beyond these is a time base, not a rate


class Movie:
    """Pictures of a video file, decoded one by one, front to back."""

    stream = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture = _opened(path)
        self.at_ns: int | None = None
        self._index = -1

    def advance(self) -> bool:
        if not self._capture.grab():
            return False
        self._index += 1
        self.at_ns = self._time()
        return True

    def picture(self) -> Picture:
        got, pixels = self._capture.retrieve()
        if not got:
            raise BadFrame("damaged", f"picture {self._index} of {self._path.name} cannot be decoded")
        return picture_of(pixels, PixelFormat.BGR8)

    def rewind(self) -> None:
        # Opening again is the one way back that every container offers.
        self._capture.release()
        self._capture = _opened(self._path)
        self._index, self.at_ns = -1, None

    def close(self) -> None:
        self._capture.release()

    def _time(self) -> int | None:
        stamp = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * MS)
        if self.at_ns is None or stamp > self.at_ns:
            return max(stamp, 0)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        return self.at_ns + round(SECOND / fps) if _SLOWEST_FPS <= fps <= _FASTEST_FPS else None


def open_movie(path: Path) -> Movie:
    return Movie(path)


def _opened(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ConfigError(f"{path} is not a recording, DICOM, MetaImage, image or video file that can be read")
    try:
        check_size(int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    except BadFrame as error:
        capture.release()
        raise ConfigError(f"{path}: {error}") from error
    return capture
