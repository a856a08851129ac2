"""What an engine is shown to find out whether it is right here: the frames in its folder (`reference.npz`), or a
phantom's by a fixed seed, the same on every machine.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from edge import phantom
from edge.backends import Shape
from edge.catalog import Engine
from edge.errors import EngineRefused
from edge.frame import Pixels

REFERENCE = "reference.npz"  # in the engine's folder: frames, [n, h, w], 8 or 16 bits a sample; bits
SEED = 20240


def usual_shape(engine: Engine) -> Shape:
    """What its modality's scanners send: ultrasound 8 bits, fluoroscopy 12."""
    deep = "fluoroscopy" in engine.manifest.modalities and "ultrasound" not in engine.manifest.modalities
    return Shape(480, 640, 12 if deep else 8)


def reference_frames(engine: Engine, shape: Shape, count: int) -> list[Pixels]:
    """Those that came with the engine, or a phantom's; always the same. Raises EngineRefused."""
    path = engine.folder / REFERENCE
    if path.exists():
        return _shipped_frames(engine, shape, count)
    modality = "fluoroscopy" if usual_shape(engine).bits == 12 else "ultrasound"
    scene = phantom.make(modality, seed=SEED, width=shape.width, height=shape.height)
    return [_in_depth(scene.frame(index), shape) for index in range(count)]


def _in_depth(exposure: phantom.Exposure, shape: Shape) -> Pixels:
    full = (1 << exposure.bits) - 1
    levels = np.rint(exposure.pixels.astype(np.float64) * (shape.full_scale / full))
    return cast("Pixels", levels.astype(shape.blank().dtype))


def _shipped_frames(engine: Engine, shape: Shape, count: int) -> list[Pixels]:
    path = engine.folder / REFERENCE
    try:
        with np.load(path, allow_pickle=False) as shipped:
            frames, bits = np.asarray(shipped["frames"]), int(shipped["bits"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise EngineRefused(f"{engine.manifest.name}: {REFERENCE} cannot be read: {error}") from error
    wanted = np.uint8 if bits == 8 else np.uint16
    if frames.ndim != 3 or frames.dtype != wanted or not len(frames) or not 8 <= bits <= 16:
        raise EngineRefused(f"{engine.manifest.name}: {REFERENCE} holds {frames.dtype} {frames.shape}, {bits} bits")
    factor = shape.full_scale / ((1 << bits) - 1)
    scaled = np.rint(frames[: max(1, math.ceil(count))].astype(np.float64) * factor).astype(shape.blank().dtype)
    return [cast("Pixels", np.ascontiguousarray(frame)) for frame in scaled]
