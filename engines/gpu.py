"""What lets a GPU work without waiting for the CPU. Where there is none, things are simply done.

A step of training launches some thousands of small kernels, and launching them takes a CPU longer than they take the
GPU: so it is recorded once and replayed. And nothing is fetched from the GPU, or brought there by a copy that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Work = Callable[[Sequence[Tensor], int], Tensor]
_WARM = 3  # times it is done before it is recorded: libraries choose their kernels, optimisers make their state


def sent(values: NDArray[Any], device: torch.device) -> Tensor:
    """Small things that were chosen by NumPy, to where they are needed; in single precision where they are floats."""
    here = torch.from_numpy(values.astype(np.float32) if values.dtype == np.float64 else values)
    return here.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else here


class Recorded:
    """`kind` is what makes a piece of work another one: each is recorded for itself. One thread, one stream.

    What it gives is overwritten by the next call. A call waits for the one before, so that a CPU never is far ahead.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._recordings: dict[int, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self._pool: Any = None
        self._done: torch.cuda.Event | None = None

    def __call__(self, inputs: Sequence[Tensor], kind: int) -> Tensor:
        if not inputs[0].is_cuda:
            return self._work(inputs, kind)
        if self._done is None:
            self._done = torch.cuda.Event()
        self._done.synchronize()
        if kind not in self._recordings:
            self._recordings[kind] = self._record(inputs, kind)
        graph, places, result = self._recordings[kind]
        for place, value in zip(places, inputs, strict=True):
            place.copy_(value)
        graph.replay()
        self._done.record()
        return result

    def _record(self, inputs: Sequence[Tensor], kind: int) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        places = [value.clone() for value in inputs]
        for _ in range(_WARM):
            self._work(places, kind)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=torch.cuda.current_stream()):
            result = self._work(places, kind)
        self._pool = graph.pool()  # recordings of one work never run at once, and share their memory
        return graph, places, result
