"""A thin pen for ONNX: nodes and constants, and the two ways INT8 is written. Used by every exporter here."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Floats = NDArray[np.float32]

OPSET = 17


class Graph:
    """Each call adds a node and gives its output's name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: object) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def split(self, x: str, sizes: str, outputs: list[str]) -> None:
        """Along the channels."""
        self.nodes.append(helper.make_node("Split", [x, sizes], outputs, name=f"{x}.split", axis=1))

    def quantised(self, x: str, limit: float, name: str) -> str:
        """Symmetric INT8, zero point 0: what lies beyond the limit saturates."""
        scale, zero = self._steps(limit, name)
        q = self.op("QuantizeLinear", [x, scale, zero], f"{name}_q")
        return self.op("DequantizeLinear", [q, scale, zero], f"{name}_dq")

    def quantised_together(self, parts: list[str], limit: float, name: str) -> str:
        """The same of parts that are joined along the channels, by one scale."""
        scale, zero = self._steps(limit, name)
        whole = [self.op("QuantizeLinear", [part, scale, zero], f"{name}.{i}_q") for i, part in enumerate(parts)]
        joined = self.op("Concat", whole, f"{name}_q", axis=1)
        return self.op("DequantizeLinear", [joined, scale, zero], f"{name}_dq")

    def _steps(self, limit: float, name: str) -> tuple[str, str]:
        return self.constant(f"{name}_scale", np.float32(limit / 127)), self.constant(f"{name}_zero", np.int8(0))

    def int8_weights(self, weights: Floats, name: str) -> str:
        """Per output channel, symmetric."""
        scale = np.abs(weights).reshape(len(weights), -1).max(axis=1) / 127
        whole = np.round(weights / scale[:, None, None, None]).astype(np.int8)
        inputs = [
            self.constant(f"{name}_q", whole),
            self.constant(f"{name}_scale", scale.astype(np.float32)),
            self.constant(f"{name}_zero", np.zeros(len(scale), np.int8)),
        ]
        return self.op("DequantizeLinear", inputs, name, axis=0)
