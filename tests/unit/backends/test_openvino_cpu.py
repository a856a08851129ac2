"""Engines that must not be opened, and results that must not be shown; with real, tiny ONNX files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.backends import Session, Shape, open_backend
from edge.catalog import Engine, float_twin, open_catalog, read_engine
from edge.clock import SECOND
from edge.errors import EngineFault, EngineRefused
from edge.frame import EngineId, Pixels

onnx = pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
helper, TensorProto = onnx.helper, onnx.TensorProto

SHAPE = Shape(64, 64, 8)
PICTURE: list[object] = [1, 1, "h", "w"]
PORTS: Shapes = {"frame": PICTURE, "full_scale": [], "strength": []}
Nodes = list[tuple[str, list[str], str]]
Shapes = dict[str, list[object]]
KEEPS: Nodes = [
    ("Mul", ["strength", "zero"], "nothing"),
    ("Mul", ["full_scale", "nothing"], "none"),
    ("Add", ["frame", "none"], "enhanced"),
]


@pytest.fixture(scope="module")
def backend() -> object:
    return open_backend("openvino_cpu", 1)


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., Engine]:
    """An engine folder around a model: its manifest vouches for exactly these bytes."""

    def make(model: bytes, state: str = "", multiple: int = 1, more: str = "") -> Engine:
        folder = tmp_path / "odd"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(model)
        (folder / "manifest.toml").write_text(
            f"""contract = 1
