"""What needs an NVIDIA GPU: `make device`. Skipped, with its reason, where there is none.

The backend contract itself is tests/contract/test_backends.py, which takes the GPU in where there is one.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from edge.backends import Backend, Shape, tensorrt_int8
from edge.backends._trt_gpu import CudaProgram
from edge.backends.openvino_cpu import OpenVinoCpu
from edge.backends.tensorrt_int8 import Tensorrt, TensorrtSession, Workshop
from edge.catalog import Engine, float_twin, read_engine, shipped_folder
from edge.clock import SECOND
from edge.errors import ConfigError
from edge.frame import Pixels
from edge.plans import PlanCache
from edge.reference_frames import reference_frames, usual_shape
from edge.verification import (
    PARITY_RMS,
    PARITY_WORST,
    apart,
    shown,
    timed_in_turn,
    verify_engine,
)

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(3600)]
SHIPPED = sorted(path.parent.name for path in shipped_folder().glob("*/manifest.toml"))
FRAMES = 100_000


def engine(name: str) -> Engine:
    return read_engine(shipped_folder() / name)


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    try:
        return tensorrt_int8.open_workshop("", here=True)
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def backend(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Tensorrt:
    assert workshop.card is not None
    cache = PlanCache(tmp_path_factory.mktemp("plans"))
    return Tensorrt(
        workshop.card, workshop.toolkit.runtime, lambda one, shape: workshop.make(one, shape, shape.bits)[1], cache
    )


@pytest.fixture
def opened(backend: Tensorrt) -> Iterator[list[TensorrtSession]]:
    sessions: list[TensorrtSession] = []
    yield sessions
    for session in sessions:
        session.close()


def computed(session: TensorrtSession, grey: Pixels) -> Pixels:
    session.start(grey, 1.0)
    assert session.wait(20 * SECOND)
    return session.result().copy()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_gpu_shows_what_openvino_shows(backend: Tensorrt, opened: list[TensorrtSession], name: str) -> None:
    for one in (engine(name), *([float_twin(engine(name))] if engine(name).manifest.fp32 else [])):
        shape = usual_shape(one)
        frames = reference_frames(one, shape, 12)
        opened.append(backend.open(one, shape))
        reference = OpenVinoCpu(0).open(one, shape)
        rms, worst = apart(shown(opened[-1], frames), shown(reference, frames), shape.full_scale)
        reference.close()
        assert rms <= PARITY_RMS, f"{one.manifest.precision}: rms {rms}"
        assert worst <= PARITY_WORST, f"{one.manifest.precision}: worst {worst}"


def test_a_replayed_graph_shows_what_plain_enqueue_shows(
    backend: Tensorrt, opened: list[TensorrtSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, shape = engine("ultrasound-clarity-small"), Shape(480, 640, 8)
    opened.append(backend.open(one, shape))
    if opened[0].replays != "graph":
        pytest.skip(opened[0].replays)
    monkeypatch.setattr("edge.backends._trt_gpu._graph_api", lambda: (None, "enqueue"))
    opened.append(backend.open(one, shape))
    assert opened[1].replays == "enqueue"
    frames = reference_frames(one, shape, 20)
    for replayed, plain in zip(shown(opened[0], frames), shown(opened[1], frames), strict=True):
        assert np.array_equal(replayed, plain)


def test_a_capture_that_fails_ends_in_plain_enqueue(
    backend: Tensorrt, opened: list[TensorrtSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(api: object, answer: tuple[object, ...]) -> object:
        raise RuntimeError("no graph today")

    monkeypatch.setattr("edge.backends._trt_gpu._checked", broken)
    one = engine("handbuilt-small")
    opened.append(backend.open(one, Shape(64, 72, 8)))
    assert opened[0].replays.startswith("enqueue")
    assert computed(opened[0], reference_frames(one, Shape(64, 72, 8), 1)[0]).any()


def test_two_streams_on_one_gpu_do_not_know_each_other(backend: Tensorrt, opened: list[TensorrtSession]) -> None:
    one, shape = engine("ultrasound-clarity-small"), Shape(240, 320, 8)
    opened.extend(backend.open(one, shape) for _ in range(3))
    mine, other, alone = opened
    for frame in reference_frames(one, shape, 6):
        mine.start(frame, 1.0)
        other.start(255 - frame, 1.0)
        assert mine.wait(20 * SECOND)
        assert other.wait(20 * SECOND)
        assert np.array_equal(mine.result(), computed(alone, frame))


def test_a_hundred_thousand_frames_leak_nothing(
    backend: Tensorrt, workshop: Workshop, opened: list[TensorrtSession]
) -> None:
    assert workshop.card is not None
    one, shape = engine("handbuilt-small"), Shape(128, 160, 8)
    opened.append(backend.open(one, shape))
    frames = reference_frames(one, shape, 8)

    def run(count: int) -> None:
        for number in range(count):
            opened[0].start(frames[number % len(frames)], 1.0)
            assert opened[0].wait(20 * SECOND)
            opened[0].result()

    def used() -> tuple[int, int]:
        with workshop.card.current():  # type: ignore[union-attr]
            free, _ = workshop.card.driver.mem_get_info()  # type: ignore[union-attr]
        return psutil.Process().memory_info().rss, -free

    run(FRAMES // 20)  # what grows once is no leak
    host, device = used()
    run(FRAMES)
    host_after, device_after = used()
    assert host_after - host < 16 << 20
    assert device_after - device < 16 << 20


def test_opening_and_closing_leaves_no_memory_behind(backend: Tensorrt, workshop: Workshop) -> None:
    assert workshop.card is not None
    one, shape = engine("handbuilt-small"), Shape(480, 640, 8)

    def free() -> int:
        with workshop.card.current():  # type: ignore[union-attr]
            return int(workshop.card.driver.mem_get_info()[0])  # type: ignore[union-attr]

    for _ in range(3):
        backend.open(one, shape).close()
    before = free()
    for _ in range(20):
        backend.open(one, shape).close()
    assert before - free() < 16 << 20


@pytest.mark.parametrize("name", [name for name in SHIPPED if engine(name).manifest.fp32])
def test_int8_takes_no_longer_than_fp16_or_the_table_chooses_fp16(
    backend: Tensorrt, opened: list[TensorrtSession], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one, shape = engine(name), usual_shape(engine(name))
    opened.extend((backend.open(one, shape), backend.open(float_twin(one), shape)))
    times = timed_in_turn(list(opened), reference_frames(one, shape, 8), 500)
    int8, fp16 = (float(np.percentile(each, 99)) / 1e6 for each in times)
    with capsys.disabled():
        print(f"\n{name}: p99 INT8 {int8:.3f} ms, FP16 {fp16:.3f} ms ({opened[0].replays}) on {backend.card.gpu}")
    found = verify_engine(one, shape=shape, frames=8, timed=300, opener=lambda kind: _opened(kind, backend))
    assert found.passed
    faster = next(row for row in found.rows if row.check.startswith("INT8 faster"))
    assert found.chosen_precision == ("int8" if faster.met else "fp16")


def _opened(kind: str, backend: Tensorrt) -> Backend:
    return backend if kind == "tensorrt_int8" else OpenVinoCpu(0)


def test_a_program_says_what_it_took(backend: Tensorrt, opened: list[TensorrtSession]) -> None:
    one, shape = engine("ultrasound-clarity-small"), Shape(480, 640, 8)
    opened.append(backend.open(one, shape))
    assert isinstance(opened[0]._program, CudaProgram)
    frames = reference_frames(one, shape, 4)
    took: list[int] = []
    for frame in frames * 10:
        computed(opened[0], frame)
        took.append(opened[0].took_ns)
    assert 0 < statistics.median(took) < SECOND
