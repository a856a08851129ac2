"""Trains one engine's net in float. `python -m engines.train NAME [--minutes M]`; run it again and it goes on.

Clips come from `engines/bank.py`. A step runs a few frames ahead without gradient, so that the net is trained in the
steady state it lives in, and then some with it. On a CPU the convolutions run in bfloat16, which halves the time; on a
GPU everything does. The result is `engines/NAME/fp32.onnx`, `training.json` (what it was trained on and how far) and
`learning.png`; the state to resume from stays in `out/training`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from engines import export, nets
from engines.bank import Bank, fingerprint, open_bank
from engines.curve import draw_curve
from engines.implants import answer_loss, ghost_loss, with_implants
from engines.losses import edges, frame_loss, near, steadiness, swing
from engines.nets import Clarity, Upscale
from engines.recipes import RECIPES, SCENES, Recipe
from engines.shapes import drawn

HOME = Path(__file__).parent
SAVE_EVERY_S = 60
LISTENS = (0.15, 0.45)  # of the whole time: when the answer to discs begins to count, and when it does in full
LEARN = 0.05  # of the whole time: the rate climbs, then falls as a cosine
VALIDATION = 24  # clips of the bank that are never trained on: for the learning curve only


@dataclass
class Progressed:
    """Where a training stands; all of it is saved and found again."""

    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[float, float, float]] = dataclasses.field(default_factory=list)  # seconds, loss, PSNR in dB


class Training:
    """One net, its clips and its optimiser. One thread."""

    def __init__(self, recipe: Recipe, banks: list[Bank], minutes: float, folder: Path, resume: bool = True) -> None:
        torch.manual_seed(7)
        self.recipe, self.banks, self.budget = recipe, banks, minutes * 60
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.net = nets.build(recipe).to(self.device)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4)
        self.average: dict[str, Tensor] = {}
        self.at = Progressed()
        self._saved = folder / f"{recipe.name}.pt"
        if resume and self._saved.exists():
            self._resume()
        else:
            nets.prime(self.net, self._batch(np.random.default_rng(0x9121))[0])
            self.average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}

    def begin_from(self, model: bytes) -> None:
        """The weights of a float file, instead of random ones."""
        self.net.load_state_dict(export.parameters(export.read(model)), strict=False)
        self.average = {name: value.detach().clone() for name, value in self.net.state_dict().items()}

    # --- the loop -------------------------------------------------------------------------------------------

    def run(self) -> None:
        began, saved, losses = time.monotonic() - self.at.seconds, time.monotonic(), []
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task(self.recipe.name, total=self.budget)
            while self.at.seconds < self.budget:
                losses.append(self.step())
                self.at.seconds = time.monotonic() - began
                progress.update(bar, completed=self.at.seconds, description=f"{self.recipe.name} {self.at.step}")
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self._note(float(np.mean(losses)))
                    saved, losses = time.monotonic(), []
        self._note(float(np.mean(losses)) if losses else math.nan)

    def step(self) -> float:
        self._set_rate()
        rng = np.random.default_rng((self.at.step, 0x57E9))
        shown, true = self._batch(rng)
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            loss = self._loss(shown, true, ahead=int(rng.integers(0, self.recipe.warm + 1)))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 0.5)
        self.optimiser.step()
        self._follow()
        self.at.step += 1
        return float(loss.detach())

    def _loss(self, shown: Tensor, true: Tensor, ahead: int) -> Tensor:
        if isinstance(self.net, Upscale):
            # Clean structure, edges without anything else, and pictures as they are.
            third, side = len(true) // 3, true.shape[-1]
            rng = np.random.default_rng((self.at.step, 0x5EA9))
            plain = torch.from_numpy(np.stack([drawn(side, rng)[None] for _ in range(third)])).to(true)
            clean, grainy = torch.cat((plain, true[:third])), shown[2 * third :]
            wanted = torch.cat((clean, with_detail_of(true[2 * third :], grainy)))
            return upscale_loss(self.net, torch.cat((clean, grainy)), wanted)
        return clip_loss(self.net, self.recipe, (shown, true), ahead, self.listening)

    def _set_rate(self) -> None:
        part = min(1.0, self.at.seconds / self.budget)
        rate = part / LEARN if part < LEARN else 0.5 + 0.5 * math.cos(math.pi * (part - LEARN) / (1 - LEARN))
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * max(0.01, rate)

    @property
    def listening(self) -> float:
        """The weight of the answer to discs. It comes in when the net has learnt to calm grain: passing everything on
        as it came answers perfectly, and a young net would stay there.
        """
        part = self.at.seconds / self.budget
        return min(1.0, max(0.0, (part - LISTENS[0]) / (LISTENS[1] - LISTENS[0])))

    @property
    def rate(self) -> float:
        return self.recipe.rate

    def _follow(self) -> None:
        """The shipped weights are a running mean of the trained ones: steadier, and a little better."""
        keep = min(0.999, 1 - 1 / (self.at.step + 1))
        for name, value in self.net.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)

    # --- clips ----------------------------------------------------------------------------------------------

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """[batch, frames, h, w], shown and true; for recurrent nets the second half is the first, with discs."""
        recurrent = isinstance(self.net, Clarity)
        pairs = [self._clip(rng) for _ in range(self.recipe.batch // 2 if recurrent else self.recipe.batch)]
        shown, true = (
            torch.from_numpy(np.stack([pair[i] for pair in pairs]).astype(np.float32) / 65535).to(self.device)
            for i in (0, 1)
        )
        if not recurrent:
            return shown, true
        more = with_implants(shown, true, self.recipe.task, rng)
        return torch.cat((shown, more[0])), torch.cat((true, more[1]))

    def _clip(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        bank = self.banks[int(rng.integers(len(self.banks)))]
        number = int(rng.integers(VALIDATION, len(bank)))
        size, frames = self.recipe.crop, self._frames
        first = int(rng.integers(0, bank.frames - frames + 1))
        y, x = (int(v) for v in rng.integers(0, bank.shown.shape[-1] - size + 1, 2))
        cut = (number, slice(first, first + frames), slice(y, y + size), slice(x, x + size))
        pair = [bank.shown[cut], bank.true[cut]]
        if rng.random() < 0.5:
            pair = [part[..., ::-1] for part in pair]
        if self.recipe.task != "ultrasound" and rng.random() < 0.5:  # depth has a direction, X-rays have none
            pair = [part[..., ::-1, :] for part in pair]
        return pair[0], pair[1]

    @property
    def _frames(self) -> int:
        return 1 if self.recipe.task == "superres" else self.recipe.warm + self.recipe.clip

    def psnr_db(self) -> float:
        """On clips kept aside, the last frames, the running mean of the weights."""
        net = self.averaged()
        with torch.no_grad():
            return float(
                np.mean([self._psnr(net, bank, number) for bank in self.banks for number in range(VALIDATION)])
            )

    def _psnr(self, net: Clarity | Upscale, bank: Bank, number: int) -> float:
        shown, true = (
            torch.from_numpy(part[number].astype(np.float32) / 65535).to(self.device)[:, None, None]
            for part in (bank.shown, bank.true)
        )
        if isinstance(net, Upscale):
            small = functional.avg_pool2d(true[0], 2)
            return _psnr(net(small), true[0])
        state, pictures = None, []
        for level in shown:
            picture, state = net(level, state)
            pictures.append(picture)
        return _psnr(torch.stack(pictures[-4:]), true[-4:])

    def averaged(self) -> Clarity | Upscale:
        net = nets.build(self.recipe).to(self.device)
        net.load_state_dict(self.average)
        return net.eval()

    # --- what stays -----------------------------------------------------------------------------------------

    def _note(self, loss: float) -> None:
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
            "at": dataclasses.asdict(self.at),
        }
        torch.save(state, self._saved.with_suffix(".part"))
        self._saved.with_suffix(".part").replace(self._saved)

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self._saved, map_location=self.device, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.at = Progressed(**state["at"])


def clip_loss(net: Clarity, recipe: Recipe, clips: tuple[Tensor, Tensor], ahead: int, listening: float) -> Tensor:
    """Over a batch of clips, shown and true [n, frames, h, w]: frames before `ahead` only bring the state up.

    The second half of the batch is the first with discs in it; `listening` is the weight of the answer to them.
    """
    shown, true = clips
    state, frames = None, shown.unbind(1)
    with torch.no_grad():
        for frame in frames[:ahead]:
            state = net(frame[:, None], state)[1]
    total, before = shown.new_zeros(()), None
    for number in range(ahead, ahead + recipe.clip):
        picture, state = net(frames[number][:, None], state)
        truth = true[:, number, None]
        total = total + frame_loss(picture, truth, recipe)
        total = total + listening * recipe.kept * answer_loss(picture, truth, recipe.forgiven)
        if before is not None:
            total = total + steadiness(picture, before, truth, true[:, number - 1, None])
            total = total + listening * recipe.ghost * ghost_loss(picture, truth, true[:, number - 1, None])
        before = picture
    return total / recipe.clip


def upscale_loss(net: Upscale, given: Tensor, wanted: Tensor) -> Tensor:
    """From half the sides back to the whole picture."""
    picture = net(functional.avg_pool2d(given, 2))
    return near(picture, wanted) + 0.4 * edges(picture, wanted) + swing(picture, wanted)


def with_detail_of(true: Tensor, shown: Tensor) -> Tensor:
    """A grainy picture whose pixels differ within each 2x2 as the clean ones do. Grain that is made sharp again can
    look like a structure that the small picture did not show.
    """
    return true + functional.interpolate(functional.avg_pool2d(shown - true, 2), scale_factor=2, mode="nearest")


def _psnr(picture: Tensor, truth: Tensor) -> float:
    return -10 * math.log10(max(1e-10, float((picture.clamp(0, 1) - truth).square().mean())))


def train(recipe: Recipe, options: argparse.Namespace) -> None:
    banks = open_banks(recipe, options)
    minutes = options.minutes or recipe.minutes
    training = Training(recipe, banks, minutes, options.out)
    home = HOME / recipe.name
    if options.from_shipped and not training.at.step:
        training.begin_from((home / "fp32.onnx").read_bytes())
    training.run()
    home.mkdir(exist_ok=True)
    (home / "fp32.onnx").write_bytes(export.float_model(training.averaged().cpu(), recipe).SerializeToString())
    draw_curve(home / "learning.png", recipe.name, training.at.curve)
    told = _told(training, banks, options)
    if options.from_shipped and (home / "training.json").exists():
        told["before"] = _before(json.loads((home / "training.json").read_text()))
    (home / "training.json").write_text(json.dumps(told, indent=1) + "\n")
    print(f"{home / 'fp32.onnx'}: {training.at.curve[-1][2]:.2f} dB on {VALIDATION} clips kept aside")


def modalities(recipe: Recipe) -> tuple[str, ...]:
    """Of the phantoms that its clips come from."""
    return ("ultrasound", "fluoroscopy") if recipe.task == "superres" else (recipe.task,)


def open_banks(recipe: Recipe, options: argparse.Namespace) -> list[Bank]:
    return [open_bank(options.bank, task, options.scenes or SCENES[task]) for task in modalities(recipe)]


def _before(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that an engine's weights have been through already, the oldest first."""
    return [*told.get("before", []), {key: told.get(key) for key in ("steps", "minutes", "bank", "kept_aside_psnr_db")}]


def _told(training: Training, banks: list[Bank], options: argparse.Namespace) -> dict[str, Any]:
    parameters = sum(value.numel() for value in training.net.parameters())
    return {
        "recipe": dataclasses.asdict(training.recipe),
        "data": "phantoms of edge.phantom, made stranger by engines/bank.py",
        "seeds": {task: [0, (options.scenes or SCENES[task]) - 1] for task in modalities(training.recipe)},
        "clips": sum(len(bank) for bank in banks),
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
    parser.add_argument("name", choices=sorted(RECIPES))
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
    return options


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--minutes", type=float, help="how long in all; the recipe's own time otherwise")
    parser.add_argument("--out", type=Path, default=Path("out/training"))
    parser.add_argument("--from-shipped", action="store_true", help="begin with the weights that are shipped")
    options = parsed(parser)
    train(RECIPES[options.name], options)


if __name__ == "__main__":
    main()
