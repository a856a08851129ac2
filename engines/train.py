"""Trains the nets of engines in float. `python -m engines.train NAME... [--minutes M]`; run it again and it goes on.

`--from-shipped` begins with the shipped weights. Where no step is left to take nothing is written.

Clips come from `engines/bank.py`. A step runs a few frames ahead without gradient, so that the net is trained in the
steady state it lives in, and then some with it. Several engines take steps in turn: two CPU cores want one at a time, a
GPU all of them, and there each step is recorded and replayed. The result is `engines/NAME/fp32.onnx`, `training.json`
(what it was trained on and how far) and `learning.png`; the state to resume from stays in `out/training`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise SystemExit(f"training needs {error.name}: pip install 'limpid-edge[train]'") from error

from engines import export, nets
from engines.bank import fingerprint, open_bank
from engines.clip_loss import clip_loss, upscale_loss, with_detail_of
from engines.curve import draw_curve
from engines.folder import write_files
from engines.gpu import Recorded, sent
from engines.implants import Ghosts, with_implants
from engines.nets import Clarity, Upscale
from engines.recipes import RECIPES, SCENES, Recipe
from engines.shapes import drawn
from engines.together import run_together
from engines.vault import VALIDATION, Vault

HOME = Path(__file__).parent
LISTENS = (0.15, 0.45)  # of the whole time: when the answer to discs begins to count, and when it does in full
LEARN = 0.05  # of the whole time: the rate climbs, then falls as a cosine
GPU_BATCH = 16  # times the recipe's batch
PLAIN_SHAPES = 2000
GENTLE = 0.4  # of the rate, for a net that was trained before
KEEP = 0.999  # of the running mean, at most, in each step


@dataclass
class Progressed:
    """Where a training stands; all of it is saved and found again."""

    step: int = 0
    seconds: float = 0.0
    mature: bool = False  # it began with weights that were trained before
    before: list[dict[str, Any]] = dataclasses.field(default_factory=list)  # and these are the runs they came from
    curve: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)  # seconds, loss, PSNR in dB


class Training:
    """One net, its clips and its optimiser. One thread."""

    def __init__(self, recipe: Recipe, vaults: list[Vault], minutes: float, folder: Path, resume: bool = True) -> None:
        torch.manual_seed(7)
        self.recipe, self.vaults, self.budget = recipe, vaults, minutes * 60
        self.device = vaults[0].device
        self.stream = torch.cuda.Stream() if self.device.type == "cuda" else None
        self.net = nets.build(recipe).to(self.device)
        # As tensors, so that a recorded step sees what they have become.
        self._listens, self._follows, self._rate = (torch.zeros((), device=self.device) for _ in range(3))
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(),
            lr=self._rate,
            betas=(0.9, 0.99),
            weight_decay=1e-4,
            fused=True,
            capturable=self.device.type == "cuda",
        )
        self.average: dict[str, Tensor] = {}
        self._plain = _plain_shapes(recipe.crop, self.device) if recipe.task == "superres" else None
        self._ghosts = Ghosts(self.device)
        self.at = Progressed()
        self._do = Recorded(self._learn)
        self._saved = saved_state(folder, recipe)
        if resume and self._saved.exists():
            self._resume()
        else:
            nets.prime(self.net, self._batch(np.random.default_rng(0x9121))[0])
            self._average_from_net()

    def begin_from(self, model: bytes) -> None:
        """The weights of a float file, instead of random ones."""
        self.net.load_state_dict(export.parameters(export.read(model)), strict=False)
        self._average_from_net()
        self.at.mature = True

    def begin_as(self, net: Clarity | Upscale) -> None:
        self.net.load_state_dict(net.state_dict())
        self._average_from_net()

    def _average_from_net(self) -> None:
        self.average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}

    def on_its_stream(self) -> contextlib.AbstractContextManager[Any]:
        """Several nets fill a GPU better than one: each has a queue of its own there."""
        return torch.cuda.stream(self.stream) if self.stream else contextlib.nullcontext()

    # --- a step ---------------------------------------------------------------------------------------------

    def step(self) -> Tensor:
        """The loss of one step; on a GPU it may still be at it."""
        rng = np.random.default_rng((self.at.step, 0x57E9))
        self._rate.fill_(self.rate * self._part_of_rate())
        self._listens.fill_(self.listening)
        self._follows.fill_(1 - min(KEEP, 1 - 1 / (self.at.step + 1)))
        ahead = int(rng.choice((0, self.recipe.warm // 2, self.recipe.warm)))
        loss = self._do(self._batch(rng), ahead)
        self.at.step += 1
        return loss

    def _learn(self, clips: Sequence[Tensor], ahead: int) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        with _arithmetic(self.device):
            loss = self._loss(clips[0], clips[1], ahead)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.optimiser.step()
        self._follow()
        return loss.detach()

    def _loss(self, shown: Tensor, true: Tensor, ahead: int) -> Tensor:
        if isinstance(self.net, Upscale):
            return upscale_loss(self.net, self.recipe, shown, true)
        loss, passed = clip_loss(self.net, self.recipe, (shown, true), ahead, self._listens)
        return loss + self._listens * self.recipe.ghost * self._ghosts.loss(passed)

    def _part_of_rate(self) -> float:
        part = min(1.0, self.at.seconds / self.budget)
        rate = part / LEARN if part < LEARN else 0.5 + 0.5 * math.cos(math.pi * (part - LEARN) / (1 - LEARN))
        return max(0.01, rate)

    @property
    def listening(self) -> float:
        """The weight of the answer to discs. It comes in when the net has learnt to calm grain: passing everything on
        as it came answers perfectly, and a young net would stay there.
        """
        if self.at.mature:
            return 1.0
        part = self.at.seconds / self.budget
        return min(1.0, max(0.0, (part - LISTENS[0]) / (LISTENS[1] - LISTENS[0])))

    @property
    def rate(self) -> float:
        return self.recipe.rate * (GENTLE if self.at.mature else 1)

    @torch.no_grad()
    def _follow(self) -> None:
        """The shipped weights are a running mean of the trained ones: steadier, and a little better."""
        for name, value in self.net.state_dict().items():
            self.average[name].lerp_(value, self._follows)

    # --- clips ----------------------------------------------------------------------------------------------

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """[batch, frames, h, w], given and wanted; for recurrent nets the second half is the first, with discs."""
        count = self.recipe.batch * (GPU_BATCH if self.device.type == "cuda" else 1)
        if isinstance(self.net, Upscale):
            return self._stills(count, rng)
        shown, true = self._crops(count // 2, rng)
        more = with_implants(shown, true, self.recipe, rng)
        return torch.cat((shown, more[0])), torch.cat((true, more[1]))

    def _stills(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """For super-resolution: clean structure, edges without anything else, and pictures as they are."""
        assert self._plain is not None
        third = count // 3
        shown, true = self._crops(count - third, rng)
        plain = self._plain[sent(rng.integers(0, len(self._plain), third), self.device)]
        clean, grainy = torch.cat((plain, true[:third])), shown[third:]
        return torch.cat((clean, grainy)), torch.cat((clean, with_detail_of(true[third:], grainy)))

    def _crops(self, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """As many from each bank, in turn. Depth has a direction, X-rays have none."""
        frames = 1 if self.recipe.task == "superres" else self.recipe.warm + self.recipe.clip
        parts = [count // len(self.vaults)] * len(self.vaults)
        parts[0] += count - sum(parts)
        pairs = [
            vault.crops(part, frames, self.recipe.crop, rng, self.recipe.task != "ultrasound")
            for vault, part in zip(self.vaults, parts, strict=True)
            if part
        ]
        order = sent(rng.permutation(count), self.device)
        shown, true = (torch.cat([pair[i] for pair in pairs])[order] for i in (0, 1))
        return shown, true

    def psnr_db(self) -> float:
        """On clips kept aside, the last frames, the running mean of the weights."""
        net = self.averaged()
        with torch.no_grad():
            return float(np.mean([_psnr_of(net, *vault.kept_aside()) for vault in self.vaults]))

    def averaged(self) -> Clarity | Upscale:
        net = nets.build(self.recipe).to(self.device)
        net.load_state_dict(self.average)
        return net.eval()

    # --- what stays -----------------------------------------------------------------------------------------

    def note(self, loss: float) -> None:
        self.at.curve.append((self.at.seconds, loss, self.psnr_db()))
        seconds, loss, psnr = self.at.curve[-1]
        print(
            f"{self.recipe.name}: {seconds / 60:.1f} min, step {self.at.step}, loss {loss:.4f}, {psnr:.2f} dB",
            flush=True,
        )
        self._saved.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "net": self.net.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "ghosts": self._ghosts.sums,
            "at": dataclasses.asdict(self.at),
        }
        torch.save(state, self._saved.with_suffix(".part"))
        self._saved.with_suffix(".part").replace(self._saved)

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self._saved, map_location=self.device, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average = {name: value.clone() for name, value in state["average"].items()}
        self.optimiser.load_state_dict(state["optimiser"])
        if "ghosts" in state:  # states of earlier versions have none
            self._ghosts.sums.copy_(state["ghosts"])
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate
        self.at = Progressed(**state["at"])


def saved_state(folder: Path, recipe: Recipe) -> Path:
    """What a training goes on from, where it is there."""
    return folder / f"{recipe.name}.pt"


def _psnr_of(net: Clarity | Upscale, shown: Tensor, true: Tensor) -> float:
    """The mean over clips [n, frames, h, w]; of films, their last four frames."""
    if isinstance(net, Upscale):
        pictures, wanted = net(functional.avg_pool2d(true[:, :1], 2)), true[:, :1]
    else:
        state, made = None, []
        for level in shown.unbind(1):
            picture, state = net(level[:, None], state)
            made.append(picture)
        pictures, wanted = torch.cat(made[-4:], 1), true[:, -4:]
    errors = (pictures.clamp(0, 1) - wanted).square().mean((1, 2, 3))
    return float((-10 * errors.clamp_min(1e-10).log10()).mean())


def _plain_shapes(side: int, device: torch.device) -> Tensor:
    """Edges without anything else, [n, 1, side, side]."""
    rng = np.random.default_rng(0x5EA9)
    return sent(np.stack([drawn(side, rng)[None] for _ in range(PLAIN_SHAPES)]), device)


@contextlib.contextmanager
def _arithmetic(device: torch.device) -> Generator[None]:
    """Halves the time of a CPU's convolutions; a GPU has TensorFloat-32, which costs less precision."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=device.type == "cpu"):
        yield


