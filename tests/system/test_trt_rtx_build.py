"""Every shipped engine through NVIDIA's parser and builder, on a machine without a GPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends import Shape
from edge.catalog import Engine, float_twin, read_engine, shipped_folder
from edge.errors import EngineRefused
from edge.plans import PlanCache

onnx = pytest.importorskip("onnx", reason="the extra `rtx` is not installed")
pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")

from edge.backends import _trt_halves as halves  # noqa: E402 - only where onnx is
from edge.backends._trt_network import Target, audit, read  # noqa: E402
from edge.backends._trt_prepare import Prepared, halve, make_plan, prepare  # noqa: E402
from edge.backends._trt_releases import Toolkit, load_toolkit  # noqa: E402

SHIPPED = sorted(path.parent.name for path in shipped_folder().glob("*/manifest.toml"))
CARDS = ("sm86", "sm89", "sm120")
SMALL = Shape(96, 128, 8)


@pytest.fixture(scope="module")
def toolkit() -> Toolkit:
    return load_toolkit("tensorrt-rtx")


def engine(name: str) -> Engine:
    return read_engine(shipped_folder() / name)


def variants(name: str) -> list[Engine]:
    one = engine(name)
    return [one, float_twin(one)] if one.manifest.fp32 else [one]


@pytest.mark.timeout(600)
def test_every_shipped_engine_builds_for_every_card_with_its_time_and_its_size(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "edge", "engine", "build", "--runtime", "tensorrt-rtx", "--sm", "86,89,120", "--all",
            "--json", "--plans", str(tmp_path / "plans")]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True, timeout=580, check=False, cwd=shipped_folder().parent)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["refused"] == []
    assert {(row["engine"], row["gpu"]) for row in report["built"]} == {
        (name, gpu) for name in SHIPPED for gpu in CARDS
    }
    for row in report["built"]:
        assert row["seconds"] > 0
        assert row["bytes"] > 100_000
        assert row["int8_convolutions"] > 0
        assert not any("UINT8" in said or "error" in said for said in row["builder_said"])
    kept = list(PlanCache(tmp_path / "plans").entries())
    assert len(kept) == len(report["built"])
    assert {entry.fault for entry in kept} == {""}
    again = json.loads(subprocess.run(line, capture_output=True, text=True, timeout=300, check=True).stdout)
    assert all(row["cached"] for row in again["built"])


# ---------------------------------------------------------------- layer by layer, by a walk of the test's own


def layers_of(parsed: Any) -> tuple[list[Any], dict[str, Any], dict[str, list[Any]]]:
    layers = parsed.layers()
    makers = {layer.get_output(i).name: layer for layer in layers for i in range(layer.num_outputs)}
    users: dict[str, list[Any]] = {}
    for layer in layers:
        for i in range(layer.num_inputs):
            if layer.get_input(i) is not None:
                users.setdefault(layer.get_input(i).name, []).append(layer)
    return layers, makers, users


def float_layers_between(toolkit: Toolkit, parsed: Any) -> dict[str, str]:
    """Convolution -> "int8 -> int8", "int8 -> HALF", "HALF", as it stands in the parsed network."""
    layers, makers, users = layers_of(parsed)
    found: dict[str, str] = {}
    for layer in layers:
        if layer.type.name != "CONVOLUTION":
            continue
        result = layer.get_output(0)
        sources = [makers.get(layer.get_input(i).name) for i in range(layer.num_inputs) if layer.get_input(i)]
        dequantised = [s is not None and s.type.name == "DEQUANTIZE" and s.get_input(0).dtype.name == "INT8"
                       for s in sources]  # fmt: skip
        if len(dequantised) >= 2 and all(dequantised[:2]):
            behind = users[result.name]
            if len(behind) == 1 and behind[0].type.name == "ACTIVATION":
                behind = users[behind[0].get_output(0).name]
            quantised = all(user.type.name == "QUANTIZE" for user in behind)
            found[result.name] = f"int8 -> {'int8' if quantised else result.dtype.name}"
        else:
            assert not any(dequantised), f"{result.name}: only one of its operands is INT8"
            found[result.name] = result.dtype.name
    return found


def meant(one: Engine) -> dict[str, str]:
    """The same, told by the shipped file's own Q and DQ alone."""
    graph = onnx.load(one.model_path).graph
    makers = {output: node for node in graph.node for output in node.output}
    users: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found: dict[str, str] = {}
    for node in graph.node:
        if node.op_type != "Conv":
            continue
        operands = [makers[name].op_type if name in makers else "" for name in node.input[:2]]
        if operands != ["DequantizeLinear", "DequantizeLinear"]:
            found[node.output[0]] = "float"
            continue
        behind = users[node.output[0]]
        if len(behind) == 1 and behind[0].op_type == "Relu":
            behind = users[behind[0].output[0]]
        again = all(user.op_type == "QuantizeLinear" for user in behind)
        found[node.output[0]] = "int8 -> int8" if again else "int8 -> float"
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_each_convolution_meant_to_be_int8_stands_between_dequantise_and_quantise(name: str, toolkit: Toolkit) -> None:
    one = engine(name)
    prepared = prepare(halve(one), SMALL, 8)
    parsed = read(toolkit, prepared.content, name)
    found = float_layers_between(toolkit, parsed)
    as_float = {"HALF": "float", "FLOAT": "float"}
    assert {conv: kind.split(" -> ")[0] if " -> " not in kind else kind for conv, kind in meant(one).items()} == {
        conv: " -> ".join(as_float.get(part, part) for part in kind.split(" -> ")) for conv, kind in found.items()
    }
    assert any(kind == "int8 -> int8" for kind in found.values())
    layers, makers, _ = layers_of(parsed)
    for layer in layers:
        if layer.type.name in ("QUANTIZE", "DEQUANTIZE") and layer.num_inputs > 2:
            zero = makers[layer.get_input(2).name]
            zero.__class__ = toolkit.trt.IConstantLayer
            assert not zero.weights.any(), layer.name


