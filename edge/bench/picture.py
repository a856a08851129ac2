"""The distribution of latencies as a PNG: how many frames took at least how long, tail in full view."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from edge.errors import ConfigError

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 960, 540, 80, 60, 50, 30
COLOURS = ((60, 160, 20), (40, 90, 230), (200, 120, 30))
INK, GRID, PAPER = (40, 40, 40), (225, 225, 225), (255, 255, 255)
QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)


def draw(path: Path, latencies_us: dict[str, list[int]], title: str) -> None:
    picture = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    series = {name: np.sort(np.array(values)) / 1000 for name, values in latencies_us.items() if values}
    most = max((values[-1] for values in series.values()), default=1.0)
    top = _round_up(float(max(most, 0.001)))
    _axes(picture, top, title)
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        _curve(picture, values, top, colour)
        _legend(picture, list(series).index(name), f"{name} ({len(values)} frames)", colour)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture):
        raise ConfigError(f"{path} cannot be written")


def _round_up(value: float) -> float:
    step = 10 ** math.floor(math.log10(value))
    return math.ceil(value / step) * step


def _x(quantile: float) -> int:
    """Nines, evenly spread: the tail gets as much room as the middle."""
    nines = -math.log10(max(1 - quantile, 1e-4))
    return int(LEFT + (WIDTH - LEFT - RIGHT) * nines / 4)


def _y(value: float, top: float) -> int:
    return int(HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * min(value / top, 1.0))


def _axes(picture: np.ndarray, top: float, title: str) -> None:
    for quantile in QUANTILES:
        x = _x(quantile)
        cv2.line(picture, (x, TOP), (x, HEIGHT - BOTTOM), GRID, 1)
        _text(picture, f"p{quantile * 100:g}", (x - 22, HEIGHT - BOTTOM + 22))
    for part in range(5):
        value = top * part / 4
        cv2.line(picture, (LEFT, _y(value, top)), (WIDTH - RIGHT, _y(value, top)), GRID, 1)
        _text(picture, f"{value:.4g} ms", (6, _y(value, top) + 5))
    _text(picture, f"sent to received, {title}", (LEFT, 30))


def _curve(picture: np.ndarray, values: np.ndarray, top: float, colour: tuple[int, int, int]) -> None:
    count = len(values)
    points = [(_x((i + 0.5) / count), _y(float(value), top)) for i, value in enumerate(values)]
    cv2.polylines(picture, [np.array(points, np.int32)], False, colour, 2, cv2.LINE_AA)


def _legend(picture: np.ndarray, row: int, text: str, colour: tuple[int, int, int]) -> None:
    y = TOP + 20 + 22 * row
    cv2.line(picture, (LEFT + 14, y - 4), (LEFT + 44, y - 4), colour, 3)
    _text(picture, text, (LEFT + 54, y))


def _text(picture: np.ndarray, text: str, at: tuple[int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
