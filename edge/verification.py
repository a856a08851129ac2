"""Does an engine show on this device what its maker shipped, and is INT8 worth it here? One table, each row with what
was found, what is wanted, and, where it could not be checked, why not. Nothing here switches anything.

Parity compares the device's pictures with OpenVINO's of the same file; fidelity compares INT8 with the float twin on
the device itself, and the two files by OpenVINO: the judge has seen INT8 alone, and a twin that shows something else is
not its twin, whatever runs here. Speed compares medians and p99. INT8 is not faster by itself: where it is slower, or
does not hold, the float twin is chosen if it shows what it should. Slow (a plan may have to be built): for commands,
and for whoever is about to activate an engine; never for the live thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.backends import Backend, Session, Shape, notes_of, open_backend
from edge.catalog import Engine, float_twin
from edge.clock import SECOND
from edge.errors import ConfigError, EngineFault, EngineRefused
from edge.frame import Pixels
from edge.reference_frames import reference_frames, usual_shape

PATIENCE = 30 * SECOND
WARM_FRAMES = 20
# Parts of full scale. Half an 8-bit level in the root mean square, six in the thousandth worst pixel: what two right
# implementations of one INT8 net differ by, since a value near a rounding edge falls to either side of it.
PARITY_RMS, PARITY_WORST = 0.002, 0.024
# INT8 against float: a level and a half on the whole, thirteen in the thousandth worst pixel; the shipped engines' own
# INT8 differs by up to 0.0041 and 0.035 where it is right. Finer judgement needs a known truth and the judge.
FIDELITY_RMS, FIDELITY_WORST = 0.006, 0.05
REFERENCE_BACKEND = "openvino_cpu"

Opener = Callable[[str], Backend]


@dataclass(frozen=True, slots=True)
class Row:
    check: str
    met: bool | None  # None: could not be checked, and `why` says why
    found: str = ""
    wanted: str = ""
    why: str = ""
    needed: bool = True  # False: does not apply to this engine or backend, or only decides the choice
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verification:
    engine: str
    sha256: str
    backend: str
    shape: Shape
    rows: tuple[Row, ...]
    chosen_precision: str  # what may go live here: "int8", "fp16", "fp32"; empty: neither
    verdict: str  # the same in words, with the reason

    @property
    def passed(self) -> bool:
        """Something honest may go live, and whatever had to be checked was."""
        return bool(self.chosen_precision)

    @property
    def unchecked(self) -> list[Row]:
        return [row for row in self.rows if row.met is None and row.needed]

    def as_dict(self) -> dict[str, Any]:
        shape = self.shape
        return {
            "engine": self.engine, "sha256": self.sha256, "backend": self.backend,
            "size": f"{shape.width}x{shape.height}", "bits": shape.bits, "passed": self.passed,
            "chosen_precision": self.chosen_precision, "verdict": self.verdict,
            "rows": [
                {"check": row.check, "met": row.met, "needed": row.needed, "found": row.found, "wanted": row.wanted,
                 "why": row.why, "figures": row.figures}
                for row in self.rows
            ],
        }  # fmt: skip


@dataclass(slots=True)
class _Bench:
    """Everything of one verification: the sessions that could be opened, and the rows so far."""

    engine: Engine
    twin: Engine | None
    kind: str
    shape: Shape
    frames: list[Pixels]
    timed: int
    rows: list[Row] = field(default_factory=list)

    def add(self, check: str, met: bool | None, **more: Any) -> bool:
        self.rows.append(Row(check, met, **more))
        return met is True


def verify_engine(
    engine: Engine,
    *,
    backend: str = "tensorrt_int8",
    runtime: str = "",
    shape: Shape | None = None,
    frames: int = 12,
    timed: int = 300,
    opener: Opener | None = None,
) -> Verification:
    """The whole table for one engine on one backend. What cannot be checked here is a row that says so."""
    size = shape or usual_shape(engine)
    clip = reference_frames(engine, size, frames)
    try:
        twin = float_twin(engine)
    except EngineRefused:
        twin = None
    height, width = clip[0].shape
    bench = _Bench(engine, twin, backend, Shape(height, width, size.bits), clip, timed)
    open_one = opener or (lambda kind: _open(kind, runtime))
    if backend == "tensorrt_int8":
        _check_files(bench, runtime)
    faults = [row for row in bench.rows if row.met is False]
    try:
        device = open_one(backend)
    except ConfigError as error:
        return _not_here(bench, str(error))
    choice, verdict = _on_device(bench, device, open_one)
    if faults:
        choice, verdict = "", f"not to be activated: {faults[0].check}: {faults[0].found}"
    return _verification(bench, choice, verdict)


def _open(kind: str, runtime: str) -> Backend:
    if kind == "tensorrt_int8" and runtime:
        from edge.backends import tensorrt_int8

        return tensorrt_int8.open_runtime(runtime)
    return open_backend(kind, 0)


def _verification(bench: _Bench, choice: str, verdict: str) -> Verification:
    manifest = bench.engine.manifest
    return Verification(
        manifest.name, manifest.sha256, bench.kind, bench.shape, tuple(bench.rows), choice, verdict
    )  # fmt: skip


# ---------------------------------------------------------------- what needs no GPU


def _check_files(bench: _Bench, runtime: str) -> None:
    """The file as the GPU's own parser reads it. Each variant that may go live."""
    from edge.backends import tensorrt_int8

    workshop = None
    try:
        workshop, why = tensorrt_int8.open_drawing_board(runtime), ""
    except ConfigError as error:
        why = str(error)
    for variant in [bench.engine, *([bench.twin] if bench.twin else [])]:
        precision = tensorrt_int8.precision_of(variant.manifest)
        _check_prepared(bench, variant, precision)
        if workshop is None:
            bench.add(f"{precision}: NVIDIA's parser", None, why=why, needed=False)
        else:
            _check_parsed(bench, variant, precision, workshop)


