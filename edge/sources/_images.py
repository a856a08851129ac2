"""Clips of image files: one image, or a folder of them in the order a person would count them."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from edge.errors import BadFrame, ConfigError
from edge.frame import PixelFormat
from edge.sources._picture import Picture, picture_of

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".pgm", ".ppm")


class Images:
    """Image files without times. One that cannot be read costs itself, not the clip."""

    at_ns: int | None = None
    stream = ""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths
        self._index = -1

    def advance(self) -> bool:
        self._index += 1
        return self._index < len(self._paths)

    def picture(self) -> Picture:
        path = self._paths[self._index]
        try:
            return picture_of(_read(path), PixelFormat.BGR8)
        except BadFrame as error:
            raise BadFrame(error.reason, f"{path.name}: {error.detail}") from error

    def rewind(self) -> None:
        self._index = -1

    def close(self) -> None:
        pass


def open_image(path: Path) -> Images:
    """One image. It is decoded once to see whether it can be."""
    try:
        clip = Images([path])
        clip.advance()
        clip.picture()
    except BadFrame as error:
        raise ConfigError(f"{path} cannot be played: {error}") from error
    clip.rewind()
    return clip


def open_folder(folder: Path) -> Images:
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error
    paths.sort(key=natural)
    if not paths:
        raise ConfigError(f"{folder} holds no image; known are {', '.join(SUFFIXES)}")
    return Images(paths)


def natural(path: Path) -> list[tuple[int, str]]:
    """frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), part) if part.isascii() and part.isdigit() else (-1, part) for part in parts]


def _read(path: Path) -> np.ndarray:
    try:
        coded = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise BadFrame("damaged", str(error.strerror)) from error
    try:
        pixels = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED) if coded.size else None
    except cv2.error as error:
        raise BadFrame("damaged", "not a readable image") from error
    if pixels is None:
        raise BadFrame("damaged", "not a readable image")
    return _plain(pixels)


def _plain(pixels: np.ndarray) -> np.ndarray:
    """Without what a picture on a screen does not have: transparency, and 16 bits of colour."""
    if pixels.ndim == 3 and pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        pixels = pixels[:, :, :3]
    return pixels
