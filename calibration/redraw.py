"""Draw a trained engine's files anew with the weights and ranges it has. `python -m calibration.redraw NAME`.

For when a net's drawing has gained something that needs no training, such as the evening of a tube's flicker. Of a
drawing that has not changed the same bytes come out. What the recipe adds is written down in `calibration.json`; then
the engine has to be judged again.
"""

from __future__ import annotations

import argparse
import json

try:
    from calibration.manifest import manifest_text
    from calibration.quantize import load_float, set_limits
    from calibration.trim import outdated
except ModuleNotFoundError as error:
    raise SystemExit(f"drawing anew needs {error.name}: pip install 'limpid-edge[train]'") from error

from edge.catalog import float_twin, read_engine
from edge.errors import EngineRefused
from engines import export
from engines.folder import MANIFEST, write_files
from engines.recipes import RECIPES, Recipe
from engines.train import HOME

DRAWN = ("evens", "memory")  # what a recipe may change of a drawing whose weights stay as they are


def redraw(recipe: Recipe) -> bool:
    """Whether anything came out otherwise than it was."""
    home = HOME / recipe.name
    engine = read_engine(home)
    model_before, twin_before = engine.read_model(), float_twin(engine).read_model()
    told = json.loads((home / "calibration.json").read_text())
    net = load_float(recipe, twin_before)
    set_limits(net, told["limits"])
    model = export.int8_model(net, recipe).SerializeToString()
    twin = export.float_model(net, recipe).SerializeToString()
    if (model, twin) == (model_before, twin_before):
        return False
    tuned, now = told["recipe"], {name: getattr(recipe, name) for name in DRAWN}
    told["redrawn"] = {name: value for name, value in now.items() if value != tuned.get(name, getattr(Recipe, name))}
    drawn = {"model.onnx": model, "fp32.onnx": twin, MANIFEST: manifest_text(recipe, net, model, twin).encode()}
    write_files(home, drawn | {"calibration.json": (json.dumps(told, indent=1) + "\n").encode()})
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("name", choices=sorted(RECIPES))
    name: str = parser.parse_args().name
    try:
        again = redraw(RECIPES[name])
    except EngineRefused as error:
        raise SystemExit(str(error)) from error
    print(f"{name}: drawn anew\n{outdated(RECIPES[name])}" if again else f"{name}: the same as it was")


if __name__ == "__main__":
    main()
