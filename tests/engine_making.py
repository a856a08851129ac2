"""Engines of other versions and of odd behaviour, made from the hand-built one; bundles of them. Not a test itself."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge import bundle
from edge.catalog import Engine, read_engine, shipped_folder
from edge.engine_store import EngineStore
from edge.signing import Keyring, Signer

NAME = "handbuilt-small"
FRAMES_UNTIL_NAN = 8
FAR_TOO_SLOW = 56  # channels of nothing: longer than a frame has


def make_version(parent: Path, version: str, odd: str = "", name: str = NAME, channels: int = FAR_TOO_SLOW) -> Engine:
    """The hand-built engine under another version, with another model. ODD: "nan" (now and then), "slow" (by how much
    is said by CHANNELS, and grows with their square)."""
    home = parent / name
    shutil.copytree(shipped_folder() / NAME, home)
    model = onnx.load(str(home / "model.onnx"))
    model.doc_string = f"version {version}"
    more = ""
    if odd == "nan":
        _spoil(model)
        more = '\n[[state]]\nname = "count"\nshape = [1, 1, 1, 1]\n'
    if odd == "slow":
        _slow_down(model, channels)
    content = model.SerializeToString()
    (home / "model.onnx").write_bytes(content)
    manifest = (home / "manifest.toml").read_text()
    old = hashlib.sha256((shipped_folder() / NAME / "model.onnx").read_bytes()).hexdigest()
    manifest = manifest.replace(old, hashlib.sha256(content).hexdigest())
    manifest = manifest.replace(f'name = "{NAME}"', f'name = "{name}"')
    (home / "manifest.toml").write_text(manifest.replace('version = "1"', f'version = "{version}"') + more)
    return read_engine(home)


def make_judged(parent: Path, version: str) -> Engine:
    """The hand-built engine as one that a judge found safe: for trying the path, as all of it."""
    made = make_version(parent, version)
    with (made.folder / "manifest.toml").open("a") as manifest:
        manifest.write(f'\n[judged]\nsha256 = "{made.manifest.sha256}"\njudge = "a test"\nfull = true\n')
        manifest.write("[judged.gates]\nno_ghost = true\n")
    return read_engine(made.folder)


def make_unsafe(parent: Path) -> Engine:
    """The hand-built engine as one that a judge found wanting."""
    made = make_version(parent, "3")
    judged = f'\n[judged]\nsha256 = "{made.manifest.sha256}"\njudge = "a judge"\nfull = true\n'
    with (made.folder / "manifest.toml").open("a") as manifest:
        manifest.write(judged + "[judged.gates]\nno_ghost = false\n")
    return made


def _spoil(model: onnx.ModelProto) -> None:
    """After some frames without a new start: NaN."""
    graph = model.graph
    _rename_result(graph, "calm")
    graph.input.append(helper.make_tensor_value_info("count_in", TensorProto.FLOAT, [1, 1, 1, 1]))
    graph.output.append(helper.make_tensor_value_info("count_out", TensorProto.FLOAT, [1, 1, 1, 1]))
    graph.initializer.extend(
        numpy_helper.from_array(np.full((1, 1, 1, 1), value, np.float32), name)
        for name, value in (("one", 1), ("limit", FRAMES_UNTIL_NAN), ("nan", np.nan))
    )
    graph.node.extend(
        [
            helper.make_node("Add", ["count_in", "one"], ["count_out"]),
            helper.make_node("Greater", ["count_in", "limit"], ["spoilt"]),
            helper.make_node("Where", ["spoilt", "nan", "calm"], ["enhanced"]),
        ]
    )


def _slow_down(model: onnx.ModelProto, channels: int) -> None:
    """The same picture, after convolutions that come to nothing."""
    graph = model.graph
    _rename_result(graph, "idle_quick")
    rng = np.random.default_rng(1)
    shapes = {"first": (channels, 1, 5, 5), "second": (channels, channels, 7, 7), "third": (1, channels, 5, 5)}
    for name, shape in ((f"idle_{place}", shape) for place, shape in shapes.items()):
        graph.initializer.append(numpy_helper.from_array((rng.normal(size=shape) * 1e-6).astype(np.float32), name))
    same = {"auto_pad": "SAME_UPPER"}
    graph.node.extend(
        [
            helper.make_node("Conv", ["frame", "idle_first"], ["idle_wide"], **same),
            helper.make_node("Conv", ["idle_wide", "idle_second"], ["idle_wider"], **same),
            helper.make_node("Conv", ["idle_wider", "idle_third"], ["idle_narrow"], **same),
            helper.make_node("Abs", ["idle_narrow"], ["idle_tiny"]),
            helper.make_node("Floor", ["idle_tiny"], ["idle_nothing"]),
            helper.make_node("Add", ["idle_quick", "idle_nothing"], ["enhanced"]),
        ]
    )


def _rename_result(graph: onnx.GraphProto, name: str) -> None:
    for node in graph.node:
        for n, output in enumerate(node.output):
            if output == "enhanced":
                node.output[n] = name


def packed(engine: Engine, signer: Signer) -> bytes:
    files = {path.name: path.read_bytes() for path in engine.folder.iterdir()}
    manifest = engine.manifest
    return bundle.pack(manifest.name, manifest.version, manifest.contract, files, signer)


def store_at(root: Path) -> EngineStore:
    return EngineStore(root, Keyring(root / ".keys"), "test")


def put(store: EngineStore, engine: Engine) -> Path:
    """As a calibration installs: without a signature."""
    files = {path.name: path.read_bytes() for path in engine.folder.iterdir()}
    return store.put_files(engine.manifest.name, engine.manifest.version, files)
