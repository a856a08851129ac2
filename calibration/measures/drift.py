"""Does a recurrent treatment stay as good as it began? Figures over a long stream of frames. Pure."""

from __future__ import annotations

import numpy as np

from calibration.measures._arrays import Floats


def drift_db(psnr_per_frame: Floats, last: int = 100) -> float:
    """Mean of the last frames minus the mean of all, in dB; below 0 where the stream got worse.

    Scenes differ from moment to moment, and the whole mean holds the start where a recurrent treatment has no past
    yet. To see drift alone hand in `steady(psnr_treated - psnr_input)`: what the scene does is then in both.
    """
    figures = np.asarray(psnr_per_frame, np.float64)
    if not 0 < last <= figures.size:
        raise ValueError(f"the last {last} of {figures.size} frames")
    return float(figures[-last:].mean() - figures.mean())


def steady(psnr_per_frame: Floats, within_db: float = 0.5) -> Floats:
    """The frames after the treatment has gathered its past, in dB as they came.

    They begin with the first frame that is at most `within_db` below the median of the second half. A stream that
    only ever gets worse is steady from its first frame on: its drift stays visible.
    """
    figures = np.asarray(psnr_per_frame, np.float64)
    usual = float(np.median(figures[figures.size // 2 :]))
    return figures[int(np.argmax(figures >= usual - within_db)) :]
