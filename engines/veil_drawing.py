"""The veil of `engines/veil.py` as nodes of an ONNX graph."""

from __future__ import annotations

import numpy as np
from torch import nn

from engines.drawing import LINEAR, NEAREST, Drawing
from engines.layers import LIT
from engines.veil import CELL, SHARE, SIGN_GAIN, Joined, Seen, Veil


def draw_veil(drawing: Drawing, veil: Veil, frame: str, mean: str, news: str) -> str:
    """What is taken from each pixel. In blocks of 4x4: the frame, the mean with it in, and how it differs from the mean
    before.
    """
    return _VeilDrawing(drawing).drawn(veil, frame, mean, news)


class _VeilDrawing:
    def __init__(self, drawing: Drawing) -> None:
        self.to = drawing

    def drawn(self, veil: Veil, frame: str, mean: str, news: str) -> str:
        to = self.to
        signs, there = self._signs(frame, mean, news)
        near = self._seen(to.quantised(signs, veil.enter, "veil.enter"), veil.near, "veil.near")
        middle = self._seen_in_turn(near, veil.middle, "veil.middle")
        wide = self._seen_in_turn(middle, veil.wide, "veil.wide")
        middle = self._joined(wide, middle, veil.to_middle, "veil.to_middle")
        near = self._joined(middle, near, veil.to_near, "veil.to_near")
        over = to.op("Relu", [to.convolution(near, veil.head, "veil.head")], "veil.over")
        share = to.op("Mul", [there, to.constant("veil.share", SHARE)], "veil.shares")
        return self._grown(to.op("Mul", [over, share], "veil.cells"), CELL, LINEAR, "veil")

    def _signs(self, frame: str, mean: str, news: str) -> tuple[str, str]:
        """Of the cells, and how much of each is picture at all."""
        to = self.to
        level, calm = self._of_block(frame, "veil.level"), self._of_block(mean, "veil.calm")
        frame_grain = to.op("Sub", [frame, level], "veil.grain.frame")
        mean_grain = to.op("Sub", [mean, calm], "veil.grain.mean")
        loud = to.constant("veil.gain", SIGN_GAIN)
        parts = [to.op("Sub", [calm, "centre"], "veil.calm.centred")]
        for grain, name in ((news, "veil.news"), (frame_grain, "veil.frame"), (mean_grain, "veil.mean")):
            size = self._of_block(to.op("Abs", [grain], f"{name}.sizes"), f"{name}.size")
            parts.append(to.op("Mul", [size, loud], f"{name}.loud"))
        fresh = self._of_block(to.op("Div", ["one", "age_out"], "veil.fresh"), "veil.fresh.mean")
        lit = to.op("Min", [to.op("Mul", [level, to.constant("veil.lit", LIT)], "veil.bright"), "one"], "veil.there")
        parts += [to.op("Mul", [part, "half"], f"{part}.half") for part in (fresh, lit)]
        return self._cells(to.op("Concat", parts, "veil.blocks", axis=1), "veil.signs"), self._cells(
            lit, "veil.picture"
        )

    def _of_block(self, x: str, name: str) -> str:
        return self.to.op("ReduceMean", [x], name, axes=[1], keepdims=1)

    def _cells(self, x: str, name: str) -> str:
        return self.to.op("AveragePool", [x], name, kernel_shape=[2, 2], strides=[2, 2])

    def _seen_in_turn(self, x: str, layers: nn.ModuleList, name: str) -> str:
        for number, seen in enumerate(layers):
            assert isinstance(seen, Seen)
            x = self._seen(x, seen, f"{name}.{number}")
        return x

    def _seen(self, x: str, seen: Seen, name: str) -> str:
        out = self.to.op("Relu", [self.to.convolution(x, seen.layer, f"{name}.layer")], f"{name}.seen")
        return self.to.quantised(out, seen.limit, name)

    def _joined(self, wide: str, near: str, joined: Joined, name: str) -> str:
        to = self.to
        known = self._grown(to.convolution(wide, joined.layer, f"{name}.layer"), 2, NEAREST, f"{name}.known")
        out = to.op("Relu", [to.op("Add", [near, known], f"{name}.sum")], f"{name}.joined")
        return self._seen(to.quantised(out, joined.limit, name), joined.after, f"{name}.after")

    def _grown(self, x: str, times: int, how: dict[str, str], name: str) -> str:
        sides = self.to.graph.constant(f"{name}.times", np.array([1, 1, times, times], np.float32))
        return self.to.op("Resize", [x, "", sides], f"{name}.grown", **how)
