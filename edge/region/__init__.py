"""Where the image is inside the frame, and how an enhanced picture is put back into it.

model    Region; layout_changed                  every frame, live thread
scene    thumb, scene_cut                        every frame, live thread
compose  grey_of, colourless, put_back           every frame, live thread
still    the search in one frame                 about twice a second, helper thread
layout   what the screen around the image holds  when a region is taken up, helper thread
track    find, Tracker                           about twice a second, helper thread
"""

from edge.region.compose import COLOUR_TOLERANCE, colourless, grey_of, put_back
from edge.region.model import Layout, Mask, Region, layout_changed
from edge.region.scene import Thumb, scene_cut, thumb
from edge.region.track import Tracker, find

__all__ = [
    "COLOUR_TOLERANCE",
    "Layout",
    "Mask",
    "Region",
    "Thumb",
    "Tracker",
    "colourless",
    "find",
    "grey_of",
    "layout_changed",
    "put_back",
    "scene_cut",
    "thumb",
]
