"""Classical filters that the engines are judged against, tuned as fairly as the engines are trained.

`open_peer` opens one for a stream. Every one is causal: it is fed the present picture and those before it, never one
that is still to come. Those of `LOOK_BACK` remember; the others give the same for the same picture at any time.
`tune` chooses the settings in `tuned.json` on phantoms that neither training nor judging uses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2

from calibration.peers._backward import Nvca, Persistence, Recursive, TemporalMedian
from calibration.peers._block_matching import BlockMatching
from calibration.peers._blocks import BlockMeans, Obnlm
from calibration.peers._enlarge import Enlarge
from calibration.peers._evening import Evened
from calibration.peers._levels import LevelFilter, LevelTreatment
from calibration.peers._spatial import Bilateral, Clahe, Median, NonLocalMeans, Wavelet
from calibration.peers._srad import Srad
from edge.errors import ConfigError

__all__ = ["LOOK_BACK", "PEERS", "TUNED", "open_peer"]

TUNED = Path(__file__).with_name("tuned.json")

_Build = Callable[..., LevelFilter]  # of the settings by name; those of `_BY_BITS` are also told the bits

_ULTRASOUND: dict[str, _Build] = {
    "median": Median,
    "bilateral": Bilateral,
    "nlm": NonLocalMeans,
    "wavelet": Wavelet,
    "srad": Srad,
    "obnlm": Obnlm,
    "persistence": Persistence,
    "clahe": Clahe,
}
_FLUOROSCOPY: dict[str, _Build] = {
    "temporal_median": TemporalMedian,
    "anscombe_bilateral": lambda **settings: Evened(Bilateral(**{"sigma_level": 2.0, **settings})),
    "anscombe_nlm": lambda **settings: Evened(BlockMeans(**{"h": 1.3, **settings})),
    "anscombe_wavelet": lambda **settings: Evened(Wavelet(**settings)),
    "recursive": Recursive,
    "nvca": Nvca,
    "block_matching": BlockMatching,
}
_SUPERRES: dict[str, _Build] = {
    "bicubic": lambda: Enlarge(cv2.INTER_CUBIC),
    "lanczos": lambda: Enlarge(cv2.INTER_LANCZOS4),
}
_ALL = {**_ULTRASOUND, **_FLUOROSCOPY, **_SUPERRES}
_BY_BITS = ("median", "nlm", "clahe")  # OpenCV has these for whole numbers only

PEERS: dict[str, tuple[str, ...]] = {
    "ultrasound": tuple(_ULTRASOUND),
    "fluoroscopy": tuple(_FLUOROSCOPY),
    "superres": tuple(_SUPERRES),
}
LOOK_BACK = frozenset({"persistence", "temporal_median", "recursive", "nvca", "block_matching"})


def open_peer(name: str, bits: int, settings: Mapping[str, float] | None = None) -> LevelTreatment:
    """A peer for one stream. Settings are the tuned ones unless given; those left out are the filter's own defaults."""
    if name not in _ALL:
        raise ConfigError(f'unknown peer "{name}"; known: {", ".join(_ALL)}')
    chosen: dict[str, float] = dict(_tuned(name) if settings is None else settings)
    more = {"bits": bits} if name in _BY_BITS else {}
    try:
        level_filter = _ALL[name](**chosen, **more)
    except TypeError as error:
        raise ConfigError(f"peer {name}: {error}") from error
    return LevelTreatment(name, bits, level_filter)


def _tuned(name: str) -> dict[str, float]:
    if not TUNED.is_file():
        return {}
    peers: dict[str, dict[str, dict[str, float]]] = json.loads(TUNED.read_text(encoding="utf-8"))["peers"]
    return peers.get(name, {}).get("settings", {})