name = "odd"
family = "odd"
size = "small"
version = "1"
task = "a test"
modalities = ["unknown"]
model = "model.onnx"
sha256 = "{hashlib.sha256(model).hexdigest()}"
precision = "fp32"
multiple = {multiple}
kmac_per_px = 0.0
licence = "Apache-2.0"
limits = "a test"
{more}
{state}
"""
        )
        return read_engine(folder)

    return make


def model_of(nodes: Nodes, outputs: Shapes | None = None, inputs: Shapes | None = None) -> bytes:
    def ports(shapes: Shapes) -> list[object]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]

    constants = {"zero": 0.0, "one": 1.0, "white": 255.0}
    graph = helper.make_graph(
        [helper.make_node(kind, ins, [out]) for kind, ins, out in nodes],
        "odd",
        ports(inputs or PORTS),
        ports(outputs or {"enhanced": PICTURE}),
        [helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in constants.items()]
        + [
            helper.make_tensor("first", TensorProto.INT64, [4], [0, 0, 0, 0]),
            helper.make_tensor("second", TensorProto.INT64, [4], [1, 1, 1, 1]),
            helper.make_tensor("axes", TensorProto.INT64, [4], [0, 1, 2, 3]),
            helper.make_tensor("double", TensorProto.INT64, [8], [0, 0, 32, 32, 0, 0, 32, 32]),
            helper.make_tensor("wide", TensorProto.INT64, [8], [0, 0, 0, 0, 0, 0, 0, 1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def refusal(backend: object, engine: Engine | None, shape: Shape = SHAPE) -> str:
    with pytest.raises(EngineRefused) as caught:
        backend.open(engine, shape)  # type: ignore[attr-defined]
    return str(caught.value)


def computed(session: Session, grey: Pixels) -> Pixels:
    session.start(grey, 1.0)
    assert session.wait(20 * SECOND)
    return session.result().copy()


def test_a_sound_tiny_engine_runs(backend: object, install: Callable[..., Engine]) -> None:
    session = backend.open(install(model_of(KEEPS)), SHAPE)  # type: ignore[attr-defined]
    picture = np.random.default_rng(1).integers(0, 256, (64, 64), np.uint8)
    assert np.array_equal(computed(session, picture), picture)
    assert session.id.sha256 == hashlib.sha256(model_of(KEEPS)).hexdigest()


def test_without_an_engine_there_is_nothing_to_run(backend: object) -> None:
    assert "none was given" in refusal(backend, None)


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\0", b"not a model\n" * 50, bytes(range(256)) * 40, b"<?xml version='1.0'?><net/>"],
    ids=["empty", "a nought", "text", "bytes", "xml"],
)
def test_a_model_that_is_none_is_refused(backend: object, install: Callable[..., Engine], rubbish: bytes) -> None:
    assert refusal(backend, install(rubbish)).startswith("odd: ")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_model_cut_short_is_refused_although_its_manifest_vouches_for_it(
    backend: object, install: Callable[..., Engine], part: float
) -> None:
    whole = open_catalog([]).engines["handbuilt-small"].read_model()
    assert refusal(backend, install(whole[: int(len(whole) * part)])).startswith("odd")


@pytest.mark.parametrize("missing", ["strength", "full_scale"])
def test_a_model_without_one_of_its_inputs_is_refused_and_it_is_named(
    backend: object, install: Callable[..., Engine], missing: str
) -> None:
    other = "full_scale" if missing == "strength" else "strength"
    nodes: Nodes = [("Mul", [other, "zero"], "none"), ("Add", ["frame", "none"], "enhanced")]
    inputs = {name: shape for name, shape in PORTS.items() if name != missing}
    said = refusal(backend, install(model_of(nodes, inputs=inputs)))
    assert "inputs" in said
    assert missing in said


def test_a_model_with_another_output_is_refused(backend: object, install: Callable[..., Engine]) -> None:
    nodes = [*KEEPS[:2], ("Add", ["frame", "none"], "improved")]
    assert "outputs improved" in refusal(backend, install(model_of(nodes, outputs={"improved": PICTURE})))


def test_a_state_that_the_model_does_not_have_is_refused(backend: object, install: Callable[..., Engine]) -> None:
    state = '[[state]]\nname = "past"\nshape = [1, 1, "h", "w"]'
    assert "past_in" in refusal(backend, install(model_of(KEEPS), state))


def test_a_state_of_no_definite_shape_is_refused(backend: object, install: Callable[..., Engine]) -> None:
    nodes = [*KEEPS, ("Add", ["past_in", "zero"], "past_out")]
    past = [1, 1, "a", "b"]
    model = model_of(nodes, {"enhanced": PICTURE, "past_out": past}, {**PORTS, "past_in": past})
    state = '[[state]]\nname = "past"\nshape = [1, 1, -1, "w/2"]'
    assert "output past_out is" in refusal(backend, install(model, state))


def test_a_result_of_another_shape_is_refused_at_the_opening(backend: object, install: Callable[..., Engine]) -> None:
    nodes: Nodes = [*KEEPS[:2], ("Add", ["frame", "none"], "kept"), ("Pad", ["kept", "wide", "zero"], "enhanced")]
    said = refusal(backend, install(model_of(nodes, {"enhanced": [1, 1, "h", "v"]})))
    assert "output enhanced is [1,1,64,65]" in said


def test_nan_is_never_a_result_and_the_next_picture_is_treated(backend: object, install: Callable[..., Engine]) -> None:
    """Divides by what the first pixel lacks to white: 0 / 0 where it is 255."""
    nodes: Nodes = [
        ("Slice", ["frame", "first", "second", "axes"], "corner"),
        ("Sub", ["white", "corner"], "lack"),
        ("Div", ["lack", "lack"], "one"),
        ("Mul", ["one", "zero"], "blot"),
        *KEEPS[:2],
        ("Add", ["frame", "none"], "kept"),
        ("Add", ["kept", "blot"], "enhanced"),
    ]
    session = backend.open(install(model_of(nodes)), SHAPE)  # type: ignore[attr-defined]
    picture = np.full((64, 64), 90, np.uint8)
    assert np.array_equal(computed(session, picture), picture)
    bad = picture.copy()
    bad[0, 0] = 255
    with pytest.raises(EngineFault) as caught:
        computed(session, bad)
    assert caught.value.reason == "not-finite"
    assert np.array_equal(computed(session, picture), picture)


def test_one_pixel_of_infinity_is_enough(backend: object, install: Callable[..., Engine]) -> None:
    nodes: Nodes = [
        ("Sub", ["white", "frame"], "lack"),
        ("Div", ["frame", "lack"], "ratio"),  # infinite where a pixel is white
        *KEEPS[:2],
        ("Add", ["ratio", "none"], "enhanced"),
    ]
    session = backend.open(install(model_of(nodes)), SHAPE)  # type: ignore[attr-defined]
    bad = np.zeros((64, 64), np.uint8)
    computed(session, bad)
    bad[40, 50] = 255
    with pytest.raises(EngineFault, match="NaN or infinity"):
        computed(session, bad)


def test_padding_repeats_the_edge_and_is_cut_off_again(backend: object, install: Callable[..., Engine]) -> None:
    shape = Shape(65, 67, 8)
    session = backend.open(install(model_of(KEEPS), multiple=16), shape)  # type: ignore[attr-defined]
    picture = np.random.default_rng(1).integers(0, 256, (65, 67), np.uint8)
    assert np.array_equal(computed(session, picture), picture)
    assert session._frame.shape == (80, 80)
    assert (session._frame[64:, :67] == picture[64]).all()
    assert (session._frame[:65, 66:] == picture[:, 66:]).all()


@pytest.mark.parametrize("sides", [[1, 1, "h", "w"], [1, 1, "h3", "w3"]], ids=str)
def test_an_engine_of_scale_2_whose_result_is_not_twice_as_large_is_refused(
    backend: object, install: Callable[..., Engine], sides: list[object]
) -> None:
    said = refusal(backend, install(model_of(KEEPS, {"enhanced": sides}), more="scale = 2"))
    assert "output enhanced is [1,1,64,64], not [1, 1, 128, 128]" in said


def test_an_engine_of_scale_1_whose_result_is_twice_as_large_is_refused(
    backend: object, install: Callable[..., Engine]
) -> None:
    nodes: Nodes = [*KEEPS[:2], ("Add", ["frame", "none"], "kept"), ("Pad", ["kept", "double", "zero"], "enhanced")]
    said = refusal(backend, install(model_of(nodes, {"enhanced": [1, 1, "h2", "w2"]})))
    assert "output enhanced is [1,1,128,128], not [1, 1, 64, 64]" in said


def test_the_result_of_an_engine_of_scale_2_is_checked_to_be_finite(
    backend: object, install: Callable[..., Engine]
) -> None:
    """A rim of what a division by what lacks to white leaves, around the picture."""
    nodes: Nodes = [
        ("Sub", ["white", "frame"], "lack"),
        ("Div", ["frame", "lack"], "ratio"),
        *KEEPS[:2],
        ("Add", ["ratio", "none"], "kept"),
        ("Pad", ["kept", "double", "zero"], "enhanced"),
    ]
    engine = install(model_of(nodes, {"enhanced": [1, 1, "h2", "w2"]}), more="scale = 2")
    session = backend.open(engine, SHAPE)  # type: ignore[attr-defined]
    picture = np.full((64, 64), 90, np.uint8)
    assert computed(session, picture).shape == (128, 128)
    picture[63, 63] = 255
    with pytest.raises(EngineFault, match="NaN or infinity"):
        computed(session, picture)


def test_a_float_twin_is_opened_as_what_it_is(backend: object, install: Callable[..., Engine]) -> None:
    """The twin makes the picture 1 level brighter, so that the two cannot be taken for each other."""
    twin = model_of([*KEEPS[:2], ("Add", ["frame", "none"], "kept"), ("Add", ["kept", "one"], "enhanced")])
    more = f'fp32 = "fp32.onnx"\nfp32_sha256 = "{hashlib.sha256(twin).hexdigest()}"'
    engine = install(model_of(KEEPS), more=more)
    (engine.folder / "fp32.onnx").write_bytes(twin)
    picture = np.full((64, 64), 90, np.uint8)
    session = backend.open(float_twin(engine), SHAPE)  # type: ignore[attr-defined]
    assert (computed(session, picture) == 91).all()
    assert session.id == EngineId("odd", hashlib.sha256(twin).hexdigest(), "openvino_cpu", "fp32")
    (engine.folder / "fp32.onnx").write_bytes(twin + b"\0")
    assert "fp32.onnx is damaged or altered" in refusal(backend, float_twin(engine))


def test_a_damaged_file_is_refused_before_it_is_read_as_a_model(
    backend: object, install: Callable[..., Engine]
) -> None:
    engine = install(model_of(KEEPS))
    engine.model_path.write_bytes(engine.model_path.read_bytes() + b"\0")
    assert "damaged or altered" in refusal(backend, engine)


# ---------------------------------------------------------------- the shipped engines are INT8 in earnest


@pytest.mark.parametrize("size", ["large", "medium", "small"])
def test_a_shipped_engine_is_symmetric_int8_throughout(size: str) -> None:
    engine = open_catalog([]).engines[f"handbuilt-{size}"]
    graph = onnx.load_from_string(engine.read_model()).graph
    constants = {each.name: each for each in graph.initializer}
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("QuantizeLinear") >= 3
    assert kinds.count("DequantizeLinear") > kinds.count("QuantizeLinear")  # the weights, too
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = constants[node.input[2]]
            assert zero.data_type == TensorProto.INT8
            assert not onnx.numpy_helper.to_array(zero).any()
    types = {each.data_type for each in graph.initializer}
    assert TensorProto.INT8 in types
    assert TensorProto.UINT8 not in types


@pytest.mark.parametrize("size", ["large", "medium", "small"])
def test_every_convolution_of_a_shipped_engine_is_quantised_on_both_sides(size: str) -> None:
    graph = onnx.load_from_string(open_catalog([]).engines[f"handbuilt-{size}"].read_model()).graph
    made_by = {node.output[0]: node.op_type for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) >= 3
    for node in convolutions:
        assert [made_by[name] for name in node.input[:2]] == ["DequantizeLinear", "DequantizeLinear"]