def _check_prepared(bench: _Bench, variant: Engine, precision: str) -> None:
    from edge.backends import tensorrt_int8

    check, wanted = f"{precision}: prepared for the GPU", "symmetric INT8; the same picture with FP16 parts"
    try:
        difference = tensorrt_int8.halve(variant).difference
    except EngineRefused as error:
        bench.add(check, False, found=str(error), wanted=wanted)
    except ConfigError as error:
        bench.add(check, None, why=str(error), wanted=wanted)
    else:
        figures = {"rms": difference.rms, "worst": difference.worst}
        bench.add(check, True, found=_apart(difference.rms, difference.worst), wanted=wanted, figures=figures)


def _check_parsed(bench: _Bench, variant: Engine, precision: str, workshop: Any) -> None:
    check, wanted = f"{precision}: NVIDIA's parser", "no warning, each convolution as the file has it, zero points 0"
    try:
        audit = workshop.read(variant, bench.shape)
    except EngineRefused as error:
        bench.add(check, False, found=str(error), wanted=wanted)
        return
    except ConfigError as error:
        bench.add(check, None, why=str(error), wanted=wanted, needed=False)
        return
    found = f"{workshop.toolkit.runtime}: {audit.layers} layers, {audit.int8_convolutions} INT8 convolutions"
    bench.add(check, not audit.problems, found="; ".join([found, *audit.problems]), wanted=wanted)


def _not_here(bench: _Bench, why: str) -> Verification:
    for check in ("parity with OpenVINO", "INT8 against float on this device", "INT8 faster than float"):
        bench.add(check, None, why=why)
    faults = [row for row in bench.rows if row.met is False]
    if faults:
        return _verification(bench, "", f"not to be activated: {faults[0].check}: {faults[0].found}")
    return _verification(bench, "", f"could not be verified here, so nothing may be activated: {why}")


# ---------------------------------------------------------------- what needs the device


