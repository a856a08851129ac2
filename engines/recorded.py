"""Work that a GPU does again and again: recorded once, then replayed.

A step of training launches some thousands of small kernels, and launching them takes a CPU longer than they take the
GPU. On a CPU the work is simply done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Work = Callable[[Sequence[Tensor], int], Tensor]
_WARM = 3  # times it is done before it is recorded: libraries choose their kernels, optimisers make their state


class Recorded:
    """`kind` is what makes a piece of work another one: each is recorded for itself. One thread, one stream.

    What it gives is overwritten by the next call.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._recordings: dict[int, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}
        self._pool: Any = None

    def __call__(self, inputs: Sequence[Tensor], kind: int) -> Tensor:
        if not inputs[0].is_cuda:
            return self._work(inputs, kind)
        if kind not in self._recordings:
            self._recordings[kind] = self._record(inputs, kind)
        graph, places, result = self._recordings[kind]
        for place, value in zip(places, inputs, strict=True):
            place.copy_(value)
        graph.replay()
        return result

    def _record(self, inputs: Sequence[Tensor], kind: int) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]:
        places = [value.clone() for value in inputs]
        for _ in range(_WARM):
            self._work(places, kind)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            result = self._work(places, kind)
        self._pool = graph.pool()  # recordings of one work never run at once, and share their memory
        return graph, places, result
