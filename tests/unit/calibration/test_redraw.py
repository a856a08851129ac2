"""An engine's files drawn anew: the same bytes from the same drawing, and a changed drawing is written down."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed: engines cannot be changed here")

import onnx

from calibration import redraw, trim
from edge.catalog import read_engine, shipped_folder
from engines.recipes import RECIPES

NAME = "ultrasound-clarity-small"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(redraw, "HOME", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_what_has_not_changed_comes_out_byte_for_byte(home: Path, name: str) -> None:
    shutil.copytree(shipped_folder() / name, home / name)
    assert redraw.redraw(RECIPES[name]) is False
    for file in ("model.onnx", "fp32.onnx", "manifest.toml", "calibration.json"):
        assert (home / name / file).read_bytes() == (shipped_folder() / name / file).read_bytes()


@pytest.mark.parametrize("name", ["model.onnx", "fp32.onnx"])
def test_files_that_the_manifest_does_not_vouch_for_are_not_drawn_anew(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(shipped_folder() / NAME, home / NAME)
    file = home / NAME / name
    file.write_bytes(trim.raised(file.read_bytes(), trim.Trim(wary=0.1, calm=0.1)))
    before = {path.name: path.read_bytes() for path in (home / NAME).iterdir()}
    monkeypatch.setattr(sys, "argv", ["redraw", NAME])
    with pytest.raises(SystemExit, match=f"{name} is damaged or altered"):
        redraw.main()
    assert {path.name: path.read_bytes() for path in (home / NAME).iterdir()} == before


def test_what_a_recipe_adds_is_drawn_and_written_down(home: Path) -> None:
    shutil.copytree(shipped_folder() / NAME, home / NAME)
    assert redraw.redraw(dataclasses.replace(RECIPES[NAME], evens=True)) is True
    assert json.loads((home / NAME / "calibration.json").read_text())["redrawn"] == {"evens": True}
    was, now = (read_engine(folder / NAME) for folder in (shipped_folder(), home))
    assert now.manifest.sha256 != was.manifest.sha256
    graphs = [onnx.load_model_from_string(engine.read_model()).graph for engine in (was, now)]
    weights = [{t.name: t.raw_data for t in graph.initializer} for graph in graphs]
    assert weights[0].items() <= weights[1].items()
    assert len(graphs[1].node) > len(graphs[0].node)
