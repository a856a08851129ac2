"""Moving scenes with a known clean truth: what a scanner would show, and what it looked at.

A phantom is owned by one thread. Its scene is a frozen dataclass in which everything that can differ between
two scenes is a field, so that a training set can draw them at random and name each one by its seed.
"""

from __future__ import annotations

import dataclasses
import difflib

from edge.errors import ConfigError
from edge.phantom._exposure import Exposure, Phantom
from edge.phantom._insert import Insert
from edge.phantom.fluoroscopy import FluoroscopyPhantom, FluoroscopyScene
from edge.phantom.ultrasound import UltrasoundPhantom, UltrasoundScene

__all__ = [
    "MODALITIES",
    "Exposure",
    "FluoroscopyPhantom",
    "FluoroscopyScene",
    "Insert",
    "Phantom",
    "UltrasoundPhantom",
    "UltrasoundScene",
    "make",
]

MODALITIES = ("ultrasound", "fluoroscopy")


def make(modality: str, **options: object) -> Phantom:
    """A phantom of a modality; options are its scene's fields."""
    if modality == "ultrasound":
        _refuse_strangers(UltrasoundScene, options)
        probe = str(options.pop("probe", "curved"))
        return UltrasoundPhantom(UltrasoundScene.of(probe, **options))
    if modality == "fluoroscopy":
        _refuse_strangers(FluoroscopyScene, options)
        view = str(options.pop("view", "cardiac"))
        return FluoroscopyPhantom(FluoroscopyScene.of(view, **options))
    raise ConfigError(f'unknown modality "{modality}"; known: {", ".join(MODALITIES)}')


def _refuse_strangers(scene: type[UltrasoundScene] | type[FluoroscopyScene], options: dict[str, object]) -> None:
    known = [field.name for field in dataclasses.fields(scene)]
    for option in options:
        if option not in known:
            close = difflib.get_close_matches(option, known, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise ConfigError(f'phantom: unknown option "{option}"{hint}')
