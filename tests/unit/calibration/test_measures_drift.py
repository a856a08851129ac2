"""Drift over a long stream: seen when it is there, and not mistaken for the start or for the scene."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.measures import drift_db, steady


def test_a_level_stream_does_not_drift() -> None:
    assert drift_db(np.full(2000, 31.0)) == 0.0


def test_a_stream_that_gets_steadily_worse_ends_below_its_mean() -> None:
    falling = 31.0 - np.arange(2000) / 2000
    assert drift_db(falling) == pytest.approx(-0.475)
    assert drift_db(falling[::-1]) == pytest.approx(0.475)


def test_last_frames_are_as_many_as_there_are_at_most() -> None:
    assert drift_db(np.array([1.0, 2.0, 3.0]), last=1) == 1.0
    for last in (0, 4):
        with pytest.raises(ValueError, match="of 3 frames"):
            drift_db(np.array([1.0, 2.0, 3.0]), last)


def test_the_start_without_a_past_is_no_drift() -> None:
    figures = 31.0 - 6.0 * np.exp(-np.arange(2000) / 20)
    assert drift_db(figures) > 0.05
    settled = steady(figures)
    assert settled.size == 2000 - 50  # 6 exp(-n / 20) is half a decibel at n = 49.7
    assert drift_db(settled) < 0.02


def test_a_stream_that_only_gets_worse_is_kept_whole() -> None:
    falling = 31.0 - np.arange(2000) / 500
    assert steady(falling).size == 2000


def test_what_the_scene_does_is_taken_off_by_the_input() -> None:
    scene = 0.5 * np.sin(np.arange(2000) / 300)
    treated, given = 31.0 + scene, 22.0 + scene
    assert abs(drift_db(treated)) > 0.05
    assert drift_db(treated - given) == pytest.approx(0.0, abs=1e-9)
