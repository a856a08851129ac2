"""A frame's pixels as an object stores them: colour as RGB by pixel, ultrasound in 8 bits. Pure."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from edge.dicom.take import Look
from edge.frame import Modality, PixelFormat, Pixels

LABEL = "ENHANCED"
XRAY_DEPTHS = (8, 10, 12, 16)  # the bits that the X-Ray Image module allows to be stored
_LABEL_HEIGHT = 1 / 24  # of the picture's height


def bits_stored(look: Look) -> int:
    if look.bits <= 8 or look.modality is Modality.ULTRASOUND:
        return 8
    if look.modality is Modality.FLUOROSCOPY:
        return next(depth for depth in XRAY_DEPTHS if depth >= look.bits)
    return look.bits


def mapping(look: Look) -> str:
    """How received levels became stored ones, in words; empty where they are the same."""
    dropped = look.bits - bits_stored(look)
    if dropped <= 0:
        return ""
    return (
        f"Received with {look.bits} bits, stored with the upper 8: the lowest {dropped} bits of each level are left out"
    )


def stored(pixels: Pixels, look: Look) -> Pixels:
    """Contiguous, as the encoder and the file want it."""
    if look.format is PixelFormat.BGR8:
        pixels = pixels[:, :, ::-1]
    dropped = look.bits - bits_stored(look)
    if dropped > 0:
        pixels = (pixels >> dropped).astype(np.uint8)
    return cast(Pixels, np.ascontiguousarray(pixels))


def label_corner(pixels: Pixels) -> tuple[int, int, int, int]:
    """x, y, width, height of the quietest corner: the label should cover neither picture nor writing."""
    rows, columns = pixels.shape[:2]
    height = max(8, round(rows * _LABEL_HEIGHT))
    width = min(columns, height * 7)
    height = min(height, rows)
    corners = [(x, y) for y in (rows - height, 0) for x in (columns - width, 0)]
    x, y = min(corners, key=lambda at: float(np.std(pixels[at[1] : at[1] + height, at[0] : at[0] + width])))
    return x, y, width, height


def burn_label(pixels: Pixels, corner: tuple[int, int, int, int], full_scale: int) -> Pixels:
    """A copy with the label: bright letters on a black plate, so that it can be read on any picture."""
    x, y, width, height = corner
    plate = np.zeros((height, width), np.uint8)
    (wide, high), base = cv2.getTextSize(LABEL, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
    scale = min((width - 2) / wide, (height - 2) / (high + base))
    at = (max(0, round((width - wide * scale) / 2)), round((height + high * scale) / 2))
    cv2.putText(plate, LABEL, at, cv2.FONT_HERSHEY_SIMPLEX, max(scale, 0.1), 255, 1, cv2.LINE_AA)
    levels = (plate.astype(np.uint32) * full_scale // 255).astype(pixels.dtype)
    labelled = pixels.copy()
    labelled[y : y + height, x : x + width] = levels if pixels.ndim == 2 else levels[:, :, None]
    return labelled
