"""A learning curve as a picture: loss and PSNR over minutes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, RIM = 720, 360, 50
_INK, _LOSS, _QUALITY = (40, 40, 40), (60, 110, 220), (150, 90, 30)


def draw_curve(path: Path, title: str, curve: list[tuple[float, float, float]]) -> None:
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    cv2.rectangle(picture, (RIM, RIM), (WIDTH - RIM, HEIGHT - RIM), (200, 200, 200), 1)
    minutes = [point[0] / 60 for point in curve]
    for values, colour, name, x in (
        ([point[1] for point in curve], _LOSS, "loss", RIM),
        ([point[2] for point in curve], _QUALITY, "PSNR, dB", WIDTH - 3 * RIM),
    ):
        good = np.isfinite(values)
        _line(picture, np.asarray(minutes)[good], np.asarray(values)[good], colour)
        _write(picture, f"{name}: {values[-1]:.4g}", (x, RIM - 10), colour)
    _write(picture, f"{title}, {minutes[-1]:.0f} minutes", (WIDTH // 2 - 110, HEIGHT - 18), _INK)
    cv2.imwrite(str(path), picture)


def _line(picture: np.ndarray, x: np.ndarray, y: np.ndarray, colour: tuple[int, int, int]) -> None:
    if len(x) < 2:
        return
    across = RIM + (x / x.max()) * (WIDTH - 2 * RIM)
    down = HEIGHT - RIM - (y - y.min()) / max(1e-9, float(np.ptp(y))) * (HEIGHT - 2 * RIM)
    path = np.round(np.stack((across, down), 1)).astype(np.int32)
    cv2.polylines(picture, [path], False, colour, 2, cv2.LINE_AA)


def _write(picture: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
