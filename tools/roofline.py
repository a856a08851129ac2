"""`python -m tools.roofline [--json]`: the least the engines could take on Jetson modules. A prediction, not measured.

Operations and bytes of a frame are counted from each shipped ONNX file; the modules' figures are what their vendor has
published, for dense arithmetic and the GPU alone (a module's headline adds its DLAs and counts zeros that a pruned net
could skip: several times what these engines can use). Two bounds are given:

    floor      every operation at the peak rate, or every byte that must move once (weights, frame, state), whichever
               takes longer: nothing can be faster
    unfused    each layer reads and writes its tensors from memory: the least for a runtime that fuses nothing

What is not in it: starting kernels (dozens a frame), waiting, transfers, lower clocks, other streams.
For nets as small as these that may be most of a frame's time. Needs the library `onnx`.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import numpy_helper, shape_inference

from edge.catalog import Engine, read_engine, shipped_folder
from edge.errors import EngineRefused

SIZES = ((320, 240), (640, 480), (1024, 1024))
ELEMENTWISE = {
    "Add": 1, "Sub": 1, "Mul": 1, "Div": 1, "Min": 1, "Max": 1, "Relu": 1, "Clip": 2, "Round": 1, "Floor": 1,
    "Abs": 1, "Where": 1, "Greater": 1, "Less": 1, "Sigmoid": 4, "Tanh": 4, "Sqrt": 1, "Exp": 4, "Neg": 1, "Pow": 4,
    "QuantizeLinear": 2, "DequantizeLinear": 1,
}  # fmt: skip
FUSED = {"QuantizeLinear", "DequantizeLinear", "Relu"}  # into the layer before or behind, by every runtime
INT8_OPS_PER_SM = 4096  # dense, a clock: 4 tensor cores of 1,024 (third generation)
LANES_PER_SM = 128  # CUDA cores: one multiply-add a clock each


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    int8_tops: float  # dense, GPU alone
    fp16_tflops: float  # dense, tensor cores
    fp32_tflops: float  # CUDA cores: what elementwise arithmetic runs on
    gb_per_s: float
    source: str


def _orin(name: str, sms: int, gigahertz: float, gb_per_s: float, source: str) -> Module:
    """By the GPU's published size and clock. Checked against the vendor's own sparse totals in the test."""
    int8 = sms * gigahertz * INT8_OPS_PER_SM / 1000
    return Module(name, int8, int8 / 2, sms * gigahertz * LANES_PER_SM * 2 / 1000, gb_per_s, source)


MODULES = (
    _orin("Orin Nano 8GB", 8, 0.625, 68, "Jetson Orin Nano series data sheet: 1,024 cores, 625 MHz; 40 TOPS sparse"),
    _orin("Orin Nano 8GB Super", 8, 1.02, 102, "Orin Nano Super data sheet (Dec 2024): 1,020 MHz; 67 TOPS sparse"),
    _orin("Orin NX 16GB", 8, 0.918, 102.4, "Jetson Orin NX series data sheet: 1,024 cores, 918 MHz; 100 TOPS sparse "
          "with two DLAs (40)"),
    _orin("AGX Orin 64GB", 16, 1.3, 204.8, "Jetson AGX Orin technical brief v1.2: 2,048 cores, 1.3 GHz; GPU 170 TOPS "
          "sparse, with two DLAs (105) 275"),
    Module("Thor T5000", 517, 258, 20 * 1.575 * 256 / 1000, 273, "Jetson Thor data sheet: FP8 1,035 TFLOPS sparse, 20 "
           "SMs, 1.575 GHz. No dense INT8 figure was found: half the FP8 sparse one is used for it"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """What one frame takes."""

    int8_macs: int
    float_macs: int  # convolutions that are not INT8
    elementwise: int  # float operations that are no convolution
    fewest_bytes: int
    unfused_bytes: int


@dataclass(frozen=True, slots=True)
class Bound:
    engine: str
    module: str
    width: int
    height: int
    floor_ms: float
    unfused_ms: float
    limited_by: str
    floor_fps: float
    unfused_fps: float


def count(engine: Engine, width: int, height: int, bits: int) -> Work:
    graph = _shaped(engine, width, height).graph
    counter = _Counter(graph)
    int8_macs = float_macs = elementwise = unfused = 0
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            macs = counter.macs(node)
            int8_macs, float_macs = (
                (int8_macs + macs, float_macs) if counter.is_int8(node) else (int8_macs, float_macs + macs)
            )
        elif node.op_type == "ReduceMean":
            elementwise += counter.elements(node.input[0])
        elif not counter.is_weight(node):
            elementwise += ELEMENTWISE.get(node.op_type, 0) * counter.elements(node.output[0])
        unfused += 0 if node.op_type in FUSED else counter.bytes_of(node)
    pixel = 1 if bits == 8 else 2
    scale = engine.manifest.scale**2
    states = sum(math.prod(state.resolve(height, width)) for state in engine.manifest.state)
    fewest = width * height * pixel * (1 + scale) + 2 * 4 * states + counter.weight_bytes
    return Work(int8_macs, float_macs, elementwise, fewest, max(unfused, fewest))


def _shaped(engine: Engine, width: int, height: int) -> onnx.ModelProto:
    """The model at one picture size, padded as a session does, every tensor's shape known."""
    multiple = engine.manifest.multiple
    width, height = width + -width % multiple, height + -height % multiple
    model = onnx.load_from_string(engine.read_model())
    shapes: dict[str, tuple[int, ...]] = {"frame": (1, 1, height, width)}
    shapes |= {f"{state.name}_in": state.resolve(height, width) for state in engine.manifest.state}
    for port in model.graph.input:
        for dim, size in zip(port.type.tensor_type.shape.dim, shapes.get(port.name, ()), strict=False):
            dim.dim_value = size
    del model.graph.value_info[:]
    for port in model.graph.output:
        for dim in port.type.tensor_type.shape.dim:
            dim.Clear()
    return shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


