"""The GPU itself: memory, a stream, a loaded plan, its replay. The only door to pycuda and cuda-bindings.

`Card` and `Program` are a port: what `tensorrt_int8` knows of a GPU, and what a test can be instead of one. A program
is opened by the survey thread and used by the live thread, so each call makes the card's context current and gives it
back. Frames lie in mapped pinned memory: on a Jetson the GPU reads the very bytes the CPU wrote; a card fetches them
over its bus once. Addresses never change once they are bound, because a captured graph holds them.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Generator, Mapping
from typing import Any, Protocol

import numpy as np

from edge.backends._trt_releases import Toolkit
from edge.errors import ConfigError, EngineFault, EngineRefused
from edge.plans import PlanRefused

TURNS = (0, 1)


class Program(Protocol):
    """A plan, loaded for one stream of pictures, with its memory and its queue."""

    @property
    def replays(self) -> str:
        """How it is started: "graph", or "enqueue" and why."""
        ...

    @property
    def took_ns(self) -> int: ...

    def mapped(self, shape: tuple[int, ...], kind: type[np.generic]) -> tuple[np.ndarray, int]:
        """Memory that both see: the CPU's array, and the address the GPU knows it by."""
        ...

    def resident(self, size: int) -> int:
        """Memory on the GPU alone."""
        ...

    def clear(self, address: int, size: int) -> None:
        """Zeros, in order with what is launched."""
        ...

    def half_ports(self) -> set[str]:
        """Ports that are FP16 in the plan."""
        ...

    def bind(self, turn: int, addresses: Mapping[str, int], sizes: Mapping[str, tuple[int, ...]]) -> None:
        """Where each port of this turn lies, from now on. Computes once. Raises EngineRefused."""
        ...

    def launch(self, turn: int) -> None:
        """Begin to compute; returns at once. Raises EngineFault."""
        ...

    def done(self) -> bool:
        """Raises EngineFault where the computation failed."""
        ...

    def close(self) -> None: ...


class Card(Protocol):
    @property
    def gpu(self) -> str:
        """What a plan is bound to, of this GPU."""
        ...

    @property
    def power_mode(self) -> str: ...

    def program(self, plan: bytes, dla: int | None = None) -> Program:
        """Raises PlanRefused where the runtime will not have it."""
        ...


