"""What a scanner writes around its picture: a title, settings, a depth ruler, a grey bar. Drawn once, when
made.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frame import Box
from edge.phantom._scan import Beams, ScanConverter
from edge.phantom._ultrasound_scene import UltrasoundScene

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_BRIGHT, _DIM = 200, 130


def room_for_picture(scene: UltrasoundScene) -> Box:
    """What the furniture leaves: all but a thin rim where there is none."""
    width, height = scene.width, scene.height
    if not scene.furniture:
        rim = max(1, min(width, height) // 60)
        return Box(rim, rim, width - 2 * rim, height - 2 * rim)
    left, right, top, bottom = int(0.09 * width), int(0.1 * width), int(0.09 * height), int(0.04 * height)
    return Box(left, top, width - left - right, height - top - bottom)


def draw(scene: UltrasoundScene, beams: Beams, scan: ScanConverter) -> NDArray[np.uint8]:
    """The screen without its picture. What would lie over the picture is left out: the region must be pure
    image.
    """
    screen = np.zeros((scene.height, scene.width), np.uint8)
    if not scene.furniture:
        return screen
    _ruler(screen, beams, scan)
    _grey_bar(screen)
    if scene.width >= 200 and scene.height >= 150:
        _words(screen, scene)
    screen[scan.mask > 0] = 0
    return screen


def _ruler(screen: NDArray[np.uint8], beams: Beams, scan: ScanConverter) -> None:
    height, width = screen.shape
    x = width - max(3, width // 30)
    step = 5.0 if beams.depth_mm <= 80 else 10.0
    tick = max(2, width // 100)
    for number in range(int(beams.depth_mm / step) + 1):
        y = round(scan.to_pixel(beams, number * step))
        long = number % 2 == 0
        cv2.line(screen, (x - (2 * tick if long else tick), y), (x, y), _BRIGHT if long else _DIM, 1)
        if long and number and height >= 150:
            scale = height / 480 * 0.4
            cv2.putText(screen, f"{number * step / 10:g}", (x - 6 * tick, y + 4), _FONT, scale, _DIM, 1, cv2.LINE_AA)


def _grey_bar(screen: NDArray[np.uint8]) -> None:
    height, width = screen.shape
    top, bottom, left = int(0.2 * height), int(0.5 * height), max(2, width // 64)
    ramp = np.linspace(255, 0, bottom - top).astype(np.uint8)
    screen[top:bottom, left : left + max(3, width // 45)] = ramp[:, None]


def _words(screen: NDArray[np.uint8], scene: UltrasoundScene) -> None:
    height, width = screen.shape
    scale = height / 480 * 0.42
    title = f"LIMPID PHANTOM   {scene.probe} {scene.frequency_mhz:.1f} MHz"
    index = f"MI {0.5 + scene.frequency_mhz / 12:.1f}  TIs 0.3"
    cv2.putText(screen, title, (width // 50, int(0.045 * height)), _FONT, scale, _BRIGHT, 1, cv2.LINE_AA)
    (wide, _), _ = cv2.getTextSize(index, _FONT, scale, 1)
    cv2.putText(
        screen,
        index,
        (width - wide - width // 50, int(0.045 * height)),
        _FONT,
        scale,
        _BRIGHT,
        1,
        cv2.LINE_AA,
    )
    notes = (
        f"{scene.depth_mm / 10:.1f} cm",
        f"DR {scene.dynamic_range_db:.0f}",
        f"G {50 + scene.gain_db:.0f}",
    )
    for number, note in enumerate(notes):
        place = (max(2, width // 64), int((0.58 + 0.045 * number) * height))
        cv2.putText(screen, note, place, _FONT, scale * 0.85, _DIM, 1, cv2.LINE_AA)
