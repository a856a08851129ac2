"""From an engine's folder to a plan: prepare the ONNX file, check what was done to it, let it be built.

Runs on the survey thread (a plan is missing) or in `limpid engine build`; never on the live thread.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.backends import Shape
from edge.backends._trt_network import Audit, Parsed, Span, Target, audit, build, read
from edge.backends._trt_releases import Progress, Toolkit
from edge.catalog import Engine, Manifest
from edge.errors import ConfigError, EngineRefused
from edge.plans import PlanKey

if TYPE_CHECKING:
    import onnx

# What the change to FP16 may do to the result, as parts of full scale: three quarters of an 8-bit level in the root
# mean square, and in the worst pixel what INT8 itself may (`verification.FIDELITY_WORST`): there a value between two
# steps of INT8 has fallen to the other side. A wrong scale or a lost layer moves it by far more. ONNX's reference
# rounds between all steps, a fused kernel does not.
HALF_RMS, HALF_WORST = 0.003, 0.05
TRIAL_SIDE, TRIAL_FRAMES = 40, 3
REMEMBERED = 24
LEAST, BEST, MOST = Shape(64, 64, 8), Shape(480, 640, 8), Shape(1088, 1920, 8)  # of a plan with a profile


@dataclass(frozen=True, slots=True)
class Difference:
    """Between the file as it was and as it is prepared, in parts of full scale."""

    rms: float
    worst: float

    @property
    def is_small(self) -> bool:
        return self.rms <= HALF_RMS and self.worst <= HALF_WORST


@dataclass(frozen=True, slots=True)
class Halved:
    """An engine's model in the GPU's types, checked against the file that was shipped. Serves any size."""

    engine: Engine
    model: onnx.ModelProto
    quantised: Mapping[str, bool]
    difference: Difference


@dataclass(frozen=True, slots=True)
class Prepared:
    """What NVIDIA's parser is given, and what it must understand of it."""

    name: str
    content: bytes
    kinds: Mapping[str, str]  # tensor -> type, in TensorRT's words
    quantised: Mapping[str, bool]  # convolutions meant to be INT8
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Built:
    plan: bytes
    took_s: float
    audit: Audit
    said: list[str] = field(default_factory=list)  # by the builder; the parser must say nothing


@functools.cache
def recipe() -> str:
    """Changes with the code that prepares and builds: a plan of an older one is stale, without anybody's care."""
    whole = hashlib.sha256()
    for name in ("_trt_halves.py", "_trt_ports.py", "_trt_network.py"):
        whole.update(Path(__file__).with_name(name).read_bytes())
    return whole.hexdigest()[:16]


def precision_of(manifest: Manifest) -> str:
    """On a GPU what is not INT8 is FP16 where it may be."""
    return "int8" if manifest.precision == "int8" else "fp16"


