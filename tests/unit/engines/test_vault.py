"""Crops of a bank in which every pixel says where it lies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: nothing can be trained here")

import torch

from engines.vault import VALIDATION, Vault

CLIPS, FRAMES, SIDE = 64, 4, 8


@pytest.fixture(scope="module")
def vault() -> Vault:
    """Of six bits, two, three and three: clip, frame, row, column. The highest bit of 16 is in use."""
    clip, frame, row, column = np.indices((CLIPS, FRAMES, SIDE, SIDE))
    coded = ((clip << 8 | frame << 6 | row << 3 | column) << 2).astype(np.uint16)
    assert coded.max() > 1 << 15
    return Vault(cast("Any", SimpleNamespace(shown=coded, true=coded, frames=FRAMES)), torch.device("cpu"))


def decoded(levels: torch.Tensor) -> tuple[np.ndarray, ...]:
    coded = np.rint(levels.double().numpy() * 65535).astype(int) >> 2
    return coded >> 8, coded >> 6 & 3, coded >> 3 & 7, coded & 7


@pytest.mark.parametrize("upside_down", [False, True])
def test_a_crop_is_a_piece_of_one_clip_in_the_order_of_time(vault: Vault, upside_down: bool) -> None:
    shown, true = vault.crops(400, 3, 5, np.random.default_rng(2), upside_down)
    assert shown.shape == (400, 3, 5, 5)
    assert torch.equal(shown, true)
    clip, frame, row, column = decoded(shown)
    assert (clip == clip[:, :1, :1, :1]).all()
    assert set(np.unique(clip)) == set(range(VALIDATION, CLIPS))
    assert (np.diff(frame, axis=1) == 1).all()
    down, across = np.diff(row, axis=2), np.diff(column, axis=3)
    assert set(np.unique(down)) == ({-1, 1} if upside_down else {1})
    assert set(np.unique(across)) == {-1, 1}
    for steps in (down, across):  # a crop is turned as a whole
        assert (steps == steps[:, :1, :1, :1]).all()


def test_every_place_of_a_clip_can_be_a_crop_s_first(vault: Vault) -> None:
    _, frame, row, column = decoded(vault.crops(600, 3, 5, np.random.default_rng(3), upside_down=False)[0])
    assert {0, 1} == set(frame[:, 0, 0, 0])
    assert set(row[:, 0, 0, 0]) == {0, 1, 2, 3}
    assert set(column.min(axis=(1, 2, 3))) == {0, 1, 2, 3}


def test_what_is_kept_aside_is_the_first_clips_whole(vault: Vault) -> None:
    shown, _ = vault.kept_aside()
    assert shown.shape == (VALIDATION, FRAMES, SIDE, SIDE)
    assert set(np.unique(decoded(shown)[0])) == set(range(VALIDATION))
