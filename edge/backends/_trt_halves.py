"""An engine's ONNX file for the GPU: what need not be float32 becomes FP16, once, by the model's own structure.

What reaches a result or a state from the frame, or from the past, without a convolution between, is the picture or its
memory, and stays FP32: levels go up to 65535 and FP16 ends at 65504; strength 0 must give back every bit of 16; a
running mean in FP16 stops moving half a level short; an age must come back from 1 / (1 / age). What a convolution
says of the picture is an opinion about it - a gate, a residual, how much grain to take - and is FP16. Two kinds of
convolution stay FP32: one that the picture itself passes through (its kernels do not sum to nought, and nothing but
linear steps follow), and an INT8 one whose scales FP16 cannot hold. INT8 stays INT8: Q and DQ only change the float
type on their other side.

Needs the library `onnx`, which whoever only runs engines need not have: imported only when something is prepared.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference, version_converter

from edge.errors import EngineRefused

OPSET = 19  # the first in which Q and DQ take FP16
FULL, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
HALF_LEAST, HALF_MOST = 2.0**-14, 65504.0  # what FP16 holds with all of its 11 bits
PASSES_PICTURE = 0.5  # a kernel that sums to this much hands the picture on, not its detail alone
ENDS_PICTURE = {"Relu", "QuantizeLinear", "Sigmoid", "Tanh", "LeakyRelu", "Clip"}  # what follows is no picture


def modern(content: bytes, name: str) -> onnx.ModelProto:
    """The model in the opset that the conversion needs, checked."""
    try:
        model = onnx.load_from_string(content)
        if _opset(model) < OPSET:
            model = version_converter.convert_version(model, OPSET)
        _inline_constants(model)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, checker and converter share no base class
        lines = str(error).strip().splitlines()
        raise EngineRefused(f"{name}: not a valid ONNX model: {lines[0] if lines else type(error).__name__}") from error
    return model


def _opset(model: onnx.ModelProto) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _inline_constants(model: onnx.ModelProto) -> None:
    """`Constant` nodes as initialisers: one kind of constant is enough."""
    kept: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constant = node.attribute[0].t
            constant.name = node.output[0]
            model.graph.initializer.append(constant)
        else:
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which all that may be FP16 is, and each state has the type in which it is computed."""
    return _Halving(model).run()


