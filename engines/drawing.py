"""How the layers of `engines/layers.py` are drawn into an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.layers import Convolution, Quantiser
from engines.pen import Graph

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
        (side, _), (rim, _) = layer.kernel_size, layer.padding
        strides, spreads = {"strides": list(layer.stride)}, {"dilations": list(layer.dilation)}
        more = (strides if layer.stride[0] > 1 else {}) | (spreads if layer.dilation[0] > 1 else {})
        return self.op("Conv", [x, held, bias], f"{name}.out", kernel_shape=[side, side], pads=[rim] * 4, **more)

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
