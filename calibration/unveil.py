"""Teach trained ultrasound engines what lies over a picture. `python -m calibration.unveil NAME... [--minutes M]`.

After `calibration.quantize`: all but the veil of `engines/veil.py` stays as it is. One veil is learnt for all engines
that are named, on whole phantoms seen through each of them in turn (`calibration/whole_pictures.py`): first in float,
then for a while in INT8 from ranges that are fitted to it. Run it again and it goes on. Then the engines have to be
judged again.

What is asked is the judge's own measure, each picture's error in dB, as far as cells of 8x8 pixels can tell it; a
picture that becomes darker than its truth pays more than one that keeps some of its veil. And neither a lesion nor a
needle is a veil: each picture is seen twice, with discs in it and without, some others with their needle and without
it, and both must lose the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

    from calibration.manifest import manifest_text
    from calibration.quantize import fit_ranges, load_float, set_limits
    from calibration.trim import outdated
except ModuleNotFoundError as error:
    raise SystemExit(f"learning a veil needs {error.name}: pip install 'limpid-edge[train]'") from error

from calibration.whole_pictures import PARTS, Glass, Pictures, fingerprint, open_pictures
from edge.catalog import float_twin, read_engine
from edge.errors import EngineRefused
from engines import export
from engines import veil as veil_code
from engines.curve import draw_curve
from engines.folder import MANIFEST, write_files
from engines.layers import CENTRE, STEP, Quantiser, hold_to_int8
from engines.nets import Clarity
from engines.recipes import RECIPES, Recipe
from engines.train import HOME
from engines.veil import SIGN_GAIN, SIGNS, Veil

SCENES, ASIDE = 1900, 24
FITTED = 200  # moments that the ranges are fitted to
BATCH, NEARLY_ALIKE = 6, 5  # pictures of a step; they are drawn from so many times as many of nearly their size
PAIRS = 1  # more, with its needle and without
RATE, AWARE_RATE = 2e-3, 2e-4
LEARN = 0.05  # of the whole time: the rate climbs, then falls as a cosine
KEEP = 0.998  # of the running mean, in each step
LEAK = 0.1  # of what would make a cell brighter: a veil that has come to nothing would learn no more
FINE = 10**-2.95  # mean square of what no cell shows: grain that is left. It keeps clean pictures from ruling the rest
TOO_DARK = 0.5  # more, of what is darker than its truth
JITTER = STEP / 2  # of signs, in the run in INT8: other sizes of a family and FP16 see a picture a little otherwise
STEEPER, BRIGHTER = (0.75, 1.3), 0.1  # grey maps, beside those that were drawn
# Discs in cells, for each picture: radii and strengths (of full scale) as logarithms of their bounds.
DISCS, RADII, STRENGTHS = 6, (math.log(0.6), math.log(5.0)), (math.log(0.015), math.log(0.25))
LIT_ENOUGH, LEAST_LEVEL = 0.9, 0.12  # of a cell that a disc may change: where all is nearly black none could be seen
OF_DISCS = 4.0  # what discs that are lost altogether add to the loss, in dB
# What a veil that differs a little, for all of full scale, on a needle and beside it adds to the loss, in dB; where it
# differs by `FAR` it is twice as much. And by how much a cell's truth or its youth differ where a needle is, or was a
# moment ago; by how much where its shaft fills a cell; how many cells beside it count.
OF_NEEDLES, FAR, THERE, SHAFT, BESIDE = 40.0, 0.04, 0.01, 0.05, 3
FROM_NOTHING = 0.5  # of the time in float, until it does so in full: what takes nothing differs nowhere, learns little
_CALM, _LIT, _TRUTH, _RESULT, _INSIDE = (PARTS.index(name) for name in ("calm", "lit", "truth", "result", "inside"))
_FRESH = PARTS.index("fresh")
_LEVELS = (_CALM, _TRUTH, _RESULT)
_TONES = (*_LEVELS, *(PARTS.index(name) for name in ("news", "grain of the frame", "grain of the mean")))
_SCALES = torch.tensor([1, SIGN_GAIN, SIGN_GAIN, SIGN_GAIN, 0.5, 0.5])[:, None, None]
_MIDDLES = torch.tensor([CENTRE, 0, 0, 0, 0, 0])[:, None, None]


def signs_of(cells: Tensor) -> Tensor:
    """As `signs` of `engines/veil.py` gives them, from the first parts of cells."""
    return cells[:, :SIGNS] * _SCALES - _MIDDLES


def gathered(pictures: Sequence[np.ndarray], rng: np.random.Generator | None) -> Tensor:
    """[n, ..., h, w], black beside the smaller ones; half of them mirrored."""
    rows, columns = (max(picture.shape[side] for picture in pictures) for side in (-2, -1))
    whole = np.zeros((len(pictures), *pictures[0].shape[:-2], rows, columns), np.float32)
    for place, picture in zip(whole, pictures, strict=True):
        mirrored = rng is not None and rng.random() < 0.5
        place[..., : picture.shape[-2], : picture.shape[-1]] = picture[..., ::-1] if mirrored else picture
    return torch.from_numpy(whole)


def retoned(cells: Tensor, rng: np.random.Generator) -> Tensor:
    """As if other dynamic ranges and gains had been set: more pictures than were drawn."""
    each = (len(cells), *[1] * (cells.ndim - 1))
    steeper = rng.uniform(*STEEPER, each).astype(np.float32)
    brighter = rng.uniform(-BRIGHTER, BRIGHTER, each).astype(np.float32)
    found, lit = cells.clone(), cells[..., _LIT, None, :, :]
    found[..., _TONES, :, :] *= torch.from_numpy(steeper)
    found[..., _LEVELS, :, :] += torch.from_numpy(brighter) * lit
    found[..., _LEVELS, :, :] = found[..., _LEVELS, :, :].clamp(0, 1)
    return found


def with_discs(cells: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same with lighter and darker discs in the tissue, and what they add to each cell."""
    rows, columns = cells.shape[-2:]
    added = np.zeros((len(cells), 1, rows, columns), np.float32)
    down, across = np.mgrid[:rows, :columns].astype(np.float32)
    for picture in added:
        for _ in range(DISCS):
            y, x, radius = rng.uniform(0, rows), rng.uniform(0, columns), math.exp(rng.uniform(*RADII))
            inside = np.clip(radius + 0.5 - np.hypot(down - y, across - x), 0, 1)
            picture[0] += rng.choice((-1, 1)) * math.exp(rng.uniform(*STRENGTHS)) * inside
    more = torch.from_numpy(added) * (cells[:, _LIT, None] > LIT_ENOUGH) * (cells[:, _CALM, None] > LEAST_LEVEL)
    found = cells.clone()
    found[:, _LEVELS] = (found[:, _LEVELS] + more).clamp(0, 1)
    return found, more


