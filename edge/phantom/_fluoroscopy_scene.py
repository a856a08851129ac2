"""Everything that can differ between two fluoroscopy scenes, and a plausible draw of it all. Frozen; no
state.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from edge.phantom._exposure import require, require_picture
from edge.phantom._insert import Insert

VIEWS = ("cardiac", "chest", "hip")
COLLIMATORS = ("none", "circle", "rectangle")


@dataclass(frozen=True)
class FluoroscopyScene:
    """A patient between tube and detector, and how the picture is taken."""

    seed: int = 0
    take: int = 0  # another take of the same patient and motion: other noise
    width: int = 640
    height: int = 480
    fps: float = 30.0
    bits: int = 12
    # The patient
    view: str = "cardiac"
    field_mm: float = 190.0  # the shorter side of the picture, at the patient
    offset_mm: tuple[float, float] = (0.0, 0.0)  # what the beam is centred on
    thickness: float = 1.0  # of the patient, against an ordinary one
    bone: float = 1.0  # density, against an ordinary one
    implants: int = 2  # clips and screws
    inserts: tuple[Insert, ...] = ()
    # What moves
    breathing_mm: float = 6.0
    breathing_hz: float = 0.25
    heart_mm: float = 3.0
    heart_hz: float = 1.2
    table_mm: float = 0.0  # panning of the table
    table_period_s: float = 9.0
    contrast: float = 1.0  # of the agent in the vessels; 0 gives none
    bolus_period_s: float = 7.0
    wire: bool = True
    wire_mm: float = 0.8
    wire_period_s: float = 6.0
    crossing_px: float = 0.0  # an upright wire that crosses the field at so many pixels a frame; 0 gives none
    # The exposure
    dose: float = 1.0
    photons: float = 110.0  # quanta a pixel detects at full dose behind the middle of the patient
    scatter: float = 0.5  # scattered against direct radiation
    scatter_mm: float = 25.0  # how far scatter spreads
    detector_sigma: float = 0.65  # blur of the detector, in pixels
    read_noise: float = 2.0  # in quanta
    lag: float = 0.12  # how much of each exposure is left in the next
    flicker: float = 0.012  # spread of the tube's output from frame to frame
    collimator: str = "circle"
    opening: float = 0.97  # of the collimator, against the shorter side (circle) or both sides (rectangle)

    def __post_init__(self) -> None:
        require_picture(self.width, self.height, self.fps, self.bits)
        require(self.view in VIEWS, f'unknown view "{self.view}"; known: {", ".join(VIEWS)}')
        known = ", ".join(COLLIMATORS)
        require(self.collimator in COLLIMATORS, f'unknown collimator "{self.collimator}"; known: {known}')
        require(0.001 <= self.dose <= 100, f"dose {self.dose:g} is not within 0.001 to 100 (1 is full dose)")
        require(0 < self.photons <= 1e6, f"photons {self.photons:g} is not within 0 to 1000000")
        require(0 <= self.lag < 0.9, f"lag {self.lag:g} is not within 0 to 0.9")
        require(20 <= self.field_mm <= 1000, f"field_mm {self.field_mm:g} is not within 20 to 1000")
        require(0.1 <= self.opening <= 1, f"opening {self.opening:g} is not within 0.1 to 1")
        require(
            min(self.scatter, self.detector_sigma, self.read_noise, self.flicker) >= 0,
            "noise is never negative",
        )

    @property
    def mm_per_pixel(self) -> float:
        return self.field_mm / min(self.width, self.height)

    @classmethod
    def of(cls, view: str, **changes: object) -> FluoroscopyScene:
        """A view as it is commonly taken, with changes."""
        require(view in VIEWS, f'unknown view "{view}"; known: {", ".join(VIEWS)}')
        return dataclasses.replace(cls(**_COMMON[view]), **changes)  # type: ignore[arg-type]

    @classmethod
    def random(cls, seed: int, width: int = 640, height: int = 480) -> FluoroscopyScene:
        """A plausible scene: patient, movement and exposure."""
        rng = np.random.default_rng((seed & 0xFFFFFFFF, 0xF105))

        def spread(low: float, high: float) -> float:
            return math.exp(float(rng.uniform(math.log(low), math.log(high))))

        view = str(rng.choice(VIEWS))
        return cls(
            seed=seed,
            width=width,
            height=height,
            bits=int(rng.choice([8, 10, 12, 12, 14, 16])),
            view=view,
            field_mm=cls.of(view).field_mm * float(rng.uniform(0.6, 1.1)),
            offset_mm=(float(rng.normal(0, 15)), float(rng.normal(0, 15))),
            thickness=float(rng.uniform(0.75, 1.4)),
            bone=float(rng.uniform(0.6, 1.3)),
            implants=int(rng.integers(0, 6)),
            breathing_mm=spread(1, 15),
            breathing_hz=spread(0.15, 0.5),
            heart_mm=spread(1, 6),
            heart_hz=spread(0.8, 2.2),
            table_mm=float(rng.choice([0.0, 0.0, spread(3, 40)])),
            contrast=float(rng.choice([0.0, rng.uniform(0.3, 1.3), rng.uniform(0.3, 1.3)])),
            bolus_period_s=spread(4, 12),
            wire=bool(rng.random() < 0.7),
            wire_mm=spread(0.4, 1.8),
            wire_period_s=spread(3, 12),
            dose=spread(0.15, 1.0),
            photons=spread(50, 250),
            scatter=float(rng.uniform(0.1, 1.2)),
            detector_sigma=float(rng.uniform(0.4, 1.0)),
            read_noise=spread(0.8, 4),
            lag=float(rng.uniform(0.0, 0.35)),
            flicker=float(rng.uniform(0.0, 0.03)),
            collimator=str(rng.choice(COLLIMATORS)),
            opening=float(rng.uniform(0.75, 1.0)),
        )


_COMMON: dict[str, dict[str, object]] = {
    "cardiac": {"view": "cardiac", "collimator": "rectangle"},
    "chest": {"view": "chest", "collimator": "none", "field_mm": 330.0},
    "hip": {"view": "hip", "collimator": "circle", "field_mm": 220.0, "contrast": 0.0, "breathing_mm": 1.0},
}
