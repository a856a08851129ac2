"""What becomes FP16 for the GPU and what stays FP32, told by the model's own structure."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")

from edge.backends import Shape  # noqa: E402 - only where onnx is
from edge.backends import _trt_halves as halves  # noqa: E402
from edge.backends._trt_ports import FINITE, ported  # noqa: E402
from edge.backends._trt_prepare import HALF_RMS, Difference, compare, halve  # noqa: E402
from edge.catalog import Engine, float_twin, read_engine, shipped_folder  # noqa: E402
from edge.errors import EngineRefused  # noqa: E402

FULL, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def shipped(name: str) -> Engine:
    return read_engine(shipped_folder() / name)


def base_of(engine: Engine):
    return halves.modern(engine.read_model(), engine.manifest.name)


@pytest.fixture(scope="module")
def trained() -> dict[str, int]:
    """Tensor -> type, of a trained engine."""
    return halves.kinds_of(halves.halved(base_of(shipped("ultrasound-clarity-small"))))


def test_by_how_much_a_picture_is_enlarged_is_no_matter_of_its_type() -> None:
    """Both standards, ONNX's and the parser's, want it in FP32."""
    model = halves.halved(base_of(shipped("ultrasound-clarity-small")))
    constants, kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}, halves.kinds_of(model)
    enlarging = [node for node in model.graph.node if node.op_type == "Resize"]
    assert HALF in {kinds[node.output[0]] for node in enlarging}
    assert {constants[node.input[2]] for node in enlarging} == {FULL}


def test_levels_the_mean_its_age_and_the_sum_stay_fp32(trained: dict[str, int]) -> None:
    for name in ("level", "x", "mean_out", "age_out", "clean", "clean.pixels", "change", "mixed", "levels", "enhanced"):
        assert trained[name] == FULL, name
    for name in ("narrow.out", "wide.out", "fine"):  # means of the picture, though their convolutions are INT8
        assert trained[name] == FULL, name


def test_what_convolutions_say_is_fp16(trained: dict[str, int]) -> None:
    for name in ("features0", "moved.out", "calm_fine.consent", "correction", "residual.out", "hidden_out"):
        assert trained[name] == HALF, name
    assert trained["hidden_in"] == HALF  # the same memory, a frame later


def test_a_filter_that_the_picture_itself_passes_through_stays_fp32() -> None:
    kinds = halves.kinds_of(halves.halved(base_of(shipped("superres-2x"))))
    assert kinds["base"] == FULL
    assert kinds["balanced"] == HALF


def test_the_first_convolution_of_a_float_twin_may_be_fp16_though_it_reads_the_picture() -> None:
    kinds = halves.kinds_of(halves.halved(base_of(float_twin(shipped("ultrasound-clarity-small")))))
    assert kinds["trunk.layers.0.out"] == HALF
    assert kinds["mean_out"] == FULL


def test_an_int8_convolution_whose_scale_fp16_cannot_hold_stays_fp32_and_int8() -> None:
    model = base_of(shipped("ultrasound-clarity-small"))
    scale = next(t for t in model.graph.initializer if t.name == "calm_fine.weight_scale")
    tiny = onnx.numpy_helper.to_array(scale) * np.float32(1e-3)
    scale.CopyFrom(onnx.numpy_helper.from_array(tiny, "calm_fine.weight_scale"))
    new = halves.halved(model)
    kinds = halves.kinds_of(new)
    assert kinds["calm_fine.out"] == FULL
    assert kinds["moved.out"] == HALF  # its neighbour on the same features
    makers = {output: node for node in new.graph.node for output in node.output}
    conv = makers["calm_fine.out"]
    assert [makers[name].op_type for name in conv.input[:2]] == ["DequantizeLinear", "DequantizeLinear"]


def test_a_constant_beyond_fp16_keeps_its_step_fp32() -> None:
    model = base_of(shipped("ultrasound-clarity-small"))
    steep = next(t for t in model.graph.initializer if t.name == "steep")
    steep.CopyFrom(onnx.numpy_helper.from_array(np.float32(1e6), "steep"))
    assert halves.kinds_of(halves.halved(model))["surely"] == FULL


@pytest.mark.parametrize("name", ["ultrasound-clarity-small", "superres-2x", "handbuilt-small"])
def test_fp16_parts_leave_the_picture_what_it_was(name: str) -> None:
    assert 0 < halve(shipped(name)).difference.rms <= HALF_RMS


def test_a_conversion_that_went_wrong_is_seen_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = shipped("handbuilt-small")
    base = base_of(engine)
    wrong = halves.halved(base)
    scale = next(t for t in wrong.graph.initializer if t.name == "inverse_scale.half")
    scale.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(scale) * np.float16(3), scale.name))
    difference = compare(base, wrong, engine.manifest)
    assert not difference.is_small
    monkeypatch.setattr("edge.backends._trt_prepare._checked", {})
    monkeypatch.setattr(halves, "halved", lambda model: wrong)
    with pytest.raises(EngineRefused, match="in FP16 its result moves"):
        halve(engine)


def test_what_is_no_number_is_not_small() -> None:
    assert not Difference(float("inf"), float("inf")).is_small
    assert not Difference(float("nan"), 0.0).is_small


def test_a_model_that_is_no_onnx_is_refused() -> None:
    with pytest.raises(EngineRefused, match="not a valid ONNX model"):
        halves.modern(b"certainly not", "x")


@pytest.mark.parametrize("bits", [8, 16])
def test_ports_are_the_frames_own_integers_where_the_gpu_has_them(bits: int) -> None:
    engine = shipped("ultrasound-clarity-small")
    model = ported(halves.halved(base_of(engine)), engine.manifest, bits, Shape(64, 96, bits))
    kinds = {port.name: port.type.tensor_type.elem_type for port in [*model.graph.input, *model.graph.output]}
    level = onnx.TensorProto.UINT8 if bits == 8 else FULL
    assert kinds["frame"] == kinds["enhanced"] == level
    assert kinds[FINITE] == FULL
    sides = {port.name: [d.dim_value for d in port.type.tensor_type.shape.dim] for port in model.graph.input}
    assert sides["frame"] == [1, 1, 64, 96]
    assert sides["mean_in"] == [1, 16, 16, 24]


def test_what_tells_a_finite_result_stands_before_the_bounds_that_would_hide_it() -> None:
    engine = shipped("ultrasound-clarity-small")
    model = ported(halves.halved(base_of(engine)), engine.manifest, 8, None)
    (check,) = (node for node in model.graph.node if node.output[0] == FINITE)
    assert list(check.input) == ["levels"]


def test_a_file_with_other_ports_than_its_manifest_is_refused() -> None:
    engine = shipped("ultrasound-clarity-small")
    with pytest.raises(EngineRefused, match="inputs age_in"):
        ported(halves.halved(base_of(engine)), shipped("handbuilt-small").manifest, 8, None)
