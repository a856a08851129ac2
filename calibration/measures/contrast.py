"""How well two tissues can be told apart, and how calm one of them is. Pure.

gCNR is the figure to trust: it asks how many pixels a reader would sort wrongly, which no change of the grey scale can
alter. CNR and speckle SNR are reported beside it because they are known, and both move with the grey scale.
"""

from __future__ import annotations

import numpy as np

from calibration.measures._arrays import Floats

_SAMPLES_A_BIN = 100  # holds the floor that chance alone gives, sqrt(bins (1/n + 1/m) / 2 pi), under 0.06
_FEWEST_BINS = 8


def gcnr(inside: Floats, outside: Floats, bins: int = 256) -> float:
    """Generalised contrast-to-noise ratio, 0 to 1 (no unit): 1 - the overlap of the two histograms.

    The bins are common to both patches, lie over their joint range and hold equally many of their joint samples. So
    the figure is exactly the same after any strictly rising change of the grey scale, and one bright pixel does not
    push everything else into a single bin. `bins` is the most that are used: histograms of few samples differ by
    chance, so there is at most one bin for every hundred samples of the smaller patch (and at least eight): pool the
    patches of several frames rather than raising `bins`.
    """
    first, second = np.ravel(inside), np.ravel(outside)
    fewer = min(first.size, second.size)
    if fewer == 0:
        raise ValueError("gCNR needs samples of both patches")
    used = min(bins, max(_FEWEST_BINS, fewer // _SAMPLES_A_BIN))
    joint = np.sort(np.concatenate((first, second)))
    edges = np.unique(joint[(np.arange(1, used) * joint.size) // used])
    shares = [
        np.bincount(np.searchsorted(edges, part, side="right"), minlength=edges.size + 1) / part.size
        for part in (first, second)
    ]
    return float(1.0 - np.minimum(shares[0], shares[1]).sum())


def cnr(inside: Floats, outside: Floats) -> float:
    """Contrast-to-noise ratio (no unit): |difference of means| / root of the sum of both variances.

    Grows when the grey scale is merely stretched or cut: never compare it between treatments without gCNR beside it.
    """
    first, second = np.ravel(inside).astype(np.float64), np.ravel(outside).astype(np.float64)
    noise = float(np.sqrt(first.var() + second.var()))
    difference = abs(float(first.mean() - second.mean()))
    return _quotient(difference, noise)


def speckle_snr(levels: Floats, dynamic_range_db: float | None = None) -> float:
    """Mean over standard deviation (no unit) of a uniform patch. Fully developed speckle has 1.91.

    Without `dynamic_range_db` the levels are amplitudes. With it they are log-compressed, a step of 1 being that many
    dB, and are turned back into amplitudes first. Do that for B-mode pictures: mean over deviation of logarithmic
    levels depends on where black happens to lie, so a treatment that did no more than brighten the picture would
    raise it. On amplitudes a brighter picture is the same picture times a number, and only the grain counts. For the
    same reason a patch whose truth is not flat may be handed in as `picture - truth`: a difference of logarithms is
    the grain alone.
    """
    amplitudes = np.ravel(levels).astype(np.float64)
    if dynamic_range_db is not None:
        amplitudes = np.power(10.0, (amplitudes - amplitudes.max()) * (dynamic_range_db / 20.0))
    return _quotient(float(amplitudes.mean()), float(amplitudes.std()))


def _quotient(above: float, below: float) -> float:
    if below > 0.0:
        return above / below
    return float("inf") if above > 0.0 else 0.0
