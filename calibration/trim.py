"""Trim a trained recurrent engine, without training. `python -m calibration.trim NAME --wary 0.3 --calm 0.2`.

Two trades that a net has found for itself can be moved a little afterwards, each by a number that is the same for all
pixels and is added before a sigmoid:

- `--wary`: how readily a pixel is taken for moved. More leaves a weaker ghost and more grain, less averages longer.
- `--calm`: how much grain is taken away. More calms speckle further and costs faint lesions some of their contrast.
  `--fine` and `--coarse` move one of both filters only: most of speckle is coarse, most of a needle's edge is fine.

And of the veil that is lifted from ultrasound (`engines/veil.py`) less can be taken: `--lift 0.8`, four fifths of it.
Where something has just passed the veil is told less surely than elsewhere.

The same numbers go into the INT8 file and its float twin and are written down in `calibration.json`; then the engine
has to be judged again, and built for a GPU: where a sigmoid is driven far, FP16 may decide a pixel otherwise, and the
build refuses that.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

try:
    import onnx
    from onnx import numpy_helper

    from calibration.manifest import manifest_text
    from calibration.quantize import load_float
except ModuleNotFoundError as error:
    raise SystemExit(f"trimming needs {error.name}: pip install 'limpid-edge[train]'") from error

from edge.catalog import float_twin, read_engine
from edge.errors import EngineRefused
from engines.folder import MANIFEST, write_files
from engines.recipes import RECIPES, Recipe
from engines.train import HOME


@dataclass(frozen=True)
class Trim:
    """By how much biases are raised, and how much of a veil is lifted."""

    wary: float = 0.0
    calm: float = 0.0
    fine: float = 0.0  # beside `calm`
    coarse: float = 0.0
    lift: float = 1.0

    @property
    def biases(self) -> dict[str, float]:
        return {
            "moved.bias": self.wary,
            "calm_fine.bias": self.calm + self.fine,
            "calm_coarse.bias": self.calm + self.coarse,
        }

    def after(self, before: Mapping[str, float]) -> dict[str, float]:
        """In all, as `calibration.json` tells it: what nobody has moved is left out, but the first two."""
        told = {name: round(before.get(name, 0.0) + more, 4) for name, more in asdict(self).items() if name != "lift"}
        told["lift"] = round(before.get("lift", 1.0) * self.lift, 4)
        return {name: by for name, by in told.items() if name in ("wary", "calm") or by != getattr(Trim, name)}


def raised(model: bytes, trim: Trim) -> bytes:
    """The same file with these biases raised, and so much of the veil lifted."""
    graph = onnx.load_model_from_string(model)
    for held in graph.graph.initializer:
        by = trim.biases.get(held.name, 0.0)
        times = trim.lift if is_lift(held.name) else 1.0
        if by or times != 1:
            changed = numpy_helper.to_array(held) * times + by
            held.CopyFrom(numpy_helper.from_array(changed.astype("float32"), held.name))
    return graph.SerializeToString()


def with_steps_of(model: bytes, twin: bytes) -> bytes:
    """INT8's steps of a lifted veil as float weights tell them, to the last bit: or it could not be drawn anew."""
    graph = onnx.load_model_from_string(model)
    weights = {held.name: numpy_helper.to_array(held) for held in onnx.load_model_from_string(twin).graph.initializer}
    for held in graph.graph.initializer:
        if held.name == "veil.head.weight_scale":
            steps = np.abs(weights["veil.head.weight"]).reshape(1, -1).max(1) / np.float32(127)
            held.CopyFrom(numpy_helper.from_array(steps.astype(np.float32), held.name))
    return graph.SerializeToString()


def is_lift(name: str) -> bool:
    """What a veil's last layer is multiplied by: of INT8 weights their steps."""
    return name in ("veil.head.weight", "veil.head.weight_scale", "veil.head.bias")


def trim(recipe: Recipe, by: Trim) -> None:
    home = HOME / recipe.name
    engine = read_engine(home)
    model, twin = (raised(one.read_model(), by) for one in (engine, float_twin(engine)))
    if by.lift != 1:
        model = with_steps_of(model, twin)
    told = json.loads((home / "calibration.json").read_text())
    told["trimmed"] = by.after(told.get("trimmed", {}))
    manifest = manifest_text(recipe, load_float(recipe, twin), model, twin)
    drawn = {"model.onnx": model, "fp32.onnx": twin, MANIFEST: manifest.encode()}
    write_files(home, drawn | {"calibration.json": (json.dumps(told, indent=1) + "\n").encode()})
    print(f"{recipe.name}: trimmed by {told['trimmed']} in all; see that FP16 keeps it (the build)\n{outdated(recipe)}")


def outdated(recipe: Recipe) -> str:
    """What is left to do where the files of a judged engine have changed."""
    return (
        "CARD.md, judged.json and profile.json still tell of the model before, and no bundle is made with them: "
        f"python -m calibration.judge {recipe.name} --write; python -m calibration.profile {recipe.name}"
    )


def finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is no finite number")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", choices=sorted(name for name, recipe in RECIPES.items() if recipe.task != "superres"))
    parser.add_argument(
        "--wary", type=finite, default=0.0, help="readier to take a pixel for moved; tenths, either way"
    )
    parser.add_argument("--calm", type=finite, default=0.0, help="takes more grain away; tenths, either way")
    parser.add_argument("--fine", type=finite, default=0.0, help="the same, of fine grain only")
    parser.add_argument("--coarse", type=finite, default=0.0, help="the same, of coarse grain only")
    parser.add_argument(
        "--lift", type=finite, default=1.0, help="part of the veil that is lifted, of what is now; ultrasound"
    )
    options = parser.parse_args()
    by = Trim(options.wary, options.calm, options.fine, options.coarse, options.lift)
    if by == Trim():
        parser.error("by how much? --wary, --calm, --fine, --coarse, --lift or several")
    if not 0 < options.lift <= 2:
        parser.error("--lift is a part of what is lifted now, up to twice as much")
    if options.lift != 1 and RECIPES[options.name].task != "ultrasound":
        parser.error(f"--lift: {options.name} has no veil")
    try:
        trim(RECIPES[options.name], by)
    except EngineRefused as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