class _Counter:
    """A graph's tensors: how large, made by whom, kept as what."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._weights = {one.name: one for one in graph.initializer}
        self._made = {output: node for node in graph.node for output in node.output}
        self._used: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._used.setdefault(name, []).append(node)
        self._shapes = {name: tuple(one.dims) for name, one in self._weights.items()}
        for port in [*graph.value_info, *graph.input, *graph.output]:
            self._shapes[port.name] = tuple(dim.dim_value for dim in port.type.tensor_type.shape.dim)

    def elements(self, name: str) -> int:
        shape = self._shapes[name]
        if not all(shape):
            raise EngineRefused(f"the shape of {name} is not known: {shape}")
        return math.prod(shape)

    @property
    def weight_bytes(self) -> int:
        return sum(numpy_helper.to_array(one).nbytes for one in self._weights.values())

    def is_weight(self, node: onnx.NodeProto) -> bool:
        """It only unpacks a constant: nothing that a frame would take."""
        return all(name in self._weights for name in node.input)

    def is_int8(self, node: onnx.NodeProto) -> bool:
        makers = [self._made.get(name) for name in node.input[:2]]
        return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)

    def macs(self, node: onnx.NodeProto) -> int:
        weights = self._shapes[node.input[1]]
        each = math.prod(weights[1:])  # of one output value; of one input value where it is transposed
        return self.elements(node.input[0] if node.op_type == "ConvTranspose" else node.output[0]) * each

    def bytes_of(self, node: onnx.NodeProto) -> int:
        read = [name for name in node.input if name and not self._is_constant(name)]
        return sum(self.elements(name) * self._width(name) for name in [*read, *node.output])

    def _is_constant(self, name: str) -> bool:
        return name in self._weights or (name in self._made and self.is_weight(self._made[name]))

    def _width(self, name: str) -> int:
        """Bytes a value between layers: one where it is INT8 on its way, two where it is a float."""
        maker = self._made.get(name)
        users = self._used.get(name, [])
        quantised = bool(users) and all(user.op_type in FUSED for user in users)
        return 1 if quantised or (maker is not None and maker.op_type == "DequantizeLinear") else 2


def bound(engine: str, work: Work, module: Module, width: int, height: int) -> Bound:
    parts = {
        "int8": 2 * work.int8_macs / module.int8_tops / 1e9,
        "float convolutions": 2 * work.float_macs / module.fp16_tflops / 1e9,
        "elementwise": work.elementwise / module.fp32_tflops / 1e9,
    }
    memory, all_memory = (part / module.gb_per_s / 1e6 for part in (work.fewest_bytes, work.unfused_bytes))
    compute = sum(parts.values())
    floor, unfused = max(compute, memory), max(compute, all_memory)
    limit = max(parts, key=lambda part: parts[part]) if compute >= memory else "memory"
    return Bound(
        engine, module.name, width, height, round(floor, 4), round(unfused, 4), limit,
        round(1000 / floor), round(1000 / unfused),
    )  # fmt: skip


def shipped() -> list[Engine]:
    return [read_engine(path.parent) for path in sorted(shipped_folder().glob("*/manifest.toml"))]


def predict(engines: list[Engine]) -> tuple[dict[str, dict[str, Any]], list[Bound]]:
    works: dict[str, dict[str, Any]] = {}
    bounds: list[Bound] = []
    for engine in engines:
        bits = 16 if "fluoroscopy" in engine.manifest.modalities else 8
        for width, height in SIZES:
            work = count(engine, width, height, bits)
            works.setdefault(engine.manifest.name, {})[f"{width}x{height}"] = asdict(work)
            bounds += [bound(engine.manifest.name, work, module, width, height) for module in MODULES]
    return works, bounds


def table(works: dict[str, dict[str, Any]], bounds: list[Bound], size: str) -> str:
    """At one size: the work of a frame, and both bounds on each module."""
    width, height = (int(part) for part in size.split("x"))
    heads = " | ".join(f"{module.name} ms" for module in MODULES)
    lines = [
        f"PREDICTION, not a measurement: {size}, floor / unfused bound in ms a frame (no kernel starts, no transfers)",
        "",
        f"| engine | INT8 MMAC | float conv MMAC | elementwise Mop | MB least / unfused | {heads} |",
        f"|{'---|' * (5 + len(MODULES))}",
    ]
    for name, by_size in works.items():
        work = by_size[size]
        times = [each for each in bounds if (each.engine, each.width, each.height) == (name, width, height)]
        lines.append(
            f"| {name} | {work['int8_macs'] / 1e6:.0f} | {work['float_macs'] / 1e6:.0f} | "
            f"{work['elementwise'] / 1e6:.0f} | {work['fewest_bytes'] / 1e6:.1f} / {work['unfused_bytes'] / 1e6:.1f} | "
            + " | ".join(f"{each.floor_ms:.2f} / {each.unfused_ms:.2f}" for each in times) + " |"
        )  # fmt: skip
    return "\n".join(lines)


def rates(bounds: list[Bound], size: str) -> str:
    """At one size: the frames a second that the bounds imply, of one stream and nothing else on the module."""
    width, height = (int(part) for part in size.split("x"))
    found: dict[str, list[Bound]] = {}
    for each in bounds:
        if (each.width, each.height) == (width, height):
            found.setdefault(each.engine, []).append(each)
    lines = [
        f"PREDICTION, not a measurement: {size}, frames a second that these bounds imply, floor / unfused",
        "",
        f"| engine | {' | '.join(module.name for module in MODULES)} |",
        f"|{'---|' * (1 + len(MODULES))}",
    ]
    for name, row in found.items():
        lines.append(f"| {name} | " + " | ".join(f"{each.floor_fps} / {each.unfused_fps}" for each in row) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the engines could take on Jetson modules at best: a prediction.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("folders", nargs="*", type=Path, help="engines; without any, the shipped ones")
    given = parser.parse_args()
    works, bounds = predict([read_engine(folder) for folder in given.folders] or shipped())
    if given.json:
        facts = {"prediction": True, "measured": False, "modules": [asdict(module) for module in MODULES]}
        print(json.dumps({**facts, "work": works, "bounds": [asdict(each) for each in bounds]}))
        return
    sizes = [f"{width}x{height}" for width, height in SIZES]
    print("\n\n".join([*(table(works, bounds, size) for size in sizes), *(rates(bounds, size) for size in sizes)]))
    print("\n" + "\n".join(f"{module.name}: {module.source}" for module in MODULES))


if __name__ == "__main__":
    main()