def _on_device(bench: _Bench, device: Backend, open_one: Opener) -> tuple[str, str]:
    """Which precision may go live, and why."""
    with _Sessions() as opened:
        mine = opened.open(bench, "this engine opens here", device, bench.engine)
        if mine is None:
            return "", f"not to be activated: {bench.rows[-1].found}"
        floats = opened.open(bench, "its float twin opens here", device, bench.twin) if bench.twin else None
        pictures = shown(mine, bench.frames)
        float_pictures = shown(floats, bench.frames) if floats is not None else None
        wanted = _by_openvino(bench, bench.engine, pictures, open_one)
        zero = _check_nought(bench, mine)
        int8_right = _check_parity(bench, bench.engine, pictures, wanted) and zero
        if bench.twin is None or floats is None or float_pictures is None:
            bench.add("INT8 against float", None, why="it has no float twin to be compared with", needed=False)
            return _alone(bench, mine, int8_right)
        float_wanted = _by_openvino(bench, bench.twin, float_pictures, open_one)
        float_zero = _check_nought(bench, floats, "float twin: ")
        float_right = _check_parity(bench, bench.twin, float_pictures, float_wanted) and float_zero
        fidelity = _check_fidelity(
            bench, f"INT8 against {floats.id.precision} on this device", pictures, float_pictures
        )  # fmt: skip
        if not _check_twins(bench, fidelity, wanted, float_wanted):
            return "", "not to be activated: its INT8 file and its float twin differ, and do not belong together"
        faster = _check_speed(bench, mine, floats)
        return _choice(mine, floats, int8_right and fidelity, float_right, faster)


class _Sessions:
    """Opened for the verification, closed after it whatever happens."""

    def __init__(self) -> None:
        self._opened: list[Session] = []

    def __enter__(self) -> _Sessions:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._opened:
            session.close()

    def open(self, bench: _Bench, check: str, backend: Backend, engine: Engine) -> Session | None:
        try:
            session = backend.open(engine, bench.shape)
        except EngineRefused as error:
            bench.add(check, False, found=str(error))
            return None
        self._opened.append(session)
        notes = "; ".join(notes_of(backend))
        bench.add(check, True, found=f"{session.id.backend} {session.id.precision}{f': {notes}' if notes else ''}")
        return session


def shown(session: Session, frames: list[Pixels], strength: float = 1.0) -> list[Pixels]:
    """Each frame's result, from a start without a past. Raises EngineFault."""
    session.forget()
    results: list[Pixels] = []
    for frame in frames:
        session.start(frame, strength)
        if not session.wait(PATIENCE):
            raise EngineFault("hung", f"no result in {PATIENCE // SECOND} s")
        results.append(session.result().copy())
    session.forget()
    return results


def _check_nought(bench: _Bench, session: Session, whose: str = "") -> bool:
    """Strength 0 is the original, every bit of it; an engine that enlarges has no original of its size."""
    check, wanted = f"{whose}strength 0 is the original", "every bit"
    if session.shape != session.result_shape:
        return bench.add(check, None, why="it enlarges", needed=False) or True
    changed = sum(
        int((one != other).sum()) for one, other in zip(bench.frames, shown(session, bench.frames, 0.0), strict=True)
    )
    return bench.add(check, changed == 0, found=f"{changed} pixels changed", wanted=wanted)


def _by_openvino(bench: _Bench, variant: Engine, pictures: list[Pixels], open_one: Opener) -> list[Pixels]:
    """What the file shows on the backend that its maker judged it on; PICTURES where that is this one."""
    if bench.kind == REFERENCE_BACKEND:
        return pictures
    reference = open_one(REFERENCE_BACKEND).open(variant, bench.shape)
    try:
        return shown(reference, bench.frames)
    finally:
        reference.close()


def _check_parity(bench: _Bench, variant: Engine, pictures: list[Pixels], wanted: list[Pixels]) -> bool:
    check = f"{variant.manifest.precision} file: parity with OpenVINO"
    if bench.kind == REFERENCE_BACKEND:
        bench.add(check, None, why="OpenVINO itself runs it", needed=False)
        return True
    return _check_apart(bench, check, pictures, wanted, PARITY_RMS, PARITY_WORST)


def _check_fidelity(bench: _Bench, check: str, int8: list[Pixels], floats: list[Pixels]) -> bool:
    return _check_apart(bench, check, int8, floats, FIDELITY_RMS, FIDELITY_WORST)


def _check_twins(bench: _Bench, fidelity: bool, int8: list[Pixels], floats: list[Pixels]) -> bool:
    """Whether the two files belong together. Wrong kernels here do not part them: OpenVINO's pictures tell."""
    if bench.kind == REFERENCE_BACKEND:
        return fidelity
    return _check_fidelity(bench, "the two files by OpenVINO: INT8 against float", int8, floats)


