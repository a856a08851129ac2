"""The veil of `engines/veil.py` as nodes of an ONNX graph."""

from __future__ import annotations

import numpy as np
from torch import nn

from engines.drawing import NEAREST, Drawing
from engines.layers import LIT
from engines.veil import AROUND, CELL, DARKEST, MOST, SHARE, SIGN_GAIN, SIGNS, Joined, Seen, Veil


def draw_veil(drawing: Drawing, veil: Veil, frame: str, mean: str, news: str) -> str:
    """What is taken from each pixel. All in blocks of 4x4: also the frame, the mean with it in, and how it differs from
    the mean before.
    """
    return _VeilDrawing(drawing).drawn(veil, frame, mean, news)


class _VeilDrawing:
    def __init__(self, drawing: Drawing) -> None:
        self.to = drawing

    def drawn(self, veil: Veil, frame: str, mean: str, news: str) -> str:
        to = self.to
        signs, there, calm = self._signs(frame, mean, news)
        near = self._seen(to.quantised(signs, veil.enter, "veil.enter"), veil.near, "veil.near")
        middle = self._seen_in_turn(near, veil.middle, "veil.middle")
        wide = self._seen_in_turn(middle, veil.wide, "veil.wide")
        middle = self._joined(wide, middle, veil.to_middle, "veil.to_middle")
        near = self._joined(middle, near, veil.to_near, "veil.to_near")
        over = to.op("Relu", [to.convolution(near, veil.head, "veil.head")], "veil.over")
        share = to.op("Mul", [there, to.constant("veil.share", SHARE)], "veil.shares")
        most = to.op("Mul", [calm, to.constant("veil.most", MOST)], "veil.bound")
        found = to.op("Min", [to.op("Mul", [over, share], "veil.found"), most], "veil.bounded")
        return to.smoothly(self._evened(found, calm), CELL, "veil.taken")

    def _evened(self, over: str, level: str) -> str:
        """As `evened` of `engines/veil.py`."""
        to = self.to
        of_all = to.op("Max", [self._around(level, "veil.of"), to.constant("veil.darkest", DARKEST)], "veil.of.seen")
        share = to.op("Div", [self._around(over, "veil.over"), of_all], "veil.share.all")
        return to.op("Min", [over, to.op("Mul", [share, level], "veil.even")], "veil.cells")

    def _around(self, cells: str, name: str) -> str:
        x = self.to.with_rim(cells, AROUND, name)
        for turn in ("close", "wide"):
            x = self.to.op("AveragePool", [x], f"{name}.{turn}", kernel_shape=[3, 3])
        return x

    def _signs(self, frame: str, mean: str, news: str) -> tuple[str, str, str]:
        """Of the cells, how much of each is picture at all, and their mean's level."""
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
        signs = to.op("Concat", parts, "veil.blocks", axis=1)
        return self._signs_of_cells(signs), self._cells(lit, "veil.picture"), self._cells(calm, "veil.mean.cells")

    def _signs_of_cells(self, blocks: str) -> str:
        """An average of 2x2, written as a convolution: of some channels that is eight times as fast in OpenVINO."""
        quarter = np.eye(SIGNS, dtype=np.float32)[:, :, None, None] * np.full((2, 2), 0.25, np.float32)
        given = [blocks, self.to.constant("veil.quarter", quarter)]
        return self.to.op("Conv", given, "veil.signs", kernel_shape=[2, 2], strides=[2, 2])

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
        known = self._twice_as_large(to.convolution(wide, joined.layer, f"{name}.layer"), f"{name}.known")
        out = to.op("Relu", [to.op("Add", [near, known], f"{name}.sum")], f"{name}.joined")
        return self._seen(to.quantised(out, joined.limit, name), joined.after, f"{name}.after")

    def _twice_as_large(self, x: str, name: str) -> str:
        sides = self.to.graph.constant(f"{name}.times", np.array([1, 1, 2, 2], np.float32))
        return self.to.op("Resize", [x, "", sides], f"{name}.grown", **NEAREST)
