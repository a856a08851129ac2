"""One contract for every file of `edge/backends`: what the live thread may rely on, whatever computes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import numpy as np
import pytest

import edge.backends
from edge import plugins
from edge.backends import Backend, Session, Shape, open_backend
from edge.backends.classical import Classical
from edge.catalog import Engine, open_catalog, read_engine
from edge.clock import SECOND
from edge.errors import ConfigError, EngineFault, EngineRefused
from edge.fidelity import mean_change
from edge.frame import Pixels
from edge.plans import PlanCache

KINDS = plugins.kinds(edge.backends)
DEPTHS = (8, 10, 12, 16)
SIZES = ((64, 64), (65, 67), (96, 130))
ENGINE = open_catalog([]).family("handbuilt", "ultrasound")["small"]
Open = Callable[[Shape], Session]


ON_FAKE_GPU = "tensorrt_int8 on a fake GPU"


@pytest.fixture(scope="module", params=[*KINDS, ON_FAKE_GPU])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    if request.param == ON_FAKE_GPU:
        pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
        from tests.fake_gpu import on_fake_gpu

        return on_fake_gpu(PlanCache(tmp_path_factory.mktemp("plans")))
    if request.param != "tensorrt_int8":
        return open_backend(request.param, 1)
    try:
        return open_backend(request.param, 1)
    except ConfigError as error:
        pytest.skip(f"no GPU for this backend: {error}")


@pytest.fixture
def opened(backend: Backend) -> Iterator[Open]:
    """Opens sessions, and closes them whatever happens to the test."""
    with ExitStack() as down:

        def make(shape: Shape) -> Session:
            session = backend.open(ENGINE, shape)
            down.callback(session.close)
            return session

        yield make


def grainy(shape: Shape, seed: int = 1) -> Pixels:
    """A ramp with grain on it, over most of the range of its depth."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0.2, 0.8, shape.width)[None, :] + rng.normal(0, 0.02, (shape.height, shape.width))
    dtype = np.uint8 if shape.bits == 8 else np.uint16
    return np.clip(np.rint(ramp * shape.full_scale), 0, shape.full_scale).astype(dtype)


def computed(session: Session, grey: Pixels, strength: float = 1.0) -> Pixels:
    session.start(grey, strength)
    assert session.wait(20 * SECOND)
    return session.result().copy()


