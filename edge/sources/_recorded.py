"""Clips of recordings made by `limpid record`. Frames keep their own stream, region and spacing."""

from __future__ import annotations

from pathlib import Path

from edge import recording
from edge.errors import BadFrame
from edge.frame import Frame
from edge.sources._picture import Picture


class Recorded:
    """The frames of a recording, dated by their arrival."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = recording.read(path)
        self._frame: Frame | None = None
        self._torn_was_said = False

    def advance(self) -> bool:
        self._frame = next(self._reading, None)
        if self._frame is None and self._reading.torn and not self._torn_was_said:
            self._torn_was_said = True
            return True  # one more picture, which says what is missing
        return self._frame is not None

    @property
    def at_ns(self) -> int | None:
        return self._frame.received_ns if self._frame else None

    @property
    def stream(self) -> str:
        return self._frame.stream if self._frame else ""

    def picture(self) -> Picture:
        frame = self._frame
        if frame is None:
            raise BadFrame("torn", f"{self._path.name}: {self._reading.torn}")
        return Picture(frame.pixels, frame.format, frame.bits, frame.modality, frame.spacing_mm, frame.region)

    def rewind(self) -> None:
        self._reading = recording.read(self._path)
        self._frame = None

    def close(self) -> None:
        pass  # frames alias the mapped file, which goes with the last of them


def open_recorded(path: Path) -> Recorded:
    return Recorded(path)
