"""The hand-built engines: no training, every weight derived here. `python -m engines.handbuilt` writes all three.

What they compute, a frame at a time:

1. *Cycle-spun transform shrinkage.* Every 4x4 patch, at S of its 16 alignments, is taken to a cosine transform;
   coefficients smaller than a threshold are grain and are removed, larger ones are structure and lose only the
   threshold. Forward and inverse transforms are two 3x3 convolutions on a space-to-depth picture, and the shrinkage
   between them *is* the symmetric INT8 quantiser: it saturates at plus and minus the threshold.
2. *Motion-gated recursion.* What is left is averaged with the previous picture where the local mean has not moved.

They exist so that the whole path, INT8 and recurrent state included, runs before trained engines do, and stay as the
smallest honest example of the contract in `edge/catalog.py`. Their change is bounded: at most the threshold times the
number of coefficients a patch has.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.pen import OPSET, Graph

Floats = NDArray[np.float32]

BLOCK = 4
ALIGNMENTS = {"large": 16, "medium": 8, "small": 4}
THRESHOLD = 0.045  # of full scale, for the finest coefficients
STILL = 0.05  # a local mean that moved by this much of full scale has moved
MEMORY = 0.55  # how much of the past a still pixel keeps


def cosine_basis() -> Floats:
    """The 15 orthonormal 4x4 cosine patterns that are not the mean."""
    n = np.arange(BLOCK)
    rows = np.sqrt(2 / BLOCK) * np.cos(np.pi * (2 * n[None, :] + 1) * n[:, None] / (2 * BLOCK))
    rows[0] /= np.sqrt(2)
    patterns = np.einsum("ai,bj->abij", rows, rows).reshape(-1, BLOCK, BLOCK)
    return patterns[1:].astype(np.float32)


def coarseness() -> Floats:
    """How much of the threshold each pattern gets: coarse ones carry anatomy and are touched less."""
    a, b = np.divmod(np.arange(1, BLOCK * BLOCK), BLOCK)
    return (0.35 + 0.65 * np.minimum(np.hypot(a, b) / 3.0, 1.0)).astype(np.float32)


def alignments(count: int) -> list[tuple[int, int]]:
    """`count` offsets of the 4x4 grid, spread evenly so that no block edge can show."""
    every = [(dy, dx) for dy in range(BLOCK) for dx in range(BLOCK)]
    if count == len(every):
        return every
    if count == 8:
        return [(dy, dx) for dy, dx in every if (dy + dx) % 2 == 0]
    return [(0, 0), (1, 2), (2, 1), (3, 3)]


def transform_weights(count: int) -> tuple[Floats, Floats]:
    """Forward (patterns from pixels) and inverse (pixels from patterns) as 3x3 kernels over 4x4 blocks."""
    basis, weight, shifts = cosine_basis(), coarseness(), alignments(count)
    forward = np.zeros((len(shifts) * len(basis), BLOCK * BLOCK, 3, 3), np.float32)
    inverse = np.zeros((BLOCK * BLOCK, len(shifts) * len(basis), 3, 3), np.float32)
    for s, (dy, dx) in enumerate(shifts):
        rows = slice(s * len(basis), (s + 1) * len(basis))
        for i in range(BLOCK):
            for j in range(BLOCK):
                (by, y), (bx, x) = divmod(dy + i, BLOCK), divmod(dx + j, BLOCK)
                pixel = y * BLOCK + x
                forward[rows, pixel, 1 + by, 1 + bx] = basis[:, i, j] / weight
                inverse[pixel, rows, 1 - by, 1 - bx] = basis[:, i, j] * weight / len(shifts)
    return forward, inverse


def neighbourhood() -> Floats:
    """The mean of the 5x5 pixels around each pixel, as a 3x3 kernel over blocks."""
    box = np.zeros((BLOCK * BLOCK, BLOCK * BLOCK, 3, 3), np.float32)
    for y in range(BLOCK):
        for x in range(BLOCK):
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    (by, py), (bx, px) = divmod(y + dy, BLOCK), divmod(x + dx, BLOCK)
                    box[y * BLOCK + x, py * BLOCK + px, 1 + by, 1 + bx] = 1 / 25
    return box


def build(size: str) -> onnx.ModelProto:
    g = Graph()
    level = g.op("Div", ["frame", "full_scale"], "level")
    blocks, inner = _blocks(g, level)
    calm = g.op("Sub", [inner, _grain(g, blocks, ALIGNMENTS[size])], "calm")
    steady = _steadied(g, calm)
    _output(
        g,
        level,
        g.op("DepthToSpace", [g.op("Sub", [steady, inner], "difference")], "change", blocksize=BLOCK),
    )
    picture, state = [1, 1, "h", "w"], [1, BLOCK * BLOCK, "h4", "w4"]
    inputs = {"frame": picture, "full_scale": [], "strength": [], "previous_in": state}
    outputs = {"enhanced": picture, "previous_out": state}
    graph = helper.make_graph(
        g.nodes,
        f"handbuilt-{size}",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        g.constants,
    )
    model = helper.make_model(graph, producer_name="limpid-edge", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def _blocks(g: Graph, level: str) -> tuple[str, str]:
    """The picture as 4x4 blocks: with two blocks of its own edge around it, and without."""
    # A border of the edge's own pixels, so that no patch ever sees a made-up one.
    border = g.constant("border", np.array([0, 0, 8, 8, 0, 0, 8, 8], np.int64))
    padded = g.op("Pad", [level, border], "padded", mode="edge")
    blocks = g.op("SpaceToDepth", [padded], "blocks", blocksize=BLOCK)
    ends = [np.array([2, 2]), np.array([-2, -2]), np.array([2, 3])]
    cut = [g.constant(n, e.astype(np.int64)) for n, e in zip(("first", "last", "axes"), ends, strict=True)]
    return blocks, g.op("Slice", [blocks, *cut], "inner")


def _grain(g: Graph, blocks: str, count: int) -> str:
    """What the transform shrinkage takes away."""
    forward, inverse = transform_weights(count)
    pixels = g.quantised(blocks, 1.0, "pixels")
    patterns = g.op("Conv", [pixels, g.int8_weights(forward, "forward")], "patterns", kernel_shape=[3, 3])
    small = g.quantised(patterns, THRESHOLD, "small")
    return g.op("Conv", [small, g.int8_weights(inverse, "inverse")], "grain", kernel_shape=[3, 3])


def _steadied(g: Graph, calm: str) -> str:
    """Averaged with the past where nothing moved. The state is kept one higher, so that 0 means: no past."""
    one = g.constant("one", np.float32(1))
    past = g.op("Sub", ["previous_in", one], "past")
    news = g.op("Sub", [calm, past], "news")
    near = g.quantised(news, 4 * STILL, "near")
    local = g.op("Conv", [near, g.int8_weights(neighbourhood(), "box")], "local", kernel_shape=[3, 3], pads=[1] * 4)
    rate = g.constant("rate", np.float32(MEMORY / STILL))
    moved = g.op("Mul", [g.op("Abs", [local], "distance"), rate], "moved")
    kept = g.op("Sub", [g.constant("memory", np.float32(MEMORY)), moved], "kept")
    gate = g.op("Max", [kept, g.constant("nothing", np.float32(0))], "gate")
    steady = g.op("Sub", [calm, g.op("Mul", [news, gate], "held_back")], "steady")
    g.op("Add", [steady, one], "previous_out")
    return steady


def _output(g: Graph, level: str, change: str) -> None:
    """Strength scales the change, then back to whole levels inside the range: strength 0 is the input exactly."""
    mixed = g.op("Add", [level, g.op("Mul", [change, "strength"], "applied")], "mixed")
    levels = g.op("Mul", [mixed, "full_scale"], "levels")
    bounded = g.op("Min", [g.op("Max", [levels, "nothing"], "above"), "full_scale"], "bounded")
    g.op("Round", [bounded], "enhanced")


def kmac_per_px(size: str) -> float:
    forward, inverse = transform_weights(ALIGNMENTS[size])
    return (forward.size + inverse.size + neighbourhood().size) / BLOCK**2 / 1000


MANIFEST = """\
# Written by `python -m engines.handbuilt`.
contract = 1
name = "handbuilt-{size}"
family = "handbuilt"
size = "{size}"
version = "1"
task = "Grain and flicker reduction by transform shrinkage and motion-gated recursion"
modalities = ["ultrasound", "fluoroscopy", "unknown"]
model = "model.onnx"
sha256 = "{sha256}"
precision = "int8"
multiple = 4
kmac_per_px = {kmac:.2f}
licence = "Apache-2.0"
limits = "Hand-set weights, not trained and not judged: for trying the path, not for reading pictures."

[[state]]
name = "previous"
shape = [1, 16, "h/4", "w/4"]
"""


def write(folder: Path, size: str) -> Path:
    home = folder / f"handbuilt-{size}"
    home.mkdir(parents=True, exist_ok=True)
    model = build(size).SerializeToString()
    (home / "model.onnx").write_bytes(model)
    sha256 = hashlib.sha256(model).hexdigest()
    (home / "manifest.toml").write_text(MANIFEST.format(size=size, sha256=sha256, kmac=kmac_per_px(size)))
    return home


def main() -> None:
    for size in ALIGNMENTS:
        home = write(Path(__file__).parent, size)
        print(f"{home.name}: {(home / 'model.onnx').stat().st_size / 1000:.0f} kB, {kmac_per_px(size):.2f} kMAC/px")


if __name__ == "__main__":
    main()
