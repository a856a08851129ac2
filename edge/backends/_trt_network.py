"""A prepared model through NVIDIA's parser into a plan, and what the parser understood, layer by layer.

Strongly typed everywhere: each layer has the type that the file gives it, and nothing is left to the builder's choice.
There is no calibrator: the ranges stand in the file. Building takes seconds on a card and minutes on an Orin; it is
never done by the live thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.backends._trt_releases import Progress, Toolkit
from edge.errors import ConfigError, EngineRefused

WORKSPACE_BYTES = 512 << 20  # on a Jetson it is everybody's memory
FLOATS = {"FLOAT": "fp32", "HALF": "fp16"}
SHAPE_TYPES = {"INT64", "INT32", "BOOL"}  # sizes are computed in these, pixels never


@dataclass(frozen=True, slots=True)
class Span:
    """The sides that one plan with a profile serves, each for all ports."""

    least: Mapping[str, tuple[int, ...]]
    best: Mapping[str, tuple[int, ...]]
    most: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Target:
    sm: int | None = None  # compute capability, 86 for 8.6; None: the GPU here
    dla: int | None = None  # which DLA core; what it cannot do stays on the GPU
    span: Span | None = None


@dataclass(slots=True)
class Audit:
    """What the parser made of the file."""

    layers: int = 0
    int8_convolutions: int = 0
    float_convolutions: dict[str, str] = field(default_factory=dict)  # name -> fp16 or fp32
    precisions: dict[str, int] = field(default_factory=dict)  # type -> how many tensors
    problems: list[str] = field(default_factory=list)


class Parsed:
    """A network in memory. Its builder and parser live as long as it does: the library asks for that."""

    def __init__(self, toolkit: Toolkit, content: bytes, name: str) -> None:
        self.toolkit, self.name = toolkit, name
        trt = toolkit.trt
        toolkit.log.taken()
        self.builder = trt.Builder(toolkit.log.logger)
        typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self.network = self.builder.create_network(typed)
        self._parser = trt.OnnxParser(self.network, toolkit.log.logger)
        parsed = self._parser.parse(content)
        found = [self._parser.get_error(index).desc() for index in range(self._parser.num_errors)]
        found += toolkit.log.taken()  # a warning of the parser is no trifle: it reads UINT8 as INT8 with one
        if found or not parsed:
            raise EngineRefused(f"{name}: {toolkit.runtime} does not take it as it is: {'; '.join(found)[:600]}")

    def layers(self) -> list[Any]:
        return [self.network.get_layer(index) for index in range(self.network.num_layers)]


def read(toolkit: Toolkit, content: bytes, name: str) -> Parsed:
    try:
        return Parsed(toolkit, content, name)
    except TypeError as error:  # the bindings' way to say that the builder could not be made
        said = "; ".join(toolkit.log.taken()) or str(error).splitlines()[0]
        raise ConfigError(
            f"{toolkit.runtime} cannot build on this machine: {said}. TensorRT builds on the device itself; "
            "tensorrt-rtx builds without a GPU for a card named by --sm"
        ) from error


# ---------------------------------------------------------------- what the parser understood


def audit(parsed: Parsed, kinds: Mapping[str, str], quantised: Mapping[str, bool]) -> Audit:
    """Compare with the file: `kinds` has each tensor's type, `quantised` the convolutions meant to be INT8, and
    whether their result is to be INT8 again or stays float."""
    found = Audit()
    layers = parsed.layers()
    maker = {layer.get_output(i).name: layer for layer in layers for i in range(layer.num_outputs)}
    users: dict[str, list[Any]] = {}
    for layer in layers:
        for tensor in _inputs(layer):
            users.setdefault(tensor.name, []).append(layer)
    found.layers = len(layers)
    found.precisions = _check_types(parsed, layers, kinds, found)
    convolutions = [layer for layer in layers if layer.type.name == "CONVOLUTION"]
    met: set[str] = set()
    for layer in convolutions:
        name = layer.get_output(0).name
        if name in quantised:
            met.add(name)
            _check_int8(layer, maker, users, quantised[name], found)
        else:
            found.float_convolutions[name] = FLOATS.get(layer.get_output(0).dtype.name, "?")
    found.int8_convolutions = len(met)
    found.problems += [f"{name} is in the file and not in the network" for name in quantised if name not in met]
    for layer in layers:
        if layer.type.name in ("QUANTIZE", "DEQUANTIZE"):
            _check_zero_point(parsed, layer, maker, found)
    return found


def _inputs(layer: Any) -> list[Any]:
    tensors = [layer.get_input(index) for index in range(layer.num_inputs)]
    return [tensor for tensor in tensors if tensor is not None]


def _check_types(parsed: Parsed, layers: list[Any], kinds: Mapping[str, str], found: Audit) -> dict[str, int]:
    ports = {parsed.network.get_input(i).name for i in range(parsed.network.num_inputs)}
    ports |= {parsed.network.get_output(i).name for i in range(parsed.network.num_outputs)}
    types: Counter[str] = Counter()
    for layer in layers:
        for index in range(layer.num_outputs):
            tensor = layer.get_output(index)
            kind = tensor.dtype.name
            types[kind] += 1
            wanted = kinds.get(tensor.name, kind)
            if kind != wanted:
                found.problems.append(f"{tensor.name} is {kind}, the file has {wanted}")
            if kind == "UINT8" and tensor.name not in ports:
                found.problems.append(f"{tensor.name} is UINT8 inside the net")
            if kind not in {*FLOATS, "INT8", "UINT8", *SHAPE_TYPES}:
                found.problems.append(f"{tensor.name} is {kind}")
    return dict(types)


def _check_int8(
    layer: Any, maker: Mapping[str, Any], users: Mapping[str, list[Any]], again: bool, found: Audit
) -> None:
    name = layer.get_output(0).name
    operands = _inputs(layer)
    if len(operands) < 2:
        found.problems.append(f"{name}: its weights are no dequantised tensor")
    for what, tensor in zip(("input", "weights"), operands, strict=False):
        source = maker.get(tensor.name)
        if source is None or source.type.name != "DEQUANTIZE":
            found.problems.append(f"{name}: no DEQUANTIZE right before its {what}")
        elif source.get_input(0).dtype.name != "INT8":
            found.problems.append(f"{name}: its {what} come from {source.get_input(0).dtype.name}, not INT8")
    if again and not _ends_in_quantise(layer, users):
        found.problems.append(f"{name}: no QUANTIZE behind it, and the file has one")


def _ends_in_quantise(layer: Any, users: Mapping[str, list[Any]]) -> bool:
    behind = users.get(layer.get_output(0).name, [])
    return bool(behind) and all(
        user.type.name == "QUANTIZE" or (user.type.name == "ACTIVATION" and _ends_in_quantise(user, users))
        for user in behind
    )


def _check_zero_point(parsed: Parsed, layer: Any, maker: Mapping[str, Any], found: Audit) -> None:
    tensors = _inputs(layer)
    if len(tensors) < 3:
        return
    constant = maker.get(tensors[2].name)
    if constant is None or constant.type.name != "CONSTANT":
        found.problems.append(f"{layer.name}: its zero point is computed")
        return
    constant.__class__ = parsed.toolkit.trt.IConstantLayer
    if constant.weights.any():
        found.problems.append(f"{layer.name}: its zero point is not 0")


# ---------------------------------------------------------------- the plan


def build(parsed: Parsed, target: Target, progress: Progress | None = None) -> tuple[bytes, list[str]]:
    """The plan, and what the builder had to say. Raises EngineRefused."""
    toolkit = parsed.toolkit
    trt = toolkit.trt
    config = parsed.builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)  # FP32 here is the picture: TF32 has 10 bits of it
    _aim(parsed, config, target)
    if target.span is not None:
        config.add_optimization_profile(_profile(parsed, target.span))
    monitor = _monitor(trt, progress) if progress is not None else None
    if monitor is not None:
        config.progress_monitor = monitor
    plan = parsed.builder.build_serialized_network(parsed.network, config)
    said = toolkit.log.taken()
    if plan is None:
        raise EngineRefused(f"{parsed.name}: {toolkit.runtime} builds no plan: {'; '.join(said)[:600] or 'no reason'}")
    return bytes(plan), said


def _aim(parsed: Parsed, config: Any, target: Target) -> None:
    toolkit = parsed.toolkit
    trt = toolkit.trt
    if target.sm is not None:
        if not toolkit.release.names_target:
            raise ConfigError(f"{toolkit.runtime} builds for the GPU it runs on; --sm is for tensorrt-rtx")
        capability = getattr(trt.ComputeCapability, f"SM{target.sm}", None)
        if capability is None:
            known = ", ".join(name[2:] for name in dir(trt.ComputeCapability) if name.startswith("SM"))
            raise ConfigError(f"{toolkit.runtime} builds for no SM{target.sm}; known: {known}")
        config.num_compute_capabilities = 1
        config.set_compute_capability(capability, 0)
    if target.dla is not None:
        cores = parsed.builder.num_DLA_cores if toolkit.release.has_dla else 0
        if target.dla >= cores:
            raise ConfigError(f"{toolkit.runtime} sees {cores} DLA cores here; core {target.dla} is not one of them")
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = target.dla
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def _profile(parsed: Parsed, span: Span) -> Any:
    profile = parsed.builder.create_optimization_profile()
    for index in range(parsed.network.num_inputs):
        name = parsed.network.get_input(index).name
        if name in span.best:
            profile.set_shape(name, span.least[name], span.best[name], span.most[name])
    return profile


def _monitor(trt: Any, progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):
        """Called from the builder's own threads."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            del parent_phase
            self._steps[phase_name] = num_steps
            progress(phase_name, 0, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress(phase_name, step + 1, self._steps.get(phase_name, 0))
            return True

        def phase_finish(self, phase_name: str) -> None:
            steps = self._steps.pop(phase_name, 0)
            progress(phase_name, steps, steps)

    return Monitor()