@dataclass
class _Halving:
    model: onnx.ModelProto
    kinds: dict[str, int] = field(default_factory=dict)  # float tensor -> its type now
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    made: dict[tuple[str, int], str] = field(default_factory=dict)  # a tensor in another type -> its name

    def run(self) -> onnx.ModelProto:
        graph = self.model.graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.makers = {output: node for node in graph.node for output in node.output}
        self.users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.users[name].append(node)
        self.floats = self._float_tensors()
        self.full = self._picture()
        ends = {f"{port.name[:-4]}_in" for port in graph.output if self._is_half_state(port.name)}
        for port in graph.input:
            self.kinds[port.name] = HALF if port.name in ends else FULL
        for node in graph.node:
            self._convert(node)
        return self._written(ends)

    def _float_tensors(self) -> set[str]:
        graph = shape_inference.infer_shapes(self.model, strict_mode=True).graph
        ports = [*graph.input, *graph.value_info, *graph.output]
        return {port.name for port in ports if port.type.tensor_type.elem_type == FULL}

    def _is_half_state(self, output: str) -> bool:
        return output.endswith("_out") and output not in self.full

    # ------------------------------------------------ what is the picture

    def _picture(self) -> set[str]:
        full = {port.name for port in self.model.graph.input}
        for node in self.model.graph.node:
            if self._stays_full(node, full):
                full.update(node.output)
        return full

    def _stays_full(self, node: onnx.NodeProto, full: set[str]) -> bool:
        if node.op_type == "QuantizeLinear":
            return False
        if node.op_type == "DequantizeLinear":
            return not self._holds(node.input[1])
        if node.op_type == "Conv":
            operands_full = any(name in full and name not in self.constants for name in node.input[1:])
            was_quantised = node.input[0] in self.makers and self.makers[node.input[0]].op_type == "DequantizeLinear"
            if was_quantised and (operands_full or node.input[0] in full):
                return True
            reads_picture = any(name in full for name in self._before_int8(node.input[0]))
            return reads_picture and self._hands_picture_on(node)
        if any(name in full for name in node.input):
            return True
        return any(name in self.constants and not self._holds(name) for name in node.input)

    def _hands_picture_on(self, conv: onnx.NodeProto) -> bool:
        if all(user.op_type in ENDS_PICTURE for user in self.users[conv.output[0]]):
            return False
        kernels = self._kernels(conv.input[1])
        if kernels is None:
            return True
        return bool(np.abs(kernels.reshape(len(kernels), -1).sum(axis=1)).max() > PASSES_PICTURE)

    def _kernels(self, name: str) -> np.ndarray | None:
        """A convolution's weights in float; None where they are computed."""
        maker = self.makers.get(name)
        if maker is None or maker.op_type != "DequantizeLinear":
            return numpy_helper.to_array(self.constants[name]) if name in self.constants else None
        if any(part not in self.constants for part in maker.input[:2]):
            return None
        whole, steps = (numpy_helper.to_array(self.constants[part]).astype(np.float32) for part in maker.input[:2])
        return whole * steps.reshape(-1, *(1 for _ in whole.shape[1:]))

    def _before_int8(self, name: str) -> list[str]:
        """What a tensor was in float before it was quantised, joined with others or not."""
        maker = self.makers.get(name)
        if maker is None or maker.op_type not in ("DequantizeLinear", "Concat", "QuantizeLinear"):
            return [name]
        parts = list(maker.input) if maker.op_type == "Concat" else [maker.input[0]]
        return [part for each in parts for part in self._before_int8(each)]

    def _holds(self, name: str) -> bool:
        """FP16 has room for this constant, with all of its bits."""
        constant = self.constants.get(name)
        if constant is None or constant.data_type != FULL:
            return True
        size = np.abs(numpy_helper.to_array(constant))
        return bool((size <= HALF_MOST).all() and ((size == 0) | (size >= HALF_LEAST)).all())

    # ------------------------------------------------ the nodes again, each in one type

    def _convert(self, node: onnx.NodeProto) -> None:
        if node.op_type == "QuantizeLinear":
            kind = self.kinds.get(node.input[0], FULL)
        else:
            kind = FULL if any(name in self.full for name in node.output) else HALF
        new = onnx.NodeProto()
        new.CopyFrom(node)
        if node.op_type == "Cast":
            raise EngineRefused(f"{self.model.graph.name}: casts by itself ({node.name}); its types are this step's")
        for index, name in enumerate(node.input):
            if name in self.constants:
                new.input[index] = self._constant(name, FULL if _is_size(node, index) else kind)
            elif name in self.floats:
                new.input[index] = self._typed(name, kind)
        self.nodes.append(new)
        self.kinds.update({output: kind for output in node.output if output in self.floats})

    def _constant(self, name: str, kind: int) -> str:
        constant = self.constants[name]
        if constant.data_type != FULL or kind == FULL:
            return name
        return self.made.setdefault((name, HALF), f"{name}.half")

    def _typed(self, name: str, kind: int) -> str:
        if self.kinds[name] == kind:
            return name
        known = self.made.get((name, kind))
        if known is not None:
            return known
        new = f"{name}.{'half' if kind == HALF else 'full'}"
        self.made[name, kind] = new
        maker = self.makers.get(name)
        if maker is not None and maker.op_type == "DequantizeLinear":
            # A second DQ, not a cast: a convolution must find INT8 right behind each of its operands.
            inputs = [maker.input[0], self._constant(maker.input[1], kind), *maker.input[2:]]
            again = helper.make_node("DequantizeLinear", inputs, [new], name=new)
            again.attribute.extend(maker.attribute)
            self.nodes.append(again)
        else:
            self.nodes.append(helper.make_node("Cast", [name], [new], name=new, to=kind))
        return new

    def _rounded(self, name: str) -> np.ndarray:
        values = numpy_helper.to_array(self.constants[name])
        if np.abs(values).max(initial=0.0) > HALF_MOST:
            raise EngineRefused(f"{self.model.graph.name}: {name} is beyond what FP16 holds")
        return values.astype(np.float16)

    def _written(self, half_states: set[str]) -> onnx.ModelProto:
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        graph = model.graph
        del graph.node[:], graph.value_info[:], graph.initializer[:]
        graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        graph.initializer.extend(tensor for name, tensor in self.constants.items() if name in used)
        for (name, kind), new in self.made.items():
            if name in self.constants and kind == HALF:
                values = self._rounded(name)
                graph.initializer.append(numpy_helper.from_array(values, new))
        halves = half_states | {f"{name[:-3]}_out" for name in half_states}
        for port in [*graph.input, *graph.output]:
            if port.name in halves:
                port.type.tensor_type.elem_type = HALF
        onnx.checker.check_model(model, full_check=True)
        return model


def _is_size(node: onnx.NodeProto, index: int) -> bool:
    """Of a picture, not of what is in it: those stay as they are."""
    return node.op_type == "Resize" and index > 0


def kinds_of(model: onnx.ModelProto) -> dict[str, int]:
    """Tensor -> element type, of every tensor that a node makes and every port."""
    graph = shape_inference.infer_shapes(model, strict_mode=True).graph
    ports: list[Any] = [*graph.input, *graph.value_info, *graph.output]
    return {port.name: port.type.tensor_type.elem_type for port in ports}


def quantised_convolutions(model: onnx.ModelProto) -> dict[str, bool]:
    """Convolutions meant to be INT8, told by the file's own Q/DQ: result -> whether it becomes INT8 again."""
    makers = {output: node for node in model.graph.node for output in node.output}
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            users[name].append(node)
    ports = {port.name for port in model.graph.output}
    return {
        node.output[0]: _is_quantised_again(node.output[0], users, ports)
        for node in model.graph.node
        if node.op_type == "Conv" and any(_is_dequantised(name, makers) for name in node.input[:2])
    }


def _is_dequantised(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    return name in makers and makers[name].op_type == "DequantizeLinear"


def _is_quantised_again(name: str, users: dict[str, list[onnx.NodeProto]], ports: set[str]) -> bool:
    behind = users[name]
    return (
        bool(behind)
        and name not in ports
        and all(
            user.op_type == "QuantizeLinear"
            or (user.op_type == "Relu" and _is_quantised_again(user.output[0], users, ports))
            for user in behind
        )
    )


def quantisation_faults(model: onnx.ModelProto) -> list[str]:
    """Whatever is not symmetric S8 with zero point 0: a GPU would read it as if it were."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    faults: list[str] = []
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        zero = constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None:
            faults.append(f"{node.name}: has no constant zero point, so it would be UINT8")
        elif zero.data_type != TensorProto.INT8:
            faults.append(f"{node.name}: {TensorProto.DataType.Name(zero.data_type)}, not INT8")
        elif numpy_helper.to_array(zero).any():
            faults.append(f"{node.name}: its zero point is not 0")
        if node.input[1] not in constants:
            faults.append(f"{node.name}: its scale is computed, not constant")
    return faults
