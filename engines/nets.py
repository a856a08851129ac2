"""The nets, as they are trained. Their ONNX twins are drawn by `engines/export.py` from the same parameters.

All work on 4x4 blocks of pixels (2x2 for super-resolution) folded into channels: plain 3x3 convolutions on a picture of
a sixteenth of the pixels are what INT8 hardware runs best. Three ideas carry the rest:

- *Levels that fit.* A picture enters as `level - 128/255`, quantised in steps of 1/255: every 8-bit level is exactly
  one INT8 value, so nothing of the input is lost and no convolution need stay in float. The residual is added in float.
- *Detail by consent.* A linear filter gives a calm picture; what it takes away is the detail. For each pixel the net
  says how much of the detail is grain. It need not rebuild a picture pixel by pixel in order to clean it, and what is
  larger than the filter, a faint lesion, comes through whole unless the net takes it away on purpose.
- *A learned average.* For each pixel the net gives how far to move from the previous result towards the new one:
  y = previous + gain * (new - previous). A still pixel is averaged over many frames, a moving one takes the new frame
  at once, and the average itself is kept in float.

`Quantiser`s are idle while a net is trained in float. `calibration/quantize.py` gives them limits and turns them on.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.recipes import Recipe

BLOCK = 4
PIXELS = BLOCK * BLOCK
CENTRE = 128 / 255
STEP = 1 / 255
TOP = 127 * STEP  # the highest value of the input quantiser; its lowest is -128 steps


class Quantiser(nn.Module):
    """Symmetric INT8 with a straight-through gradient; the identity until it is given a limit."""

    limit: Tensor

    def __init__(self, limit: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("limit", torch.tensor(limit))
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
    """3x3; its weights can be held to INT8, symmetric for each output channel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.quantised = False

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch names it so
        return functional.conv2d(input, self.held(), self.bias, padding=1)

    def held(self) -> Tensor:
        if not self.quantised:
            return self.weight
        return symmetric(self.weight, weight_steps(self.weight)[:, None, None, None])


def weight_steps(weight: Tensor) -> Tensor:
    return weight.detach().abs().flatten(1).amax(1).clamp_min(1e-8) / 127


class Trunk(nn.Module):
    """A first convolution and some more, each with ReLU and a quantiser after it."""

    def __init__(self, inputs: int, channels: int, middle: int) -> None:
        super().__init__()
        self.enter = Quantiser(127 * STEP)
        sizes = [inputs] + [channels] * (middle + 1)
        self.layers = nn.ModuleList(Convolution(a, b) for a, b in pairwise(sizes))
        self.limits = nn.ModuleList(Quantiser() for _ in self.layers)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        """From a picture that has passed `enter`."""
        for layer, limit in zip(self.layers, self.limits, strict=True):
            x = limit(functional.relu(layer(x)))
        return x


class Clarity(nn.Module):
    """Causal, recurrent denoising. State: the previous result and some hidden features, both as blocks."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.hidden = recipe.hidden
        self.trunk = Trunk(2 * PIXELS + recipe.hidden, recipe.channels, recipe.middle)
        self.detail = Convolution(2 * PIXELS + recipe.hidden, PIXELS)  # linear: a pixel less its surroundings
        self.residual = _head(recipe.channels, PIXELS)
        self.calm = _head(recipe.channels, PIXELS)
        self.gain = _head(recipe.channels, PIXELS)
        self.features = _head(recipe.channels, recipe.hidden)
        _as_high_pass(self.detail)
        # Radiation comes in few quanta and bodies lie still: there a net begins by averaging, and learns where not to.
        nn.init.constant_(self.gain.bias, -1.0 if recipe.task == "fluoroscopy" else 0.5)  # type: ignore[arg-type]

    def forward(self, level: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One frame [n, 1, h, w], levels 0..1, and what it leaves for the next."""
        x = functional.pixel_unshuffle(level, BLOCK)
        if state is None:
            news = torch.zeros_like(x)
            hidden = x.new_zeros(len(x), self.hidden, *x.shape[2:])
        else:
            news, hidden = x - state[0], state[1]
        seen = self.trunk.enter(torch.cat((x - CENTRE, 2 * news, hidden), 1))
        found = self.trunk(seen)
        grain = self.detail(seen).float() * torch.sigmoid(self.calm(found).float())
        gain = torch.sigmoid(self.gain(found).float())
        moved = (news + self.residual(found).float() - grain) * gain
        result = (x - news + moved).clamp(0, 1)
        features = self.features(found).float().clamp(0, TOP)
        return functional.pixel_shuffle(result, BLOCK), (result, features)

    def kmac_per_px(self) -> float:
        return _weights(self) / PIXELS / 1000


class Upscale(nn.Module):
    """Twice the sides: bicubic, and what the net knows better. No state."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.trunk = Trunk(BLOCK, recipe.channels, recipe.middle)  # 2x2 pixels of the small picture
        self.residual = _head(recipe.channels, PIXELS)

    def forward(self, level: Tensor) -> Tensor:
        found = self.trunk(self.trunk.enter(functional.pixel_unshuffle(level, 2) - CENTRE))
        grown = functional.interpolate(level, scale_factor=2, mode="bicubic", align_corners=False)
        return grown + functional.pixel_shuffle(self.residual(found).float(), BLOCK)

    def kmac_per_px(self) -> float:
        """Per pixel of the result."""
        return _weights(self) / PIXELS / 1000


def build(recipe: Recipe) -> Clarity | Upscale:
    return Upscale(recipe) if recipe.task == "superres" else Clarity(recipe)


def hold_to_int8(net: nn.Module, on: bool) -> None:
    for module in net.modules():
        if isinstance(module, Quantiser):
            module.active = on
        elif isinstance(module, Convolution):
            module.quantised = on


def _head(channels: int, outputs: int) -> Convolution:
    head = Convolution(channels, outputs)
    nn.init.normal_(head.weight, std=1e-3)
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    return head


def _as_high_pass(layer: Convolution, sigma: float = 2.3) -> None:
    """Each pixel of the current picture less a Gaussian mean around it, over blocks and their neighbours."""
    offset = torch.arange(-BLOCK, 2 * BLOCK, dtype=torch.float32)
    line = torch.stack([torch.exp(-0.5 * ((offset - at) / sigma) ** 2) for at in range(BLOCK)])
    line /= line.sum(1, keepdim=True)
    mean = torch.einsum("ya,xb->yxab", line, line).view(PIXELS, 3, BLOCK, 3, BLOCK)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, :PIXELS] = -mean.permute(0, 2, 4, 1, 3).reshape(PIXELS, PIXELS, 3, 3)
        layer.weight[:, :PIXELS, 1, 1] += torch.eye(PIXELS)
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _weights(net: nn.Module) -> int:
    return sum(module.weight.numel() for module in net.modules() if isinstance(module, Convolution))