@pytest.mark.parametrize("name", SHIPPED)
def test_each_layer_has_the_manifests_precision(name: str, toolkit: Toolkit) -> None:
    for one in variants(name):
        prepared = prepare(halve(one), SMALL, 8)
        parsed = read(toolkit, prepared.content, name)
        found = audit(parsed, prepared.kinds, prepared.quantised)
        assert found.problems == []
        assert set(found.precisions) <= {"FLOAT", "HALF", "INT8", "UINT8", "INT64", "INT32", "BOOL"}
        ports = [parsed.network.get_input(i) for i in range(parsed.network.num_inputs)]
        ports += [parsed.network.get_output(i) for i in range(parsed.network.num_outputs)]
        integers = [port.name for port in ports if port.dtype.name == "UINT8"]
        assert sorted(integers) == ["enhanced", "frame"]  # the frame itself, and no quantised tensor
        assert found.precisions["UINT8"] == 1
        assert (found.int8_convolutions > 0) == (one.manifest.precision == "int8")
        assert ("INT8" in found.precisions) == (one.manifest.precision == "int8")


# ---------------------------------------------------------------- what must be refused


def damaged(change: Any) -> Prepared:
    """ultrasound-clarity-small, prepared, then changed."""
    prepared = prepare(halve(engine("ultrasound-clarity-small")), SMALL, 8)
    model = onnx.load_from_string(prepared.content)
    change(model)
    return Prepared(prepared.name, model.SerializeToString(), prepared.kinds, prepared.quantised)


def _constant(model: Any, name: str) -> Any:
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def _zero_point_one(model: Any) -> None:
    _constant(model, "features0_zero").CopyFrom(onnx.numpy_helper.from_array(np.int8(1), "features0_zero"))


def _unsigned(model: Any) -> None:
    _constant(model, "features0_zero").CopyFrom(onnx.numpy_helper.from_array(np.uint8(0), "features0_zero"))


def _unquantised_output(model: Any) -> None:
    """What follows the first convolution reads its float result instead of the quantised one."""
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "features0_dq":
                node.input[index] = "features0"


def _garbage(model: Any) -> None:
    model.graph.node[0].op_type = "NoSuchOperation"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_zero_point_one, "zero"),
        (_unsigned, "UINT8|uint8|asymmetric|kUINT8|UInt8|zero|type"),
        (_unquantised_output, "DEQUANTIZE"),
        (_garbage, "NoSuchOperation"),
    ],
)
def test_a_file_that_is_not_what_it_was_is_refused_by_name(change: Any, message: str, toolkit: Toolkit) -> None:
    with pytest.raises(EngineRefused, match=message):
        make_plan(toolkit, damaged(change), Target(sm=86))


def test_unsigned_quantisation_is_refused_before_any_parser_sees_it() -> None:
    model = halves.modern(engine("ultrasound-clarity-small").read_model(), "x")
    _unsigned(model)
    assert any("UINT8" in fault for fault in halves.quantisation_faults(model))


def test_progress_is_told_while_it_builds(toolkit: Toolkit) -> None:
    told: list[tuple[str, int, int]] = []
    prepared = prepare(halve(engine("handbuilt-small")), SMALL, 8)
    make_plan(toolkit, prepared, Target(sm=86), lambda *step: told.append(step))
    assert told
    assert all(0 <= step <= steps for _, step, steps in told)


def test_a_plan_for_any_size_builds_from_open_sides(toolkit: Toolkit) -> None:
    prepared = prepare(halve(engine("ultrasound-clarity-small")), None, 8)
    assert prepared.span is not None
    assert make_plan(toolkit, prepared, Target(sm=86)).plan
