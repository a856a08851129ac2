"""What the judge measures. Pure functions on pictures of float32 levels, 0 to 1 unless a docstring says otherwise.

    pixels      how far from the truth: PSNR, SSIM
    contrast    how well two tissues part: gCNR, CNR, speckle SNR
    sharpness   how wide a wire or an edge is, which edges are kept, whether they ring
    motion      flicker, and the ghost behind what moves
    observer    a channelised Hotelling observer: can a lesion be found
    lesions     is a lesion kept at its contrast, is one invented
    raster      does a net's own grid of blocks show
    drift       does a long stream stay as good as it began

Every function says in its docstring what it computes and in which unit. Nothing here knows about engines, peers or
phantoms: arrays in, figures out.
"""

from __future__ import annotations

from calibration.measures.contrast import cnr, gcnr, speckle_snr
from calibration.measures.drift import drift_db, steady
from calibration.measures.lesions import Invented, Search, calibrated, contrast_recovery, invented, lesion_mask
from calibration.measures.motion import flicker, footprint, ghost_percent, trail_mask, wire_contrast
from calibration.measures.observer import (
    ChannelisedObserver,
    Detectability,
    Template,
    against_surroundings,
    cut,
    gabor,
    laguerre_gauss,
    lead,
    threshold,
)
from calibration.measures.pixels import levels, psnr_db, ssim
from calibration.measures.raster import raster
from calibration.measures.sharpness import (
    WireWidth,
    edge_preservation,
    edge_width,
    fwhm,
    overshoot,
    profile_overshoot,
    wire_fwhm,
)

__all__ = [
    "ChannelisedObserver",
    "Detectability",
    "Invented",
    "Search",
    "Template",
    "WireWidth",
    "against_surroundings",
    "calibrated",
    "cnr",
    "contrast_recovery",
    "cut",
    "drift_db",
    "edge_preservation",
    "edge_width",
    "flicker",
    "footprint",
    "fwhm",
    "gabor",
    "gcnr",
    "ghost_percent",
    "invented",
    "laguerre_gauss",
    "lead",
    "lesion_mask",
    "levels",
    "overshoot",
    "profile_overshoot",
    "psnr_db",
    "raster",
    "speckle_snr",
    "ssim",
    "steady",
    "threshold",
    "trail_mask",
    "wire_contrast",
    "wire_fwhm",
]
