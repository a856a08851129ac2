"""Re-fitting the ranges of an INT8 net's activations to pictures that it will really see.

The net runs in float over a stream of pictures (its activation quantisers taken out, its INT8 weights as they are),
recurrent state and all; what each quantiser would have been given is counted. The new range of each is the one that
costs the least mean square error. Weights, zero points (0) and the graph stay as they were, byte for byte.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnx
import openvino as ov
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.backends import Shape
from edge.catalog import Engine
from edge.errors import EngineRefused
from edge.frame import Pixels

Floats = NDArray[np.float32]

STRUCTURAL = frozenset(
    {"input", "mean_levels", "veil.enter"}
)  # 8-bit levels fall on its INT8 values exactly, and must go on doing so
TOP = 127
BINS = 1 << 15  # fine enough that even a narrow range has several bins a step
CANDIDATES = 120
NARROWEST = 1 / 32  # of the largest value seen
AS_GOOD = 1.02  # ranges whose error is within this of the least are as good: the widest of them forgives most
# One recording shows a part of what a scanner can: what it did not show must still have room.
LEAST_OF_OLD = 0.5
EVERY = 4  # consecutive frames are alike: every one is run, one in four is counted


class Sample(NamedTuple):
    grey: Pixels
    begins: bool  # what came before is not this picture's past


class Quantiser(NamedTuple):
    """One QuantizeLinear of an activation, with a scale of its own."""

    name: str
    tensor: str  # what it quantises
    scale: str  # its scale's initialiser
    limit: float  # the largest value that it can hold


@dataclass(frozen=True, slots=True)
class Range:
    """What became of one quantiser."""

    name: str
    old: float
    new: float
    peak: float  # the largest magnitude seen
    kept: bool  # structural: its range is no matter of pictures


@dataclass(frozen=True, slots=True)
class Refit:
    model: bytes
    ranges: tuple[Range, ...]


def refit(engine: Engine, samples: Iterable[Sample], shape: Shape) -> Refit:
    """The engine's model with ranges for these pictures, all of one shape. Raises EngineRefused."""
    model = _parsed(engine)
    quantisers = find_quantisers(model.graph)
    free = [each for each in quantisers if not is_structural(model.graph, each)]
    if not free:
        raise EngineRefused(f"{engine.manifest.name}: has no activation range that pictures could fit")
    seen = _count(engine, _opened_up(model, free), free, samples, shape)
    ranges: list[Range] = []
    for each in quantisers:
        counted = seen.get(each.name)
        new = each.limit if counted is None else best_limit(counted, each.limit)
        ranges.append(Range(each.name, each.limit, new, counted.peak if counted else 0.0, counted is None))
    _write_limits(model.graph, {each.scale: r.new for each, r in zip(quantisers, ranges, strict=True) if not r.kept})
    return Refit(model.SerializeToString(deterministic=True), tuple(ranges))


def _parsed(engine: Engine) -> onnx.ModelProto:
    content = engine.read_model()
    try:
        return onnx.load_from_string(content)
    except Exception as error:  # protobuf raises an error of its own that it does not export in one place
        raise EngineRefused(f"{engine.manifest.name}: not a readable model: {type(error).__name__}") from error


# ---------------------------------------------------------------- the graph


def find_quantisers(graph: onnx.GraphProto) -> list[Quantiser]:
    """In the order of the graph. Raises EngineRefused for any that is not symmetric INT8 of one scale, its own."""
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    found = [
        _quantiser(node, constants)
        for node in graph.node
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants
    ]
    own = [each.scale for each in found if not _is_of_levels(each)]  # parts of the input are joined, by one scale
    if len(set(own)) != len(own):
        raise EngineRefused("two quantisers share one scale")
    return found


def _is_of_levels(quantiser: Quantiser) -> bool:
    return bool(STRUCTURAL & {quantiser.name, quantiser.name.partition(".")[0]})


