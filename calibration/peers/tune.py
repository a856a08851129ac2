"""Settings for every peer, chosen as fairly as the engines are trained: `python -m calibration.peers.tune [--json]`.

Measure: PSNR against the phantom's truth, of the pixels inside the mask of each scored picture, full scale as the peak;
the mean over scored pictures is what a setting is worth. Scenes come from the validation seeds, which neither training
nor the judge uses:

    ultrasound   6 scenes of 640x480, seeds 1,000,000 to 1,000,005: linear, curved and phased probes; pictures 5 and 11
    fluoroscopy  4 scenes of 384x384 at a quarter of full dose, seeds 1,000,000, ..1, ..2 and ..5, which between them
                 show every view; pictures 9 and 15, so that what looks back has settled

Grid: all combinations of the coarse values in `GRIDS` on the first scored picture of every other scene, the best three
again on all, then each setting in turn finer, and beyond the grid where that is better, until nothing improves. One
choice serves all scenes, as an engine's weights do. CLAHE is no denoiser and keeps OpenCV's own settings; interpolation
has none. `tuned.json` holds what was found: settings, PSNR with and without, and how many settings were tried.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from calibration.peers import LOOK_BACK, PEERS, TUNED, open_peer
from calibration.peers._search import Axis, Settings, search
from edge.frame import Pixels
from edge.phantom import Exposure, FluoroscopyPhantom, FluoroscopyScene, Phantom, UltrasoundPhantom, UltrasoundScene

ULTRASOUND_SEEDS = tuple(range(1_000_000, 1_000_006))
ULTRASOUND_SIZE = (640, 480)  # as the judge shows it: what suits a filter depends on how many pixels a speckle has
FLUOROSCOPY_SEEDS = (1_000_000, 1_000_002, 1_000_001, 1_000_005)
DOSE = 0.25
SCORED = {"ultrasound": (5, 11), "fluoroscopy": (9, 15)}

_SHRINK = {"fade": Axis((0.75, 0.9), ratio=1.15, most=1.0), "depth": Axis((3, 4))}
GRIDS: dict[str, dict[str, Axis]] = {
    "median": {"size": Axis((3, 5, 7), step=2, least=3)},
    "bilateral": {
        "sigma_level": Axis((0.07, 0.14, 0.28), ratio=1.4),
        "sigma_space": Axis((1.5, 3.0), ratio=1.4),
        "passes": Axis((1, 2), step=1, least=1, most=4),
    },
    "nlm": {
        "h": Axis((0.04, 0.07, 0.12), ratio=1.3),
        "patch": Axis((5, 7), step=2, least=3),
        "search": Axis((13, 21), step=6, least=7, most=33),
    },
    "wavelet": {"strength": Axis((1.0, 1.4, 2.0), ratio=1.2), **_SHRINK},
    "srad": {
        "iterations": Axis((15, 40, 100), step=15, least=5, most=300),
        "range_db": Axis((12, 20, 35), ratio=1.3),
        "speckle": Axis((0.03, 0.06, 0.12), ratio=1.4),
        "decay": Axis((0, 0.1)),
    },
    "obnlm": {
        "h": Axis((0.08, 0.12, 0.18), ratio=1.3),
        "block": Axis((5, 7), step=2, least=3),
        "search": Axis((6,), step=3, least=3, most=12),
    },
    "persistence": {
        "kept": Axis((0.4, 0.7), ratio=1.2, most=0.9),
        "moved": Axis((0.05, 0.15), ratio=1.6),
        "sigma_level": Axis((0.15, 0.3), ratio=1.4),
        "sigma_space": Axis((2.0,), ratio=1.4),
    },
    "temporal_median": {"frames": Axis((5, 9), step=2, least=1, most=15), "size": Axis((3, 5))},
    "anscombe_bilateral": {
        "sigma_level": Axis((2.0, 3.0, 4.5), ratio=1.25),
        "sigma_space": Axis((2.0, 3.5), ratio=1.3),
        "passes": Axis((1, 2), step=1, least=1, most=4),
    },
    "anscombe_nlm": {
        "h": Axis((1.0, 1.4), ratio=1.2),
        "block": Axis((5, 7), step=2, least=3),
        "search": Axis((8,), step=3, least=5, most=14),
    },
    "anscombe_wavelet": {"strength": Axis((1.0, 1.5, 2.0), ratio=1.2), **_SHRINK},
    "recursive": {
        "memory": Axis((8, 16), ratio=1.4, most=60),
        "still": Axis((1.0, 2.0), ratio=1.4, least=0.3, most=2.5),
        "moved": Axis((4.0,), ratio=1.3, least=3.0),
        "spread": Axis((1.5, 2.5), ratio=1.3),
        "edge": Axis((1.2, 2.0), ratio=1.3),
    },
    "nvca": {
        "frames": Axis((6, 10), step=2, least=1, most=15),
        "reach": Axis((1, 2), step=1, least=0, most=4),
        "tolerance": Axis((2.0, 3.0, 4.5), ratio=1.25),
        "guide": Axis((0.0, 0.7)),
    },
    "block_matching": {
        "frames": Axis((8,), step=3, least=2, most=14),
        "threshold": Axis((4.0,), ratio=1.2),
        "wiener": Axis((1.5,), ratio=1.3),
        "search": Axis((3,), step=1, least=0, most=5),
    },
}


@dataclass(frozen=True, eq=False)
class Clip:
    """A scene's pictures up to the last scored one, as a treatment gets them: the region's box, black elsewhere."""

    pictures: tuple[Pixels, ...]
    truths: dict[int, Pixels]  # of the scored pictures
    field: np.ndarray
    bits: int


def clips(modality: str) -> list[Clip]:
    """The validation scenes of a modality."""
    if modality == "ultrasound":
        return [
            _clip(UltrasoundPhantom(UltrasoundScene.random(seed, *ULTRASOUND_SIZE)), SCORED[modality])
            for seed in ULTRASOUND_SEEDS
        ]
    scenes = (FluoroscopyScene.random(seed, 384, 384) for seed in FLUOROSCOPY_SEEDS)
    return [_clip(FluoroscopyPhantom(dataclasses.replace(scene, dose=DOSE)), SCORED[modality]) for scene in scenes]


def _clip(phantom: Phantom, scored: Sequence[int]) -> Clip:
    exposures = [phantom.frame(index) for index in range(max(scored) + 1)]
    truths = {index: exposures[index].truth[phantom.region.slices] for index in scored}
    field = phantom.mask[phantom.region.slices] > 0
    return Clip(tuple(boxed(e) for e in exposures), truths, field, phantom.bits)


def boxed(exposure: Exposure) -> Pixels:
    """The picture as a treatment gets it."""
    part = exposure.region.slices
    return cv2.copyTo(exposure.pixels[part], exposure.mask[part])  # type: ignore[return-value]


def psnr_db(pixels: Pixels, truth: Pixels, field: np.ndarray, bits: int) -> float:
    away = (pixels[field].astype(np.float64) - truth[field]) / ((1 << bits) - 1)
    return float(-10 * np.log10(max(1e-12, float(np.mean(np.square(away))))))


def input_db(scenes: Sequence[Clip]) -> float:
    """The PSNR of the pictures as they are."""
    return _mean([psnr_db(c.pictures[i], truth, c.field, c.bits) for c in scenes for i, truth in c.truths.items()])


def worth_db(name: str, settings: Settings | None, scenes: Sequence[Clip]) -> float:
    """A peer's mean PSNR on clips, each seen from its start."""
    return _mean([db for clip in scenes for db in _scores(name, settings, clip)])


