"""Float nets -> the INT8 engines that are shipped. `python -m calibration.quantize NAME... [--minutes M]`.

1. *Ranges.* Calibration clips, phantoms of fixed seeds that nothing else uses, run through the float net; each
   quantiser gets the limit that loses least (mean square) over the histogram of what passes it.
2. *Sensitivity.* Each layer is held to INT8 alone and what that costs is written down, so that a layer which does not
   bear it would be seen. Heads end in float; the recurrent average and the sum are in float.
3. *A short quantisation-aware run* on the training clips, INT8 in the forward pass.
4. `engines/NAME/model.onnx`, symmetric signed INT8 with zero point 0 everywhere, `calibration.json`, `manifest.toml`.
   The float twin becomes the same weights in float, so that the two differ by INT8 alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise SystemExit(f"bringing a net to INT8 needs {error.name}: pip install 'limpid-edge[train]'") from error

from calibration.manifest import manifest_text
from engines import export, nets
from engines.bank import clips
from engines.folder import MANIFEST, write_files
from engines.layers import Convolution, Quantiser, hold_to_int8
from engines.nets import Clarity, Upscale
from engines.recipes import RECIPES, Recipe
from engines.together import run_together
from engines.train import HOME, Training, common_options, modalities, open_vaults, parsed
from engines.vault import Vault
from engines.veil import Veil

FIRST_SEED, SCENES = 900_000, 16  # of the calibration phantoms: inside the training range, outside every bank
RATE = 2e-4
CANDIDATES = np.linspace(0.3, 1.0, 36)  # limits tried, as parts of the largest value seen
BINS = 2048

Clip: TypeAlias = tuple[Tensor, Tensor]  # shown and true: [crops, frames, h, w]


class CalibrationSet:
    """Clips of fixed seeds, each named by its hash."""

    def __init__(self, tasks: tuple[str, ...], device: torch.device) -> None:
        self.hashes: dict[str, str] = {}
        self.clips: list[Clip] = []
        for modality in tasks:
            for seed in range(FIRST_SEED, FIRST_SEED + SCENES):
                shown, true = clips(modality, seed)
                self.hashes[f"{modality}:{seed}"] = hashlib.sha256(shown.tobytes()).hexdigest()[:16]
                self.clips.append((_levels(shown, device), _levels(true, device)))


def _levels(clip: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(clip.astype(np.float32) / 65535).to(device)


def pictures(net: Clarity | Upscale, clip: Clip) -> Iterator[tuple[Tensor, Tensor]]:
    """What the net makes of one clip, frame by frame, beside the truth."""
    shown, true = clip
    state = None
    for number in range(shown.shape[1]):
        truth = true[:, number, None]
        if isinstance(net, Upscale):
            yield net(functional.avg_pool2d(truth, 2)), truth
        else:
            picture, state = net(shown[:, number, None], state)
            yield picture, truth


@torch.no_grad()
def psnr_db(net: Clarity | Upscale, clips: list[Clip]) -> float:
    """Over all but the first frames of every clip."""
    values: list[float] = []
    for clip in clips:
        for number, (picture, truth) in enumerate(pictures(net, clip)):
            if number >= 4:
                error = (picture.clamp(0, 1) - truth).square().mean(dim=(1, 2, 3))
                values += (-10 * torch.log10(error.clamp_min(1e-10))).tolist()
    return float(np.mean(values))


# --- ranges -------------------------------------------------------------------------------------------------


def fit_ranges(net: nn.Module, run: Callable[[], None]) -> dict[str, float]:
    """Give every quantiser, but those whose steps are the levels themselves, the limit that loses least of what passes
    it in a run.
    """
    seen: dict[str, list[Tensor]] = {}
    hooks = [
        module.register_forward_pre_hook(_collector(seen.setdefault(name, [])))
        for name, module in net.named_modules()
        if isinstance(module, Quantiser) and not module.by_design
    ]
    with torch.no_grad():
        run()
    for hook in hooks:
        hook.remove()
    limits = {name: best_limit(torch.cat(values).cpu().numpy()) for name, values in seen.items()}
    set_limits(net, limits)
    return limits


def set_limits(net: nn.Module, limits: Mapping[str, float]) -> None:
    for name, limit in limits.items():
        quantiser = net.get_submodule(name)
        assert isinstance(quantiser, Quantiser)
        quantiser.limit.fill_(limit)


def _collector(into: list[Tensor]) -> Any:
    def collect(_module: object, inputs: tuple[Tensor, ...]) -> None:
        flat = inputs[0].detach().flatten()
        into.append(torch.cat((flat[:: max(1, flat.numel() // 4000)], flat.max()[None])))

    return collect


def best_limit(values: np.ndarray) -> float:
    """The limit of a symmetric 8-bit quantiser that loses least over these values."""
    top = float(np.abs(values).max())
    if top == 0:
        return 1.0
    counts, edges = np.histogram(np.abs(values), bins=BINS, range=(0, top))
    middle = (edges[:-1] + edges[1:]) / 2
    limits = CANDIDATES * top
    losses = [_loss(middle, counts, limit) for limit in limits]
    return float(limits[int(np.argmin(losses))])


def _loss(values: np.ndarray, counts: np.ndarray, limit: float) -> float:
    step = limit / 127
    kept = np.minimum(np.round(values / step), 127) * step
    return float((counts * np.square(values - kept)).sum())


@torch.no_grad()
def sensitivity(net: Clarity | Upscale, calibration: CalibrationSet) -> dict[str, float]:
    """What each layer costs in dB when it alone is INT8."""
    few = calibration.clips[:: max(1, len(calibration.clips) // 4)]
    whole = psnr_db(net, few)
    cost: dict[str, float] = {}
    for name, module in net.named_modules():
        if isinstance(module, Quantiser):
            module.active = True
            cost[name] = round(whole - psnr_db(net, few), 4)
            module.active = False
        elif isinstance(module, Convolution):
            module.quantised = True
            cost[name] = round(whole - psnr_db(net, few), 4)
            module.quantised = False
    return cost


# --- the quantisation-aware run -----------------------------------------------------------------------------


class Tuning(Training):
    """Training that goes on in INT8 from a float net whose ranges are fitted."""

    def __init__(self, net: Clarity | Upscale, recipe: Recipe, vaults: list[Vault], minutes: float) -> None:
        super().__init__(recipe, vaults, minutes, Path("out/tuning"), resume=False)
        self.begin_as(net)
        hold_to_int8(self.net, True)

    @property
    def rate(self) -> float:
        return RATE

    @property
    def listening(self) -> float:
        return 1.0

    def averaged(self) -> Clarity | Upscale:
        net = super().averaged()
        hold_to_int8(net, True)
        return net


@dataclass
class Conversion:
    """One engine on its way to INT8, and what is told of it."""

    recipe: Recipe
    net: Clarity | Upscale
    calibration: CalibrationSet
    told: dict[str, Any]

    def fit(self) -> None:
        told, clips = self.told, self.calibration.clips
        told["float_psnr_db"] = psnr_db(self.net, clips)
        told["limits"] = fit_ranges(self.net, self._run_all)
        told["cost_of_each_layer_alone_db"] = sensitivity(self.net, self.calibration)
        hold_to_int8(self.net, True)
        told["after_ranges_psnr_db"] = psnr_db(self.net, clips)
        print(
            f"{self.recipe.name}: float {told['float_psnr_db']:.3f} dB, "
            f"ranges alone {told['after_ranges_psnr_db']:.3f} dB",
            flush=True,
        )

    def _run_all(self) -> None:
        for clip in self.calibration.clips:
            for _ in pictures(self.net, clip):
                pass

    def keep(self, tuning: Tuning) -> None:
        tuned, home = tuning.averaged(), HOME / self.recipe.name
        self.told["after_tuning_psnr_db"] = psnr_db(tuned, self.calibration.clips)
        self.told |= {"steps": tuning.at.step, "minutes": round(tuning.at.seconds / 60, 2)}
        self.told["recipe"] = dataclasses.asdict(self.recipe)
        self.told["frames"] = self.calibration.hashes
        tuned = tuned.cpu()
        model = export.int8_model(tuned, self.recipe).SerializeToString()
        twin = export.float_model(tuned, self.recipe).SerializeToString()
        manifest = manifest_text(self.recipe, tuned, model, twin)
        told = json.dumps(self.told, indent=1) + "\n"
        files = {"model.onnx": model, "fp32.onnx": twin, "calibration.json": told.encode(), MANIFEST: manifest.encode()}
        write_files(home, files)
        print(f"{self.recipe.name}: INT8 {self.told['after_tuning_psnr_db']:.3f} dB, {len(model) / 1000:.0f} kB")
        if self.recipe.task == "ultrasound":
            print(f"It has no veil yet: python -m calibration.unveil {self.recipe.name}")


def quantize(recipes: Sequence[Recipe], options: argparse.Namespace) -> None:
    """All are fitted first, then tuned together."""
    torch.manual_seed(11)
    vaults = open_vaults(recipes, options)
    device = next(iter(vaults.values())).device
    sets = {tasks: CalibrationSet(tasks, device) for tasks in {modalities(recipe) for recipe in recipes}}
    conversions: list[Conversion] = []
    tunings: list[Tuning] = []
    for recipe in recipes:
        net = load_float(recipe, (HOME / recipe.name / "fp32.onnx").read_bytes()).to(device)
        if isinstance(net, Clarity):
            net.veil = None  # a crop does not show it: `calibration/unveil.py` comes after this
        conversions.append(Conversion(recipe, net, sets[modalities(recipe)], {}))
        conversions[-1].fit()
        mine = [vaults[task] for task in modalities(recipe)]
        tunings.append(Tuning(net, recipe, mine, options.minutes))
    run_together(tunings)
    for conversion, tuning in zip(conversions, tunings, strict=True):
        conversion.keep(tuning)


def load_float(recipe: Recipe, model: bytes) -> Clarity | Upscale:
    """With its veil, where it has learnt one."""
    net, held = nets.build(recipe), export.parameters(export.read(model))
    if isinstance(net, Clarity) and any(name.startswith("veil.") for name in held):
        net.veil = Veil()
    missing, strange = net.load_state_dict(held, strict=False)
    if strange or any(not name.endswith("limit") for name in missing):
        raise SystemExit(f"{recipe.name}: fp32.onnx is of another net than the recipe's; train it again")
    return net


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="of the quantisation-aware run")
    options = parsed(parser)
    quantize([RECIPES[name] for name in options.names], options)


if __name__ == "__main__":
    main()