def train(recipes: Sequence[Recipe], options: argparse.Namespace) -> None:
    minutes = options.minutes or max(recipe.minutes for recipe in recipes)
    if options.from_shipped:
        _check_none_was_begun(recipes, options.out)
    vaults = open_vaults(recipes, options)
    trainings: list[Training] = []
    for recipe in recipes:
        mine = [vaults[task] for task in modalities(recipe)]
        trainings.append(Training(recipe, mine, minutes, options.out))
        if options.from_shipped:
            _begin_from_shipped(trainings[-1], HOME / recipe.name)
    began = [training.at.step for training in trainings]
    run_together(trainings)
    for training, step in zip(trainings, began, strict=True):
        if training.at.step > step:
            _keep(training, options)
        else:
            print(f"{training.recipe.name}: has had its {minutes:g} minutes; nothing was changed. More with --minutes")


def _check_none_was_begun(recipes: Sequence[Recipe], folder: Path) -> None:
    """A saved state is gone on from: it cannot begin with other weights, and is not thrown away unasked."""
    for recipe in recipes:
        saved = saved_state(folder, recipe)
        if saved.exists():
            raise SystemExit(
                f"{recipe.name}: a training that was begun lies in {saved}: go on with it without --from-shipped, or "
                "remove that file to begin with the shipped weights"
            )


