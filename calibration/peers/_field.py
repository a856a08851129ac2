"""Where a picture has content: the zeros around a sector or a collimated field are no anatomy. No state."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from calibration.peers._levels import Floats

_SOLID = 9  # pixels: smaller clusters of black belong to the picture (grain in a shadow, a dark vessel)


def inside(levels: Floats) -> NDArray[np.bool_]:
    """True where the picture is: everywhere but the solid black that reaches in from its border."""
    black = np.pad(levels <= 0, _SOLID, constant_values=True).astype(np.uint8)
    solid = cv2.morphologyEx(black, cv2.MORPH_OPEN, np.ones((_SOLID, _SOLID), np.uint8))
    labels = cv2.connectedComponents(solid, connectivity=4)[1]
    return (labels != labels[0, 0])[_SOLID:-_SOLID, _SOLID:-_SOLID]


def spread_out(levels: Floats, field: NDArray[np.bool_]) -> Floats:
    """The picture continued beyond its field by the nearest pixel inside, so that no border rings or bleeds in."""
    if field.all() or not field.any():
        return levels
    beyond = (~field).astype(np.uint8)
    nearest = cv2.distanceTransformWithLabels(beyond, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1]
    labels = nearest.astype(np.intp)
    level_of = np.zeros(int(labels.max()) + 1, np.float32)
    level_of[labels[field]] = levels[field]
    return level_of[labels]
