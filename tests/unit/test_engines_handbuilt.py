"""The hand-built engines: the shipped files are what the recipe writes, and they do what they claim."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.backends import Session, Shape, open_backend
from edge.catalog import open_catalog
from edge.clock import SECOND
from edge.frame import Pixels
from edge.phantom import make

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
from engines import handbuilt

SIZES = ("large", "medium", "small")
HERE = Path(handbuilt.__file__).parent
CATALOG = open_catalog([])


def opened(size: str, height: int, width: int, bits: int = 8) -> Session:
    return open_backend("openvino_cpu", 2).open(CATALOG.engines[f"handbuilt-{size}"], Shape(height, width, bits))


def computed(session: Session, grey: Pixels, strength: float = 1.0) -> Pixels:
    session.start(grey, strength)
    assert session.wait(20 * SECOND)
    return session.result().copy()


@pytest.mark.parametrize("size", SIZES)
def test_the_shipped_model_is_what_the_recipe_writes_now(size: str) -> None:
    built = handbuilt.build(size).SerializeToString(deterministic=True)
    shipped = (HERE / f"handbuilt-{size}" / "model.onnx").read_bytes()
    assert built == shipped, "run `make engines`, and commit what it writes"


@pytest.mark.parametrize("size", SIZES)
def test_the_manifest_tells_what_the_engine_costs(size: str) -> None:
    told = CATALOG.engines[f"handbuilt-{size}"].manifest.kmac_per_px
    assert told == pytest.approx(handbuilt.kmac_per_px(size), abs=0.01)


def test_the_patterns_are_orthonormal_and_none_is_the_mean() -> None:
    basis = handbuilt.cosine_basis().reshape(15, 16)
    assert np.allclose(basis @ basis.T, np.eye(15), atol=1e-6)
    assert np.allclose(basis.sum(axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("count", [4, 8, 16])
def test_alignments_are_spread_over_all_rows_and_columns(count: int) -> None:
    shifts = handbuilt.alignments(count)
    assert len(set(shifts)) == count
    assert {dy for dy, _ in shifts} == {dx for _, dx in shifts} == {0, 1, 2, 3}


def psnr(pixels: Pixels, truth: Pixels, mask: np.ndarray, full: int) -> float:
    error = (pixels.astype(np.float64) - truth)[mask]
    return float(10 * np.log10(full**2 / np.mean(error**2)))


@pytest.mark.parametrize("modality", ["ultrasound", "fluoroscopy"])
@pytest.mark.parametrize("size", SIZES)
def test_a_phantom_comes_nearer_to_its_truth(size: str, modality: str) -> None:
    phantom = make(modality, width=320, height=240)
    first = phantom.frame(0)
    session = opened(size, 240, 320, first.bits)
    full = (1 << first.bits) - 1
    gains: list[float] = []
    for index in range(8):
        exposure = phantom.frame(index)
        mask, grey, truth = exposure.mask > 0, exposure.pixels.copy(), exposure.truth.copy()
        after = computed(session, grey)
        gains.append(psnr(after, truth, mask, full) - psnr(grey, truth, mask, full))
    assert min(gains) >= 0
    assert gains[-1] > gains[0]  # the past helps


def still(seed: int, grain: float = 10.0) -> Pixels:
    scene = np.full((128, 128), 90, np.float32)
    cv2.circle(scene, (64, 64), 30, 170, -1, cv2.LINE_AA)
    noise = np.random.default_rng(seed).normal(0, grain, scene.shape)
    return np.clip(np.rint(scene + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_a_still_scene_becomes_steadier_over_time(size: str) -> None:
    session = opened(size, 128, 128)
    shown = [computed(session, still(seed)).astype(float) for seed in range(12)]
    flicker = [float(np.abs(b - a).mean()) for a, b in pairwise(shown)]
    came = float(np.abs(still(10).astype(float) - still(11)).mean())
    assert flicker[-1] < 0.6 * came
    single = opened(size, 128, 128)
    alone = np.abs(computed(single, still(11)).astype(float) - (still(11, 0.0)))
    assert np.abs(shown[-1] - still(11, 0.0)).mean() < alone.mean()


def edge_at(column: int, seed: int) -> Pixels:
    scene = np.full((64, 128), 60, np.float32)
    scene[:, column:] = 180
    return np.clip(np.rint(scene + np.random.default_rng(seed).normal(0, 4, scene.shape)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_where_an_edge_was_nothing_is_left_of_it_within_three_frames(size: str) -> None:
    session = opened(size, 64, 128)
    for seed in range(10):
        computed(session, edge_at(48, seed))
    for seed in range(10, 13):
        after = computed(session, edge_at(80, seed))
    uncovered = after[8:-8, 50:74].astype(float)  # was bright, is dark now
    assert abs(uncovered.mean() - 60) < 2
    assert np.abs(uncovered.mean(axis=0) - 60).max() < 4  # no trace of the old edge in any column


@pytest.mark.parametrize("size", SIZES)
def test_an_edge_stays_as_sharp_and_as_high_as_it_was(size: str) -> None:
    session = opened(size, 64, 128)
    for seed in range(6):
        after = computed(session, edge_at(64, seed)).astype(float)
    profile = after[8:-8].mean(axis=0)
    assert profile[66:120].mean() - profile[8:62].mean() > 0.97 * 120
    assert profile[64] - profile[63] > 0.9 * 120


@pytest.mark.parametrize("size", SIZES)
def test_no_block_of_the_transform_shows(size: str) -> None:
    """In a smooth ramp the steps between columns do not depend on where a 4x4 block ends."""
    session = opened(size, 128, 128)
    ramp = np.linspace(40, 200, 128)[None, :] + np.random.default_rng(2).normal(0, 5, (128, 128))
    after = computed(session, np.clip(np.rint(ramp), 0, 255).astype(np.uint8)).astype(float)
    steps = np.abs(np.diff(after, axis=1)).mean(axis=0)
    by_phase = [steps[8 + phase : 120 : 4].mean() for phase in range(4)]
    assert max(by_phase) < 1.3 * min(by_phase)


@pytest.mark.parametrize("bits", [8, 12])
def test_the_change_is_bounded_whatever_comes(bits: int) -> None:
    session = opened("large", 64, 64, bits)
    full = (1 << bits) - 1
    rng = np.random.default_rng(9)
    noise = rng.integers(0, full, (64, 64), np.uint8 if bits == 8 else np.uint16, endpoint=True)
    change = np.abs(computed(session, noise).astype(int) - noise.astype(int))
    # No coefficient loses more than its threshold, and a pixel is a sum of fifteen of them, each at most 1/2 high.
    assert change.max() <= handbuilt.THRESHOLD * full * float(np.abs(bound_per_pixel()).max()) + 2


def bound_per_pixel() -> np.ndarray:
    basis = np.abs(handbuilt.cosine_basis().astype(np.float64))
    return (basis * handbuilt.coarseness()[:, None, None]).sum(axis=0)
