"""Everything that can differ between two ultrasound scenes, and a plausible draw of it all. No state."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from edge.phantom._exposure import require, require_picture
from edge.phantom._insert import Insert
from edge.phantom._pointspread import Optics
from edge.phantom._scan import Beams

PROBES = ("linear", "curved", "phased")
TISSUES = ("muscle", "abdomen", "neck")


@dataclass(frozen=True)
class UltrasoundScene:
    """A probe on a patient, and the screen it is shown on."""

    seed: int = 0
    take: int = 0  # another take of the same patient and motion: other speckle, other noise
    width: int = 640
    height: int = 480
    fps: float = 30.0
    bits: int = 8
    # The probe and how it is set
    probe: str = "curved"
    depth_mm: float = 120.0
    span: float = 0.55  # half the face in mm (linear), half the angle in radians (curved, phased)
    radius_mm: float = 55.0  # of the face; not used by a linear probe
    frequency_mhz: float = 3.5
    cycles: float = 2.2  # pulse length
    f_number: float = 2.2
    focus_mm: float = 60.0
    gain_db: float = 0.0
    gain_tilt_db: float = 0.0  # how wrong the depth gain is set: over the whole depth
    dynamic_range_db: float = 62.0
    noise_db: float = -68.0  # electronic noise against an echo at the face, before the depth gain
    smoothing: float = 0.7  # of the log picture, in samples and lines
    persistence: float = 0.0  # how much of the picture before is mixed in
    samples: int = 512
    lines: int = 192
    # The patient
    tissue: str = "abdomen"
    texture: float = 1.0  # unevenness of the tissue, against an ordinary one
    attenuation_db_cm_mhz: float = 0.5
    layers: int = 3
    vessels: int = 3
    cysts: int = 1
    lesions: int = 2
    stones: int = 0
    bone: bool = False
    reverberation: float = 0.15  # amplitude of each further bounce between face and fascia
    haze_db: float = -6.0  # the probe's own ringing in the first millimetres
    streaks: float = 0.0  # interference from another device: how much of the picture it crosses, 0 to 1
    inserts: tuple[Insert, ...] = ()
    wires: tuple[tuple[float, float], ...] = ()  # x and z in mm of points far smaller than a beam
    wire_db: float = 30.0
    # What moves
    breathing_mm: float = 4.0
    breathing_hz: float = 0.25
    heart_hz: float = 1.1
    pulsation_mm: float = 0.8
    sway_mm: float = 1.5
    sway_hz: float = 0.13
    press_mm: float = 1.0
    press_hz: float = 0.4
    turnover_hz: float = 0.15  # how often drift out of the plane brings wholly new speckle
    # The needle
    needle: bool = True
    needle_angle_deg: float = 38.0  # below the face
    needle_from_left: bool = True
    needle_depth_mm: float = 55.0  # along the shaft, when fully in
    needle_period_s: float = 6.0
    needle_db: float = 20.0
    # The screen
    furniture: bool = True

    def __post_init__(self) -> None:
        require_picture(self.width, self.height, self.fps, self.bits)
        require(self.probe in PROBES, f'unknown probe "{self.probe}"; known: {", ".join(PROBES)}')
        require(self.tissue in TISSUES, f'unknown tissue "{self.tissue}"; known: {", ".join(TISSUES)}')
        require(5 <= self.depth_mm <= 400, f"depth_mm {self.depth_mm:g} is not within 5 to 400")
        require(0.5 <= self.frequency_mhz <= 60, f"frequency_mhz {self.frequency_mhz:g} is not within 0.5 to 60")
        require(20 <= self.dynamic_range_db <= 120, "dynamic_range_db is not within 20 to 120")
        require(self.samples >= 64 and self.lines >= 32, "a beam grid has at least 64 samples and 32 lines")
        require(0 <= self.streaks <= 1, f"streaks {self.streaks:g} is not within 0 to 1")
        require(0 <= self.persistence < 1, f"persistence {self.persistence:g} is not within 0 to 1")
        if self.probe == "linear":
            require(1 <= self.span <= 200, "span of a linear probe is half its face in mm, 1 to 200")
        else:
            require(
                0.1 <= self.span <= 1.4,
                "span of a curved or phased probe is half its angle, 0.1 to 1.4 radians",
            )
            require(self.radius_mm >= 0.5, "radius_mm is at least 0.5")

    def beams(self) -> Beams:
        radius = None if self.probe == "linear" else self.radius_mm
        return Beams(self.samples, self.lines, self.depth_mm, self.span, radius)

    def optics(self) -> Optics:
        return Optics(self.frequency_mhz, self.cycles, self.f_number, self.focus_mm)

    @property
    def loss_db_mm(self) -> float:
        """What healthy tissue takes from an echo on its way there and back, for each millimetre of depth."""
        return 2.0 * self.attenuation_db_cm_mhz * self.frequency_mhz / 10.0

    @classmethod
    def of(cls, probe: str, **changes: object) -> UltrasoundScene:
        """A scene as such a probe is commonly used, with changes."""
        require(probe in PROBES, f'unknown probe "{probe}"; known: {", ".join(PROBES)}')
        return dataclasses.replace(cls(**_COMMON[probe]), **changes)  # type: ignore[arg-type]

    @classmethod
    def random(cls, seed: int, width: int = 640, height: int = 480) -> UltrasoundScene:
        """A plausible scene: probe, patient and settings drawn together, as they go together."""
        rng = np.random.default_rng((seed & 0xFFFFFFFF, 0x05CA))
        base = cls.of(str(rng.choice(PROBES)), seed=seed, width=width, height=height)
        depth = base.depth_mm * float(rng.uniform(0.65, 1.35))
        return dataclasses.replace(
            base,
            depth_mm=depth,
            span=base.span * float(rng.uniform(0.8, 1.15)),
            frequency_mhz=base.frequency_mhz * float(rng.uniform(0.8, 1.3)),
            focus_mm=depth * float(rng.uniform(0.3, 0.7)),
            f_number=float(rng.uniform(1.6, 3.5)),
            cycles=float(rng.uniform(1.5, 3.0)),
            **_random_settings(rng),
            **_random_patient(rng, base.probe),
            **_random_motion(rng),
            **_random_needle(rng, depth),
        )


_COMMON: dict[str, dict[str, object]] = {
    "linear": {
        "probe": "linear", "tissue": "muscle",
        "depth_mm": 40.0, "span": 24.0, "frequency_mhz": 9.0, "f_number": 2.0, "focus_mm": 22.0,
        "layers": 4, "vessels": 1, "cysts": 0, "lesions": 1,
        "breathing_mm": 0.6, "pulsation_mm": 0.5, "sway_mm": 0.8, "press_mm": 0.8,
        "needle_depth_mm": 32.0, "needle_angle_deg": 30.0,
    },
    "curved": {"probe": "curved"},
    "phased": {
        "probe": "phased", "lines": 176, "radius_mm": 12.0,
        "depth_mm": 150.0, "span": 0.68, "frequency_mhz": 2.6, "f_number": 3.4, "focus_mm": 80.0,
        "vessels": 4, "pulsation_mm": 2.5, "needle": False, "needle_depth_mm": 70.0,
    },
}  # fmt: skip


def _random_settings(rng: np.random.Generator) -> dict[str, float]:
    return {
        "gain_db": float(rng.uniform(-6, 8)),
        "gain_tilt_db": float(rng.normal(0, 4)),
        "dynamic_range_db": float(rng.uniform(48, 76)),
        "noise_db": float(rng.uniform(-80, -58)),
        "smoothing": float(rng.uniform(0.0, 1.0)),
        "persistence": float(rng.choice([0.0, 0.0, 0.3, 0.45])),
        "attenuation_db_cm_mhz": float(rng.uniform(0.35, 0.75)),
    }


def _random_patient(rng: np.random.Generator, probe: str) -> dict[str, object]:
    tissues = ("muscle", "neck") if probe == "linear" else ("abdomen", "abdomen", "muscle")
    return {
        "tissue": str(rng.choice(tissues)),
        "texture": float(rng.uniform(0.6, 1.4)),
        "layers": int(rng.integers(2, 6)),
        "vessels": int(rng.integers(0, 5)),
        "cysts": int(rng.integers(0, 3)),
        "lesions": int(rng.integers(0, 4)),
        "stones": int(rng.choice([0, 0, 1, 2])),
        "bone": bool(rng.random() < 0.25),
        "reverberation": float(rng.uniform(0.0, 0.35)),
        "haze_db": float(rng.uniform(-18, 2)),
        "streaks": float(rng.choice([0.0, 0.0, 0.0, rng.uniform(0.1, 1.0)])),
    }


def _random_motion(rng: np.random.Generator) -> dict[str, float]:
    def spread(low: float, high: float) -> float:
        return math.exp(float(rng.uniform(math.log(low), math.log(high))))

    return {
        "breathing_mm": spread(0.3, 8),
        "breathing_hz": spread(0.15, 0.5),
        "heart_hz": spread(0.8, 2.2),
        "pulsation_mm": spread(0.2, 2.5),
        "sway_mm": spread(0.2, 4),
        "sway_hz": spread(0.05, 0.5),
        "press_mm": spread(0.2, 2.5),
        "press_hz": spread(0.1, 0.8),
        "turnover_hz": spread(0.02, 1.0),
    }


def _random_needle(rng: np.random.Generator, depth_mm: float) -> dict[str, object]:
    return {
        "needle": bool(rng.random() < 0.5),
        "needle_angle_deg": float(rng.uniform(18, 65)),
        "needle_from_left": bool(rng.random() < 0.5),
        "needle_depth_mm": depth_mm * float(rng.uniform(0.4, 0.9)),
        "needle_period_s": float(rng.uniform(3, 12)),
        "needle_db": float(rng.uniform(12, 28)),
    }
