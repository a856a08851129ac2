"""The clips of a bank where a net is trained: on a CPU as they lie on disk, on a GPU all in its memory. Crops of them
are cut many at a time.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.bank import Bank, Levels
from engines.gpu import sent

VALIDATION = 24  # clips of a bank that are never trained on: for the learning curve only
_CHUNK = 64  # clips that are brought to a GPU at a time


class Vault:
    def __init__(self, bank: Bank, device: torch.device) -> None:
        self.device, self.frames = device, bank.frames
        self._shown, self._true = (_brought(part, device) for part in (bank.shown, bank.true))

    def __len__(self) -> int:
        return len(self._shown)

    @property
    def side(self) -> int:
        return self._shown.shape[-1]

    def crops(
        self, count: int, frames: int, side: int, rng: np.random.Generator, upside_down: bool
    ) -> tuple[Tensor, Tensor]:
        """Levels 0..1, shown and true: [count, frames, side, side]. Half are mirrored; or turned over, too."""
        clip = rng.integers(min(VALIDATION, len(self) - 1), len(self), count)
        first = rng.integers(0, self.frames - frames + 1, count)
        corner = rng.integers(0, self.side - side + 1, (2, count))
        mirrored = rng.random((2, count)) < 0.5
        mirrored[0] &= upside_down
        row, column = (_counted(start, side, turned) for start, turned in zip(corner, mirrored, strict=True))
        time = _counted(first, frames, np.zeros(count, np.bool_))
        indices = clip[:, None, None, None], time[:, :, None, None], row[:, None, :, None], column[:, None, None]
        where = tuple(sent(index, self.device) for index in indices)
        return _levels(self._shown[where]), _levels(self._true[where])

    def kept_aside(self) -> tuple[Tensor, Tensor]:
        """Whole clips, shown and true, that `crops` never gives."""
        return _levels(self._shown[:VALIDATION]), _levels(self._true[:VALIDATION])


def _counted(first: NDArray[np.int64], count: int, backwards: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[n, count]: from each first number on, or the same numbers from the last one down."""
    up = np.arange(count)
    return first[:, None] + np.where(backwards[:, None], up[::-1], up)


def _brought(part: Levels, device: torch.device) -> Tensor:
    """16 bits a pixel, as they are: PyTorch can index signed numbers only, so the sign stands for the highest bit."""
    if device.type == "cpu":
        return torch.from_numpy(part.view(np.int16))
    whole = torch.empty(part.shape, dtype=torch.int16, device=device)
    for first in range(0, len(part), _CHUNK):
        chunk = np.array(part[first : first + _CHUNK]).view(np.int16)
        whole[first : first + _CHUNK] = torch.from_numpy(chunk)
    return whole


def _levels(cut: Tensor) -> Tensor:
    return (cut.to(torch.int32) & 0xFFFF).to(torch.float32) / 65535
