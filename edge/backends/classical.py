"""OpenCV instead of a net: the last rung before the original, and the honest baseline.

A bilateral filter keeps edges; a motion-gated average with the past steadies what stands still. It runs where it is
started, in a few milliseconds, and needs no model file: `engine` may be any engine of the family it stands in for.
"""

from __future__ import annotations

import time
from typing import cast

import cv2
import numpy as np

from edge.backends import Shape
from edge.catalog import Engine
from edge.errors import EngineFault, EngineRefused
from edge.frame import EngineId, Pixels

STILL = 0.05  # of full scale: a local mean that moved by this much has moved
MEMORY = 0.5
SIGMA_LEVEL, SIGMA_SPACE = 0.08, 1.2


def open_backend(threads: int) -> Classical:
    del threads  # OpenCV's own pool is one for the process
    return Classical()


class Classical:
    version = cv2.__version__

    def open(self, engine: Engine | None, shape: Shape) -> ClassicalSession:
        if engine is not None and engine.manifest.scale != 1:
            raise EngineRefused(f"classical does not enlarge: it cannot stand in for {engine.manifest.name}")
        session = ClassicalSession(shape)
        session.start(shape.blank(), 1.0)
        session.forget()
        return session


class ClassicalSession:
    def __init__(self, shape: Shape) -> None:
        self.id = EngineId("classical", "", "classical", "fp32")
        self.shape = self.result_shape = shape
        self._past: np.ndarray | None = None
        self._result: Pixels | None = None
        self.took_ns = 0
        self.change: float | None = None  # nobody measures it on the way

    def start(self, grey: Pixels, strength: float) -> None:
        if grey.shape != (self.shape.height, self.shape.width):
            raise EngineFault("shape", f"picture {grey.shape} for a session of {self.shape}")
        started = time.monotonic_ns()
        level = grey.astype(np.float32) * np.float32(1 / self.shape.full_scale)
        calm = cv2.bilateralFilter(level, 5, SIGMA_LEVEL, SIGMA_SPACE)
        steady = self._steadied(calm)
        mixed = cv2.addWeighted(steady, strength, level, 1.0 - strength, 0.0)
        whole = np.rint(np.clip(mixed, 0.0, 1.0, out=mixed) * np.float32(self.shape.full_scale))
        self._result = cast("Pixels", whole.astype(grey.dtype))
        self._past = steady
        self.took_ns = time.monotonic_ns() - started

    def _steadied(self, calm: np.ndarray) -> np.ndarray:
        if self._past is None:
            return calm
        news = calm - self._past
        moved = np.abs(cv2.blur(news, (5, 5)))
        gate = np.maximum(MEMORY - moved * np.float32(MEMORY / STILL), 0.0)
        return calm - news * gate

    def wait(self, timeout_ns: int) -> bool:
        del timeout_ns
        return True

    def result(self) -> Pixels:
        if self._result is None:
            raise EngineFault("busy", "nothing was started")
        return self._result

    def forget(self) -> None:
        self._past = None

    def close(self) -> None:
        self._past = self._result = None
