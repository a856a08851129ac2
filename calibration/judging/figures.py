"""What the judge found out about one engine, and its form for machines. Pure values."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

VERSION = 5  # of these figures: raised whenever a measure or its scenes change, so that old ones are not compared


class Measure(msgspec.Struct, frozen=True):
    """How a figure is spoken of."""

    name: str
    words: str  # what it is, for a reader who does not know it
    good: str
    unit: str = ""
    higher: bool = True  # is better
    digits: int = 2


MEASURES: dict[str, Measure] = {
    "psnr_db": Measure("PSNR", "how near the picture comes to the truth, pixel by pixel", "higher", "dB"),
    "ssim": Measure("SSIM", "how alike the structure of picture and truth is", "higher, at most 1", digits=3),
    "edges": Measure("Edge preservation", "how well true edges are kept", "higher, at most 1", digits=3),
    "flicker": Measure("Flicker", "brightness that changes from frame to frame and should not", "lower", "%", False),
    "gcnr": Measure("gCNR", "how well discs of other tissue part from what is around", "higher, at most 1", digits=3),
    "speckle_snr": Measure("Speckle SNR", "how calm even tissue is shown", "higher"),
    "wire_axial_mm": Measure("Wire width, axial", "how wide a point is drawn, downwards", "lower", "mm", False, 3),
    "wire_lateral_mm": Measure("Wire width, lateral", "how wide a point is drawn, across", "lower", "mm", False, 3),
    "cho": Measure("Detectability d'", "how surely a model reader finds weak lesions", "higher"),
    "ghost_percent": Measure("Ghost", "what is left where a wire or needle was a moment ago", "lower", "%", False),
    "passing_kept": Measure(
        "Needle or wire", "its contrast, against the unprocessed one: a needle that is drawn back, a wire that crosses",
        "higher, 1 is unchanged",
    ),
    "moving_wire": Measure("Moving wire", "its width against the unprocessed one", "lower, 1 is unchanged", "", False),
    "grid_percent": Measure(
        "Grid", "how high the pattern of the net's own blocks stands at the worst place", "lower", "% of full scale",
        False, 1,
    ),
    "grainy_psnr_db": Measure(
        "PSNR, grainy", "how near a picture with its speckle and noise comes to the large one it was halved from",
        "higher", "dB",
    ),
    "overshoot_percent": Measure("Overshoot", "how far edges swing beyond their levels", "lower", "%", False),
}  # fmt: skip


class Comparison(msgspec.Struct, frozen=True):
    """One figure for everyone who took part."""

    engine: float
    float_twin: float | None = None  # the same net before it was made INT8
    input: float | None = None
    peers: dict[str, float] = {}

    def best_peer(self, higher: bool = True) -> tuple[str, float]:
        """Name and figure; nothing where none took part."""
        known = {name: value for name, value in self.peers.items() if not math.isnan(value)}
        if not known:
            return "", math.nan
        name = (max if higher else min)(known, key=lambda who: known[who])
        return name, known[name]

    @property
    def minus_float(self) -> float:
        return math.nan if self.float_twin is None else self.engine - self.float_twin

    @property
    def over_input(self) -> float:
        return math.nan if self.input is None else self.engine - self.input


class Detection(msgspec.Struct, frozen=True):
    """Lesions of one size under one condition. d' of everyone; leads are the engine's, with standard errors."""

    condition: str
    dose: float
    moves: bool
    radius_mm: float
    samples: dict[str, int]
    d_prime: Comparison
    lead_over_input: float | None = None  # None where only the input was looked at
    lead_stderr: float = 0.0
    lead_over_full_dose: float | None = None  # fluoroscopy at quarter dose, moving
    full_dose_stderr: float = 0.0


class Recovered(msgspec.Struct, frozen=True):
    """Lesions of one size and contrast: contrast shown over true contrast."""

    condition: str
    lesion: str
    count: int
    value: float
    stderr: float
    input: float
    plain: bool = True  # well above what can be seen in one frame; the others are near it


def least_kept(rows: list[Recovered], plain: bool) -> float:
    """The least contrast shown, as a part of what the unprocessed picture shows."""
    return min((row.value / min(1.0, row.input) for row in rows if row.plain == plain), default=math.nan)


class Held(msgspec.Struct, frozen=True):
    """A peer at the strength at which it would pass the gate of lesions."""

    strength: float  # 1 is all of it, 0 the picture as it came
    psnr_db: float
    gcnr: float


class Found(msgspec.Struct, frozen=True):
    """Structures that are not in the truth, in lesion-free frames."""

    frames: int
    engine: int
    input: int
    unsupported: int  # of the engine's, without a cause in the input
    per_1000: float
    stderr_per_1000: float


class Group(msgspec.Struct, frozen=True):
    """A stratum: scenes that have something in common."""

    scenes: int
    psnr_db: float
    psnr_input_db: float
    gain_db: float
    ssim: float
    edges: float


class Time(msgspec.Struct, frozen=True):
    median_ms: float
    p90_ms: float
    runs: int


class RealFrames(msgspec.Struct, frozen=True):
    """What became of real frames, of which there is no truth."""

    files: int
    frames: int
    without_region: list[str]  # files in which no picture was found: shown as they came
    changed_outside: list[str]  # files in which a pixel changed that may not
    mean_change: float  # inside the region, as a part of full scale
    grid_percent: float = 0.0  # at the worst place of all, of full scale
    grid_in: str = ""  # the file it was in


class Judged(msgspec.Struct):
    """Everything about one engine."""

    engine: str
    kind: Literal["ultrasound", "fluoroscopy", "superres"]
    size: str
    sha256: str
    quick: bool
    kmac_per_px: float
    measures: dict[str, Comparison]
    detections: list[Detection]
    recovered: list[Recovered]
    invented: Found
    artefacts: dict[str, Comparison]
    drift_db: float
    drift_frames: int
    strength_nought_exact: bool
    outside_unchanged: bool
    strata: dict[str, Group]
    worst_stratum: str
    ghost_added: float = 0.0  # per cent, beyond what the unprocessed picture shows at the same age
    ghost_added_stderr: float = 0.0
    plain_kept: dict[str, float] = {}  # who -> the least that a plain lesion keeps of the contrast that the input shows
    peers_held: dict[str, Held] = {}
    times: dict[str, Time] = {}
    processor: str = ""  # that the times were measured on
    real: RealFrames | None = None
    notes: list[str] = []
    gates: dict[str, bool] = {}
    targets: dict[str, bool] = {}

    @property
    def float_key(self) -> str:
        return f"{self.engine} (float)"

    def ms(self, who: str) -> float:
        return self.times[who].median_ms if who in self.times else math.nan

    @property
    def recovery(self) -> tuple[float, float, float]:
        """Minimum, median, maximum over sizes, contrasts and conditions."""
        values = sorted(row.value for row in self.recovered)
        if not values:
            return math.nan, math.nan, math.nan
        middle = len(values) // 2
        median = values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
        return values[0], median, values[-1]

    @property
    def targets_missed(self) -> list[str]:
        return [name for name, met in self.targets.items() if not met]


def for_machines(judged: Judged) -> dict[str, object]:
    """One engine's figures under the names that others read; what is finer lies below `details`."""
    psnr, cho = judged.measures["psnr_db"], judged.measures["cho"]
    best, best_psnr = psnr.best_peer()
    low, middle, high = judged.recovery
    own, twin = judged.times.get(judged.engine), judged.times.get(judged.float_key)
    flat: dict[str, object] = {
        "kind": judged.kind, "sha256": judged.sha256, "quick": judged.quick,
        "psnr_db": psnr.engine, "psnr_input_db": psnr.input, "psnr_best_peer_db": best_psnr, "best_peer": best,
    }  # fmt: skip
    for name, comparison in judged.measures.items():
        if name != "psnr_db":
            peer, value = comparison.best_peer(MEASURES[name].higher)
            flat |= {name: comparison.engine, f"{name}_input": comparison.input}
            flat |= {f"{name}_best_peer": value, f"{name}_best_peer_name": peer}
    flat |= {
        "int8_minus_fp32_db": psnr.minus_float,
        "int8_minus_fp32_gcnr": judged.measures["gcnr"].minus_float,
        "int8_minus_fp32_cho_percent": percent_of_float(cho),
        "ghost_added_percent": judged.ghost_added, "ghost_added_stderr": judged.ghost_added_stderr,
        "drift_db": judged.drift_db, "drift_frames": judged.drift_frames,
        "invented_per_1000": judged.invented.per_1000,
        "lesion_contrast_recovery": {"min": low, "median": middle, "max": high},
        "plain_lesions_keep": judged.plain_kept, "peers_held": judged.peers_held,
        "artefacts_left_percent": {name: comparison.engine for name, comparison in judged.artefacts.items()},
        "ms_int8": own.median_ms if own else None, "ms_int8_p90": own.p90_ms if own else None,
        "ms_fp32": twin.median_ms if twin else None, "ms_fp32_p90": twin.p90_ms if twin else None,
        "ms_peers": {who: time.median_ms for who, time in judged.times.items() if who in psnr.peers},
        "processor": judged.processor, "kmac_per_px": judged.kmac_per_px,
        "gates": judged.gates | judged.targets,
        "safety_gates": sorted(judged.gates), "targets_missed": judged.targets_missed,
        "worst_stratum": judged.worst_stratum, "strata": judged.strata,
        "detections": judged.detections, "recovered": judged.recovered, "invented": judged.invented,
        "real_frames": judged.real, "notes": judged.notes,
    }  # fmt: skip
    return flat


def percent_of_float(comparison: Comparison) -> float:
    """By how many per cent INT8 lies above float; below 0 where it lost."""
    if not comparison.float_twin:
        return math.nan
    return 100.0 * (comparison.engine / comparison.float_twin - 1.0)
