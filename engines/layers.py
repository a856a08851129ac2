"""What nets are made of: convolutions and ranges that can be held to INT8.

`Quantiser`s are idle while a net is trained in float. `calibration/quantize.py` gives them limits and turns them on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CENTRE = 128 / 255
STEP = 1 / 255
LIT = 50.0  # a fiftieth of full scale is picture for sure, black is none
TOP = 127 * STEP  # the highest value of a quantiser of levels; its lowest is -128 steps


def lit(level: Tensor) -> Tensor:
    """Where there is a picture, 0 to 1."""
    return (LIT * level).clamp(max=1)


class Quantiser(nn.Module):
    """Symmetric INT8 with a straight-through gradient; the identity until it is turned on."""

    limit: Tensor

    def __init__(self, limit: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("limit", torch.tensor(limit))
        self.by_design = limit > 0
        self.active = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.active:
            return x
        return symmetric(x, self.limit / 127)


def symmetric(x: Tensor, step: Tensor) -> Tensor:
    """What INT8 leaves of x. The gradient passes where it does not saturate."""
    x = x.float()
    inside = torch.minimum(torch.maximum(x, -128 * step), 127 * step)
    return inside + (torch.round(inside / step) * step - inside).detach()


class Convolution(nn.Conv2d):
    """Its weights can be held to INT8, symmetric for each output channel."""

    def __init__(self, inputs: int, outputs: int, side: int = 3, stride: int = 1, spread: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, side // 2 * spread, spread)
        self.quantised = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch names it so
        return self._conv_forward(input, self.held(), self.bias)

    def held(self) -> Tensor:
        if not self.quantised:
            return self.weight
        whole, steps = self.in_int8()
        return self.weight + (whole * steps[:, None, None, None] - self.weight).detach()

    def in_int8(self) -> tuple[Tensor, Tensor]:
        """Whole numbers of -127 to 127, and what a step is worth in each output channel."""
        weight = self.weight.detach()
        steps = weight.abs().flatten(1).amax(1).clamp_min(1e-8) / 127
        return torch.round(weight / steps[:, None, None, None]).clamp(-127, 127), steps


class Mean(Convolution):
    """A mean around each pixel. In INT8, too, its weights add up to what they did: a level area keeps its level."""

    def in_int8(self) -> tuple[Tensor, Tensor]:
        whole, _ = super().in_int8()
        return whole, self.weight.detach().flatten(1).sum(1) / whole.flatten(1).sum(1)


def hold_to_int8(net: nn.Module, on: bool) -> None:
    for module in net.modules():
        if isinstance(module, Quantiser):
            module.active = on
        elif isinstance(module, Convolution):
            module.quantised = on
