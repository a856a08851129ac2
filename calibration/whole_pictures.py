"""Whole ultrasound phantoms as a veil sees them: cells of 8x8 pixels, beside the truth. Drawn once, kept on disk.

A crop does not show what a veil is told by: bounces lie at twice the depth of what they come from, noise rises towards
the end. Each film is seen through an engine, since the mean that it carries is one of the signs. Two scenes of five
have less to be taken away than there usually is, or nothing: a net that always finds some would darken clean pictures.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from calibration.refit import FloatRun, Sample
from edge.backends import Shape
from edge.catalog import read_engine
from edge.phantom import UltrasoundPhantom, UltrasoundScene
from engines import bank
from engines.layers import LIT
from engines.nets import BLOCK, PIXELS
from engines.veil import CELL, VEILED

Floats: TypeAlias = NDArray[Any]  # levels 0..1 in single precision
Cells: TypeAlias = NDArray[np.float16]  # [moments, PARTS, h / 8, w / 8]

PARTS = ("calm", "news", "grain of the frame", "grain of the mean", "fresh", "lit", "truth", "result", "inside")
KEPT = (0, 2, 7)  # moments of a film: without a past, with a short one, in the steady state
WITHOUT_EVERY = 2  # scenes: of every second one that has a needle, the same is drawn without it
CLEAN: dict[str, float] = {"noise_db": -110.0, "reverberation": 0.0, "streaks": 0.0, "haze_db": -40.0}


@dataclass(frozen=True)
class Film:
    """What is drawn for one scene, and how it is looked at."""

    scene: UltrasoundScene
    grabbed: bank.Grabber
    start: int
    step: int
    frozen: bool
    zoom: float
    quarter: int  # of all films: which engine it is seen through


def film_of(seed: int, *, needle: bool = True) -> Film:
    """The same again without its `needle`, where it has one: all else, noise too, is alike."""
    if not 0 <= seed < bank.FIRST_VALIDATION_SEED:
        raise ValueError(f"seed {seed} is not for training: those end at {bank.FIRST_VALIDATION_SEED - 1}")
    scene, odd = _scene(np.random.default_rng((seed, 0x7EA1)), seed)
    scene = dataclasses.replace(scene, needle=scene.needle and needle)
    rng = np.random.default_rng((seed, 0xC11C))
    grabbed = bank.Grabber("ultrasound", rng).whole(odd)
    start, step, frozen = int(rng.integers(0, 200)), int(rng.choice((1, 1, 1, 2, 3))), bool(rng.random() < 0.12)
    zoomed = rng.random() < 0.3 and scene.width <= 480
    return Film(
        scene, grabbed, start, step, frozen, float(rng.uniform(1.3, 2)) if zoomed else 1.0, int(rng.integers(4))
    )


def _scene(rng: np.random.Generator, seed: int) -> tuple[UltrasoundScene, bool]:
    """Half of them as odd as those of the bank."""
    width, height = bank.SIZES[int(rng.integers(len(bank.SIZES)))]
    scene = dataclasses.replace(UltrasoundScene.random(seed, width, height), furniture=False)
    odd = bool(rng.random() < 0.5)
    if odd:
        scene = bank.odd_ultrasound(scene, rng)
    clean = rng.random()
    if clean < 0.4:
        scene = dataclasses.replace(scene, **{k: v for k, v in CLEAN.items() if clean < 0.2 or rng.random() < 0.5})
    return scene, odd


# --- a film, frame by frame ---------------------------------------------------------------------------------


def moments(film: Film, phantom: UltrasoundPhantom, inside: NDArray[np.uint8]) -> Iterator[tuple[Floats, Floats]]:
    """Shown and true, levels 0..1, inside the region's box."""
    shown, true = inside, inside
    for number in range(KEPT[-1] + 1):
        if number == 0 or not film.frozen:
            exposure = phantom.frame(film.start + number * film.step)
            full = (1 << exposure.bits) - 1
            planes = (part[phantom.region.slices] for part in (exposure.pixels, exposure.truth))
            levels = [_enlarged(np.asarray(plane, np.float32) / full, inside.shape) for plane in planes]
            shown, true = film.grabbed(levels, inside)
        yield np.rint(shown / 65535 * 255) / 255, true / 65535


def _zoomed(mask: NDArray[np.uint8], zoom: float) -> NDArray[np.uint8]:
    if zoom == 1:
        return mask
    return cast("NDArray[np.uint8]", cv2.resize(mask, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST))


