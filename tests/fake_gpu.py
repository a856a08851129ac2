"""A GPU made of the CPU: it keeps the port's whole contract, and computes the very file a plan would be built from.

A plan, here, is the prepared ONNX file; a program runs it by OpenVINO on whatever lies at the addresses that were
bound - nowhere else. So buffers, ping-pong, padding, types and the prepared file itself are proven without a GPU; what
is not is the arithmetic of NVIDIA's kernels.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import openvino as ov

from edge.backends import Shape
from edge.backends._trt_gpu import TURNS
from edge.backends._trt_network import Audit
from edge.backends._trt_prepare import Built, halve, prepare
from edge.backends.tensorrt_int8 import Tensorrt
from edge.catalog import Engine
from edge.errors import EngineFault, EngineRefused
from edge.plans import PlanCache, PlanRefused

RUNTIME = "fake 1.0"
KINDS = {"u8": np.uint8, "f32": np.float32, "f16": np.float16}


@dataclass
class FakeCard:
    gpu: str = "sm00 none"
    power_mode: str = ""
    sick: str = ""  # raised by each program's next computation, while set
    programs: list[FakeProgram] = field(default_factory=list)

    def program(self, plan: bytes, dla: int | None = None) -> FakeProgram:
        try:
            model = ov.Core().read_model(plan, b"")
        except RuntimeError as error:
            raise PlanRefused("runtime", f"{RUNTIME} does not load it") from error
        program = FakeProgram(self, model)
        self.programs.append(program)
        return program


class FakeProgram:
    replays = "enqueue: there is no GPU"

    def __init__(self, card: FakeCard, model: ov.Model) -> None:
        self._card, self._model = card, model
        self.took_ns = 0
        self.closed = False
        self.launched: list[int] = []  # the turn of each
        self.cleared: list[int] = []
        self._memory: dict[int, np.ndarray] = {}  # address -> what lies there
        self.bound: dict[int, dict[str, int]] = {}
        self._request: ov.InferRequest | None = None
        self._worker = ThreadPoolExecutor(1, "fake-gpu")
        self._last: Future[int] | None = None

    def _own(self, array: np.ndarray) -> tuple[np.ndarray, int]:
        address = array.ctypes.data
        self._memory[address] = array
        return array, address

    def mapped(self, shape: tuple[int, ...], kind: type[np.generic]) -> tuple[np.ndarray, int]:
        return self._own(np.zeros(shape, kind))

    def resident(self, size: int) -> int:
        return self._own(np.full(size, 0xA5, np.uint8))[1]  # as it comes: never zeros by luck

    def clear(self, address: int, size: int) -> None:
        assert self._memory[address].nbytes == size
        self.cleared.append(address)
        self._worker.submit(ctypes.memset, address, 0, size)

    def half_ports(self) -> set[str]:
        ports = [*self._model.inputs, *self._model.outputs]
        return {port.get_any_name() for port in ports if port.get_element_type() == ov.Type.f16}

    def bind(self, turn: int, addresses: Mapping[str, int], sizes: Mapping[str, tuple[int, ...]]) -> None:
        ports = {port.get_any_name() for port in [*self._model.inputs, *self._model.outputs]}
        if ports != set(addresses):
            raise EngineRefused(f"the plan's ports are not the engine's: {', '.join(sorted(ports ^ set(addresses)))}")
        assert turn not in self.bound, "a captured graph is not captured again"
        inputs = {port.get_any_name() for port in self._model.inputs}
        read = {addresses[name] for name in inputs}
        assert not read & {addresses[name] for name in ports - inputs}, "it would overwrite what it reads"
        if self._request is None:
            if self._model.is_dynamic():
                self._model.reshape({name: list(shape) for name, shape in sizes.items()})
            settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
            self._request = ov.Core().compile_model(self._model, "CPU", settings).create_infer_request()
        self.bound[turn] = dict(addresses)
        self._worker.submit(self._compute, turn).result()

    def _at(self, address: int, port: ov.ConstOutput | ov.Output) -> np.ndarray:
        kind, shape = KINDS[port.get_element_type().get_type_name()], tuple(port.get_shape())
        memory = self._memory[address]  # a KeyError is an illegal address
        assert memory.nbytes == int(np.prod(shape)) * np.dtype(kind).itemsize, port.get_any_name()
        return memory.view(kind).reshape(shape)

    def _compute(self, turn: int) -> int:
        began = time.monotonic_ns()
        request, addresses = self._request, self.bound[turn]
        assert request is not None
        compiled = request.get_compiled_model()
        given = {port.get_any_name(): self._at(addresses[port.get_any_name()], port) for port in compiled.inputs}
        request.infer(given)
        for port in compiled.outputs:
            np.copyto(self._at(addresses[port.get_any_name()], port), request.get_tensor(port).data)
        return time.monotonic_ns() - began

    def launch(self, turn: int) -> None:
        assert turn in TURNS
        if self.closed:
            raise EngineFault("raised", "launched after close")
        self.launched.append(turn)
        self._last = self._worker.submit(self._compute, turn)

    def done(self) -> bool:
        if self._card.sick:
            raise EngineFault("raised", self._card.sick)
        if self._last is None or not self._last.done():
            return self._last is None
        self.took_ns = max(1, self._last.result())
        return True

    def close(self) -> None:
        self.closed = True
        self._worker.shutdown()
        self._memory.clear()


@dataclass
class Maker:
    """Builds by preparing alone, and counts."""

    built: list[str] = field(default_factory=list)

    def __call__(self, engine: Engine, shape: Shape) -> Built:
        prepared = prepare(halve(engine), shape, shape.bits)
        self.built.append(prepared.name)
        return Built(prepared.content, 0.1, Audit())


def on_fake_gpu(cache: PlanCache, card: FakeCard | None = None, maker: Maker | None = None) -> Tensorrt:
    return Tensorrt(card or FakeCard(), RUNTIME, maker or Maker(), cache)
