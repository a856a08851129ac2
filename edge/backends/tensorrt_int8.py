"""INT8 engines on an NVIDIA GPU, by TensorRT or TensorRT-RTX: a Jetson, or a cart with an RTX card.

Opening finds the plan that belongs to this engine on this very machine, or builds it (seconds on a card, minutes on an
Orin), loads it, binds all memory once, and warms up. From then on a frame costs one copy in and one start: recurrent
state stays on the GPU and ping-pongs between two addresses, one captured graph for each turn. Where there is no GPU,
opening this backend is an error that says so: nothing else computes in its place.

`Tensorrt.open` runs on the survey thread; a session belongs to the live thread once it is open.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np

from edge.backends import Shape
from edge.backends._trt_gpu import TURNS, Card, CudaCard, Program, open_card
from edge.backends._trt_network import Audit, Target
from edge.backends._trt_prepare import Built, Halved, halve, key_of, make_plan, padded, precision_of, prepare, study
from edge.backends._trt_releases import Progress, Toolkit, any_toolkit
from edge.catalog import Engine
from edge.clock import SECOND
from edge.errors import ConfigError, EngineFault, EngineRefused
from edge.frame import EngineId, Pixels
from edge.plans import PlanCache, PlanKey, PlanRefused, default_folder

WARM_UPS = 6
WARM_UP_PATIENCE = 30 * SECOND
LOOK_AGAIN_S = 50e-6  # between two looks whether the GPU has finished: well below a frame's deadline
DLA_CORES = (0, 1)

Make = Callable[[Engine, Shape], Built]


def open_backend(threads: int) -> Tensorrt:
    del threads  # the GPU's own
    return open_runtime("")


def open_runtime(runtime: str) -> Tensorrt:
    """By the runtime asked for, or the one that is installed. Raises ConfigError where this machine has no GPU."""
    workshop = open_workshop(runtime, here=True)
    assert workshop.card is not None
    return Tensorrt(
        workshop.card, workshop.toolkit.runtime,
        lambda engine, shape: workshop.make(engine, shape, shape.bits)[1], PlanCache(default_folder()),
    )  # fmt: skip


def open_workshop(runtime: str, *, here: bool) -> Workshop:
    """Where plans are built: for the GPU that is here, or, with a runtime that can, for one that is named."""
    toolkit = any_toolkit(runtime)
    if not here and not toolkit.release.names_target:
        raise ConfigError(f"{toolkit.runtime} builds for the GPU it runs on; --sm is for tensorrt-rtx")
    try:
        return Workshop(toolkit, open_card(toolkit) if here else None)
    except ConfigError as error:
        hint = (
            "; a plan for a card that is not here is built with --sm 86,89,120" if toolkit.release.names_target else ""
        )
        raise ConfigError(f"{error}{hint}") from error


def open_drawing_board(runtime: str) -> Workshop:
    """A workshop for reading alone: NVIDIA's parser, whether or not there is a GPU."""
    return Workshop(any_toolkit(runtime), None)


