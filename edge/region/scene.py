"""Has the picture jumped to another place? Live thread, every frame, some ten microseconds."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frame import Box, Frame

Thumb = NDArray[np.float32]

_WIDTH, _HEIGHT = 16, 12
_SAMPLES = 5  # a tile of the thumb is the mean of 5x5 pixels: speckle averages out, and reading stays cheap
_CUT = 0.5  # what the best gain and offset cannot explain, as a part of the picture's own contrast
_FLOOR = 4.0  # levels of 255 below which that is noise, whatever the contrast


def thumb(frame: Frame, box: Box) -> Thumb:
    """A 16x12 signature of the picture inside a box, in levels of 255."""
    pixels = frame.pixels[box.slices]
    down = max(1, box.height // (_HEIGHT * _SAMPLES))
    across = max(1, box.width // (_WIDTH * _SAMPLES))
    sparse = pixels[::down, ::across] if pixels.ndim == 2 else pixels[::down, ::across, 1]
    small = cv2.resize(np.ascontiguousarray(sparse), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) * np.float32(255 / frame.full_scale)


def scene_cut(previous: Thumb, current: Thumb) -> bool:
    """Whether `current` shows another place than `previous`.

    A change of gain, flicker or a slow drift of brightness is one factor and one offset for the whole
    picture: both are fitted away first.
    """
    a = previous - previous.mean()
    b = current - current.mean()
    aa, bb, ab = (float((u * v).sum()) for u, v in ((a, a), (b, b), (a, b)))
    unlike = 1.0 - max(ab, 0.0) ** 2 / (aa * bb) if aa > 0 and bb > 0 else 1.0
    return unlike > _CUT**2 and unlike * max(aa, bb) > _FLOOR**2 * b.size
