"""Filters run where noise is even: by a picture's own noise curve, or by a stream's. Owned by one stream."""

from __future__ import annotations

from calibration.peers._levels import Floats, Momentary
from calibration.peers._noise import NoiseCurve, Stabiliser, measured

_FOLLOW = 0.2  # how quickly the noise curve follows the stream's


class Evening:
    """The stream's noise curve, averaged over pictures, as the scale on which it is 1."""

    def __init__(self) -> None:
        self._curve: NoiseCurve | None = None

    def forget(self) -> None:
        self._curve = None

    def follow(self, levels: Floats) -> Stabiliser:
        """The scale, once this picture's noise has been taken into account: to be asked once a picture."""
        now = measured(levels)
        self._curve = now if self._curve is None else self._curve.mixed(now, _FOLLOW)
        return Stabiliser.of(self._curve)


class Evened(Momentary):
    """A filter of one picture, run on the scale evened for that picture: its settings in levels become deviations."""

    def __init__(self, inner: Momentary) -> None:
        self._inner = inner

    def __call__(self, levels: Floats) -> Floats:
        scale = Stabiliser.of(measured(levels))
        return scale.back(self._inner(scale.even(levels)))
