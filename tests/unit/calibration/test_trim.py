"""A trimmed engine differs from what it was in the named biases alone, in both of its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed: engines cannot be changed here")

import numpy as np
import onnx
from onnx import numpy_helper

from calibration import trim
from edge.catalog import read_engine, shipped_folder
from engines.recipes import RECIPES

NAME = "ultrasound-clarity-small"


def numbers(model: bytes) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(model).graph.initializer}


@pytest.mark.parametrize("name", ["model.onnx", "fp32.onnx"])
def test_only_the_named_biases_are_raised(name: str) -> None:
    before = (shipped_folder() / NAME / name).read_bytes()
    first, second = numbers(before), numbers(trim.raised(before, wary=0.25, calm=-0.5))
    assert first.keys() == second.keys() > {"moved.bias", "calm_fine.bias", "calm_coarse.bias"}
    for key, value in first.items():
        calm = key.startswith("calm_") and key.endswith(".bias")
        more = 0.25 if key == "moved.bias" else -0.5 if calm else 0.0
        assert second[key] == pytest.approx(value + more, abs=1e-6)


def test_a_trimmed_engine_is_whole_and_says_by_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shipped_folder() / NAME, tmp_path / NAME)
    monkeypatch.setattr(trim, "HOME", tmp_path)
    told = json.loads((tmp_path / NAME / "calibration.json").read_text()).get("trimmed", {"wary": 0.0, "calm": 0.0})
    trim.trim(RECIPES[NAME], wary=0.25, calm=0.5)
    trim.trim(RECIPES[NAME], wary=0.0, calm=-0.25)
    assert json.loads((tmp_path / NAME / "calibration.json").read_text())["trimmed"] == {
        "wary": pytest.approx(told["wary"] + 0.25),
        "calm": pytest.approx(told["calm"] + 0.25),
    }
    was, now = (read_engine(folder / NAME) for folder in (shipped_folder(), tmp_path))
    assert now.manifest.sha256 != was.manifest.sha256
    after = numbers((tmp_path / NAME / "model.onnx").read_bytes())
    before = numbers((shipped_folder() / NAME / "model.onnx").read_bytes())
    for key in filter(lambda name: trim.is_wary(name) or trim.is_calm(name), before):
        assert after[key] == pytest.approx(before[key] + 0.25, abs=1e-5)
