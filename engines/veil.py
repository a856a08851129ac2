"""What lies over an ultrasound picture and is no echo of tissue: the noise floor, bounces, the probe's own ringing.

It is broad, and one must see much of a picture to tell it from tissue: bounces lie at twice the depth of what they come
from, noise rises with depth. So a small net looks at the whole picture in cells of 8x8 pixels and says by how much each
is too bright; that is taken from the result, smoothly between the cells. What it knows of a cell is the mean's level,
how much the frame differs from that mean, how grainy frame and mean are each, how young the mean is, and whether there
is a picture at all: an echo stays where it is, noise does not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.layers import CENTRE, TOP, Convolution, Quantiser, lit

CELL = 8  # pixels
VEILED = 4 * CELL  # the widest cells; the sides of a picture are multiples of them
SIGNS = 6
SIGN_GAIN = 4.0  # grain is faint beside levels
MOST = 0.5  # of what a cell shows. Noise that lies unevenly in real pictures would else leave black holes in tissue
AROUND = 2  # cells to every side that have a say in the share that is taken of one
DARKEST = 0.01  # of full scale: what is darker all around shows no share
SHARE = 0.1  # features are of the order of 1, a veil is not
SPREADS = (1, 2, 4, 1)  # of the widest convolutions: cells of 32 pixels are seen 8 away


def signs(frame: Tensor, mean: Tensor, news: Tensor, fresh: Tensor) -> Tensor:
    """What a cell looks like: [n, SIGNS, h / 8, w / 8] from 4x4 blocks."""
    level, calm = (x.mean(1, keepdim=True) for x in (frame, mean))
    grains = (news, frame - level, mean - calm)
    found = torch.cat(
        (
            calm - CENTRE,
            *(SIGN_GAIN * grain.abs().mean(1, keepdim=True) for grain in grains),
            0.5 * fresh.mean(1, keepdim=True),
            0.5 * lit(level),
        ),
        1,
    )
    return functional.avg_pool2d(found, 2)


def evened(over: Tensor, level: Tensor) -> Tensor:
    """The same share of each cell as is taken of all around it, the closest first: noise that lies unevenly in real
    pictures would else leave patches in even tissue. Where less was to be taken, as of a needle, it stays at that.
    """
    share = around(over) / around(level).clamp_min(DARKEST)
    return over.minimum(share * level)


def around(cells: Tensor) -> Tensor:
    """The mean of nine cells, of such means: the middle one counts most."""
    padded = functional.pad(cells, (AROUND,) * 4, mode="replicate")
    return functional.avg_pool2d(functional.avg_pool2d(padded, 3, 1), 3, 1)


class Seen(nn.Module):
    """A convolution with ReLU and a quantiser after it."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, spread: int = 1) -> None:
        super().__init__()
        self.layer, self.limit = Convolution(inputs, outputs, 3, stride, spread), Quantiser()
        nn.init.kaiming_normal_(self.layer.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.limit(functional.relu(self.layer(x)))


class Joined(nn.Module):
    """What was seen close by, and what is known of the wider picture."""

    def __init__(self, wide: int, near: int) -> None:
        super().__init__()
        self.layer, self.limit = Convolution(wide, near, 1), Quantiser()
        self.after = Seen(near, near)

    def forward(self, wide: Tensor, near: Tensor) -> Tensor:
        known = functional.interpolate(self.layer(wide), scale_factor=2, mode="nearest")
        return self.after(self.limit(functional.relu(near + known)))


class Veil(nn.Module):
    """Of the cells of a whole picture."""

    def __init__(self, sizes: tuple[int, int, int] = (16, 32, 48)) -> None:
        super().__init__()
        near, middle, wide = sizes
        self.enter = Quantiser(TOP)
        self.near = Seen(SIGNS, near)
        self.middle = nn.ModuleList((Seen(near, middle, stride=2), Seen(middle, middle)))
        self.wide = nn.ModuleList(
            (Seen(middle, wide, stride=2), *(Seen(wide, wide, spread=spread) for spread in SPREADS))
        )
        self.to_middle, self.to_near = Joined(wide, middle), Joined(middle, near)
        self.head = Convolution(near, 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, given: Tensor) -> Tensor:
        """How much too bright each cell is, of full scale; nothing where a picture is black. Never too dark: a picture
        may lose a veil by this, and gain nothing. And never black: half of what is there stays, whatever it is.
        """
        level = given[:, :1] + CENTRE
        return evened(functional.relu(self.signed(given)).minimum(MOST * level), level)

    def signed(self, given: Tensor) -> Tensor:
        """The same, and how much too dark: what is learnt, since a veil that has come to nothing would stay so."""
        near = self.near(self.enter(given))
        middle = near
        for layer in self.middle:
            middle = layer(middle)
        wide = middle
        for layer in self.wide:
            wide = layer(wide)
        known = self.to_near(self.to_middle(wide, middle), near)
        return SHARE * self.head(known).float() * 2 * given[:, -1:]

    def kmac_per_px(self) -> float:
        cells = [(layer, 1) for layer in (self.near, self.to_near, self.head)]
        cells += [(layer, 2) for layer in (self.middle, self.to_middle)]
        cells.append((self.wide, 4))
        return sum(_weights(layer) / (CELL * side) ** 2 for layer, side in cells) / 1000


def _weights(layers: nn.Module) -> int:
    return sum(each.weight.numel() for each in layers.modules() if isinstance(each, Convolution))
