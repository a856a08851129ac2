"""The groups of scenes that figures are also given for: a mean can hide the probe or dose an engine fails at. Pure."""

from __future__ import annotations

from edge.phantom import FluoroscopyScene, UltrasoundScene

# Upper bounds and the words for what lies below them; the last words are for the rest.
_DEPTHS = ((60.0, "under 60 mm"), (120.0, "60 to 120 mm"), (float("inf"), "over 120 mm"))
_GAINS = ((-1.5, "low"), (3.5, "middle"), (float("inf"), "high"))
_NOISES = ((-72.0, "low"), (-65.0, "middle"), (float("inf"), "high"))
_DOSES = ((0.25, "under a quarter"), (0.5, "a quarter to a half"), (float("inf"), "over a half"))


def strata_of(scene: UltrasoundScene | FluoroscopyScene) -> tuple[str, ...]:
    if isinstance(scene, UltrasoundScene):
        return (
            f"probe: {scene.probe}",
            f"depth: {_band(scene.depth_mm, _DEPTHS)}",
            f"gain: {_band(scene.gain_db, _GAINS)}",
            f"noise: {_band(scene.noise_db, _NOISES)}",
        )
    return (f"dose: {_band(scene.dose, _DOSES)}", f"view: {scene.view}", f"depth of samples: {scene.bits} bits")


def _band(value: float, bands: tuple[tuple[float, str], ...]) -> str:
    return next(words for bound, words in bands if value < bound)
