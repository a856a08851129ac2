"""The table that decides what may go live on a device: what was found, what could not be, and what is chosen."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")

import onnx
from onnx import numpy_helper

from edge import verification
from edge.backends import Backend, Shape, open_backend
from edge.catalog import Engine, read_engine, shipped_folder
from edge.errors import ConfigError, EngineRefused
from edge.plans import PlanCache
from edge.reference_frames import REFERENCE, reference_frames, usual_shape
from edge.verification import Verification, apart, verify_engine
from tests.fake_gpu import on_fake_gpu

TRAINED = read_engine(shipped_folder() / "ultrasound-clarity-small")
PLAIN = read_engine(shipped_folder() / "handbuilt-small")
SHAPE = Shape(96, 128, 8)


@pytest.fixture
def opener(tmp_path: Path):
    def open_one(kind: str) -> Backend:
        return on_fake_gpu(PlanCache(tmp_path)) if kind == "tensorrt_int8" else open_backend(kind, 1)

    return open_one


def verified(engine: Engine, opener, **more) -> Verification:
    return verify_engine(engine, shape=SHAPE, frames=4, timed=20, opener=opener, **more)


def row(found: Verification, start: str) -> verification.Row:
    (one,) = (row for row in found.rows if row.check.startswith(start))
    return one


def test_a_device_that_shows_what_openvino_shows_passes(opener) -> None:
    found = verified(TRAINED, opener)
    for check in ("int8 file: parity", "fp32 file: parity", "INT8 against", "strength 0", "int8: prepared"):
        assert row(found, check).met, row(found, check)
    assert found.passed
    assert found.chosen_precision == ("int8" if row(found, "INT8 faster").met else "fp16")
    assert found.chosen_precision in found.verdict


def test_speed_alone_chooses_between_two_that_are_right(opener, monkeypatch: pytest.MonkeyPatch) -> None:
    for slow, chosen in ((0, "fp16"), (1, "int8")):  # which of the two takes longer

        def times(sessions, frames, count, slow=slow):
            return [[9_000_000 if index == slow else 3_000_000] * count for index in range(len(sessions))]

        monkeypatch.setattr(verification, "timed_in_turn", times)
        found = verified(TRAINED, opener)
        assert found.chosen_precision == chosen
        assert found.passed


@pytest.mark.parametrize(
    ("p50", "p99", "chosen"),
    [((3, 9), (20, 12), "int8"), ((9, 3), (12, 20), "int8"), ((3, 9), (12, 20), "int8"), ((9, 3), (20, 12), "fp32")],
    ids=["at the median alone", "at p99 alone", "at both", "at neither"],
)
def test_int8_is_slower_only_where_median_and_p99_are(
    opener, monkeypatch: pytest.MonkeyPatch, p50: tuple[int, int], p99: tuple[int, int], chosen: str
) -> None:
    """Milliseconds of INT8 and of float."""

    def times(sessions, frames, count):
        return [[usual * 1_000_000] * 19 + [worst * 1_000_000] for usual, worst in zip(p50, p99, strict=True)]

    monkeypatch.setattr(verification, "timed_in_turn", times)
    assert verified(TRAINED, opener, backend="openvino_cpu").chosen_precision == chosen


def with_another_twin(tmp_path: Path, change: Callable[[onnx.ModelProto], None]) -> Engine:
    """The trained engine, its float twin changed, and the manifest put in order."""
    home = tmp_path / "engine"
    shutil.copytree(TRAINED.folder, home)
    twin = onnx.load(home / "fp32.onnx")
    change(twin)
    (home / "fp32.onnx").write_bytes(twin.SerializeToString())
    manifest, digest = home / "manifest.toml", hashlib.sha256((home / "fp32.onnx").read_bytes()).hexdigest()
    manifest.write_text(manifest.read_text().replace(TRAINED.manifest.fp32_sha256, digest))
    return read_engine(home)


def takes_all_grain_away(twin: onnx.ModelProto) -> None:
    for bias in twin.graph.initializer:
        if bias.name.startswith("calm_") and bias.name.endswith(".bias"):
            bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(8), bias.name))


@pytest.mark.parametrize("backend", ["openvino_cpu", "tensorrt_int8"])
def test_a_twin_that_the_judged_int8_file_does_not_belong_to_lets_nothing_be_activated(
    opener, tmp_path: Path, backend: str
) -> None:
    found = verified(with_another_twin(tmp_path, takes_all_grain_away), opener, backend=backend)
    assert (found.passed, found.chosen_precision) == (False, "")
    assert "do not belong together" in found.verdict


def always_changes_a_little(twin: onnx.ModelProto) -> None:
    """No strength is taken for less than three tenths."""
    graph = twin.graph
    for node in graph.node:
        node.input[:] = ["no_less" if name == "strength" else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array(0.3, np.float32), "least"))
    graph.node.insert(0, onnx.helper.make_node("Max", ["strength", "least"], ["no_less"]))


def test_a_twin_that_changes_the_original_at_strength_0_is_never_chosen(
    opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "timed_in_turn", lambda *_: [[9_000_000] * 9, [3_000_000] * 9])
    engine = with_another_twin(tmp_path, always_changes_a_little)
    found = verified(engine, opener, backend="openvino_cpu")
    assert row(found, "float twin: strength 0").met is False
    assert row(found, "INT8 against").met
    assert found.chosen_precision == "int8"
    assert "fp32 does not show what it should" in found.verdict


class Brighter:
    """A device whose kernels are wrong: it adds to every level of one precision."""

    def __init__(self, inner: Backend, precision: str) -> None:
        self._inner, self._precision = inner, precision

    def open(self, engine, shape):
        session = self._inner.open(engine, shape)
        if session.id.precision == self._precision:
            plain = session.result
            session.result = lambda: np.minimum(plain().astype(np.int32) + 12, 255).astype(np.uint8)
        return session


@pytest.mark.parametrize(("wrong", "chosen"), [("int8", "fp16"), ("fp16", "")])
def test_a_precision_that_shows_something_else_is_never_chosen(opener, wrong: str, chosen: str) -> None:
    def open_one(kind: str) -> Backend:
        inner = opener(kind)
        return Brighter(inner, wrong) if kind == "tensorrt_int8" else inner

    found = verified(TRAINED, open_one)
    assert row(found, f"{'int8' if wrong == 'int8' else 'fp32'} file: parity").met is False
    assert found.chosen_precision == chosen


def test_an_engine_without_a_twin_that_is_wrong_has_nothing_to_fall_back_on(opener) -> None:
    found = verified(PLAIN, lambda kind: Brighter(opener(kind), "int8") if kind == "tensorrt_int8" else opener(kind))
    assert (found.chosen_precision, found.passed) == ("", False)
    assert "not to be activated" in found.verdict


def test_without_a_gpu_the_table_says_what_could_not_be_checked_and_nothing_passes() -> None:
    def none(kind: str) -> Backend:
        raise ConfigError("no NVIDIA GPU is here")

    found = verified(TRAINED, none)
    assert not found.passed
    assert {row.check for row in found.unchecked} >= {"parity with OpenVINO", "INT8 against float on this device"}
    assert all("no NVIDIA GPU" in row.why for row in found.unchecked if row.met is None and row.check.startswith("par"))
    assert row(found, "int8: prepared").met


def test_a_damaged_engine_fails_the_table_without_a_device(tmp_path: Path) -> None:
    home = tmp_path / "engine"
    shutil.copytree(PLAIN.folder, home)
    engine = read_engine(home)
    engine.model_path.write_bytes(engine.model_path.read_bytes()[:-40])

    def none(kind: str) -> Backend:
        raise ConfigError("no NVIDIA GPU is here")

    found = verified(engine, none)
    assert not found.passed
    assert "damaged or altered" in found.verdict


def test_on_the_cpu_the_same_table_compares_int8_with_float(opener) -> None:
    found = verified(TRAINED, opener, backend="openvino_cpu")
    assert row(found, "INT8 against fp32").met
    assert found.chosen_precision in ("int8", "fp32")
    assert row(found, "int8 file: parity").needed is False


def test_everything_of_the_table_is_in_the_json(opener) -> None:
    found = verified(PLAIN, opener)
    told = found.as_dict()
    assert [each["check"] for each in told["rows"]] == [each.check for each in found.rows]
    assert told["passed"] is found.passed


# ---------------------------------------------------------------- reference frames


def test_reference_frames_are_the_same_every_time_and_move() -> None:
    one, other = reference_frames(TRAINED, SHAPE, 3), reference_frames(TRAINED, SHAPE, 3)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[0], one[1])
    assert one[0].shape == (96, 128)


def test_fluoroscopy_has_twelve_bits_and_uses_them() -> None:
    engine = read_engine(shipped_folder() / "fluoroscopy-clarity-small")
    shape = Shape(96, 128, usual_shape(engine).bits)
    frames = reference_frames(engine, shape, 1)
    assert frames[0].dtype == np.uint16
    assert 255 < int(frames[0].max()) <= 4095


def with_frames(tmp_path: Path, **content) -> Engine:
    home = tmp_path / "engine"
    shutil.copytree(PLAIN.folder, home)
    np.savez(home / REFERENCE, **content)
    return read_engine(home)


def test_frames_that_came_with_the_engine_are_used(tmp_path: Path) -> None:
    frames = np.arange(2 * 64 * 72, dtype=np.uint16).reshape(2, 64, 72) % 4096
    engine = with_frames(tmp_path, frames=frames, bits=12)
    found = reference_frames(engine, Shape(480, 640, 12), 12)
    assert len(found) == 2
    assert np.array_equal(found[0], frames[0])
    assert reference_frames(engine, Shape(480, 640, 8), 1)[0].dtype == np.uint8


@pytest.mark.parametrize(
    "content", [{}, {"frames": np.zeros((2, 3)), "bits": 8}, {"frames": np.zeros((0, 8, 8), "u1"), "bits": 8}]
)
def test_frames_that_cannot_be_read_are_the_makers_fault(tmp_path: Path, content: dict) -> None:
    engine = with_frames(tmp_path, **content)
    with pytest.raises(EngineRefused, match=REFERENCE):
        reference_frames(engine, SHAPE, 2)


def test_difference_is_told_in_parts_of_full_scale() -> None:
    black, grey = [np.zeros((8, 8), np.uint8)], [np.full((8, 8), 51, np.uint8)]
    rms, worst = apart(black, grey, 255)
    assert rms == pytest.approx(0.2)
    assert worst == pytest.approx(0.2)
    assert apart(grey, grey, 255) == (0.0, 0.0)
