"""What is stored, as images and facts: opened, checked against its sum, decoded one frame at a time. The images thread.

An object that was opened stays open for a little while: a clip is looked at frame by frame. One thread, so a page that
asks for a thousand frames gets them one after the other, and nothing else suffers.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from edge.console import developing
from edge.console.archive import Archive
from edge.console.developing import Image, Window
from edge.console.errors import not_found
from edge.dicom import peek
from edge.dicom.stored import Stored as Opened
from edge.errors import LimpidError, OutboxFault
from edge.frame import PixelFormat, Pixels
from edge.outbox import Capture, Stored

OPEN_AT_ONCE = 4
KEPT_OPEN_S = 30.0
THUMBNAIL_WIDTH = 240
THUMBNAILS = 256  # kept in memory, 10 kB each
QUALITY = 92


@dataclass(slots=True)
class _Book:
    stream: BinaryIO
    opened: Opened
    used_s: float


class Shelf:
    """Owned by the images thread."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._books: OrderedDict[tuple[str, str, str], _Book] = OrderedDict()
        self._thumbnails: OrderedDict[tuple[str, str], Image] = OrderedDict()

    # ------------------------------------------------ what a call asks for

    def frame(
        self, capture: Capture, stored: Stored, number: int, width: int, kind: Literal["jpeg", "png"],
        window: Window | None,
    ) -> Image:  # fmt: skip
        opened = self._open(capture, stored)
        if number >= opened.frames:
            raise not_found(f"the object has {opened.frames} frames")
        return self._image(opened, number, width, kind, window)

    def thumbnail(self, capture: Capture) -> Image:
        stored = next((one for one in capture.objects if one.role == "enhanced"), capture.objects[0])
        key = (capture.id, stored.sha256)
        if key not in self._thumbnails:
            opened = self._open(capture, stored)
            self._thumbnails[key] = self._image(opened, opened.frames // 2, THUMBNAIL_WIDTH, "jpeg", None)
            while len(self._thumbnails) > THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return self._thumbnails[key]

    def facts(self, capture: Capture) -> dict[str, Any]:
        """Whose it is and how it looks, from the first object; or why that cannot be told."""
        try:
            opened = self._open(capture, capture.objects[0])
            rows, columns = opened.layout.shape[:2]
            picture = {
                "width": columns, "height": rows, "bits": opened.layout.bits, "frame_ms": peek.beat_of(opened),
                "window": list(peek.window_of(opened)),
            }  # fmt: skip
            return {"patient": peek.subject_of(opened), "picture": picture, "unreadable": ""}
        except (LimpidError, OSError, ValueError, TypeError) as error:
            # What pydicom says may quote the object: only our own words go out.
            words = str(error) if isinstance(error, LimpidError) else type(error).__name__
            return {"patient": None, "picture": None, "unreadable": words}

    # ------------------------------------------------ books

    def _open(self, capture: Capture, stored: Stored) -> Opened:
        self._tidy()
        key = (capture.id, stored.name, stored.sha256)  # a corrected identity makes another file of the same name
        book = self._books.pop(key, None)
        if book is None:
            while len(self._books) >= OPEN_AT_ONCE:
                self._books.popitem(last=False)[1].stream.close()
            stream = self._archive.read(capture, stored)
            try:
                book = _Book(stream, Opened(stream), 0.0)
            except BaseException:
                stream.close()
                raise
        book.used_s = time.monotonic()
        self._books[key] = book
        return book.opened

    def _tidy(self) -> None:
        now = time.monotonic()
        for key in [key for key, book in self._books.items() if now - book.used_s > KEPT_OPEN_S]:
            self._books.pop(key).stream.close()

    def _image(
        self, opened: Opened, number: int, width: int, kind: Literal["jpeg", "png"], window: Window | None
    ) -> Image:
        try:
            pixels = opened.frame(number)
        except (ValueError, RuntimeError, OSError, LookupError) as error:
            raise OutboxFault(f"frame {number} cannot be decoded ({type(error).__name__})") from None
        format_ = PixelFormat.RGB8 if opened.layout.is_colour else PixelFormat.GREY8
        if kind == "png" and not width and window is None:
            return developing.as_png(_blue_first(pixels, format_))
        through = window or (Window(*peek.window_of(opened)) if opened.layout.bits > 8 else developing.full(8))
        rows, columns = pixels.shape[:2]
        scale = min(1.0, width / columns) if width else 1.0
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        eight = developing.develop(pixels, format_, opened.layout.bits, through, size)
        return developing.as_png(eight) if kind == "png" else developing.as_jpeg(eight, QUALITY)


def _blue_first(pixels: Pixels, format_: PixelFormat) -> Pixels:
    return pixels[:, :, ::-1] if format_ is PixelFormat.RGB8 else pixels
