"""The outside of an engine's model for the GPU: frames as integers, fixed sizes, and one more output that tells a
finite result from another. Needs the library `onnx`: imported only when something is prepared.

An 8-bit frame goes in and out as it is, and the casts are part of the plan. TensorRT has no 16-bit integers: deeper
frames go in and out as float32, which holds each of their levels.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from edge.backends import Shape
from edge.catalog import Manifest
from edge.errors import EngineRefused

FINITE = "finite_check"
BOUNDS = {"Round", "Min", "Max", "Clip"}  # a GPU's max(NaN, 0) is 0: what is not finite shows before these alone


def ported(model: onnx.ModelProto, manifest: Manifest, bits: int, padded: Shape | None) -> onnx.ModelProto:
    """A copy with the ports of the plan; without `padded` the sides stay open, for a plan with a profile."""
    new = onnx.ModelProto()
    new.CopyFrom(model)
    _check_ports(new, manifest)
    _rename(new, "enhanced", "enhanced.level")
    _add_finite_check(new, manifest)
    if bits == 8:
        _take_integers(new)
    else:
        new.graph.node.append(helper.make_node("Identity", ["enhanced.level"], ["enhanced"], name="enhanced.out"))
    del new.graph.value_info[:]
    if padded is not None:
        _fix_sizes(new, manifest, padded)
    onnx.checker.check_model(new, full_check=True)
    return new


def _check_ports(model: onnx.ModelProto, manifest: Manifest) -> None:
    for what, found, wanted in (
        ("input", {port.name for port in model.graph.input}, manifest.inputs),
        ("output", {port.name for port in model.graph.output}, manifest.outputs),
    ):
        if found != wanted:
            there, named = ", ".join(sorted(found)), ", ".join(sorted(wanted))
            raise EngineRefused(f"{manifest.name}: {what}s {there} where the manifest has {named}")


def _rename(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def _add_finite_check(model: onnx.ModelProto, manifest: Manifest) -> None:
    makers = {output: node for node in model.graph.node for output in node.output}
    inputs = {port.name for port in model.graph.input}
    tensor = "enhanced.level"
    while tensor in makers and makers[tensor].op_type in BOUNDS:
        tensor = next((name for name in makers[tensor].input if name in makers and name not in inputs), "")
    if tensor not in makers:
        raise EngineRefused(f"{manifest.name}: its result comes from no computation")
    model.graph.node.append(helper.make_node("ReduceSum", [tensor], [FINITE], name=FINITE, keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info(FINITE, TensorProto.FLOAT, []))


def _take_integers(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "frame":
                node.input[index] = "frame.level"
    into = helper.make_node("Cast", ["frame"], ["frame.level"], name="frame.in", to=TensorProto.FLOAT)
    model.graph.node.insert(0, into)
    out = helper.make_node("Cast", ["enhanced.level"], ["enhanced"], name="enhanced.out", to=TensorProto.UINT8)
    model.graph.node.append(out)
    for port in [*model.graph.input, *model.graph.output]:
        if port.name in ("frame", "enhanced"):
            port.type.tensor_type.elem_type = TensorProto.UINT8


def _fix_sizes(model: onnx.ModelProto, manifest: Manifest, padded: Shape) -> None:
    sizes = sizes_of(manifest, padded)
    for port in [*model.graph.input, *model.graph.output]:
        if port.name in sizes:
            del port.type.tensor_type.shape.dim[:]
            for side in sizes[port.name]:
                port.type.tensor_type.shape.dim.add().dim_value = side


def sizes_of(manifest: Manifest, padded: Shape) -> dict[str, tuple[int, ...]]:
    """Port -> its shape, of every port that is more than one number."""
    result = padded.enlarged(manifest.scale)
    sizes: dict[str, tuple[int, ...]] = {
        "frame": (1, 1, padded.height, padded.width),
        "enhanced": (1, 1, result.height, result.width),
    }
    for state in manifest.state:
        sizes[f"{state.name}_in"] = sizes[f"{state.name}_out"] = state.resolve(padded.height, padded.width)
    return sizes
