"""A real, tiny recurrent INT8 engine with its float twin, and a recording to calibrate it with. Not a test itself."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from calibration.site.folder import manifest_toml
from edge.catalog import CONTRACT, Engine, Manifest, State, read_engine
from edge.clock import MS
from edge.frame import Frame, Modality, PixelFormat
from edge.phantom import Phantom, make
from edge.recording import Recorder
from engines.pen import OPSET, Graph

BLOCK, HIDDEN, WIDE = 2, 2, 8
PIXELS = BLOCK * BLOCK
CENTRE = 128 / 255
TOP = 127 / 255


def weights() -> dict[str, np.ndarray]:
    """Each pixel less the mean around it, both signs; the residual takes half of that away."""
    rng = np.random.default_rng(7)
    first = np.zeros((WIDE, PIXELS + HIDDEN, 3, 3), np.float32)
    for pixel in range(PIXELS):
        first[[pixel, pixel + PIXELS], :PIXELS] = -1 / (9 * PIXELS)
        first[[pixel, pixel + PIXELS], pixel, 1, 1] += 1
    first[PIXELS:] *= -1
    first[:, PIXELS:, 1, 1] = rng.normal(0, 0.05, (WIDE, HIDDEN))
    residual = np.zeros((PIXELS, WIDE, 3, 3), np.float32)
    for pixel in range(PIXELS):
        residual[pixel, [pixel, pixel + PIXELS], 1, 1] = -0.5, 0.5
    features = rng.normal(0, 0.05, (HIDDEN, WIDE, 3, 3)).astype(np.float32)
    return {"first": first, "residual": residual, "features": features}


def build(*, int8: bool, limit: float = 8.0, odd: str = "") -> bytes:
    """`limit` is the hidden quantiser's. `odd` is what is wrong with it: "nan" where a picture is bright, a state
    that goes on "growing", one level too many at any "strength".
    """
    g = Graph()
    kernels = weights()

    def quantised(x: str, most: float, name: str) -> str:
        return g.quantised(x, most, name) if int8 else x

    def convolved(x: str, name: str) -> str:
        kernel = g.int8_weights(kernels[name], f"{name}_weight") if int8 else g.constant(f"{name}_w", kernels[name])
        return g.op("Conv", [x, kernel], f"{name}_conv", kernel_shape=[3, 3], pads=[1] * 4)

    level = g.op("Div", ["frame", "full_scale"], "level")
    blocks = g.op("SpaceToDepth", [level], "blocks", blocksize=BLOCK)
    centred = g.op("Sub", [blocks, g.constant("centre", np.float32(CENTRE))], "centred")
    entering = quantised(g.op("Concat", [centred, "hidden_in"], "entering", axis=1), TOP, "input")
    first = quantised(g.op("Relu", [convolved(entering, "first")], "first_relu"), limit, "first")
    growth = g.constant("growth", np.float32(0.02 if odd == "growing" else 0))
    g.op("Relu", [g.op("Add", [_sum_of_past(g, convolved(first, "features"), odd), growth], "grown")], "hidden_out")
    change = g.op("DepthToSpace", [convolved(first, "residual")], "change", blocksize=BLOCK)
    mixed = g.op("Add", [level, g.op("Mul", [change, "strength"], "applied")], "mixed")
    levels = g.op("Mul", [mixed, "full_scale"], "levels")
    if odd == "strength":
        levels = g.op("Add", [levels, g.constant("one_more", np.float32(1))], "too_high")
    above = g.op("Max", [levels, g.constant("nought", np.float32(0))], "above")
    bounded = g.op("Min", [above, "full_scale"], "bounded")
    g.op("Round", [_blotted(g, bounded, level) if odd == "nan" else bounded], "enhanced")
    return _model(g)


def _blotted(g: Graph, levels: str, level: str) -> str:
    """0 / 0 where the picture is bright."""
    nothing = g.op("Sub", [levels, levels], "nothing")
    lack = g.op("Relu", [g.op("Sub", [g.constant("bright", np.float32(0.5)), level], "darkness")], "lack")
    return g.op("Add", [levels, g.op("Div", [nothing, lack], "blot")], "blotted")


def _sum_of_past(g: Graph, features: str, odd: str) -> str:
    return g.op("Add", [features, "hidden_in"], "piled_up") if odd == "growing" else features


def _model(g: Graph) -> bytes:
    picture, state = [1, 1, "h", "w"], [1, HIDDEN, "h2", "w2"]
    inputs = {"frame": picture, "full_scale": [], "strength": [], "hidden_in": state}
    outputs = {"enhanced": picture, "hidden_out": state}
    graph = helper.make_graph(
        g.nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    return model.SerializeToString()


def write_engine(folder: Path, limit: float = 8.0, odd: str = "", **changes: object) -> Engine:
    """An engine folder; `changes` are the manifest's fields."""
    home = folder / "tiny"
    home.mkdir(parents=True)
    model, twin = build(int8=True, limit=limit, odd=odd), build(int8=False)
    (home / "model.onnx").write_bytes(model)
    (home / "fp32.onnx").write_bytes(twin)
    facts: dict[str, object] = {
        "contract": CONTRACT, "name": "tiny", "family": "tiny", "size": "small", "version": "1", "task": "a test",
        "modalities": ("ultrasound",), "model": "model.onnx", "sha256": hashlib.sha256(model).hexdigest(),
        "precision": "int8", "multiple": BLOCK, "kmac_per_px": 0.3, "licence": "Apache-2.0", "limits": "a test",
        "state": (State("hidden", (1, HIDDEN, f"h/{BLOCK}", f"w/{BLOCK}")),),
        "fp32": "fp32.onnx", "fp32_sha256": hashlib.sha256(twin).hexdigest(),
    }  # fmt: skip
    (home / "manifest.toml").write_text(manifest_toml(Manifest(**{**facts, **changes})))  # type: ignore[arg-type]
    return read_engine(home)


def record(path: Path, frames: int, modality: str = "ultrasound", **scene: object) -> Path:
    """A recording of a phantom, as `limpid record` writes it."""
    phantom = make(modality, **{"width": 128, "height": 96, **scene})
    with Recorder(path) as recorder:
        for seq in range(frames):
            recorder.add(frame_of(phantom, seq))
    return path


def frame_of(phantom: Phantom, seq: int) -> Frame:
    exposure = phantom.frame(seq)
    return Frame(
        pixels=exposure.pixels,
        stream="probe",
        seq=seq,
        captured_ns=seq * 33 * MS,
        received_ns=seq * 33 * MS,
        format=PixelFormat.GREY8 if exposure.bits == 8 else PixelFormat.GREY16,
        bits=exposure.bits,
        modality=Modality(phantom.modality),
        session=1,
        cut=seq == 0,
    )