def fault_of(work: Callable[[], object]) -> str | None:
    """The reason of the fault that it ends in, if it does."""
    try:
        work()
    except EngineFault as fault:
        return fault.reason
    return None


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_picture_comes_back_in_its_own_shape_and_depth_and_range(
    opened: Open, size: tuple[int, int], bits: int
) -> None:
    session = opened(Shape(*size, bits))
    before = grainy(session.shape)
    after = computed(session, before)
    assert (after.shape, after.dtype) == (before.shape, before.dtype)
    assert int(after.max()) <= session.shape.full_scale
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_strength_nought_is_the_picture_itself_bit_for_bit(opened: Open, size: tuple[int, int], bits: int) -> None:
    session = opened(Shape(*size, bits))
    rng = np.random.default_rng(3)
    for _ in range(3):  # with a past, too
        before = rng.integers(0, session.shape.full_scale, size, grainy(session.shape).dtype, endpoint=True)
        assert np.array_equal(computed(session, before, 0.0), before)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_flat_picture_stays_as_it_is(opened: Open, bits: int, part: float) -> None:
    session = opened(Shape(64, 72, bits))
    flat = np.full_like(grainy(session.shape), round(part * session.shape.full_scale))
    for _ in range(3):
        difference = np.abs(computed(session, flat).astype(int) - flat.astype(int))
        assert difference.max() <= max(1, session.shape.full_scale // 256)


def test_more_strength_is_more_change(opened: Open) -> None:
    session = opened(Shape(64, 72, 12))
    before = grainy(session.shape)
    changes = []
    for strength in (0.0, 0.25, 0.5, 1.0):
        session.forget()
        changes.append(np.abs(computed(session, before, strength).astype(int) - before).sum())
    assert changes == sorted(set(changes))


def test_grain_becomes_less_and_the_picture_under_it_stays(opened: Open) -> None:
    session = opened(Shape(96, 128, 8))
    clean = np.linspace(0.2, 0.8, 128)[None, :] * 255
    before = grainy(session.shape)
    after = computed(session, before)
    assert np.std(after - clean) < np.std(before - clean)
    assert abs(float(after.mean()) - float(before.mean())) < 1.0


def test_the_same_frames_give_the_same_pictures(opened: Open) -> None:
    shape = Shape(65, 67, 8)
    one, other = opened(shape), opened(shape)
    for seed in range(5):
        assert np.array_equal(computed(one, grainy(shape, seed)), computed(other, grainy(shape, seed)))


def test_the_past_is_carried_over_and_forgotten_when_told(opened: Open) -> None:
    shape = Shape(64, 72, 8)
    session, fresh = opened(shape), opened(shape)
    first, second = grainy(shape, 1), grainy(shape, 2)
    alone = computed(fresh, second)
    computed(session, first)
    assert not np.array_equal(computed(session, second), alone)
    session.forget()
    assert np.array_equal(computed(session, second), alone)


def test_forgetting_while_it_computes_is_for_the_next_picture(opened: Open) -> None:
    shape = Shape(64, 72, 8)
    session, fresh = opened(shape), opened(shape)
    first, second = grainy(shape, 1), grainy(shape, 2)
    session.start(first, 1.0)
    session.forget()
    assert session.wait(20 * SECOND)
    assert np.array_equal(computed(session, second), computed(fresh, second))


def test_the_past_of_one_stream_is_not_anothers(opened: Open) -> None:
    shape = Shape(64, 72, 8)
    one, other, alone = opened(shape), opened(shape), opened(shape)
    for seed in range(4):
        mine = grainy(shape, seed)
        computed(other, 255 - mine)
        assert np.array_equal(computed(one, mine), computed(alone, mine))


@pytest.mark.parametrize("size", [(64, 71), (63, 72), (72, 64), (64, 72, 3), (64 * 72,)], ids=str)
def test_a_picture_of_another_shape_is_a_fault_and_the_next_one_is_treated(opened: Open, size: tuple[int, ...]) -> None:
    session = opened(Shape(64, 72, 8))
    with pytest.raises(EngineFault):
        session.start(np.zeros(size, np.uint8), 1.0)
    before = grainy(session.shape)
    assert not np.array_equal(computed(session, before), before)


def test_a_second_picture_while_it_computes_is_a_fault_that_spoils_nothing(opened: Open) -> None:
    """A backend that computes where it is started is never found computing."""
    shape = Shape(480, 640, 8)
    session, other = opened(shape), opened(shape)
    first, second = grainy(shape, 1), grainy(shape, 2)
    want = computed(other, first)
    session.start(first, 1.0)
    reason = fault_of(lambda: session.start(second, 1.0))
    assert reason in (None, "busy")
    if reason is None:
        want = computed(other, second)
    assert session.wait(20 * SECOND)
    assert np.array_equal(session.result(), want)


def test_a_result_asked_for_too_early_is_a_fault_not_an_old_picture(backend: Backend, opened: Open) -> None:
    session = opened(Shape(1024, 1024, 16))
    session.start(grainy(session.shape), 1.0)
    had_finished = session.wait(0)
    reason = fault_of(session.result)
    assert reason == (None if had_finished else "busy") or (reason is None and session.wait(0))
    assert session.wait(20 * SECOND)
    assert session.result().any()


@pytest.mark.parametrize("bits", [8, 12])
def test_read_only_and_strided_pictures_are_taken_and_left_alone(opened: Open, bits: int) -> None:
    session = opened(Shape(64, 72, bits))
    plain = grainy(session.shape)
    wide = np.repeat(np.pad(plain, ((3, 5), (7, 9))), 2, axis=1)
    strided = wide[3:67, 14 : 14 + 144 : 2]
    assert np.array_equal(strided, plain)
    strided.setflags(write=False)
    want = computed(session, plain)
    session.forget()
    before = strided.copy()
    assert np.array_equal(computed(session, strided), want)
    assert np.array_equal(strided, before)


def test_the_callers_picture_may_be_reused_as_soon_as_start_returns(opened: Open) -> None:
    session = opened(Shape(256, 256, 8))
    picture = grainy(session.shape)
    want = computed(session, picture)
    session.forget()
    session.start(picture, 1.0)
    picture[...] = 0
    assert session.wait(20 * SECOND)
    assert np.array_equal(session.result(), want)


def test_a_result_stays_until_the_next_start(opened: Open) -> None:
    session = opened(Shape(64, 72, 8))
    session.start(grainy(session.shape), 1.0)
    assert session.wait(20 * SECOND)
    result = session.result()
    kept = result.copy()
    session.forget()
    session.wait(0)
    assert np.array_equal(session.result(), kept)
    assert np.array_equal(result, kept)


def test_a_session_says_what_it_is_and_what_it_took(opened: Open) -> None:
    session = opened(Shape(65, 67, 10))
    computed(session, grainy(session.shape))
    assert session.shape == session.result_shape == Shape(65, 67, 10)
    assert session.id.name
    assert session.id.backend in KINDS
    assert len(session.id.sha256) in (0, 64)
    assert 0 < session.took_ns < 20 * SECOND
    assert math.isfinite(session.took_ns)


@pytest.mark.parametrize("shape", [Shape(64, 72, 8), Shape(64, 72, 16), Shape(65, 67, 8)], ids=str)
def test_what_a_session_measures_is_what_it_changed(opened: Open, shape: Shape) -> None:
    session = opened(shape)
    picture = grainy(shape)
    for strength in (1.0, 0.5, 0.0):
        result = computed(session, picture, strength)
        if session.id.backend != "openvino_cpu":
            assert session.change is None
            continue
        assert session.change is not None
        by_hand = mean_change(picture, result, shape.full_scale)
        assert session.change == pytest.approx(by_hand, rel=1e-3, abs=1e-6)
        assert (by_hand > 0.001) == (strength > 0)


def test_a_new_session_is_idle_and_without_a_past(opened: Open) -> None:
    shape = Shape(64, 72, 8)
    session, used = opened(shape), opened(shape)
    assert session.wait(0)
    computed(used, grainy(shape, 4))
    used.forget()
    assert np.array_equal(computed(session, grainy(shape)), computed(used, grainy(shape)))


def test_closing_twice_is_closing_once(backend: Backend) -> None:
    session = backend.open(ENGINE, Shape(64, 64, 8))
    computed(session, grainy(session.shape))
    session.close()
    session.close()


# ---------------------------------------------------------------- engines whose result is twice the sides


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Each pixel becomes four equal ones; at strength 1 the right one of each pair is white."""
    onnx = pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
    from engines.pen import OPSET, Graph

    g = Graph()
    right = g.constant("right", np.array([0, 255, 0, 255], np.float32).reshape(1, 4, 1, 1))
    same = g.op("Concat", ["frame"] * 4, "same", axis=1)
    white = g.op("Mul", [g.op("Mul", [right, "strength"], "some"), "full_scale"], "white")
    blocks = g.op("Min", [g.op("Add", [same, white], "mixed"), "full_scale"], "bounded")
    g.op("DepthToSpace", [blocks], "enhanced", blocksize=2)
    ports = {"frame": [1, 1, "h", "w"], "full_scale": [], "strength": []}
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        g.nodes,
        "doubling",
        [onnx.helper.make_tensor_value_info(name, kind, shape) for name, shape in ports.items()],
        [onnx.helper.make_tensor_value_info("enhanced", kind, [1, 1, "h2", "w2"])],
        g.constants,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    content = model.SerializeToString()
    folder = tmp_path_factory.mktemp("doubling")
    (folder / "model.onnx").write_bytes(content)
    (folder / "manifest.toml").write_text(
        f'contract = 1\nname = "doubling"\nfamily = "doubling"\nsize = "small"\nversion = "1"\ntask = "a test"\n'
        f'modalities = ["unknown"]\nmodel = "model.onnx"\nsha256 = "{hashlib.sha256(content).hexdigest()}"\n'
        f'precision = "fp32"\nmultiple = 8\nkmac_per_px = 0.0\nlicence = "Apache-2.0"\nlimits = "a test"\nscale = 2\n'
    )
    return read_engine(folder)


@pytest.fixture
def enlarging(backend: Backend, doubling: Engine) -> Callable[[Shape], Session | None]:
    """None for a backend that says that it does not enlarge."""

    def open_one(shape: Shape) -> Session | None:
        if isinstance(backend, Classical):
            with pytest.raises(EngineRefused, match="does not enlarge"):
                backend.open(doubling, shape)
            return None
        return backend.open(doubling, shape)

    return open_one


@pytest.mark.parametrize("bits", DEPTHS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_engine_that_enlarges_gives_twice_the_sides_or_is_refused(
    enlarging: Callable[[Shape], Session | None], size: tuple[int, int], bits: int
) -> None:
    session = enlarging(Shape(*size, bits))
    if session is None:
        return
    before = grainy(session.shape)
    after = computed(session, before, 0.0)
    assert session.shape == Shape(*size, bits)
    assert session.result_shape == Shape(2 * size[0], 2 * size[1], bits)
    assert after.dtype == before.dtype
    assert np.array_equal(after, np.kron(before, np.ones((2, 2), before.dtype)))  # padding is cut off at twice the size
    white = computed(session, before)
    assert (white[:, 1::2] == session.shape.full_scale).all()
    assert np.array_equal(white[:, ::2], after[:, ::2])


def test_the_result_of_one_that_enlarges_stays_until_the_next_start(
    enlarging: Callable[[Shape], Session | None],
) -> None:
    session = enlarging(Shape(65, 67, 8))
    if session is None:
        return
    computed(session, grainy(session.shape, 1))
    result = session.result()
    kept = result.copy()
    session.forget()
    assert np.array_equal(session.result(), kept)
    assert (
        fault_of(lambda: session.start(np.zeros((130, 134), np.uint8), 1.0)) == "shape"
    )  # the frame's sides, not its own
    session.close()
