"""A wary engine differs from what it was in one number, in both of its files."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed: engines cannot be changed here")

import onnx
from onnx import numpy_helper

from calibration import wary
from edge.catalog import shipped_folder


@pytest.mark.parametrize("name", ["model.onnx", "fp32.onnx"])
def test_only_the_bias_of_what_has_moved_is_raised(name: str) -> None:
    before = (shipped_folder() / "ultrasound-clarity-small" / name).read_bytes()
    first, second = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load_model_from_string(model).graph.initializer}
        for model in (before, wary.raised(before, 0.25))
    )
    assert second[wary.BIAS] == pytest.approx(first[wary.BIAS] + 0.25, abs=1e-6)
    assert all((second[key] == value).all() for key, value in first.items() if key != wary.BIAS)
