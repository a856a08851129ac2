"""The nets, as they are trained. Their ONNX twins are drawn by `engines/export.py` from the same parameters.

All work on 4x4 blocks of pixels (2x2 for super-resolution) folded into channels: plain 3x3 convolutions on a picture of
a sixteenth of the pixels are what INT8 hardware runs best. Five ideas carry the rest:

- *An average that knows its age.* What is carried from frame to frame is a mean of frames as they came, in float, and
  beside each pixel how many frames it is worth. Where nothing moves, a new frame counts 1 / (age + 1): as good a mean
  as there can be at every age. What the net gives is only how surely a pixel has moved; then it takes the new frame at
  once and its age begins again. No result is ever fed back, so nothing that the net makes up can grow.
- *A steady tube.* In fluoroscopy a frame that is brighter as a whole than those before it is first brought to their
  level: not even what has moved flickers, and the net need not wonder whether all has moved.
- *Detail by consent.* Two linear means, narrow and wide, part the picture into a calm one, coarse grain and fine grain,
  and for each pixel the net says how much of either grain to take away. It need not rebuild a picture pixel by pixel in
  order to clean it, and what is larger than the means, a faint lesion, comes through whole.
- *No grid.* Where structure is as wide as a block, the net says all this once for each block, and what it says goes
  smoothly from one to the next: all places within a block are treated alike.
- *Levels that fit.* A picture enters a convolution as `level - 128/255`, quantised in steps of 1/255: every 8-bit level
  is exactly one INT8 value. The result is put together in float.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.layers import CENTRE, TOP, Convolution, Mean, Quantiser, lit
from engines.recipes import Recipe
from engines.veil import CELL, VEILED, Veil, signs

BLOCK = 4
PIXELS = BLOCK * BLOCK
STEEP = 2.0  # a pixel has moved or it has not: small steps of the net's own must be able to say so surely
NEWS_GAIN = 3.0  # what has changed is fainter than what is there
SMALL = 0.1  # features are of the order of 1, corrections of a picture are not
WAVER = 0.02  # of full scale: how far a tube's output wavers, counted twice


class Trunk(nn.Module):
    """A first convolution and some more, each with ReLU and a quantiser after it."""

    def __init__(self, inputs: int, channels: int, middle: int) -> None:
        super().__init__()
        self.enter = Quantiser(TOP)
        sizes = [inputs] + [channels] * (middle + 1)
        self.layers = nn.ModuleList(Convolution(a, b) for a, b in pairwise(sizes))
        self.limits = nn.ModuleList(Quantiser() for _ in self.layers)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # type: ignore[union-attr]
        with torch.no_grad():  # three filters of four look at differences: grain is faint beside brightness
            first = self.layers[0].weight
            assert isinstance(first, Tensor)
            texture, levels = slice(channels // 4, None), slice(0, min(inputs, PIXELS))
            first[texture, levels] -= first[texture, levels].mean((1, 2, 3), keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """From a picture that has passed `enter`."""
        for layer, limit in zip(self.layers, self.limits, strict=True):
            x = limit(functional.relu(layer(x)))
        return x


State: TypeAlias = tuple[Tensor, Tensor, Tensor]  # the mean, each pixel's age, hidden features; as blocks


class Clarity(nn.Module):
    """Causal, recurrent denoising."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.hidden, self.memory, self.evens = recipe.hidden, recipe.memory, recipe.evens
        self.trunk = Trunk(2 * PIXELS + recipe.hidden + 1, recipe.channels, recipe.middle)
        # Linear, and written as means rather than as what differs from them: the taps of a mean are alike. Those of a
        # high pass are small beside the one for the pixel itself, and cost 1.4 dB of low-dose fluoroscopy in INT8.
        self.levels = Quantiser(TOP)
        self.narrow, self.wide = (Mean(PIXELS, PIXELS) for _ in range(2))
        if recipe.by_block:  # beyond the rim lies what lies at it; who decides by pixel has learnt to make up for grey
            self.narrow.padding_mode = self.wide.padding_mode = "replicate"
        self.decided = 1 if recipe.by_block else PIXELS  # numbers that each head gives for a block
        self.calm_fine = _head(recipe.channels, self.decided)
        self.calm_coarse = _head(recipe.channels, self.decided)
        self.residual = _head(recipe.channels, self.decided)
        self.moved = _head(recipe.channels, self.decided)
        self.features = _head(recipe.channels, recipe.hidden)
        for mean, width in zip((self.narrow, self.wide), recipe.smooth, strict=True):
            _as_gaussian(mean, width)
        # Radiation comes in few quanta and bodies lie still: there a net begins by averaging, and learns where not to.
        nn.init.constant_(self.moved.bias, recipe.doubt)  # type: ignore[arg-type]
        self.veil: Veil | None = None  # learnt on whole pictures, when all else is done: `calibration/unveil.py`

    def forward(self, level: Tensor, state: State | None) -> tuple[Tensor, State]:
        """One frame [n, 1, h, w], levels 0..1, and what it leaves for the next."""
        x = functional.pixel_unshuffle(level, BLOCK)
        if state is None:
            state = x, torch.zeros_like(x[:, : self.decided]), x.new_zeros(len(x), self.hidden, *x.shape[2:])
        mean, age, hidden = state
        news = x - mean
        if self.evens:
            shift, seen = flicker(news, mean, age)
            news, mean = news - shift, mean + shift / (seen + 1)
        fresh = 1 / (age + 1)
        given = torch.cat((mean - CENTRE, NEWS_GAIN * news, hidden, 0.5 * fresh.mean(1, keepdim=True)), 1)
        found = self.trunk(self.trunk.enter(given))
        gain = fresh + (1 - fresh) * torch.sigmoid(STEEP * self.moved(found).float())
        mean = mean + of_pixels(gain) * news
        result = mean + of_pixels(SMALL * self.residual(found).float()) - self._grain(mean - CENTRE, found)
        features = (SMALL * self.features(found).float()).clamp(0, TOP)
        age = (1 / gain).clamp(max=self.memory)
        picture = functional.pixel_shuffle(result, BLOCK)
        if self.veil is not None:
            over = self.veil(signs(x, mean, news, 1 / age))
            picture = picture - functional.interpolate(over, scale_factor=CELL, mode="bilinear")
        return picture, (mean, age, features)

    def _grain(self, level: Tensor, found: Tensor) -> Tensor:
        """What is taken away."""
        whole = self.levels(level)
        narrow, wide = self.narrow(whole).float(), self.wide(whole).float()
        fine = (level - narrow) * of_pixels(torch.sigmoid(self.calm_fine(found).float()))
        return fine + (narrow - wide) * of_pixels(torch.sigmoid(self.calm_coarse(found).float()))

    @property
    def multiple(self) -> int:
        """Of what the sides of a picture must be."""
        return BLOCK if self.veil is None else VEILED

    def kmac_per_px(self) -> float:
        veil = 0.0 if self.veil is None else self.veil.kmac_per_px()
        return sum(_weights(part) for part in self.children() if part is not self.veil) / PIXELS / 1000 + veil


