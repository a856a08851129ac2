"""`limpid engine build` and `limpid engine verify`: a plan for this device, or for a card that is not here; and the
proof that what it shows is what the engine's maker shipped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from edge import config as configs
from edge.backends import Shape, tensorrt_int8
from edge.backends.tensorrt_int8 import Workshop
from edge.catalog import Engine, float_twin, read_engine, shipped_folder
from edge.commands.bench import parse_size
from edge.errors import ConfigError, EngineRefused
from edge.plans import PlanCache, PlanKey, PlanRefused, default_folder
from edge.reference_frames import usual_shape
from edge.verification import Row, Verification, verify_engine

REFUSED, INCOMPLETE = 1, 3
MARKS = {True: "[green]met[/]", False: "[red]not met[/]", None: "[yellow]not checked[/]"}


@dataclass(frozen=True, slots=True)
class BuildOptions:
    engines: Sequence[str]
    every: bool
    runtime: str
    sm: str
    sizes: Sequence[str]
    depth: int | None
    precision: str
    dla: int | None
    force: bool
    plans: Path | None
    config: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    engines: Sequence[str]
    every: bool
    backend: str
    runtime: str
    size: str
    depth: int | None
    frames: int
    timed: int
    config: Path | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class Job:
    engine: Engine
    shape: Shape | None
    bits: int
    sm: int | None


def build(options: BuildOptions) -> int:
    """The exit status."""
    targets = parse_sm(options.sm)
    chosen = choose(options.engines, options.every, options.config)
    workshop = tensorrt_int8.open_workshop(options.runtime, here=not targets)
    jobs = [
        Job(variant, shape, bits, target)
        for engine in chosen
        for variant in _variants(engine, options.precision)
        for shape, bits in parse_sizes(options.sizes or ["640x480"], options.depth, engine)
        for target in targets or [None]
    ]
    cache = PlanCache(options.plans or default_folder())
    report = run_build(workshop, cache, jobs, options.dla, force=options.force, as_json=options.as_json)
    return REFUSED if report["refused"] else 0


def run_build(
    workshop: Workshop, cache: PlanCache, jobs: Sequence[Job], dla: int | None, *, force: bool, as_json: bool
) -> dict[str, Any]:
    built: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    with _told(quiet=as_json) as tell:
        for job in jobs:
            try:
                built.append(_one(workshop, cache, job, dla, force, tell))
            except EngineRefused as error:
                refused.append({**_named(job, workshop), "reason": str(error)})
    report = {"runtime": workshop.toolkit.runtime, "plans": str(cache.folder), "built": built, "refused": refused}
    if as_json:
        print(json.dumps(report))
    else:
        _show_built(report)
    return report


def _one(workshop: Workshop, cache: PlanCache, job: Job, dla: int | None, force: bool, tell: Any) -> dict[str, Any]:
    key = workshop.key(job.engine, job.shape, job.bits, sm=job.sm, dla=dla)
    label = f"{key.engine} {key.precision} {key.shape} {key.gpu}"
    tell(label, "", 0, 1)
    why = _why_build(cache, key)
    if why is None and not force:
        return {**_row(key), "seconds": 0.0, "bytes": len(cache.load(key)), "cached": True}
    halved, made = workshop.make(
        job.engine, job.shape, job.bits, sm=job.sm, dla=dla,
        progress=lambda phase, step, steps: tell(label, phase, step, steps),
    )  # fmt: skip
    path = cache.store(key, made.plan, made.took_s)
    return {
        **_row(key), "seconds": round(made.took_s, 3), "bytes": len(made.plan), "cached": False,
        "replaces": why or "", "path": str(path), "layers": made.audit.layers,
        "int8_convolutions": made.audit.int8_convolutions, "float_convolutions": made.audit.float_convolutions,
        "tensors": made.audit.precisions, "fp16_rms": round(halved.difference.rms, 6),
        "fp16_worst": round(halved.difference.worst, 6), "builder_said": made.said,
    }  # fmt: skip


def _why_build(cache: PlanCache, key: PlanKey) -> str | None:
    """None where the plan is there; empty where there is none; else why the one that is there is not loaded."""
    try:
        cache.load(key)
    except PlanRefused as error:
        return "" if error.reason == "missing" else str(error)
    return None


def _row(key: PlanKey) -> dict[str, Any]:
    return {
        "engine": key.engine, "precision": key.precision, "shape": key.shape, "gpu": key.gpu,
        "power_mode": key.power_mode, "dla": key.dla,
    }  # fmt: skip


def _named(job: Job, workshop: Workshop) -> dict[str, Any]:
    return _row(workshop.key(job.engine, job.shape, job.bits, sm=job.sm, dla=None))


@contextmanager
def _told(*, quiet: bool) -> Generator[Any, None, None]:
    """Which engine, which phase of the builder, how far: an Orin takes minutes, and silence looks like a hang."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[phase]}", markup=False),
        TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("", total=1, phase="")
        last = ["", time.monotonic()]

        def tell(label: str, phase: str, step: int, steps: int) -> None:
            progress.update(task, description=label, phase=phase[:40], completed=step, total=max(steps, 1))
            if not quiet and not console.is_terminal and (label != last[0] or time.monotonic() - float(last[1]) > 10):
                last[:] = [label, time.monotonic()]
                console.print(f"{label}: {phase or 'preparing'} {step}/{steps}", highlight=False, markup=False)

        yield tell


