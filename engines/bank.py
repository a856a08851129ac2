"""Training clips: crops of many phantoms, drawn once and kept on disk. `python -m engines.bank TASK [--scenes N]`.

What generalises is variety, so a scene is drawn as `Scene.random` draws it and then made stranger: lesions and wires
where no anatomy would put them, plain backgrounds, still patients, low frame rates, overlays that must stay, JPEG and
tone curves as a frame grabber adds them. Every choice follows from the scene's seed; training owns the seeds below
1,000,000 and nothing else may use them.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import math
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from edge.phantom import FluoroscopyPhantom, FluoroscopyScene, Insert, Phantom, UltrasoundPhantom, UltrasoundScene

Levels: TypeAlias = NDArray[np.uint16]  # of 65535
Floats: TypeAlias = NDArray[Any]  # levels 0..1 in single precision; NumPy types their arithmetic too loosely
CROP, CROPS = 144, 3
# X-rays come in few quanta, so a net averages over many frames there: it must have seen what long averages do.
FRAMES = {"ultrasound": 14, "fluoroscopy": 24}
SIZES = ((320, 240), (480, 360), (480, 360), (640, 480), (800, 600))
SPECKLE = 0.085  # its spread, of full scale, on an ordinary grey map
FIRST_VALIDATION_SEED = 1_000_000
PHANTOM = Path(__file__).parent.parent / "edge" / "phantom"


def draw(modality: str, seed: int) -> Phantom:
    """A training scene: a random one, made stranger."""
    rng = np.random.default_rng((seed, 0x7EA1))
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    if modality == "ultrasound":
        return UltrasoundPhantom(odd_ultrasound(UltrasoundScene.random(seed, width, height), rng))
    return FluoroscopyPhantom(_odd_fluoroscopy(FluoroscopyScene.random(seed, width, height), rng))


def odd_ultrasound(scene: UltrasoundScene, rng: np.random.Generator) -> UltrasoundScene:
    changes: dict[str, object] = {"furniture": False}
    if rng.random() < 0.3:  # a test object rather than a patient
        changes |= {"texture": 0.0, "layers": 0, "vessels": 0, "cysts": 0, "lesions": 0}
    if rng.random() < 0.25:
        changes |= {"breathing_mm": 0.0, "sway_mm": 0.0, "press_mm": 0.0, "pulsation_mm": 0.0}
    if rng.random() < 0.3:  # dim pictures: faint tissue must not be taken for noise because it is faint
        changes["gain_db"] = float(rng.uniform(-18, -4))
    if rng.random() < 0.7:
        changes["inserts"] = tuple(
            Insert(*_spot(scene, rng), scene.depth_mm * _spread(rng, 0.012, 0.12), float(rng.uniform(-14, 10)))
            for _ in range(int(rng.integers(1, 9)))
        )
    if rng.random() < 0.4:
        changes["wires"] = tuple(_spot(scene, rng) for _ in range(int(rng.integers(1, 12))))
        changes["wire_db"] = float(rng.uniform(16, 38))
    return dataclasses.replace(scene, **changes)  # type: ignore[arg-type]


def _spot(scene: UltrasoundScene, rng: np.random.Generator) -> tuple[float, float]:
    beams = scene.beams()
    at = rng.uniform((0.1, 0.05), (0.95, 0.95))
    x, z = beams.to_mm(np.float32(at[0] * scene.samples), np.float32(at[1] * scene.lines))  # type: ignore[arg-type]
    return float(x), float(z)


def _odd_fluoroscopy(scene: FluoroscopyScene, rng: np.random.Generator) -> FluoroscopyScene:
    changes: dict[str, object] = {"dose": _spread(rng, 0.06, 1.2)}
    if rng.random() < 0.3:
        changes |= {"breathing_mm": 0.0, "heart_mm": 0.0, "table_mm": 0.0, "contrast": 0.0}
    if rng.random() < 0.3:
        changes["crossing_px"] = float(rng.choice((-1, 1))) * _spread(rng, 1.0, 16.0)
    if rng.random() < 0.6:
        reach = 0.45 * scene.field_mm
        changes["inserts"] = tuple(
            Insert(
                float(rng.uniform(-reach, reach)) + scene.offset_mm[0],
                float(rng.uniform(-reach, reach)) + scene.offset_mm[1],
                scene.field_mm * _spread(rng, 0.004, 0.06),
                float(rng.choice((-1, 1))) * _spread(rng, 0.01, 0.3),
                str(rng.choice(("still", "breathing", "beating"))),
            )
            for _ in range(int(rng.integers(1, 9)))
        )
    return dataclasses.replace(scene, **changes)  # type: ignore[arg-type]


def _spread(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def clips(modality: str, seed: int) -> tuple[Levels, Levels]:
    """Crops of one scene, shown and true: [crops, frames, side, side]."""
    if not 0 <= seed < FIRST_VALIDATION_SEED:
        raise ValueError(f"seed {seed} is not for training: those end at {FIRST_VALIDATION_SEED - 1}")
    cv2.setNumThreads(1)
    rng = np.random.default_rng((seed, 0xC11B))
    phantom = draw(modality, seed)
    start, step = int(rng.integers(0, 200)), int(rng.choice((1, 1, 1, 2, 3)))
    corners = _corners(phantom, rng)
    frames = FRAMES[modality]
    shown = np.zeros((CROPS, frames, CROP, CROP), np.uint16)
    true = np.zeros_like(shown)
    grabbed = Grabber(modality, rng)
    for number in range(frames):
        exposure = phantom.frame(start + number * step)
        full = (1 << exposure.bits) - 1
        for crop, (y, x) in enumerate(corners):
            cut = (slice(y, y + CROP), slice(x, x + CROP))
            levels = [np.asarray(part[cut], np.float32) / full for part in (exposure.pixels, exposure.truth)]
            shown[crop, number], true[crop, number] = grabbed(levels, exposure.mask[cut])
    return shown, true


def _corners(phantom: Phantom, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Places that are mostly picture."""
    height, width = phantom.mask.shape
    tries = [(int(rng.integers(0, height - CROP)), int(rng.integers(0, width - CROP))) for _ in range(40)]
    filled = [float(phantom.mask[y : y + CROP, x : x + CROP].mean()) / 255 for y, x in tries]
    good = [place for place, part in zip(tries, filled, strict=True) if part > 0.75]
    best = [tries[i] for i in np.argsort(filled)[::-1]]
    return (good + best)[:CROPS]