def padded(shape: Shape, multiple: int) -> Shape:
    return Shape(-(-shape.height // multiple) * multiple, -(-shape.width // multiple) * multiple, shape.bits)


_checked: OrderedDict[str, Halved] = OrderedDict()  # by the model's sha256: checked once, for every size


def halve(engine: Engine) -> Halved:
    """Raises EngineRefused where the file is none for a GPU, or does not stay what it was."""
    content = engine.read_model()
    if engine.manifest.sha256 not in _checked:
        _checked[engine.manifest.sha256] = _halve(engine, content)
        while len(_checked) > REMEMBERED:
            _checked.popitem(last=False)
    return replace(_checked[engine.manifest.sha256], engine=engine)


def _halve(engine: Engine, content: bytes) -> Halved:
    halves = _halves()
    name = engine.manifest.name
    base = halves.modern(content, name)
    faults = halves.quantisation_faults(base)
    if faults:
        raise EngineRefused(f"{name}: not symmetric INT8: {'; '.join(faults[:3])}")
    quantised = halves.quantised_convolutions(base)
    if engine.manifest.precision == "int8" and not quantised:
        raise EngineRefused(f"{name}: its manifest says int8, and no convolution of it is")
    model = halves.halved(base)
    difference = compare(base, model, engine.manifest)
    if not difference.is_small:
        raise EngineRefused(
            f"{name}: in FP16 its result moves by {difference.rms:.4f} of full scale (worst pixel "
            f"{difference.worst:.3f}); at most {HALF_RMS} ({HALF_WORST}) is taken"
        )
    return Halved(engine, model, quantised, difference)


def _halves() -> Any:
    try:
        from edge.backends import _trt_halves
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"an engine is prepared for a GPU by the library {error.name}: pip install 'limpid-edge[jetson]' (or [rtx])"
        ) from error
    return _trt_halves


def prepare(halved: Halved, shape: Shape | None, bits: int) -> Prepared:
    """For one picture size, or for any of that depth."""
    from edge.backends import _trt_ports

    manifest = halved.engine.manifest
    sides = padded(shape, manifest.multiple) if shape is not None else None
    model = _trt_ports.ported(halved.model, manifest, bits, sides)
    kinds = {name: _KINDS[kind] for name, kind in _halves().kinds_of(model).items() if kind in _KINDS}
    span = None
    if sides is None:
        least, best, most = (
            _trt_ports.sizes_of(manifest, padded(size, manifest.multiple)) for size in (LEAST, BEST, MOST)
        )
        span = Span(least, best, most)
    label = f"{manifest.name} {precision_of(manifest)} {shape_name(shape, bits)}"
    return Prepared(label, model.SerializeToString(), kinds, halved.quantised, span)


_KINDS = {1: "FLOAT", 2: "UINT8", 3: "INT8", 6: "INT32", 7: "INT64", 9: "BOOL", 10: "HALF"}  # ONNX's numbers


def shape_name(shape: Shape | None, bits: int) -> str:
    """10, 12 and 16 bits share a plan: levels are float there, and full scale is an input."""
    depth = 8 if bits == 8 else 16
    return f"{shape.width}x{shape.height}x{depth}" if shape is not None else f"any-x{depth}"


def study(toolkit: Toolkit, prepared: Prepared) -> tuple[Parsed, Audit]:
    """What the parser makes of it, held against the file. Raises EngineRefused where it says anything at all."""
    parsed = read(toolkit, prepared.content, prepared.name)
    return parsed, audit(parsed, prepared.kinds, prepared.quantised)


def make_plan(toolkit: Toolkit, prepared: Prepared, target: Target, progress: Progress | None = None) -> Built:
    """Parse, look at every layer, build. Raises EngineRefused, or ConfigError where this machine cannot build."""
    parsed, found = study(toolkit, prepared)
    if found.problems:
        raise EngineRefused(f"{prepared.name}: the parser made of it what it is not: {'; '.join(found.problems[:5])}")
    started = time.monotonic()
    plan, said = build(parsed, replace(target, span=prepared.span), progress)
    return Built(plan, time.monotonic() - started, found, said)


def key_of(engine: Engine, shape: Shape | None, bits: int, *, runtime: str, gpu: str, power_mode: str = "",
           dla: int | None = None) -> PlanKey:  # fmt: skip
    manifest = engine.manifest
    sides = padded(shape, manifest.multiple) if shape is not None else None
    return PlanKey(
        engine=manifest.name,
        model=manifest.sha256,
        recipe=recipe(),
        runtime=runtime,
        gpu=gpu,
        precision=precision_of(manifest),
        power_mode=power_mode,
        shape=shape_name(sides, bits),
        dla="" if dla is None else str(dla),
    )


# ---------------------------------------------------------------- is it still the same net?


def compare(base: onnx.ModelProto, model: onnx.ModelProto, manifest: Manifest) -> Difference:
    """Both by ONNX's own reference, which rounds to FP16 where the file says so; a small moving scene, with a past.

    Half of them shallow, half deep: 8 bits show what a display shows, 16 what FP16 cannot hold.
    """
    squares, worst, count = 0.0, 0.0, 0
    for bits in (8, 16):
        difference = np.abs(_run(base, manifest, bits) - _run(model, manifest, bits))
        if not np.isfinite(difference).all():
            return Difference(np.inf, np.inf)
        squares += float((difference.astype(np.float64) ** 2).sum())
        worst, count = max(worst, float(difference.max())), count + difference.size
    return Difference((squares / count) ** 0.5, worst)


def _run(model: onnx.ModelProto, manifest: Manifest, bits: int) -> np.ndarray:
    """The results of a few frames, one after the other, as parts of full scale."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    full = np.float32((1 << bits) - 1)
    side = padded(Shape(TRIAL_SIDE, TRIAL_SIDE, bits), manifest.multiple)
    halves = {port.name for port in model.graph.input if port.type.tensor_type.elem_type == 10}
    states = {
        f"{state.name}_in": np.zeros(
            state.resolve(side.height, side.width), np.float16 if f"{state.name}_in" in halves else np.float32
        )
        for state in manifest.state
    }
    names = [port.name for port in model.graph.output]
    results: list[np.ndarray] = []
    for number in range(TRIAL_FRAMES):
        given = {"frame": _trial_frame(number, side), "full_scale": full, "strength": np.float32(1), **states}
        with np.errstate(all="ignore"):  # its sigmoid computes both of its branches
            found: list[Any] = list(evaluator.run(None, given))  # type: ignore[arg-type]
        made = dict(zip(names, found, strict=True))
        results.append(np.asarray(made["enhanced"], np.float32) / full)
        states = {name: made[f"{name[:-3]}_out"] for name in states}
    return np.stack(results)


def _trial_frame(number: int, shape: Shape) -> np.ndarray:
    """A ramp, a disc that wanders across it, and grain: dark, bright, still and moving in few pixels."""
    rng = np.random.default_rng(100 + number)
    down, across = np.mgrid[: shape.height, : shape.width]
    disc = (across - shape.width // 3 - 3 * number) ** 2 + (down - shape.height // 2) ** 2 < (shape.height // 8) ** 2
    part = 0.05 + 0.85 * across / shape.width + 0.1 * disc + rng.normal(0, 0.05, across.shape)
    levels = np.clip(np.rint(part * shape.full_scale), 0, shape.full_scale)
    return levels.astype(np.float32)[None, None]