def of_pixels(said: Tensor) -> Tensor:
    """What a head says of each pixel. Where it says it of whole blocks: smoothly from one to the next."""
    if said.shape[1] == PIXELS:
        return said
    return functional.pixel_unshuffle(functional.interpolate(said, scale_factor=BLOCK, mode="bilinear"), BLOCK)


def flicker(news: Tensor, mean: Tensor, age: Tensor) -> tuple[Tensor, Tensor]:
    """How much brighter a whole frame is than those before it, where there is a picture, and how many those were.

    A tube's output wavers from one exposure to the next. What has lain still for longest tells best by how much; what
    has changed by more than a tube can waver is cut off.
    """
    there = lit(mean.mean(1, keepdim=True))
    still = age.mean(1, keepdim=True)
    trust = there * still
    brighter, whole = news.mean(1, keepdim=True), trust.mean((2, 3), keepdim=True).clamp_min(1e-3)
    wavers = news.new_zeros(())
    for _ in range(2):
        rest = (brighter - wavers).clamp(-WAVER, WAVER)
        wavers = wavers + (rest * trust).mean((2, 3), keepdim=True) / whole
    return wavers * there, (still * trust).mean((2, 3), keepdim=True) / whole


class Upscale(nn.Module):
    """Twice the sides: bicubic, and what the net knows better. No state.

    Each pixel of the small picture is the mean of its four in the large one: the base is bicubic made so, and the net
    may only change how the four differ. Then no pixel is let out of the range of the small ones around it: an edge
    cannot ring, and nothing that the small picture shows can grow stronger.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.multiple = BLOCK
        self.trunk = Trunk(BLOCK, recipe.channels, recipe.middle)  # 2x2 pixels of the small picture
        self.residual = _head(recipe.channels, PIXELS)

    def forward(self, level: Tensor) -> Tensor:
        found = self.trunk(self.trunk.enter(functional.pixel_unshuffle(level, 2) - CENTRE))
        grown = functional.interpolate(level, scale_factor=2, mode="bicubic", align_corners=False)
        large = grown + functional.pixel_shuffle(SMALL * self.residual(found).float(), BLOCK)
        large = large + functional.interpolate(level - functional.avg_pool2d(large, 2), scale_factor=2, mode="nearest")
        return torch.minimum(torch.maximum(large, _of_each(-_highest(-level))), _of_each(_highest(level)))

    def kmac_per_px(self) -> float:
        """Per pixel of the result."""
        return _weights(self) / PIXELS / 1000


def _highest(level: Tensor) -> Tensor:
    """Of a pixel and those around it."""
    return functional.max_pool2d(level, 3, 1, 1)


def _of_each(small: Tensor) -> Tensor:
    """What holds for a pixel of the small picture, for its four of the large one."""
    return functional.interpolate(small, scale_factor=2, mode="nearest")


def _spread_into(spreads: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
    def note(_layer: nn.Module, _inputs: object, out: Tensor) -> None:
        spreads.append(functional.relu(out).std((0, 2, 3)))

    return note


@torch.no_grad()
def prime(net: Clarity | Upscale, levels: Tensor) -> None:
    """Scale a new trunk, layer by layer, so that features are of the order of 1 on real pictures [n, frames, h, w].

    Pictures span a small part of their range and what moves in them less still; weights drawn for inputs of order 1
    leave the last features so faint that training lets them die.
    """
    for layer in net.trunk.layers:
        spreads: list[Tensor] = []
        hook = layer.register_forward_hook(_spread_into(spreads))
        state = None
        for frame in levels.unbind(1):
            if isinstance(net, Upscale):
                net(functional.avg_pool2d(frame[:, None], 2))
            else:
                _, state = net(frame[:, None], state)
        hook.remove()
        spread = torch.stack(spreads).mean(0).clamp_min(1e-3)
        layer.weight /= spread[:, None, None, None]  # type: ignore[operator]


def build(recipe: Recipe) -> Clarity | Upscale:
    return Upscale(recipe) if recipe.task == "superres" else Clarity(recipe)


def _head(channels: int, outputs: int) -> Convolution:
    """1x1: five of 3x3 took a third of the whole net's time, and the trunk has seen the neighbours."""
    head = Convolution(channels, outputs, side=1)
    nn.init.normal_(head.weight, std=1e-3)
    nn.init.zeros_(head.bias)  # type: ignore[arg-type]
    return head


def _as_gaussian(layer: Mean, sigma: float) -> None:
    with torch.no_grad():
        layer.weight.copy_(_gaussian(sigma))
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _gaussian(sigma: float) -> Tensor:
    """The mean around each pixel of a block, as a 3x3 kernel over blocks: [pixel, pixel, 3, 3]."""
    offset = torch.arange(-BLOCK, 2 * BLOCK, dtype=torch.float32)
    line = torch.stack([torch.exp(-0.5 * ((offset - at) / sigma) ** 2) for at in range(BLOCK)])
    line /= line.sum(1, keepdim=True)
    mean = torch.einsum("ya,xb->yxab", line, line).view(PIXELS, 3, BLOCK, 3, BLOCK)
    return mean.permute(0, 2, 4, 1, 3).reshape(PIXELS, PIXELS, 3, 3)


def _weights(net: nn.Module) -> int:
    return sum(module.weight.numel() for module in net.modules() if isinstance(module, Convolution))
