"""Make a recurrent engine readier to take a pixel for moved. `python -m calibration.wary NAME --by 0.3`.

A ghost that is a little too strong needs no new training: one number for all pixels, added before the sigmoid that
says how surely a pixel has moved, trades a little calm for it. The same number goes into the INT8 file and its float
twin, is written down in `calibration.json`, and the engine has to be judged again.
"""

from __future__ import annotations

import argparse
import json

import onnx
from onnx import numpy_helper

from calibration.manifest import manifest_text
from calibration.quantize import load_float
from engines.recipes import RECIPES, Recipe
from engines.train import HOME

BIAS = "moved.bias"


def raised(model: bytes, by: float) -> bytes:
    """The same file with another bias in that one head."""
    graph = onnx.load_model_from_string(model)
    (bias,) = (tensor for tensor in graph.graph.initializer if tensor.name == BIAS)
    bias.CopyFrom(numpy_helper.from_array((numpy_helper.to_array(bias) + by).astype("float32"), BIAS))
    return graph.SerializeToString()


def make_wary(recipe: Recipe, by: float) -> None:
    home = HOME / recipe.name
    model, twin = (raised((home / name).read_bytes(), by) for name in ("model.onnx", "fp32.onnx"))
    told = json.loads((home / "calibration.json").read_text())
    told["moved_bias_raised_by"] = round(told.get("moved_bias_raised_by", 0.0) + by, 4)
    (home / "model.onnx").write_bytes(model)
    (home / "fp32.onnx").write_bytes(twin)
    (home / "calibration.json").write_text(json.dumps(told, indent=1) + "\n")
    (home / "manifest.toml").write_text(manifest_text(recipe, load_float(recipe, twin), model, twin))
    print(f"{recipe.name}: raised by {told['moved_bias_raised_by']:g} in all; judge it again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", choices=sorted(name for name, recipe in RECIPES.items() if recipe.task != "superres"))
    parser.add_argument("--by", type=float, default=0.3)
    options = parser.parse_args()
    make_wary(RECIPES[options.name], options.by)


if __name__ == "__main__":
    main()