def _show_built(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    view = Table(box=None, padding=(0, 1))
    for column in ("engine", "precision", "picture", "gpu", "seconds", "kB", "INT8 convolutions"):
        view.add_column(column, justify="right" if column in ("seconds", "kB", "INT8 convolutions") else "left")
    for row in report["built"]:
        took = "cached" if row["cached"] else f"{row['seconds']:.2f}"
        view.add_row(
            escape(row["engine"]), row["precision"], row["shape"], escape(row["gpu"]), took,
            f"{row['bytes'] / 1000:.0f}", str(row.get("int8_convolutions", "")),
        )  # fmt: skip
    console.print(f"{report['runtime']}, plans in {report['plans']}", markup=False)
    console.print(view)
    for row in report["built"]:
        if row.get("replaces"):
            console.print(f"{row['engine']}: replaced, because {row['replaces']}", markup=False)
    for row in report["refused"]:
        what = escape(f"{row['engine']} {row['precision']} {row['shape']} {row['gpu']}")
        console.print(f"[red]refused[/] {what}")
        console.print(f"        {row['reason']}", markup=False)


# ---------------------------------------------------------------- verify


def verify(options: VerifyOptions) -> int:
    """The exit status."""
    width, height = parse_size(options.size)
    found: list[Verification] = []
    for engine in choose(options.engines, options.every, options.config):
        bits = options.depth if options.depth is not None else usual_shape(engine).bits
        shape = Shape(height, width, bits)
        found.append(
            verify_engine(
                engine,
                backend=options.backend,
                runtime=options.runtime,
                shape=shape,
                frames=options.frames,
                timed=options.timed,
            )
        )
    if options.as_json:
        print(_as_json(found))
    else:
        _show_verified(found)
    return status_of(found)


def status_of(found: Sequence[Verification]) -> int:
    if any(row.met is False and row.needed for one in found for row in one.rows):
        return REFUSED
    return 0 if all(one.passed for one in found) else INCOMPLETE


def _as_json(found: Sequence[Verification]) -> str:
    return json.dumps({"passed": all(one.passed for one in found), "engines": [one.as_dict() for one in found]})


def _show_verified(found: Sequence[Verification]) -> None:
    console = Console(highlight=False)
    for one in found:
        picture = f"{one.shape.width}x{one.shape.height}, {one.shape.bits} bit"
        console.print(f"[bold]{escape(one.engine)}[/] on {escape(one.backend)}, {picture}")
        view = Table(box=None, padding=(0, 1))
        for column in ("check", "", "found", "wanted"):
            view.add_column(column, overflow="fold")
        told = ""
        for row in one.rows:
            why = "for the same reason" if row.why and row.why == told else row.why
            told = row.why or told
            view.add_row(row.check, _mark(row), escape(row.found or why), escape(row.wanted))
        console.print(view)
        console.print(f"-> {one.verdict}\n", markup=False)


def _mark(row: Row) -> str:
    return MARKS[row.met] if row.needed or row.met is not None else "[dim]does not apply[/]"


# ---------------------------------------------------------------- what was asked for


def choose(names: Sequence[str], every: bool, config: Path | None) -> list[Engine]:
    """Engines by name or folder. The judge's refusals are no reason not to build: they are one not to run."""
    folders = [Path(folder).expanduser() for folder in configs.load(config).engines.folders]
    homes = [home.parent for folder in (*folders, shipped_folder()) for home in sorted(folder.glob("*/manifest.toml"))]
    known: dict[str, Path] = {}
    for home in homes:
        known.setdefault(home.name, home)
    if every:
        return [read_engine(home) for home in known.values() if not home.name.startswith(".")]
    if not names:
        raise ConfigError("name the engines, or say --all")
    return [read_engine(_home(name, known)) for name in names]


def _home(name: str, known: dict[str, Path]) -> Path:
    if name in known:
        return known[name]
    if Path(name).is_dir():
        return Path(name)
    raise ConfigError(f'no engine "{name}"; known: {", ".join(sorted(known))}')


def parse_sm(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdigit() for part in parts):
        raise ConfigError(f'--sm "{text}": compute capabilities without their dot, as 86,89,120')
    return [int(part) for part in parts]


def parse_sizes(sizes: Sequence[str], depth: int | None, engine: Engine) -> list[tuple[Shape | None, int]]:
    bits = depth if depth is not None else usual_shape(engine).bits
    if bits != 8 and not 10 <= bits <= 16:
        raise ConfigError(f"depth {bits} is neither 8 nor 10 to 16 bits")
    found: list[tuple[Shape | None, int]] = []
    for size in sizes:
        if size == "any":
            found.append((None, bits))
        else:
            width, height = parse_size(size)
            found.append((Shape(height, width, bits), bits))
    return found


def _variants(engine: Engine, precision: str) -> list[Engine]:
    if precision not in ("int8", "fp16", "both"):
        raise ConfigError(f'precision "{precision}" is none of int8, fp16, both')
    twins = [float_twin(engine)] if precision != "int8" and engine.manifest.fp32 else []
    if precision == "fp16" and not twins:
        raise ConfigError(f"{engine.manifest.name} has no float twin: there is nothing to build in FP16")
    return [engine, *twins] if precision != "fp16" else twins