def _check_apart(
    bench: _Bench, check: str, one: list[Pixels], other: list[Pixels], most_rms: float, most_worst: float
) -> bool:
    rms, worst = apart(one, other, bench.shape.full_scale)
    return bench.add(
        check, rms <= most_rms and worst <= most_worst, found=_apart(rms, worst),
        wanted=f"at most {_apart(most_rms, most_worst)}", figures={"rms": rms, "worst": worst},
    )  # fmt: skip


def apart(one: list[Pixels], other: list[Pixels], full_scale: int) -> tuple[float, float]:
    """(root mean square, thousandth worst pixel) of the difference, in parts of full scale."""
    difference = np.abs(np.stack(one).astype(np.float32) - np.stack(other).astype(np.float32)) / full_scale
    return float(np.sqrt(np.mean(difference.astype(np.float64) ** 2))), float(np.quantile(difference, 0.999))


def _apart(rms: float, worst: float) -> str:
    return f"rms {100 * rms:.3f} %, worst {100 * worst:.2f} % of full scale"


def _check_speed(bench: _Bench, mine: Session, floats: Session) -> bool:
    times = timed_in_turn([mine, floats], bench.frames, bench.timed)
    (fast50, fast99), (slow50, slow99) = ((_ms(each, 50), _ms(each, 99)) for each in times)
    figures = {"int8_p50_ms": fast50, "int8_p99_ms": fast99, "float_p50_ms": slow50, "float_p99_ms": slow99}
    found = f"p50 {fast50:.2f} / p99 {fast99:.2f} ms, {floats.id.precision} {slow50:.2f} / {slow99:.2f} ms"
    # Either figure of one run is at the mercy of what else runs here: slower is what both say.
    return bench.add(
        f"INT8 faster than {floats.id.precision}", fast50 < slow50 or fast99 < slow99, found=found,
        wanted="p50 or p99 less", needed=False, figures=figures,
    )  # fmt: skip


def timed_in_turn(sessions: list[Session], frames: list[Pixels], count: int) -> list[list[int]]:
    """Nanoseconds from `start` to the result, the sessions taking turns: whatever disturbs one disturbs the other."""
    times: list[list[int]] = [[] for _ in sessions]
    for number in range(WARM_FRAMES + count):
        frame = frames[number % len(frames)]
        for session, took in zip(sessions, times, strict=True):
            began = time.monotonic_ns()
            session.start(frame, 1.0)
            if not session.wait(PATIENCE):
                raise EngineFault("hung", f"no result in {PATIENCE // SECOND} s")
            session.result()
            if number >= WARM_FRAMES:
                took.append(time.monotonic_ns() - began)
    for session in sessions:
        session.forget()
    return times


def _ms(times: list[int], percentile: float) -> float:
    return round(float(np.percentile(times, percentile)) / 1e6, 4)


def _alone(bench: _Bench, mine: Session, right: bool) -> tuple[str, str]:
    (times,) = timed_in_turn([mine], bench.frames, bench.timed)
    p50, p99 = _ms(times, 50), _ms(times, 99)
    bench.add("time a frame", True, found=f"p50 {p50:.2f} / p99 {p99:.2f} ms", figures={"p50_ms": p50, "p99_ms": p99})
    if not right:
        return "", "not to be activated: it does not show what it should, and there is no float twin"
    return mine.id.precision, f"{mine.id.precision} is chosen; there is no float twin to compare it with"


def _choice(mine: Session, floats: Session, right: bool, float_right: bool, faster: bool) -> tuple[str, str]:
    int8, other = mine.id.precision, floats.id.precision
    if right and faster:
        return int8, f"{int8} is chosen: it shows what it should, and is faster here than {other}"
    if float_right:
        why = "is not faster here" if right else "does not show what it should here"
        return other, f"{other} is chosen: {int8} {why}"
    if right:
        return int8, f"{int8} is chosen, though no faster here: {other} does not show what it should"
    return "", f"not to be activated: neither {int8} nor {other} shows here what it should"