def _quantiser(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> Quantiser:
    name = node.output[0].removesuffix("_q")
    scale = constants.get(node.input[1])
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    if scale is None or scale.size != 1 or scale.dtype != np.float32 or not 0 < float(scale.item()) < math.inf:
        raise EngineRefused(f"quantiser {name} has no single float scale")
    if zero is None or zero.dtype != np.int8 or zero.any():
        raise EngineRefused(f"quantiser {name} is not symmetric INT8 with zero point 0")
    return Quantiser(name, node.input[0], node.input[1], float(scale.item()) * TOP)


def is_structural(graph: onnx.GraphProto, quantiser: Quantiser) -> bool:
    """Whether its range is a matter of the net's design: it quantises levels, before any convolution or state."""
    if _is_of_levels(quantiser):
        return True
    made_by = {output: node for node in graph.node for output in node.output}
    waiting, seen = [quantiser.tensor], set[str]()
    while waiting:
        name = waiting.pop()
        node = made_by.get(name)
        if name.endswith("_in") or (node is not None and node.op_type == "Conv"):
            return False
        seen.add(name)
        waiting += [source for source in (node.input if node else ()) if source not in seen]
    return True


def _opened_up(model: onnx.ModelProto, free: list[Quantiser]) -> bytes:
    """The net without these quantisers, and with what they would have been given as further outputs."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    graph = opened.graph
    given = {each.scale: each.tensor for each in free}
    quantised = {node.output[0] for node in graph.node if node.op_type == "QuantizeLinear" and node.input[1] in given}
    bypass = {
        node.output[0]: given[node.input[1]]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in quantised
    }
    kept = [node for node in graph.node if node.output[0] not in quantised and node.output[0] not in bypass]
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = _source(name, bypass)
    kept += [helper.make_node("Identity", [_source(each.tensor, bypass)], [_seen(each)]) for each in free]
    del graph.node[:]
    graph.node.extend(kept)
    graph.output.extend(helper.make_tensor_value_info(_seen(each), TensorProto.FLOAT, None) for each in free)
    return opened.SerializeToString()


def _source(name: str, bypass: Mapping[str, str]) -> str:
    """What a node is given instead; one quantiser may follow another directly."""
    while name in bypass:
        name = bypass[name]
    return name


def _seen(quantiser: Quantiser) -> str:
    return f"{quantiser.name}_seen"


def _write_limits(graph: onnx.GraphProto, limits: Mapping[str, float]) -> None:
    for constant in graph.initializer:
        if constant.name in limits:
            dims = tuple(constant.dims)
            scale = np.full(dims, limits[constant.name] / TOP, np.float32)
            constant.CopyFrom(numpy_helper.from_array(scale, constant.name))


# ---------------------------------------------------------------- what the pictures show


class Magnitudes:
    """How often each magnitude was seen: a histogram whose range doubles when it must."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self.width = 0.0  # of a bin
        self.peak = 0.0

    def add(self, values: Floats) -> None:
        magnitudes = np.abs(values).ravel()
        peak = float(magnitudes.max(initial=0.0))
        if not math.isfinite(peak):
            raise EngineRefused("the net in float gives NaN or infinity on this recording")
        self._reach(peak)
        self.peak = max(self.peak, peak)
        if self.width:
            bins = (magnitudes * np.float32(1 / self.width)).astype(np.int32)
            self.counts += np.bincount(np.minimum(bins, BINS - 1, out=bins), minlength=BINS)

    def _reach(self, peak: float) -> None:
        if peak and not self.width:
            self.width = 2.0 ** math.ceil(math.log2(peak)) / BINS
        while peak > self.width * BINS:
            self.width *= 2
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])


def best_limit(seen: Magnitudes, old: float) -> float:
    """The range of the least mean square error, but not far below the old one."""
    least = old * LEAST_OF_OLD
    if seen.peak <= least:
        return least if seen.peak else old
    filled = np.flatnonzero(seen.counts)
    values, counts = (filled + 0.5) * seen.width, seen.counts[filled].astype(np.float64)
    limits = np.geomspace(max(seen.peak * NARROWEST, least), seen.peak, CANDIDATES)
    errors = np.array([counts @ _error(values, limit) ** 2 for limit in limits])
    return float(limits[errors <= errors.min() * AS_GOOD].max())


def _error(values: NDArray[Any], limit: float) -> NDArray[Any]:
    step = limit / TOP
    return values - np.minimum(np.rint(values / step), TOP) * step


def _count(
    engine: Engine, opened: bytes, free: list[Quantiser], samples: Iterable[Sample], shape: Shape
) -> dict[str, Magnitudes]:
    net = FloatRun(engine, opened, shape)
    seen = {each.name: Magnitudes() for each in free}
    for index, sample in enumerate(samples):
        net.step(sample)
        if index % EVERY == 0:
            for each in free:
                seen[each.name].add(net.tensor(_seen(each)))
    return seen


class FloatRun:
    """A net over one stream, with all its outputs in reach. State goes round as in a session."""

    def __init__(self, engine: Engine, model: bytes, shape: Shape) -> None:
        self._manifest = engine.manifest
        self._shape = shape
        multiple = engine.manifest.multiple
        self._more = (-shape.height % multiple, -shape.width % multiple)
        height, width = shape.height + self._more[0], shape.width + self._more[1]
        self._blank = {s.name: np.zeros(s.resolve(height, width), np.float32) for s in engine.manifest.state}
        self._state = dict(self._blank)
        try:
            self._request = self._compiled(model, height, width).create_infer_request()
        except RuntimeError as error:
            raise EngineRefused(f"{engine.manifest.name}: cannot be run in float: {error}") from error

    def _compiled(self, model: bytes, height: int, width: int) -> ov.CompiledModel:
        core = ov.Core()
        net = core.read_model(model, b"")
        sizes: dict[Any, Any] = {"frame": [1, 1, height, width]}
        sizes |= {f"{name}_in": list(blank.shape) for name, blank in self._blank.items()}
        net.reshape(sizes)
        return core.compile_model(net, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})

    def step(self, sample: Sample) -> None:
        if sample.begins:
            self._state = dict(self._blank)
        padded = np.pad(sample.grey, [(0, self._more[0]), (0, self._more[1])], mode="edge")
        given = {
            "frame": padded[None, None].astype(np.float32),
            "full_scale": np.array(self._shape.full_scale, np.float32),
            "strength": np.array(1.0, np.float32),
        }
        self._request.infer(given | {f"{name}_in": state for name, state in self._state.items()})
        self._state = {name: self.tensor(f"{name}_out").copy() for name in self._state}

    def tensor(self, name: str) -> Floats:
        """Valid until the next step."""
        return self._request.get_tensor(name).data