def _enlarged(plane: Floats, shape: tuple[int, ...]) -> Floats:
    """Cubic: what swings beyond black or white beside an edge is cut off."""
    if plane.shape == shape:
        return plane
    return np.clip(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


@dataclass(frozen=True)
class Glass:
    """What films are seen through: an engine, and its model as it is without a veil."""

    home: Path
    model: Path

    @functools.lru_cache(maxsize=24)  # noqa: B019 - there are three; opening one takes as long as a whole film
    def opened(self, rows: int, columns: int) -> FloatRun:
        return FloatRun(read_engine(self.home), self.model.read_bytes(), Shape(rows, columns, 8))


def cells_of(film: Film, glass: Glass) -> Cells:
    """At the moments `KEPT`."""
    cv2.setNumThreads(1)
    phantom = UltrasoundPhantom(film.scene)
    inside = _zoomed(phantom.mask[phantom.region.slices], film.zoom)
    more = tuple((0, -side % VEILED) for side in inside.shape)
    seen = _blocks(np.pad(inside > 0, more).astype(np.float32))
    run, past, found = _Run(glass, inside.shape), np.zeros(0), []
    for number, (shown, true) in enumerate(moments(film, phantom, inside)):
        mean, age, result = run.step(shown)
        if number in KEPT:
            frame, truth = (_blocks(np.pad(plane, more, mode="edge").astype(np.float32)) for plane in (shown, true))
            news = frame - past if number else np.zeros_like(frame)
            found.append(_cells(frame, mean, news, age, truth, _blocks(result), seen))
        past = mean
    return np.stack(found)


class _Run:
    """An engine over one film, with what it carries."""

    def __init__(self, glass: Glass, shape: tuple[int, ...]) -> None:
        self._run = glass.opened(*(side + -side % VEILED for side in shape))
        self._more = tuple((0, -side % VEILED) for side in shape)
        self._begins = True

    def step(self, shown: Floats) -> tuple[Floats, Floats, Floats]:
        """The mean and its age, in blocks; the result."""
        grey = np.pad(np.rint(shown * 255).astype(np.uint8), self._more, mode="edge")
        self._run.step(Sample(grey, self._begins))
        self._begins = False
        mean, age, result = (self._run.tensor(name)[0].copy() for name in ("mean_out", "age_out", "enhanced"))
        return mean, age, result[0] / 255


def _blocks(plane: Floats) -> Floats:
    rows, columns = (side // BLOCK for side in plane.shape)
    return plane.reshape(rows, BLOCK, columns, BLOCK).transpose(1, 3, 0, 2).reshape(PIXELS, rows, columns)


def _cells(frame: Floats, mean: Floats, news: Floats, age: Floats, *others: Floats) -> Cells:
    """In the order of `PARTS`."""
    level, calm = frame.mean(0), mean.mean(0)
    grains = (np.abs(grain).mean(0) for grain in (news, frame - level, mean - calm))
    parts = [calm, *grains, (1 / age).mean(0), np.minimum(LIT * level, 1), *(other.mean(0) for other in others)]
    rows, columns = (side // 2 for side in calm.shape)
    return np.stack([part.reshape(rows, 2, columns, 2).mean((1, 3)) for part in parts]).astype(np.float16)


# --- all of them --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pictures:
    """One item for each scene: its cells, and, of some that have a needle, those of the same scene without it."""

    cells: list[Cells]
    without: list[Cells | None]


def open_pictures(root: Path, through: Sequence[Glass], scenes: int) -> Pictures:
    """Those of this code and these engines; drawn first where they are not there yet."""
    folder = root / f"whole-{fingerprint(through)}"
    folder.mkdir(parents=True, exist_ok=True)
    paired = [seed for seed in range(0, scenes, WITHOUT_EVERY) if film_of(seed).scene.needle]
    wanted = [Wanted(seed) for seed in range(scenes)] + [Wanted(seed, needle=False) for seed in paired]
    missing = [one for one in wanted if not one.file(folder).exists()]
    if missing:
        with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
            drawn = pool.imap_unordered(_Drawn(folder, tuple(through)), missing, chunksize=4)
            for _ in track(drawn, "drawing whole pictures", len(missing)):
                pass
    without = {seed: cast("Cells", np.load(Wanted(seed, needle=False).file(folder))) for seed in paired}
    cells = [np.load(Wanted(seed).file(folder)) for seed in range(scenes)]
    return Pictures(cells, [without.get(seed) for seed in range(scenes)])


@dataclass(frozen=True)
class Wanted:
    """One film's cells on disk."""

    seed: int
    needle: bool = True

    def file(self, folder: Path) -> Path:
        return folder / (f"{self.seed}.npy" if self.needle else f"{self.seed}.without.npy")


@dataclass(frozen=True)
class _Drawn:
    folder: Path
    through: tuple[Glass, ...]

    def __call__(self, wanted: Wanted) -> None:
        film = film_of(wanted.seed, needle=wanted.needle)
        glass = self.through[max(film.quarter - 1, 0) % len(self.through)]  # the first has two quarters
        file = wanted.file(self.folder)
        part = file.with_suffix(".part.npy")
        np.save(part, cells_of(film, glass))
        part.replace(file)


def fingerprint(through: Sequence[Glass]) -> str:
    """Changes with the engines that films are seen through, and with what decides how a cell looks."""
    code = [Path(__file__), Path(bank.__file__), *sorted(bank.PHANTOM.glob("*.py"))]
    digest = hashlib.sha256(repr((LIT, CELL, VEILED)).encode())
    for path in [*code, *(glass.model for glass in through)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