class Grabber:
    """What lies between a scanner's picture and us, drawn once a scene: zoom, tone, overlays, JPEG."""

    def __init__(self, modality: str, rng: np.random.Generator) -> None:
        ultrasound = modality == "ultrasound"
        self._gamma = _spread(rng, 0.6, 2.4) if ultrasound and rng.random() < 0.6 else 1.0
        self._reject = float(rng.uniform(0.0, 0.15)) if ultrasound and rng.random() < 0.3 else 0.0
        self._zoom = float(rng.uniform(1.3, 3.0)) if ultrasound and rng.random() < 0.35 else 1.0
        self._quality = int(rng.integers(40, 96)) if ultrasound and rng.random() < 0.3 else 0
        self._marks = int(rng.integers(0, 2**31)) if rng.random() < 0.15 else None

    def whole(self, odd: bool) -> Grabber:
        """For pictures that are no crops of `CROP` pixels; as they come, where nothing odd is wanted."""
        self._zoom = 1.0
        if not odd:
            self._gamma, self._reject, self._quality, self._marks = 1.0, 0.0, 0, None
        return self

    def __call__(self, pair: list[Floats], mask: NDArray[np.uint8]) -> tuple[Levels, Levels]:
        """One crop, shown and true, levels 0..1."""
        mask = self._enlarged(mask, cv2.INTER_NEAREST)
        shown, true = (np.clip(self._enlarged(level, cv2.INTER_CUBIC), 0, 1) for level in pair)
        pair = [self._marked(self._toned(shown)), self._marked(self._mean_toned(true))]
        if self._quality:
            code = cv2.imencode(".jpg", (pair[0] * 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, self._quality])[1]
            pair[0] = np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), np.float32) / 255
        whole = [np.where(mask > 0, level * 65535 + 0.5, 0).astype(np.uint16) for level in pair]
        return whole[0], whole[1]

    def _enlarged(self, part: NDArray[Any], how: int) -> NDArray[Any]:
        """The middle of the crop, at the size of the crop: scanners send small pictures large."""
        if self._zoom == 1:
            return part
        side = round(CROP / self._zoom)
        first = (CROP - side) // 2
        return cv2.resize(part[first : first + side, first : first + side], (CROP, CROP), interpolation=how)

    def _mean_toned(self, true: Floats) -> Floats:
        """The mean of what speckle around the truth looks like through the grey map. Without it a net would learn that
        whatever is dim must become darker still.
        """
        if self._gamma == 1 and self._reject == 0:
            return true
        spread = SPECKLE * math.sqrt(3) * np.clip(true / 0.1, 0, 1)  # what is black has no speckle
        below, above = (self._toned(np.clip(true + sign * spread, 0, 1)) for sign in (-1, 1))
        return (below + 4 * self._toned(true) + above) / 6

    def _toned(self, level: Floats) -> Floats:
        """A scanner's grey map."""
        level = np.clip((level - self._reject) / (1 - self._reject), 0, 1)
        return np.power(level, self._gamma) if self._gamma != 1 else level

    def _marked(self, level: Floats) -> Floats:
        """Callipers, lines and words over the picture: they belong to it and must come out as they are."""
        if self._marks is None:
            return level
        rng = np.random.default_rng(self._marks)
        height, width = level.shape
        for _ in range(6):
            cover = np.zeros((height, width), np.uint8)
            a, b = ((int(x), int(y)) for x, y in rng.integers((0, 0), (width, height), (2, 2)))
            shade = np.float32(rng.choice((1.0, 0.8, 0.0)))
            if rng.random() < 0.5:
                cv2.putText(cover, "+ 12.4 mm", a, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
            else:
                cv2.line(cover, a, b, 255, int(rng.integers(1, 3)), cv2.LINE_AA)
            level = level + (shade - level) * (cover.astype(np.float32) / 255)
        return level


class Bank:
    """Clips on disk, mapped rather than read; nothing that is written to them gets there. [crops, frames, side, side],
    levels of 65535.
    """

    def __init__(self, folder: Path) -> None:
        self.shown: Levels = np.load(folder / "shown.npy", mmap_mode="c")
        self.true: Levels = np.load(folder / "true.npy", mmap_mode="c")

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def frames(self) -> int:
        return self.shown.shape[1]


def fingerprint() -> str:
    """Changes with any code that decides what a clip looks like."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *sorted(PHANTOM.glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def open_bank(root: Path, modality: str, scenes: int) -> Bank:
    """The bank for this code; drawn first where it is not there yet."""
    folder = root / f"{modality}-{scenes}-{fingerprint()}"
    if not (folder / "true.npy").exists():
        _draw_all(folder, modality, scenes)
    return Bank(folder)


def _draw_all(folder: Path, modality: str, scenes: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shape = (scenes * CROPS, FRAMES[modality], CROP, CROP)
    shown = np.lib.format.open_memmap(folder / "shown.npy", "w+", np.uint16, shape)
    true = np.lib.format.open_memmap(folder / "true.part.npy", "w+", np.uint16, shape)
    for number, pair in enumerate(track(_drawn(modality, scenes), f"drawing {modality} scenes", scenes)):
        shown[number * CROPS : (number + 1) * CROPS], true[number * CROPS : (number + 1) * CROPS] = pair
    shown.flush()
    true.flush()
    (folder / "true.part.npy").replace(folder / "true.npy")  # the bank is there once this name is


def _drawn(modality: str, scenes: int) -> Iterator[tuple[Levels, Levels]]:
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        yield from pool.imap(_Clips(modality), range(scenes), chunksize=4)


@dataclasses.dataclass(frozen=True)
class _Clips:
    modality: str

    def __call__(self, seed: int) -> tuple[Levels, Levels]:
        return clips(self.modality, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("modality", choices=("ultrasound", "fluoroscopy"))
    parser.add_argument("--scenes", type=int, default=600)
    parser.add_argument("--root", type=Path, default=Path("out/bank"))
    options = parser.parse_args()
    bank = open_bank(options.root, options.modality, options.scenes)
    print(f"{options.root}: {len(bank)} clips of {bank.frames} frames")


if __name__ == "__main__":
    main()
