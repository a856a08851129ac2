"""Ranges fitted to pictures: on real ONNX files, run by the real OpenVINO."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.refit import (
    TOP,
    FloatRun,
    Magnitudes,
    Sample,
    best_limit,
    find_quantisers,
    is_structural,
    refit,
)
from edge.backends import Shape, open_backend
from edge.catalog import Engine, float_twin, open_catalog
from edge.clock import SECOND
from edge.errors import EngineRefused
from edge.frame import Pixels
from tests.unit.calibration.tiny import build, write_engine

SHAPE = Shape(48, 65, 8)  # an odd side: padded to the net's blocks


def grainy(count: int, shape: Shape = SHAPE, seed: int = 1) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    kind = np.uint8 if shape.bits == 8 else np.uint16
    levels = rng.normal(0.5, 0.12, (count, shape.height, shape.width)).clip(0, 1) * shape.full_scale
    return list(np.rint(levels).astype(kind))


def samples(pictures: list[Pixels]) -> Iterator[Sample]:
    return (Sample(picture, n == 0) for n, picture in enumerate(pictures))


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return write_engine(tmp_path)


def scales(model: bytes) -> dict[str, float]:
    graph = onnx.load_from_string(model).graph
    return {each.name: each.limit for each in find_quantisers(graph)}


def psnr(one: list[Pixels], other: list[Pixels]) -> float:
    apart = np.mean([np.square(a.astype(float) - b).mean() for a, b in zip(one, other, strict=True)])
    return 10 * np.log10(255**2 / apart)


def treated(engine: Engine, pictures: list[Pixels]) -> list[Pixels]:
    session = open_backend("openvino_cpu", 1).open(engine, SHAPE)
    results = []
    for picture in pictures:
        session.start(picture, 1.0)
        assert session.wait(20 * SECOND)
        results.append(session.result().copy())
    return results


def test_a_range_far_too_wide_comes_nearer_and_the_result_is_nearer_to_the_float_nets(
    engine: Engine, tmp_path: Path
) -> None:
    done = refit(engine, samples(grainy(12)), SHAPE)
    entering, first = done.ranges
    assert (entering.name, entering.kept) == ("input", True)
    assert (first.name, first.kept, first.old) == ("first", False, pytest.approx(8.0))
    assert first.peak < first.new == pytest.approx(4.0)  # not below half of the old one
    assert scales(done.model) == {"input": pytest.approx(127 / 255), "first": pytest.approx(first.new)}

    fitted = write_engine(tmp_path / "fitted", limit=first.new)
    pictures = grainy(6, seed=2)
    wanted = treated(float_twin(engine), pictures)
    assert psnr(treated(fitted, pictures), wanted) > psnr(treated(engine, pictures), wanted) + 1.0


def test_a_range_too_narrow_becomes_wider(tmp_path: Path) -> None:
    first = refit(write_engine(tmp_path, limit=0.1), samples(grainy(12)), SHAPE).ranges[1]
    assert 0.3 < first.new <= first.peak


def test_only_the_fitted_scales_change_and_the_same_pictures_give_the_same_file(engine: Engine) -> None:
    before = onnx.load_from_string(engine.read_model())
    done = refit(engine, samples(grainy(8)), SHAPE)
    after = onnx.load_from_string(done.model)
    assert list(after.graph.node) == list(before.graph.node)
    changed = [
        new.name
        for new, old in zip(after.graph.initializer, before.graph.initializer, strict=True)
        if new.SerializeToString() != old.SerializeToString()
    ]
    assert changed == ["first_scale"]
    assert numpy_helper.to_array(after.graph.initializer[0]).shape == ()
    onnx.checker.check_model(after, full_check=True)
    assert refit(engine, samples(grainy(8)), SHAPE).model == done.model


def test_what_is_counted_is_what_the_net_computes_without_the_quantiser(engine: Engine) -> None:
    """The peak that was seen, against the float twin's own hidden layer."""
    pictures = grainy(1)
    seen = refit(engine, samples(pictures), SHAPE).ranges[1].peak
    twin = onnx.load_from_string(build(int8=False))
    twin.graph.output.append(helper.make_tensor_value_info("first_relu", TensorProto.FLOAT, None))
    run = FloatRun(engine, twin.SerializeToString(), SHAPE)
    run.step(Sample(pictures[0], True))
    assert seen == pytest.approx(run.tensor("first_relu").max(), rel=0.01)  # weights are INT8 there


def test_state_goes_round_and_a_new_beginning_forgets_it(engine: Engine) -> None:
    run = FloatRun(engine, build(int8=False), SHAPE)
    one, two = grainy(2)

    def enhanced(picture: Pixels, begins: bool) -> np.ndarray:
        run.step(Sample(picture, begins))
        return run.tensor("enhanced").copy()

    alone = enhanced(two, True)
    enhanced(one, True)
    assert not np.array_equal(enhanced(two, False), alone)
    assert np.array_equal(enhanced(two, True), alone)


@pytest.mark.parametrize("bits", [10, 16])
def test_deeper_pictures_are_the_same_levels(engine: Engine, bits: int) -> None:
    deep = Shape(SHAPE.height, SHAPE.width, bits)
    first = refit(engine, samples(grainy(4, deep)), deep).ranges[1]
    assert first.peak == pytest.approx(refit(engine, samples(grainy(4)), SHAPE).ranges[1].peak, rel=0.05)