@dataclass(frozen=True, slots=True)
class Workshop:
    toolkit: Toolkit
    card: CudaCard | None

    def read(self, engine: Engine, shape: Shape) -> Audit:
        """What NVIDIA's parser makes of it. Raises EngineRefused; ConfigError where it cannot start here."""
        return study(self.toolkit, prepare(halve(engine), shape, shape.bits))[1]

    def key(
        self, engine: Engine, shape: Shape | None, bits: int, *, sm: int | None = None, dla: int | None = None
    ) -> PlanKey:
        gpu = f"sm{sm}" if sm is not None else self.card.gpu if self.card is not None else ""
        mode = self.card.power_mode if self.card is not None and sm is None else ""
        return key_of(engine, shape, bits, runtime=self.toolkit.runtime, gpu=gpu, power_mode=mode, dla=dla)

    def make(
        self, engine: Engine, shape: Shape | None, bits: int, *, sm: int | None = None, dla: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[Halved, Built]:  # fmt: skip
        """Prepare, check, parse, look at every layer, build."""
        halved = halve(engine)
        return halved, make_plan(self.toolkit, prepare(halved, shape, bits), Target(sm, dla), progress)


class Tensorrt:
    def __init__(self, card: Card, runtime: str, make: Make, cache: PlanCache) -> None:
        self.version = runtime
        self.card = card
        self.notes: list[str] = []  # what became of the last opening's plan, in words
        self._make, self._cache = make, cache

    def open(self, engine: Engine | None, shape: Shape) -> TensorrtSession:
        if engine is None:
            raise EngineRefused("tensorrt_int8 runs engines; none was given")
        engine.read_model()  # a damaged engine is refused, whatever plan was once built from it
        self.notes = []
        for key, plan in self._plans(engine, shape):
            try:
                session = self._opened(engine, shape, key, plan)
            except PlanRefused as error:
                self.notes.append(str(error))
                self._cache.drop(key)
            except EngineRefused as error:
                self.notes.append(str(error))
            else:
                if session.replays != "graph":
                    self.notes.append(f"each frame is started by {session.replays}")
                return session
        raise EngineRefused(f"{engine.manifest.name} at {shape.width}x{shape.height}: {'; '.join(self.notes)}")

    def _plans(self, engine: Engine, shape: Shape) -> Iterator[tuple[PlanKey, bytes]]:
        """This size's own plan, one for any size, and at last one that is built now."""
        own = self._key(engine, shape)
        wanted = [self._key(engine, shape, dla) for dla in DLA_CORES]  # there only where somebody built them
        for key in (*wanted, own, self._key(engine, None, bits=shape.bits)):
            try:
                yield key, self._cache.load(key)
            except PlanRefused as error:
                if error.reason != "missing":
                    self.notes.append(str(error))
        built = self._make(engine, shape)
        self._cache.store(own, built.plan, built.took_s)
        self.notes.append(f"built in {built.took_s:.1f} s")
        yield own, built.plan

    def _key(self, engine: Engine, shape: Shape | None, dla: int | None = None, bits: int = 0) -> PlanKey:
        return key_of(
            engine, shape, shape.bits if shape is not None else bits,
            runtime=self.version, gpu=self.card.gpu, power_mode=self.card.power_mode, dla=dla,
        )  # fmt: skip

    def _opened(self, engine: Engine, shape: Shape, key: PlanKey, plan: bytes) -> TensorrtSession:
        program = self.card.program(plan, int(key.dla) if key.dla else None)
        try:
            session = TensorrtSession(engine, program, shape)
            session.warm_up()
        except EngineFault as error:
            program.close()
            raise EngineRefused(f"{key.slot.name}: {error}") from error
        except BaseException:
            program.close()
            raise
        return session


class TensorrtSession:
    """One loaded plan with one stream's recurrent state. Used by the live thread alone once it is open."""

    def __init__(self, engine: Engine, program: Program, shape: Shape) -> None:
        manifest = engine.manifest
        self.id = EngineId(manifest.name, manifest.sha256, "tensorrt_int8", precision_of(manifest))
        self.shape, self.result_shape = shape, shape.enlarged(manifest.scale)
        self.took_ns = 0
        self.change: float | None = None  # nobody measures it on the way
        self._program = program
        self._turn = 0
        self._running = False
        self._fresh = True
        self._closed = False
        self._fault: EngineFault | None = EngineFault("busy", "nothing was started")
        sides = padded(shape, manifest.multiple)
        self._bind(engine, sides, sides.enlarged(manifest.scale))

    def _bind(self, engine: Engine, sides: Shape, result: Shape) -> None:
        """All memory, once: a captured graph knows its addresses by heart."""
        program = self._program
        level = np.uint8 if self.shape.bits == 8 else np.float32
        self._frame, frame_at = program.mapped((sides.height, sides.width), level)
        self._enhanced, enhanced_at = program.mapped((result.height, result.width), level)
        self._whole = None if self.shape.bits == 8 else self.result_shape.blank()
        self._strength, strength_at = program.mapped((1,), np.float32)
        self._total, total_at = program.mapped((1,), np.float32)
        full_scale, full_scale_at = program.mapped((1,), np.float32)
        full_scale[0] = self.shape.full_scale
        fixed = {
            "frame": frame_at, "full_scale": full_scale_at, "strength": strength_at, "enhanced": enhanced_at,
            "finite_check": total_at,
        }  # fmt: skip
        halves = program.half_ports()
        self._states: list[tuple[int, int, int]] = []  # two addresses, and the size of either
        turns: list[dict[str, int]] = [dict(fixed), dict(fixed)]
        sizes: dict[str, tuple[int, ...]] = {"frame": (1, 1, sides.height, sides.width)}
        for state in engine.manifest.state:
            sizes[f"{state.name}_in"] = dims = state.resolve(sides.height, sides.width)
            size = math.prod(dims) * (2 if f"{state.name}_in" in halves else 4)
            pair = program.resident(size), program.resident(size)
            self._states.append((*pair, size))
            for turn in TURNS:
                turns[turn] |= {f"{state.name}_in": pair[turn], f"{state.name}_out": pair[1 - turn]}
        for first, second, size in self._states:
            program.clear(first, size)
            program.clear(second, size)
        for turn in TURNS:
            program.bind(turn, turns[turn], sizes)

    @property
    def replays(self) -> str:
        """ "graph", or "enqueue" and why."""
        return self._program.replays

    def warm_up(self) -> None:
        """Clocks rise and pages come in with the first runs; they must not be a patient's."""
        grey = self.shape.blank()
        for _ in range(WARM_UPS):
            self.start(grey, 1.0)
            if not self.wait(WARM_UP_PATIENCE):
                raise EngineFault("hung", f"no result in {WARM_UP_PATIENCE // SECOND} s")
            self.result()
        self.forget()

    def start(self, grey: Pixels, strength: float) -> None:
        if self._running:
            raise EngineFault("busy", "still computing")
        if self._closed:
            raise EngineFault("closed", "this session is closed")
        if grey.shape != (self.shape.height, self.shape.width):
            raise EngineFault("shape", f"picture {grey.shape} for a session of {self.shape}")
        self._copy_in(grey)
        self._strength[0] = strength
        if self._fresh:
            for *pair, size in self._states:
                self._program.clear(pair[self._turn], size)
        self._fresh = False
        self._fault = None
        turn, self._turn = self._turn, 1 - self._turn
        self._program.launch(turn)
        self._running = True

    def _copy_in(self, grey: Pixels) -> None:
        height, width = grey.shape
        # Padding repeats the edge, so that no made-up border bleeds in.
        np.copyto(self._frame[:height, :width], grey, casting="unsafe")
        if width < self._frame.shape[1]:
            self._frame[:height, width:] = self._frame[:height, width - 1 : width]
        if height < self._frame.shape[0]:
            self._frame[height:] = self._frame[height - 1]

    def wait(self, timeout_ns: int) -> bool:
        if not self._running:
            return True
        until = time.monotonic_ns() + timeout_ns
        try:
            while not self._program.done():
                left = until - time.monotonic_ns()
                if left <= 0:
                    return False
                time.sleep(min(LOOK_AGAIN_S, left / SECOND))
            self.took_ns = self._program.took_ns
        except EngineFault as fault:
            self._fault = fault
        self._running = False
        if self._fault is None and not math.isfinite(self._total[0]):
            self._fault = EngineFault("not-finite", "the result holds NaN or infinity")
        return True

    def result(self) -> Pixels:
        if self._running:
            raise EngineFault("busy", "still computing")
        if self._fault is not None:
            raise self._fault
        shown = self._enhanced[: self.result_shape.height, : self.result_shape.width]
        if self._whole is None:
            return cast("Pixels", shown)
        np.copyto(self._whole, shown, casting="unsafe")
        return self._whole

    def forget(self) -> None:
        self._fresh = True

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._frame = self._enhanced = self._strength = self._total = np.zeros((0, 0), np.float32)
            self._fault = EngineFault("closed", "this session is closed")
            self._program.close()
