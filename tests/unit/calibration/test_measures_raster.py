"""The grid of a net's own blocks, told from structure that is in the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from calibration.measures import raster

Floats = np.ndarray
HEIGHT, WIDTH = 40, 63
INNER = (slice(8, -8), slice(8, -8))


def scene() -> Floats:
    """Speckle, an edge, and stripes as wide as a block that are really there."""
    picture = np.random.default_rng(3).normal(0.4, 0.1, (HEIGHT, WIDTH))
    picture[:, 30:] += 0.3
    return picture + 0.2 * (np.arange(WIDTH) % 4 == 1)


def moved(treat: Callable[[Floats], Floats], picture: Floats, count: int = 4) -> list[Floats]:
    """Treated as it is begun one step further on each time."""
    columns = picture.shape[1] - count + 1
    return [treat(picture[:, at : at + columns]) for at in range(count)]


def with_comb(height: float, period: int = 4) -> Callable[[Floats], Floats]:
    """Darkens the first column of every block."""
    return lambda given: given - height * (np.arange(given.shape[1]) % period == 0)


def test_what_is_in_the_picture_is_no_grid() -> None:
    assert raster(moved(lambda given: given, scene()), down=False).max() == pytest.approx(0, abs=1e-9)


def test_a_comb_is_told_at_its_height() -> None:
    found = raster(moved(with_comb(0.08), scene()), down=False)
    assert found.shape == (HEIGHT, WIDTH - 6)
    assert np.allclose(found[INNER], 0.06, atol=1e-6), "one of four is darkened: that far from the mean of all"


def test_down_is_as_across() -> None:
    turned = [picture.T for picture in moved(with_comb(0.08), scene())]
    assert np.allclose(raster(turned, down=True).T, raster(moved(with_comb(0.08), scene()), down=False))


def test_a_comb_at_one_place_is_told_there() -> None:
    def treat(given: Floats) -> Floats:
        made = given.copy()
        made[16:20, :] = with_comb(0.08)(made[16:20, :])
        return made

    found = raster(moved(treat, scene()), down=False)
    assert found[17:19, 8:-8].min() > 0.04
    assert found[:10].max() < 1e-6


def test_what_happens_once_is_no_grid() -> None:
    """A net that sees one place a little otherwise each time: it is averaged away, a grid is not."""
    rng = np.random.default_rng(5)
    wavering = moved(lambda given: given + rng.normal(0, 0.02, given.shape), scene())
    assert raster(wavering, down=False)[INNER].max() < 0.02
    assert raster(wavering, down=False)[INNER].mean() < 0.01


def test_an_enlarged_picture_moves_by_its_scale() -> None:
    """Super-resolution: blocks of four pixels are two of the small picture."""

    def treat(given: Floats) -> Floats:
        return with_comb(0.08)(np.kron(given, np.ones((2, 2))))

    found = raster(moved(treat, scene(), count=2), down=False, step=2)
    assert np.allclose(found[8:-8, 12:-12], 0.04, atol=1e-6), "against the one other place that a pixel can lie at"
    assert raster(moved(lambda given: np.kron(given, np.ones((2, 2))), scene(), 2), down=False, step=2).max() < 1e-9