def test_black_pictures_alone_say_nothing_that_narrows_a_range_to_nothing(engine: Engine) -> None:
    first = refit(engine, samples([np.zeros((48, 65), np.uint8)] * 3), SHAPE).ranges[1]
    assert first.new >= first.old / 2


# ---------------------------------------------------------------- which quantisers are structural


def test_levels_before_any_convolution_keep_their_range_whatever_their_quantiser_is_called() -> None:
    graph = onnx.load_from_string(open_catalog([]).engines["handbuilt-small"].read_model()).graph
    found = {each.name: is_structural(graph, each) for each in find_quantisers(graph)}
    assert found == {"pixels": True, "small": False, "near": False}


# ---------------------------------------------------------------- what cannot be re-fitted


def altered(tmp_path: Path, name: str, value: np.ndarray) -> Engine:
    model = onnx.load_from_string(build(int8=True))
    for constant in model.graph.initializer:
        if constant.name == name:
            constant.CopyFrom(numpy_helper.from_array(value, name))
    content = model.SerializeToString()
    engine = write_engine(tmp_path, sha256=hashlib.sha256(content).hexdigest())
    engine.model_path.write_bytes(content)
    return engine


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("first_zero", np.int8(3), "not symmetric INT8"),
        ("first_zero", np.uint8(0), "not symmetric INT8"),
        ("first_scale", np.float32(0), "no single float scale"),
        ("first_scale", np.float32(np.nan), "no single float scale"),
        ("first_scale", np.ones(8, np.float32), "no single float scale"),
    ],
)
def test_a_quantiser_that_is_not_symmetric_int8_is_refused(
    tmp_path: Path, name: str, value: np.ndarray, said: str
) -> None:
    with pytest.raises(EngineRefused, match=said):
        refit(altered(tmp_path, name, np.asarray(value)), samples(grainy(1)), SHAPE)


def test_a_net_without_quantisers_is_refused(engine: Engine) -> None:
    with pytest.raises(EngineRefused, match="no activation range"):
        refit(float_twin(engine), samples(grainy(1)), SHAPE)


def test_a_damaged_model_is_refused(engine: Engine) -> None:
    engine.model_path.write_bytes(engine.read_model()[:-7])
    with pytest.raises(EngineRefused, match="damaged or altered"):
        refit(engine, samples(grainy(1)), SHAPE)


def test_a_model_that_is_none_is_refused_although_its_manifest_vouches_for_it(tmp_path: Path) -> None:
    engine = write_engine(tmp_path, sha256=hashlib.sha256(b"\x0anothing").hexdigest())
    engine.model_path.write_bytes(b"\x0anothing")
    with pytest.raises(EngineRefused, match="not a readable model"):
        refit(engine, samples(grainy(1)), SHAPE)


# ---------------------------------------------------------------- the choice of a range


def counted(values: np.ndarray) -> Magnitudes:
    seen = Magnitudes()
    for part in np.array_split(values.astype(np.float32), 5):
        seen.add(part)
    return seen


def brute_force(values: np.ndarray) -> float:
    """The least mean square error over the very values, without a histogram."""
    limits = np.geomspace(np.abs(values).max() / 32, np.abs(values).max(), 400)
    errors = [np.square(values - np.clip(np.rint(values / (c / TOP)), -TOP, TOP) * c / TOP).mean() for c in limits]
    return min(errors)


@pytest.mark.parametrize("kind", ["even", "normal", "long tail", "one stray"])
def test_the_chosen_range_is_about_as_good_as_the_best_there_is(kind: str) -> None:
    rng = np.random.default_rng(5)
    values = {
        "even": rng.uniform(-3, 3, 20_000),
        "normal": rng.normal(0, 1, 20_000),
        "long tail": rng.laplace(0, 0.3, 20_000),
        "one stray": np.append(rng.normal(0, 1, 20_000), 40.0),
    }[kind]
    limit = best_limit(counted(values), old=0.01)
    error = np.square(values - np.clip(np.rint(values / (limit / TOP)), -TOP, TOP) * limit / TOP).mean()
    assert error <= 1.05 * brute_force(values)


def test_one_stray_value_does_not_widen_a_range_to_itself() -> None:
    values = np.append(np.random.default_rng(5).normal(0, 1, 100_000), 40.0)
    assert 4 < best_limit(counted(values), old=1.0) < 0.75 * 40


def test_a_histogram_holds_all_values_however_its_range_grew() -> None:
    values = np.geomspace(1e-3, 700, 5000)
    one, grown = Magnitudes(), counted(values)
    one.add(values.astype(np.float32))
    assert grown.counts.sum() == one.counts.sum() == 5000
    assert grown.peak == one.peak == pytest.approx(700)
    assert np.array_equal(grown.counts, one.counts)


def test_nan_is_not_counted_but_refused() -> None:
    with pytest.raises(EngineRefused, match="NaN"):
        Magnitudes().add(np.array([1.0, np.nan], np.float32))


def test_nothing_seen_leaves_a_range_as_it_is() -> None:
    assert best_limit(counted(np.zeros(100)), old=2.5) == 2.5
