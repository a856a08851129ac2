"""How the layers of `engines/layers.py` are drawn into an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.layers import Convolution, Quantiser
from engines.nets import BLOCK
from engines.pen import Floats, Graph

# Of a Resize, as `torch.nn.functional.interpolate` does it.
NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


class Drawing:
    """Layers as nodes, in float or in INT8."""

    def __init__(self, int8: bool) -> None:
        self.int8, self.graph = int8, Graph()

    def constant(self, name: str, value: object) -> str:
        return self.graph.constant(name, np.asarray(value, np.float32))

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        return self.graph.op(kind, inputs, output, **attributes)

    def convolution(self, x: str, layer: Convolution, name: str) -> str:
        weight = layer.weight.detach().numpy()
        assert layer.bias is not None
        bias = self.graph.constant(f"{name}.bias", layer.bias.detach().numpy())
        held = self._int8_weight(layer, name) if self.int8 else self.graph.constant(f"{name}.weight", weight)
        side, rim = layer.kernel_size[0], 0 if layer.padding_mode == "replicate" else layer.padding[0]
        strides, spreads = {"strides": list(layer.stride)}, {"dilations": list(layer.dilation)}
        more = (strides if layer.stride[0] > 1 else {}) | (spreads if layer.dilation[0] > 1 else {})
        return self.op("Conv", [x, held, bias], f"{name}.out", kernel_shape=[side, side], pads=[rim] * 4, **more)

    def with_rim(self, x: str, wide: int, name: str) -> str:
        """So many more at every side, as those at the edge are."""
        rim = self.graph.constant(f"{name}.rim", np.array([0, 0, wide, wide] * 2, np.int64))
        return self.op("Pad", [x, rim], f"{name}.padded", mode="edge")

    def smoothly(self, squares: str, side: int, name: str) -> str:
        """Of one number for each square of pixels one for each pixel, as `interpolate` does it; in blocks.

        What a pixel gets of the squares around its own is the same in every square, so that a convolution gives all of
        them at once: a Resize took a third of a small engine's time.
        """
        given = [self.with_rim(squares, 1, name), self.constant(f"{name}.kernel", smooth_kernel(side))]
        if side == BLOCK:
            return self.op("Conv", given, name, kernel_shape=[3, 3])
        pixels = self.op("Conv", given, f"{name}.each", kernel_shape=[3, 3])
        return self.op("DepthToSpace", [pixels], name, blocksize=side // BLOCK)

    def _int8_weight(self, layer: Convolution, name: str) -> str:
        whole, steps = layer.in_int8()
        inputs = [
            self.graph.constant(f"{name}.weight_q", whole.numpy().astype(np.int8)),
            self.graph.constant(f"{name}.weight_scale", steps.numpy().astype(np.float32)),
            self.graph.constant(f"{name}.weight_zero", np.zeros(len(steps), np.int8)),
        ]
        return self.op("DequantizeLinear", inputs, f"{name}.weight", axis=0)

    def quantised(self, x: str, quantiser: Quantiser, name: str) -> str:
        return self.graph.quantised(x, float(quantiser.limit), name) if self.int8 else x


def smooth_kernel(side: int) -> Floats:
    """[pixel, 1, 3, 3]: by how much each of nine squares counts in each pixel of the middle one. Pixels are ordered by
    block, then within it.
    """
    offsets = (np.arange(side) + 0.5) / side - 0.5  # of a pixel's middle from its square's, in squares
    one_way = np.stack([np.maximum(-offsets, 0), 1 - np.abs(offsets), np.maximum(offsets, 0)], 1)
    both = np.einsum("yi,xj->yxij", one_way, one_way)
    blocks = both.reshape(side // BLOCK, BLOCK, side // BLOCK, BLOCK, 3, 3).transpose(0, 2, 1, 3, 4, 5)
    return blocks.reshape(side * side, 1, 3, 3).astype(np.float32)