def _begin_from_shipped(training: Training, home: Path) -> None:
    training.begin_from((home / "fp32.onnx").read_bytes())
    if (home / "training.json").exists():
        training.at.before = _before(json.loads((home / "training.json").read_text()))


def _keep(training: Training, options: argparse.Namespace) -> None:
    recipe = training.recipe
    home = HOME / recipe.name
    home.mkdir(exist_ok=True)
    model = export.float_model(training.averaged().cpu(), recipe).SerializeToString()
    draw_curve(home / "learning.png", recipe.name, training.at.curve)
    told = _told(training, options)
    if training.at.before:
        told["before"] = training.at.before
    write_files(home, {"fp32.onnx": model, "training.json": (json.dumps(told, indent=1) + "\n").encode()})
    print(
        f"{home / 'fp32.onnx'}: {training.at.curve[-1][2]:.2f} dB on {VALIDATION} clips kept aside\n"
        f"No engine yet: python -m calibration.quantize {recipe.name}"
    )


def modalities(recipe: Recipe) -> tuple[str, ...]:
    """Of the phantoms that its clips come from."""
    return ("ultrasound", "fluoroscopy") if recipe.task == "superres" else (recipe.task,)


def open_vaults(recipes: Sequence[Recipe], options: argparse.Namespace) -> dict[str, Vault]:
    """By modality: the clips that these nets need."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tasks = sorted({task for recipe in recipes for task in modalities(recipe)})
    return {task: Vault(open_bank(options.bank, task, options.scenes or SCENES[task]), device) for task in tasks}


def _before(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that an engine's weights have been through already, the oldest first."""
    return [*told.get("before", []), {key: told.get(key) for key in ("steps", "minutes", "bank", "kept_aside_psnr_db")}]