def lost(over: Tensor, over_with: Tensor, discs: Tensor) -> Tensor:
    """How much of discs a veil takes with it, or adds to them: 1 is all."""
    there = discs.abs()
    return ((over_with - over).abs() * (there > 0)).sum() / there.sum().clamp_min(1e-6)


def needles(pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Where one's shaft is, and where one is or was with what lies close by: 1 in these cells of [n, with it and
    without, parts, h, w].
    """
    with_it, without = pairs.unbind(1)
    off, inside = (with_it - without).abs(), without[:, _INSIDE, None]
    there = (off[:, _TRUTH, None] > THERE) | (off[:, _FRESH, None] > THERE)
    near = functional.max_pool2d(there.float(), 2 * BESIDE + 1, 1, BESIDE)
    return (off[:, _TRUTH, None] > SHAFT) * inside, near * inside


def strayed(over_with: Tensor, over_without: Tensor, where: Tensor) -> Tensor:
    """By how much of full scale more or less is taken away there."""
    return _mean((over_with - over_without).abs(), where)


def lost_of_needles(over_with: Tensor, over_without: Tensor, pairs: Tensor) -> Tensor:
    """The same as it is asked: a shaft counts as much as all that lies close by, and a few dark cells of it as much as
    many that are a little darker: they were to be seen."""
    off = (over_with - over_without).abs()
    steep = off * (1 + off / FAR)
    shaft, near = needles(pairs)
    return (_mean(steep, shaft) + _mean(steep, near)) / 2


def _mean(plane: Tensor, where: Tensor) -> Tensor:
    return (plane * where).sum() / where.sum().clamp_min(1)


def errors(over: Tensor, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean squares of each picture: with its veil taken away, of what is too dark then, and as it was."""
    result, truth, inside = (cells[:, part, None] for part in (_RESULT, _TRUTH, _INSIDE))
    bare = result - over
    off = bare + (bare.clamp(0, 1) - bare).detach() - truth  # what is beyond black can still be brought back
    kinds = off.square(), off.clamp(max=0).square(), (result - truth).square()
    share = inside / inside.sum((1, 2, 3), keepdim=True).clamp_min(1)
    return tuple((kind * share).sum((1, 2, 3)) for kind in kinds)  # type: ignore[return-value]


