"""The Grayscale Standard Display Function against the figures of PS3.14, and what a screen does with it."""

from __future__ import annotations

import numpy as np
import pytest

from edge.errors import ConfigError
from edge.panel import gsdf
from edge.panel.picture import PLAIN, levels


@pytest.mark.parametrize(("index", "candelas"), [(1, 0.0500), (2, 0.0547), (3, 0.0594), (1023, 3993.404)])
def test_it_has_the_standards_luminances(index: float, candelas: float) -> None:
    assert float(gsdf.luminance(index)) == pytest.approx(candelas, rel=1e-3)


def test_its_inverse_leads_back() -> None:
    indices = np.arange(1.0, 1023.0)
    assert np.abs(gsdf.index_of(gsdf.luminance(indices)) - indices).max() < 0.1


@pytest.mark.parametrize("measured", [(0.5, 250.0), (0.3, 1.1, 5.0, 20.0, 60.0, 130.0, 260.0, 400.0, 600.0)])
def test_equal_steps_of_the_picture_are_equally_many_just_noticeable_differences(measured: tuple[float, ...]) -> None:
    driving = gsdf.curve(measured)
    assert (driving[0], driving[-1]) == (0.0, pytest.approx(1.0))
    assert np.all(np.diff(driving) >= 0)
    if len(measured) == 2:
        shown = measured[0] + (measured[1] - measured[0]) * driving**gsdf.NATIVE_GAMMA
        steps = np.diff(gsdf.index_of(shown[::32]))
        assert steps.std() / steps.mean() < 0.03


@pytest.mark.parametrize(
    "measured", [(1.0,), (5.0, 5.0), (5.0, 1.0), (0.01, 100.0), (1.0, 9000.0), (1.0, float("nan"))]
)
def test_what_no_screen_can_be_is_refused(measured: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="gsdf_luminance"):
        gsdf.curve(measured)


def test_the_curve_is_applied_to_all_the_pictures_levels_before_they_become_256() -> None:
    table = levels(PLAIN, 12, gsdf.curve((0.5, 250.0)).tobytes())
    plain = levels(PLAIN, 12)
    assert len(table) == 4096
    assert (int(table[0]), int(table[-1])) == (0, 255)
    assert not np.array_equal(table, plain)
    assert len(np.unique(table)) > 200  # from 8 bits it would have lost many