def power_mode() -> str:
    """The name of a Jetson's power mode; empty elsewhere."""
    tool = shutil.which("nvpmodel")
    if tool is None:
        return ""
    try:
        said = subprocess.run([tool, "-q"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return power_mode_of(said)


def power_mode_of(said: str) -> str:
    match = re.search(r"NV Power Mode:\s*(\S+)", said)
    return match[1] if match else "unknown"


def gpu_name(toolkit: Toolkit, sm: int, model: str) -> str:
    """A plan of TensorRT-RTX serves every card of one compute capability; TensorRT's own, one model of GPU."""
    return f"sm{sm}" if toolkit.release.names_target else f"sm{sm} {model}"


def open_card(toolkit: Toolkit) -> CudaCard:
    """The first GPU. Raises ConfigError: there is none, or pycuda is missing; nothing else computes in its place."""
    try:
        import pycuda.driver as driver
    except ImportError as error:
        missing = "No module named" in str(error)
        raise ConfigError(
            "the backend tensorrt_int8 needs pycuda: pip install 'limpid-edge[jetson]' (or [rtx])"
            if missing
            else f"pycuda cannot be loaded: {error}. Without an NVIDIA driver choose backend openvino_cpu"
        ) from error
    try:
        driver.init()
        if driver.Device.count() == 0:
            raise ConfigError("no NVIDIA GPU is here: choose backend openvino_cpu in [engines]")
        device = driver.Device(0)
        return CudaCard(toolkit, driver, device, device.retain_primary_context())
    except driver.Error as error:
        raise ConfigError(f"the NVIDIA GPU cannot be used: {error}; is the user in the group `video`?") from error


class CudaCard:
    """The first GPU of this machine. Its primary context: TensorRT, pycuda and cuda-bindings share it."""

    def __init__(self, toolkit: Toolkit, driver: Any, device: Any, context: Any) -> None:
        self.toolkit, self.driver, self._primary = toolkit, driver, context
        major, minor = device.compute_capability()
        self.sm = 10 * major + minor
        self.model = str(device.name())
        self.gpu = gpu_name(toolkit, self.sm, self.model)
        self.power_mode = power_mode()
        self.maps_memory = bool(device.get_attribute(driver.device_attribute.CAN_MAP_HOST_MEMORY))
        if not self.maps_memory:
            raise ConfigError(f"{self.model} cannot map host memory: choose backend openvino_cpu in [engines]")
        with self.current():
            self._runtime = toolkit.trt.Runtime(toolkit.log.logger)

    @contextlib.contextmanager
    def current(self) -> Generator[None, None, None]:
        self._primary.push()
        try:
            yield
        finally:
            self._primary.pop()

    def program(self, plan: bytes, dla: int | None = None) -> CudaProgram:
        with self.current():
            self.toolkit.log.taken()
            if dla is not None:
                self._runtime.DLA_core = dla
            engine = self._runtime.deserialize_cuda_engine(plan)
            context = engine.create_execution_context() if engine is not None else None
            if context is None:
                said = "; ".join(self.toolkit.log.taken())
                raise PlanRefused("runtime", f"{self.toolkit.runtime} does not load it: {said[:300] or 'no reason'}")
            return CudaProgram(self, engine, context)


class CudaProgram:
    def __init__(self, card: CudaCard, engine: Any, context: Any) -> None:
        self._card, self._engine, self._context = card, engine, context
        driver = card.driver
        self._stream = driver.Stream()
        self._began, self._ended = driver.Event(), driver.Event()
        self._memory: list[Any] = []
        self._addresses: dict[int, dict[str, int]] = {}
        self._graphs: dict[int, Any] = {}
        self._graph_api: Any
        self._graph_api, self.replays = _graph_api()
        self._closed = False

    @property
    def took_ns(self) -> int:
        with self._card.current():
            return round(self._ended.time_since(self._began) * 1e6)

    def mapped(self, shape: tuple[int, ...], kind: type[np.generic]) -> tuple[np.ndarray, int]:
        driver = self._card.driver
        with self._card.current():
            array = driver.pagelocked_zeros(shape, kind, mem_flags=driver.host_alloc_flags.DEVICEMAP)
            self._memory.append(array)
            return array, int(array.base.get_device_pointer())

    def resident(self, size: int) -> int:
        with self._card.current():
            memory = self._card.driver.mem_alloc(size)
            self._memory.append(memory)
            return int(memory)

    def clear(self, address: int, size: int) -> None:
        with self._card.current(), self._faults():
            self._card.driver.memset_d8_async(address, 0, size, self._stream)

    def half_ports(self) -> set[str]:
        trt = self._card.toolkit.trt
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        return {name for name in names if self._engine.get_tensor_dtype(name) == trt.DataType.HALF}

    def bind(self, turn: int, addresses: Mapping[str, int], sizes: Mapping[str, tuple[int, ...]]) -> None:
        names = {self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)}
        if names != set(addresses):
            odd = ", ".join(sorted(names ^ set(addresses)))
            raise EngineRefused(f"the plan's ports are not the engine's: {odd}")
        trt = self._card.toolkit.trt
        with self._card.current():
            for name, shape in sizes.items():
                if self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT:
                    self._set_shape(name, shape)
            self._addresses[turn] = dict(addresses)
            self._enqueue(turn)  # what the first run sets up must not end up in the graph
            self._stream.synchronize()
            if self._graph_api is not None:
                self._capture(turn)

    def _set_shape(self, name: str, shape: tuple[int, ...]) -> None:
        if not self._context.set_input_shape(name, shape):
            said = "; ".join(self._card.toolkit.log.taken())
            raise EngineRefused(f"{name} cannot be {list(shape)} in this plan: {said[:200]}")

    def _enqueue(self, turn: int) -> None:
        for name, address in self._addresses[turn].items():
            self._context.set_tensor_address(name, address)
        if not self._context.execute_async_v3(self._stream.handle):
            said = "; ".join(self._card.toolkit.log.taken())
            raise EngineFault("raised", said[:200] or "the runtime does not start the plan")

    def _capture(self, turn: int) -> None:
        """Record one run; where that cannot be done, plain enqueue serves as well, only later by some microseconds."""
        api = self._graph_api
        stream = api.CUstream(self._stream.handle)
        mode = api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        try:
            _checked(api, api.cuStreamBeginCapture(stream, mode))
            try:
                self._enqueue(turn)
            finally:
                graph = _checked(api, api.cuStreamEndCapture(stream))
            self._graphs[turn] = _checked(api, api.cuGraphInstantiate(graph, 0))
            _checked(api, api.cuGraphDestroy(graph))
            self.replays = "graph"
        except (EngineFault, RuntimeError) as error:
            self._graph_api, self.replays = None, f"enqueue: a graph cannot be captured ({error})"
            self._drop_graphs(api)

    def launch(self, turn: int) -> None:
        with self._card.current(), self._faults():
            self._began.record(self._stream)
            graph = self._graphs.get(turn)
            if graph is None:
                self._enqueue(turn)
            else:
                api = self._graph_api
                _checked(api, api.cuGraphLaunch(graph, api.CUstream(self._stream.handle)))
            self._ended.record(self._stream)

    def done(self) -> bool:
        with self._card.current(), self._faults():
            return bool(self._ended.query())

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with self._card.current(), contextlib.suppress(self._card.driver.Error):
            self._stream.synchronize()
            self._drop_graphs(self._graph_api)
            del self._context, self._engine
            while self._memory:
                memory = self._memory.pop()
                if not isinstance(memory, np.ndarray):
                    memory.free()
                # Mapped memory goes with its last array: now, while the context is current - pycuda frees nothing
                # from a thread where it is not - unless somebody still looks at a result.
                del memory
            del self._began, self._ended, self._stream

    def _drop_graphs(self, api: Any) -> None:
        for graph in self._graphs.values():
            api.cuGraphExecDestroy(graph)
        self._graphs.clear()

    @contextlib.contextmanager
    def _faults(self) -> Generator[None, None, None]:
        try:
            yield
        except self._card.driver.Error as error:
            raise EngineFault("raised", f"CUDA: {error}") from error
        except RuntimeError as error:
            raise EngineFault("raised", str(error)) from error


def _graph_api() -> tuple[Any, str]:
    """cuda-bindings' driver API, or None and why: pycuda knows no graphs."""
    for name in ("cuda.bindings.driver", "cuda.cuda"):
        with contextlib.suppress(ImportError):
            import importlib

            return importlib.import_module(name), "enqueue"
    return None, "enqueue: cuda-bindings is not installed"


def _checked(api: Any, answer: tuple[Any, ...]) -> Any:
    """The result of a call of cuda-bindings, which gives its status first."""
    status, *results = answer
    if status != api.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"CUDA graph: {status.name}")
    return results[0] if results else None
