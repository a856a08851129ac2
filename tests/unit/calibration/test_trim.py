"""A trimmed engine differs from what it was in the named biases alone, in both of its files."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed: engines cannot be changed here")

import numpy as np
import onnx
from onnx import numpy_helper

from calibration import redraw, trim
from edge import bundle
from edge.catalog import read_engine, shipped_folder
from edge.errors import EngineRefused
from edge.signing import make_key
from engines.recipes import RECIPES

NAME = "ultrasound-clarity-small"


def numbers(model: bytes) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load_model_from_string(model).graph.initializer}


@pytest.mark.parametrize("name", ["model.onnx", "fp32.onnx"])
def test_only_the_named_biases_are_raised(name: str) -> None:
    before = (shipped_folder() / NAME / name).read_bytes()
    first, second = numbers(before), numbers(trim.raised(before, trim.Trim(wary=0.25, calm=-0.5, fine=0.125)))
    assert first.keys() == second.keys() > {"moved.bias", "calm_fine.bias", "calm_coarse.bias"}
    for key, value in first.items():
        more = {"moved.bias": 0.25, "calm_fine.bias": -0.375, "calm_coarse.bias": -0.5}.get(key, 0.0)
        assert second[key] == pytest.approx(value + more, abs=1e-6)


@pytest.mark.parametrize("name", ["model.onnx", "fp32.onnx"])
def test_of_a_veil_so_much_is_lifted_and_nothing_else_changes(name: str) -> None:
    before = (shipped_folder() / NAME / name).read_bytes()
    first, second = numbers(before), numbers(trim.raised(before, trim.Trim(lift=0.5)))
    changed = {key for key, value in first.items() if not np.array_equal(value, second[key])}
    assert changed == {"veil.head.bias", "veil.head.weight_scale" if name == "model.onnx" else "veil.head.weight"}
    for key in changed:
        assert second[key] == pytest.approx(0.5 * first[key], abs=1e-7)


@pytest.mark.parametrize("name", ["model.onnx", "fp32.onnx"])
def test_files_that_the_manifest_does_not_vouch_for_are_not_trimmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Such as a twin that was trained anew, and not brought to INT8 since."""
    home = tmp_path / NAME
    shutil.copytree(shipped_folder() / NAME, home)
    monkeypatch.setattr(trim, "HOME", tmp_path)
    (home / name).write_bytes(trim.raised((home / name).read_bytes(), trim.Trim(wary=0.1, calm=0.1)))
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    monkeypatch.setattr(sys, "argv", ["trim", NAME, "--calm", "0.1"])
    with pytest.raises(SystemExit, match=f"{name} is damaged or altered"):
        trim.main()
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def test_a_veil_that_was_lifted_less_can_be_drawn_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shipped_folder() / NAME, tmp_path / NAME)
    for module in (trim, redraw):
        monkeypatch.setattr(module, "HOME", tmp_path)
    trim.trim(RECIPES[NAME], trim.Trim(lift=0.7))
    assert redraw.redraw(RECIPES[NAME]) is False


@pytest.mark.parametrize("more", [["--lift", "0"], ["--lift", "3"], []])
def test_a_lift_that_is_none_is_refused(
    more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trim, "trim", pytest.fail)
    for name, asked in ((NAME, more), ("fluoroscopy-clarity-small", more or ["--lift", "0.8"])):
        monkeypatch.setattr(sys, "argv", ["trim", name, *asked])
        with pytest.raises(SystemExit) as left:
            trim.main()
        assert left.value.code == 2
        assert "--lift" in capsys.readouterr().err


@pytest.mark.parametrize("amount", ["nan", "inf", "-inf", "much"])
def test_what_is_no_finite_number_is_refused(
    amount: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trim, "trim", pytest.fail)
    monkeypatch.setattr(sys, "argv", ["trim", NAME, f"--calm={amount}"])
    with pytest.raises(SystemExit) as left:
        trim.main()
    assert left.value.code == 2
    assert "--calm" in capsys.readouterr().err


def test_no_bundle_is_made_of_a_trimmed_engine_with_the_figures_of_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / NAME
    shutil.copytree(shipped_folder() / NAME, home)
    monkeypatch.setattr(trim, "HOME", tmp_path)
    signer = make_key(tmp_path / "key")
    bundle.pack(NAME, "1", 1, {path.name: path.read_bytes() for path in home.iterdir()}, signer)
    trim.trim(RECIPES[NAME], trim.Trim(calm=0.1))
    assert "calibration.judge" in capsys.readouterr().out
    with pytest.raises(EngineRefused, match=r"judged\.json tells of another model"):
        bundle.pack(NAME, "1", 1, {path.name: path.read_bytes() for path in home.iterdir()}, signer)


def test_a_trimmed_engine_is_whole_and_says_by_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(shipped_folder() / NAME, tmp_path / NAME)
    monkeypatch.setattr(trim, "HOME", tmp_path)
    told = json.loads((tmp_path / NAME / "calibration.json").read_text()).get("trimmed", {"wary": 0.0, "calm": 0.0})
    trim.trim(RECIPES[NAME], trim.Trim(wary=0.25, calm=0.5, coarse=0.5))
    trim.trim(RECIPES[NAME], trim.Trim(calm=-0.25, coarse=-0.5))
    assert json.loads((tmp_path / NAME / "calibration.json").read_text())["trimmed"] == told | {
        "wary": pytest.approx(told["wary"] + 0.25),
        "calm": pytest.approx(told["calm"] + 0.25),
    }
    was, now = (read_engine(folder / NAME) for folder in (shipped_folder(), tmp_path))
    assert now.manifest.sha256 != was.manifest.sha256
    after = numbers((tmp_path / NAME / "model.onnx").read_bytes())
    before = numbers((shipped_folder() / NAME / "model.onnx").read_bytes())
    for key in trim.Trim().biases:
        assert after[key] == pytest.approx(before[key] + 0.25, abs=1e-5)
