"""Multi-frame and Cine: the beat of a clip."""

from __future__ import annotations

from pydicom.tag import BaseTag, Tag

from edge.dicom.facts import Attribute, Facts, Module
from edge.dicom.texts import decimal


def increment_pointer(facts: Facts) -> BaseTag | None:
    if facts.times is None:
        return None
    return Tag("FrameTimeVector" if facts.times.vector else "FrameTime")


def _step(facts: Facts) -> str | None:
    times = facts.times
    return decimal(round(times.step_ms, 3)) if times and not times.vector else None


MULTI_FRAME: Module[Facts] = Module("Multi-frame", (
    Attribute("NumberOfFrames", "1", "frames of the clip", lambda f: f.frames),
    Attribute("FrameIncrementPointer", "1", "FrameTime, or FrameTimeVector with jitter or gaps", increment_pointer),
))  # fmt: skip

CINE: Module[Facts] = Module("Cine", (
    Attribute("FrameTime", "1C", "mean step in ms, when no frame lies more than 0.5 ms off the beat", _step),
    Attribute("FrameTimeVector", "1C", "each step in ms, otherwise: jitter and gaps as they were",
              lambda f: list(f.times.vector) if f.times else None),
    Attribute("CineRate", "3", "frames a second, of the median step", lambda f: f.times and f.times.rate),
    Attribute("RecommendedDisplayFrameRate", "3", "the same", lambda f: f.times and f.times.rate),
    Attribute("EffectiveDuration", "3", "seconds, first frame to last",
              lambda f: f.times and decimal(round(f.times.duration_s, 3))),
))  # fmt: skip