def _told(training: Training, options: argparse.Namespace) -> dict[str, Any]:
    parameters = sum(value.numel() for value in training.net.parameters())
    return {
        "recipe": dataclasses.asdict(training.recipe),
        "data": "phantoms of edge.phantom, made stranger by engines/bank.py",
        "seeds": {task: [0, (options.scenes or SCENES[task]) - 1] for task in modalities(training.recipe)},
        "clips": sum(len(vault) for vault in training.vaults),
        "bank": fingerprint(),
        "steps": training.at.step,
        "minutes": round(training.at.seconds / 60, 1),
        "device": torch.cuda.get_device_name()
        if training.device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "parameters": parameters,
        "kmac_per_px": round(training.net.kmac_per_px(), 2),
        "kept_aside_psnr_db": round(training.at.curve[-1][2], 3),
        "curve": [[round(v, 4) for v in point] for point in training.at.curve],
    }


def common_options(about: str | None) -> argparse.ArgumentParser:
    """What training and the quantisation-aware run are asked alike."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0] if about else None)
    parser.add_argument("names", nargs="+", metavar="NAME", choices=sorted(RECIPES), help=", ".join(sorted(RECIPES)))
    parser.add_argument(
        "--scenes", type=int, default=0, help="how many phantoms the clips come from; 0: as many as shipped engines saw"
    )
    parser.add_argument("--bank", type=Path, default=Path("out/bank"))
    parser.add_argument("--threads", type=int, default=0, help="0: all")
    return parser


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True  # shapes are always the same
    return options


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--minutes", type=float, help="how long in all; the recipe's own time otherwise")
    parser.add_argument("--out", type=Path, default=Path("out/training"))
    parser.add_argument("--from-shipped", action="store_true", help="begin with the weights that are shipped")
    options = parsed(parser)
    train([RECIPES[name] for name in options.names], options)


if __name__ == "__main__":
    main()
