"""Trim a trained recurrent engine, without training. `python -m calibration.trim NAME --wary 0.3 --calm 0.2`.

Two trades that a net has found for itself can be moved a little afterwards, each by one number that is the same for all
pixels and is added before a sigmoid:

- `--wary`: how readily a pixel is taken for moved. More leaves a weaker ghost and more grain, less averages longer.
- `--calm`: how much grain is taken away. More calms speckle further and costs faint lesions some of their contrast.

The same numbers go into the INT8 file and its float twin and are written down in `calibration.json`; then the engine
has to be judged again, and built for a GPU: where a sigmoid is driven far, FP16 may decide a pixel otherwise, and the
build refuses that.
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


def raised(model: bytes, wary: float, calm: float) -> bytes:
    """The same file with these two kinds of biases raised."""
    graph = onnx.load_model_from_string(model)
    for bias in graph.graph.initializer:
        by = wary if is_wary(bias.name) else calm if is_calm(bias.name) else 0.0
        if by:
            more = numpy_helper.to_array(bias) + by
            bias.CopyFrom(numpy_helper.from_array(more.astype("float32"), bias.name))
    return graph.SerializeToString()


def is_wary(name: str) -> bool:
    return name == "moved.bias"


def is_calm(name: str) -> bool:
    """Of fine grain and of coarse."""
    return name.startswith("calm_") and name.endswith(".bias")


def trim(recipe: Recipe, wary: float, calm: float) -> None:
    home = HOME / recipe.name
    model, twin = (raised((home / name).read_bytes(), wary, calm) for name in ("model.onnx", "fp32.onnx"))
    told = json.loads((home / "calibration.json").read_text())
    before = told.get("trimmed", {})
    told["trimmed"] = {name: round(before.get(name, 0.0) + more, 4) for name, more in (("wary", wary), ("calm", calm))}
    (home / "model.onnx").write_bytes(model)
    (home / "fp32.onnx").write_bytes(twin)
    (home / "calibration.json").write_text(json.dumps(told, indent=1) + "\n")
    (home / "manifest.toml").write_text(manifest_text(recipe, load_float(recipe, twin), model, twin))
    print(f"{recipe.name}: trimmed by {told['trimmed']} in all; judge it again, and see that FP16 keeps it (the build)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", choices=sorted(name for name, recipe in RECIPES.items() if recipe.task != "superres"))
    parser.add_argument("--wary", type=float, default=0.0, help="readier to take a pixel for moved; tenths, either way")
    parser.add_argument("--calm", type=float, default=0.0, help="takes more grain away; tenths, either way")
    options = parser.parse_args()
    if options.wary == options.calm == 0:
        parser.error("by how much? --wary, --calm or both")
    trim(RECIPES[options.name], options.wary, options.calm)


if __name__ == "__main__":
    main()