def _scores(name: str, settings: Settings | None, clip: Clip) -> list[float]:
    peer = open_peer(name, clip.bits, settings)
    scores: list[float] = []
    for index, picture in enumerate(clip.pictures):
        if index in clip.truths:
            scores.append(psnr_db(peer(picture), clip.truths[index], clip.field, clip.bits))
        else:
            peer.remember(picture)
    return scores


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def tune(name: str, scenes: Sequence[Clip]) -> dict[str, object]:
    """One peer's entry in `tuned.json`."""
    few = [_shortened(clip) for clip in scenes[::2]]
    found = search(
        GRIDS[name],
        rough=lambda settings: worth_db(name, settings, few),
        exact=lambda settings: worth_db(name, settings, scenes),
    )
    return {
        "settings": found.settings,
        "psnr_db": round(found.worth, 3),
        "psnr_input_db": round(input_db(scenes), 3),
        "tried": found.tried,
        "looks_back": name in LOOK_BACK,
    }


def _shortened(clip: Clip) -> Clip:
    """The clip up to its first scored picture."""
    first = min(clip.truths)
    return dataclasses.replace(clip, pictures=clip.pictures[: first + 1], truths={first: clip.truths[first]})


def scenes_told() -> dict[str, object]:
    return {
        "ultrasound": {"seeds": ULTRASOUND_SEEDS, "size": ULTRASOUND_SIZE, "scored": SCORED["ultrasound"]},
        "fluoroscopy": {
            "seeds": FLUOROSCOPY_SEEDS,
            "size": [384, 384],
            "dose": DOSE,
            "scored": SCORED["fluoroscopy"],
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m calibration.peers.tune", description="Tune the classical peers.")
    parser.add_argument("names", nargs="*", help="only these peers; the others keep what they have")
    parser.add_argument("--json", action="store_true", help="print what tuned.json now holds")
    asked = parser.parse_args(arguments)
    if strangers := sorted(set(asked.names) - set(GRIDS)):
        parser.error(f"no peer that can be tuned: {', '.join(strangers)}; there are: {', '.join(GRIDS)}")
    for modality in SCORED:
        chosen = [name for name in PEERS[modality] if name in GRIDS and (not asked.names or name in asked.names)]
        scenes = clips(modality) if chosen else []
        for name in chosen:
            entry = tune(name, scenes)
            _keep(name, entry)
            if not asked.json:
                print(f"{name:20} {entry}", flush=True)
    if asked.json:
        print(TUNED.read_text(encoding="utf-8"))
    return 0


def _keep(name: str, entry: dict[str, object]) -> None:
    """Written after each peer, so that a run cut short has kept what it found; in the order of `PEERS`."""
    peers: dict[str, object] = json.loads(TUNED.read_text(encoding="utf-8"))["peers"] if TUNED.is_file() else {}
    peers[name] = entry
    ordered = {known: peers[known] for names in PEERS.values() for known in names if known in peers}
    told = {"measure": "PSNR, dB, inside the mask", "scenes": scenes_told(), "peers": ordered}
    TUNED.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
