"""INT8 engines on the CPU, by OpenVINO: the embedded default. The only door to the library `openvino`.

Conversion between the frame's integers and the contract's floats is compiled into the model, so a picture is copied
once on its way in and not at all on its way out. Recurrent state ping-pongs between two tensors and is never copied.
How far the result differs from the picture is measured there too, by all threads, while both are in the caches.
"""

from __future__ import annotations

import math
import os
import time
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor

from edge.backends import Shape
from edge.catalog import Engine
from edge.clock import MS
from edge.errors import EngineFault, EngineRefused
from edge.frame import EngineId, Pixels

WARM_UPS = 5


def open_backend(threads: int) -> OpenVinoCpu:
    return OpenVinoCpu(threads)


class OpenVinoCpu:
    def __init__(self, threads: int) -> None:
        self._core = ov.Core()
        self._threads = threads or len(os.sched_getaffinity(0))

    @property
    def version(self) -> str:
        return ov.get_version()

    def open(self, engine: Engine | None, shape: Shape) -> OpenVinoSession:
        if engine is None:
            raise EngineRefused("openvino_cpu runs engines; none was given")
        model = self._read(engine)
        padded = _padded(shape, engine.manifest.multiple)
        try:
            compiled = self._compile(engine, model, shape, padded)
            session = OpenVinoSession(engine, compiled, shape, padded)
            session.warm_up()
        except (RuntimeError, EngineFault) as error:
            raise EngineRefused(
                f"{engine.manifest.name} at {shape.width}x{shape.height}: {_first_line(error)}"
            ) from error
        return session

    def _read(self, engine: Engine) -> ov.Model:
        try:
            model = self._core.read_model(engine.read_model(), b"")
        except RuntimeError as error:
            raise EngineRefused(f"{engine.manifest.name}: not a readable model: {_first_line(error)}") from error
        _check_ports(engine, "input", [port.get_any_name() for port in model.inputs], engine.manifest.inputs)
        _check_ports(engine, "output", [port.get_any_name() for port in model.outputs], engine.manifest.outputs)
        return model

    def _compile(self, engine: Engine, model: ov.Model, shape: Shape, padded: Shape) -> ov.CompiledModel:
        sizes: dict[Any, Any] = {"frame": [1, 1, padded.height, padded.width]}
        sizes |= {f"{s.name}_in": list(s.resolve(padded.height, padded.width)) for s in engine.manifest.state}
        model.reshape(sizes)
        _check_shapes(engine, model, padded)
        _add_measure(model, shape if engine.manifest.scale == 1 else None)
        integer = ov.Type.u8 if padded.bits == 8 else ov.Type.u16
        steps = PrePostProcessor(model)
        steps.input("frame").tensor().set_element_type(integer)
        steps.output("enhanced").tensor().set_element_type(integer)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",  # the float parts carry the picture: bf16 would round it
            "INFERENCE_NUM_THREADS": self._threads,
        }
        return self._core.compile_model(steps.build(), "CPU", settings)