def gain_db(after: Tensor, before: Tensor) -> Tensor:
    """How much nearer to their truths pictures are, whatever grain is left in them."""
    return 10 * (torch.log10(before + FINE) - torch.log10(after + FINE)).mean()


@dataclass
class Progressed:
    """Where the learning of a veil stands; all of it is saved and found again."""

    step: int = 0
    seconds: float = 0.0
    aware_from_s: float | None = None  # in INT8 since then
    lost: float = 0.0  # of discs in scenes kept aside
    strayed: float = 0.0  # of full scale, on needles in them
    curve: list[tuple[float, float, float]] = field(default_factory=list)  # seconds, loss, gain in dB

    @property
    def aware(self) -> bool:
        return self.aware_from_s is not None


@dataclass(frozen=True)
class Aside:
    """How a veil does on scenes that it has not learnt from."""

    gain_db: float
    lost: float
    strayed: float


def quantisers(veil: Veil) -> list[tuple[str, Quantiser]]:
    return [(name, module) for name, module in veil.named_modules() if isinstance(module, Quantiser)]


class Learning:
    """One veil, its pictures and its optimiser."""

    def __init__(self, pictures: Pictures, saved: Path, budgets_s: tuple[float, float]) -> None:
        torch.manual_seed(3)
        self._aside = [moment for picture in pictures.cells[:ASIDE] for moment in picture[1:]]
        self._pairs_aside = list(_paired(pictures, slice(ASIDE)))
        self._moments = _by_size(moment for picture in pictures.cells[ASIDE:] for moment in picture)
        self._pairs = _by_size(_paired(pictures, slice(ASIDE, None)))
        self.veil, self.at, self._saved, self._budgets = Veil(), Progressed(), saved, budgets_s
        self.average = {name: value.clone() for name, value in self.veil.state_dict().items()}
        self._optimiser = torch.optim.AdamW(self.veil.parameters(), RATE, betas=(0.9, 0.99), weight_decay=1e-4)
        if saved.exists():
            self._resume()

    def run(self) -> Veil:
        """To the end, in float and then in INT8."""
        if self.at.aware_from_s is None:
            self._learn(0.0, self._budgets[0], RATE)
            self._turn_to_int8()
            self.at.aware_from_s = self.at.seconds
        self._learn(self.at.aware_from_s, self.at.aware_from_s + self._budgets[1], AWARE_RATE)
        return self.averaged()

    def _learn(self, began_s: float, until_s: float, rate: float) -> None:
        losses, noted = list[float](), time.monotonic()
        while (started := time.monotonic()) and self.at.seconds < until_s:
            part = (self.at.seconds - began_s) / (until_s - began_s)
            for group in self._optimiser.param_groups:
                group["lr"] = rate * min(1.0, part / LEARN + 0.01) * (0.505 + 0.495 * math.cos(math.pi * part))
            losses.append(self._step(1.0 if self.at.aware else min(1.0, part / FROM_NOTHING)))
            self.at.seconds += time.monotonic() - started
            if time.monotonic() - noted > 60 or self.at.seconds >= until_s:
                self._note(float(np.mean(losses)))
                losses, noted = [], time.monotonic()

    def _step(self, strictly: float) -> float:
        rng = np.random.default_rng((self.at.step, 0x0EA1))
        cells = retoned(gathered(_alike(self._moments, BATCH, rng), rng), rng)
        marked, discs = with_discs(cells, rng)
        pairs = retoned(gathered(_alike(self._pairs, PAIRS, rng), rng), rng)
        plain, with_them = self._signed(torch.cat((cells, marked))).chunk(2)
        after, too_dark, before = errors(torch.cat((plain, with_them)), torch.cat((cells, marked)))
        loss = OF_DISCS * lost(plain, with_them, discs) - gain_db(after + TOO_DARK * too_dark, before)
        with_needle, without = self._signed(pairs.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        loss = loss + strictly * OF_NEEDLES * lost_of_needles(with_needle, without, pairs)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.veil.parameters(), 1.0)
        self._optimiser.step()
        self.at.step += 1
        with torch.no_grad():
            for name, value in self.veil.state_dict().items():
                self.average[name].lerp_(value, 1 - min(KEEP, 1 - 1 / (self.at.step + 1)))
        return float(loss.detach())

    def _signed(self, cells: Tensor) -> Tensor:
        """The veil over cells, as it is learnt."""
        given = signs_of(cells)
        if self.at.aware:
            given = given + JITTER * torch.randn_like(given)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not self.at.aware):  # halves the time
            signed = self.veil.signed(given.contiguous(memory_format=torch.channels_last))
        return functional.leaky_relu(signed, LEAK)

    def _turn_to_int8(self) -> None:
        """From the running mean, with ranges fitted to what passes."""
        self.veil.load_state_dict(self.average)
        fit_ranges(self.veil, self._see_many)
        self.average = {name: value.clone() for name, value in self.veil.state_dict().items()}
        hold_to_int8(self.veil, True)

    def _see_many(self) -> None:
        for moment in self._moments[:: max(1, len(self._moments) // FITTED)]:
            self.veil(signs_of(gathered([moment], None)))

    def averaged(self) -> Veil:
        veil = Veil()
        veil.load_state_dict(self.average)
        hold_to_int8(veil, self.at.aware)
        return veil.eval()

    @torch.no_grad()
    def on_those_aside(self) -> Aside:
        """Picture by picture."""
        veil, rng = self.averaged(), np.random.default_rng(0x0A51)
        found: list[tuple[float, float]] = []
        for moment in self._aside:
            cells = gathered([moment], None)
            marked, discs = with_discs(cells, rng)
            over, over_marked = veil(signs_of(cells)), veil(signs_of(marked))
            after, _, before = errors(over, cells)
            found.append((float(gain_db(after, before)), float(lost(over, over_marked, discs))))
        gain, gone = np.mean(found, axis=0)
        return Aside(float(gain), float(gone), float(np.mean([_strayed_by(veil, each) for each in self._pairs_aside])))

    # --- what stays -----------------------------------------------------------------------------------------

    def _note(self, loss: float) -> None:
        aside = self.on_those_aside()
        self.at.lost, self.at.strayed = aside.lost, aside.strayed
        self.at.curve.append((self.at.seconds, loss, aside.gain_db))
        kind, minutes = "INT8" if self.at.aware else "float", self.at.seconds / 60
        told = f"loss {loss:.3f}; on scenes kept aside {aside.gain_db:+.2f} dB, {100 * aside.lost:.1f} % of discs lost"
        told += f", {255 * aside.strayed:.1f} levels off on needles"
        print(f"veil, {kind}: {minutes:.1f} min, step {self.at.step}, {told}", flush=True)
        self._saved.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "veil": self.veil.state_dict(),
            "average": self.average,
            "optimiser": self._optimiser.state_dict(),
            "at": asdict(self.at),
        }
        torch.save(state, self._saved.with_suffix(".part"))
        self._saved.with_suffix(".part").replace(self._saved)

    def _resume(self) -> None:
        state: dict[str, Any] = torch.load(self._saved, weights_only=True)
        self.veil.load_state_dict(state["veil"])
        self.average = state["average"]
        self._optimiser.load_state_dict(state["optimiser"])
        self.at = Progressed(**state["at"])
        hold_to_int8(self.veil, self.at.aware)


def _paired(pictures: Pictures, scenes: slice) -> Iterator[np.ndarray]:
    """[with its needle and without, parts, h, w] of each moment."""
    for with_it, without in zip(pictures.cells[scenes], pictures.without[scenes], strict=True):
        if without is not None:
            yield from np.stack((with_it, without), 1)


def _by_size(moments: Iterable[np.ndarray]) -> list[np.ndarray]:
    return sorted(moments, key=lambda moment: moment.shape[-2] * moment.shape[-1])


def _alike(moments: list[np.ndarray], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Some of nearly one size."""
    alike = min(count * NEARLY_ALIKE, len(moments))
    first = int(rng.integers(0, len(moments) - alike + 1))
    return [moments[first + i] for i in rng.choice(alike, min(count, alike), replace=False)]


def _strayed_by(veil: Veil, pair: np.ndarray) -> float:
    pairs = gathered([pair], None)
    with_it, without = (veil(signs_of(each)) for each in pairs.unbind(1))
    return float(strayed(with_it, without, needles(pairs)[0]))


def bare(recipe: Recipe) -> tuple[Clarity, dict[str, Any]]:
    """An engine's net as it is without a veil, and what its `calibration.json` tells."""
    home = HOME / recipe.name
    engine = read_engine(home)
    engine.read_model()  # or is refused
    told = json.loads((home / "calibration.json").read_text())
    told["limits"] = {name: limit for name, limit in told["limits"].items() if not name.startswith("veil.")}
    told.get("trimmed", {}).pop("lift", None)
    net = load_float(recipe, float_twin(engine).read_model())
    assert isinstance(net, Clarity)
    net.veil = None
    set_limits(net, told["limits"])
    return net, told


def taught() -> str:
    """Changes with what is asked of a veil: a half learnt one is not gone on with when something else is asked."""
    code = (Path(__file__), Path(veil_code.__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()[:8]


def glass(recipe: Recipe, folder: Path) -> Glass:
    """An engine as films are seen through it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / f"{recipe.name}.bare.onnx"
    model.write_bytes(export.int8_model(bare(recipe)[0], recipe).SerializeToString())
    return Glass(HOME / recipe.name, model)


def attach(recipe: Recipe, veil: Veil, learning: Progressed, scenes: int) -> None:
    """The same veil, in float and in INT8, into an engine's two files."""
    home = HOME / recipe.name
    net, told = bare(recipe)
    net.veil = veil
    told["limits"] |= {f"veil.{name}": float(each.limit) for name, each in quantisers(veil) if not each.by_design}
    told["veil"] = {
        "scenes": scenes, "steps": learning.step, "minutes": round(learning.seconds / 60, 2),
        "gain_db_on_scenes_kept_aside": round(learning.curve[-1][2], 3), "of_discs_lost": round(learning.lost, 4),
        "strayed_on_needles": round(learning.strayed, 5),
    }  # fmt: skip
    set_limits(net, told["limits"])
    model = export.int8_model(net, recipe).SerializeToString()
    twin = export.float_model(net, recipe).SerializeToString()
    draw_curve(home / "veil.png", f"veil of {recipe.task}", learning.curve)
    files = {"model.onnx": model, "fp32.onnx": twin, MANIFEST: manifest_text(recipe, net, model, twin).encode()}
    write_files(home, files | {"calibration.json": (json.dumps(told, indent=1) + "\n").encode()})
    print(f"{recipe.name}: has its veil taken away\n{outdated(recipe)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    names = sorted(name for name, recipe in RECIPES.items() if recipe.task == "ultrasound")
    parser.add_argument("names", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--scenes", type=int, default=SCENES, help="whole phantoms to learn from")
    parser.add_argument("--minutes", type=float, default=36.0, help="of learning in float; drawing comes before")
    parser.add_argument("--aware-minutes", type=float, default=4.0, help="and then in INT8")
    parser.add_argument("--bank", type=Path, default=Path("out/bank"))
    parser.add_argument("--out", type=Path, default=Path("out/training"))
    options = parser.parse_args()
    if options.scenes < 2 * ASIDE or min(options.minutes, options.aware_minutes) <= 0:
        parser.error(
            f"there is nothing to learn in no time, nor from less than {2 * ASIDE} scenes: {ASIDE} are kept aside"
        )
    recipes = [RECIPES[name] for name in options.names]
    try:
        through = [glass(recipe, options.out) for recipe in recipes]
        pictures = open_pictures(options.bank, through, options.scenes)
        saved = options.out / f"veil-{fingerprint(through)}-{taught()}.pt"
        learning = Learning(pictures, saved, (60 * options.minutes, 60 * options.aware_minutes))
        veil = learning.run()
        for recipe in recipes:
            attach(recipe, veil, learning.at, options.scenes)
    except EngineRefused as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