class OpenVinoSession:
    """One compiled engine with one stream's recurrent state. Used by the live thread alone once it is open."""

    def __init__(self, engine: Engine, compiled: ov.CompiledModel, shape: Shape, padded: Shape) -> None:
        manifest = engine.manifest
        self.id = EngineId(manifest.name, manifest.sha256, "openvino_cpu", manifest.precision)
        self.shape, self.result_shape = shape, shape.enlarged(manifest.scale)
        # Both requests share all memory but the state: what one writes the other reads.
        self._requests = [compiled.create_infer_request(), compiled.create_infer_request()]
        self._frame, self._enhanced = padded.blank(), padded.enlarged(manifest.scale).blank()
        self._strength = np.zeros((), np.float32)
        self._measured = np.zeros((), np.float32)  # of the result, as it was before it became integers
        self._measures_change = manifest.scale == 1
        self._states = [self._state_pair(s.resolve(padded.height, padded.width)) for s in manifest.state]
        for turn, request in enumerate(self._requests):
            self._bind(request, turn, [s.name for s in manifest.state])
        self._turn = 0
        self._running: ov.InferRequest | None = None
        self._fresh = True
        self._fault: EngineFault | None = None
        self.took_ns = 0
        self.change: float | None = None

    @staticmethod
    def _state_pair(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def _bind(self, request: ov.InferRequest, turn: int, states: list[str]) -> None:
        request.set_tensor("frame", ov.Tensor(self._frame[None, None], shared_memory=True))
        request.set_tensor("full_scale", ov.Tensor(np.array(self.shape.full_scale, np.float32)))
        request.set_tensor("strength", ov.Tensor(self._strength, shared_memory=True))
        request.set_tensor("measured", ov.Tensor(self._measured, shared_memory=True))
        request.set_tensor("enhanced", ov.Tensor(self._enhanced[None, None], shared_memory=True))
        for name, pair in zip(states, self._states, strict=True):
            request.set_tensor(f"{name}_in", ov.Tensor(pair[turn], shared_memory=True))
            request.set_tensor(f"{name}_out", ov.Tensor(pair[1 - turn], shared_memory=True))

    def warm_up(self) -> None:
        """First runs allocate and fault pages in; they must not be a patient's."""
        grey = self.shape.blank()
        for _ in range(WARM_UPS):
            self.start(grey, 1.0)
            if not self.wait(30_000 * MS):
                raise EngineFault("hung", "no result in 30 s")
            self.result()
        self.forget()

    def start(self, grey: Pixels, strength: float) -> None:
        if self._running is not None:
            raise EngineFault("busy", "still computing")
        if grey.shape != (self.shape.height, self.shape.width):
            raise EngineFault("shape", f"picture {grey.shape} for a session of {self.shape}")
        self._copy_in(grey)
        self._strength[...] = strength
        if self._fresh:
            for pair in self._states:
                pair[self._turn].fill(0)
        self._fresh = False
        self._fault = None
        request = self._requests[self._turn]
        self._turn = 1 - self._turn
        try:
            request.start_async()
        except RuntimeError as error:
            raise EngineFault("raised", _first_line(error)) from error
        self._running = request

    def _copy_in(self, grey: Pixels) -> None:
        height, width = grey.shape
        if grey.shape == self._frame.shape:
            np.copyto(self._frame, grey)
            return
        # Padding repeats the edge, so that no made-up border bleeds in.
        self._frame[:height, :width] = grey
        self._frame[:height, width:] = grey[:, -1:]
        self._frame[height:] = self._frame[height - 1]

    def wait(self, timeout_ns: int) -> bool:
        if self._running is None:
            return True
        try:
            if not _finished(self._running, timeout_ns):
                return False
        except RuntimeError as error:
            self._fault = EngineFault("raised", _first_line(error))
        self.took_ns = int(self._running.latency * MS)
        self._take_measure()
        self._running = None
        return True

    def _take_measure(self) -> None:
        measured = self._measured.item()
        if self._fault is None and not math.isfinite(measured):
            self._fault = EngineFault("not-finite", "the result holds NaN or infinity")
        self.change = measured / self.shape.full_scale if self._measures_change else None

    def result(self) -> Pixels:
        if self._running is not None:
            raise EngineFault("busy", "still computing")
        if self._fault is not None:
            raise self._fault
        return self._enhanced[: self.result_shape.height, : self.result_shape.width]

    def forget(self) -> None:
        self._fresh = True

    def close(self) -> None:
        self._requests.clear()


def _finished(request: ov.InferRequest, timeout_ns: int) -> bool:
    """`wait_for` counts whole milliseconds: wait for them, then look again for the rest of the last one."""
    if request.wait_for(timeout_ns // MS):
        return True
    until = time.monotonic_ns() + timeout_ns % MS
    while time.monotonic_ns() < until:
        if request.wait_for(0):
            return True
    return False


def _padded(shape: Shape, multiple: int) -> Shape:
    return Shape(-(-shape.height // multiple) * multiple, -(-shape.width // multiple) * multiple, shape.bits)


def _add_measure(model: ov.Model, shape: Shape | None) -> None:
    """One more output: how far the picture of this shape was changed in the mean, without what pads it. It is finite
    exactly when the result is, as integers could not tell us. Of an enlarged picture, which has nothing to be held
    against, the sum.
    """
    enhanced, axes = model.output("enhanced").get_node().input_value(0), np.array([0, 1, 2, 3])
    if shape is not None:
        changed = ops.abs(ops.subtract(enhanced, model.input("frame").get_node().output(0)))
        if list(changed.output(0).shape[2:]) != [shape.height, shape.width]:
            changed = ops.slice(changed, [0, 0], [shape.height, shape.width], [1, 1], [2, 3])
        measured = ops.reduce_mean(changed, axes, keep_dims=False)
    else:
        measured = ops.reduce_sum(enhanced, axes, keep_dims=False)
    measured.output(0).set_names({"measured"})
    model.add_outputs([measured.output(0)])


def _check_ports(engine: Engine, what: str, found: list[str], wanted: set[str]) -> None:
    if set(found) != wanted:
        there, named = ", ".join(sorted(found)), ", ".join(sorted(wanted))
        raise EngineRefused(f"{engine.manifest.name}: {what}s {there} where the manifest has {named}")


def _check_shapes(engine: Engine, model: ov.Model, padded: Shape) -> None:
    result = padded.enlarged(engine.manifest.scale)
    wanted = {"enhanced": (1, 1, result.height, result.width)}
    wanted |= {f"{s.name}_out": s.resolve(padded.height, padded.width) for s in engine.manifest.state}
    for name, shape in wanted.items():
        found = model.output(name).get_partial_shape()
        if found.is_dynamic or tuple(found.to_shape()) != shape:
            raise EngineRefused(f"{engine.manifest.name}: output {name} is {found}, not {list(shape)}")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
