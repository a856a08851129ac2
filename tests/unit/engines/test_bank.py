"""Training clips: the same for the same seed, never from a seed that the judge owns, and truth without the grain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import bank

MODALITIES = ("ultrasound", "fluoroscopy")


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_seed_gives_the_same_clips_again(modality: str) -> None:
    first, again = bank.clips(modality, 3), bank.clips(modality, 3)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[0].shape == (bank.CROPS, bank.FRAMES[modality], bank.CROP, bank.CROP)


@pytest.mark.parametrize("modality", MODALITIES)
def test_scenes_differ_and_the_truth_is_calmer_than_the_picture(modality: str) -> None:
    calmer = 0
    seen = []
    for seed in range(4):
        shown, true = (part.astype(np.float32) / 65535 for part in bank.clips(modality, seed))
        seen.append(shown)
        calmer += np.abs(np.diff(true, axis=-1)).mean() < np.abs(np.diff(shown, axis=-1)).mean()
    assert calmer == 4
    assert not np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize("modality", MODALITIES)
def test_time_runs_within_a_clip(modality: str) -> None:
    shown, _ = bank.clips(modality, 5)
    assert all(not np.array_equal(shown[0, 0], shown[0, number]) for number in range(1, bank.FRAMES[modality]))


def test_a_bank_is_drawn_once_and_found_again(tmp_path: Path) -> None:
    drawn = bank.open_bank(tmp_path, "fluoroscopy", 2)
    assert len(drawn) == 2 * bank.CROPS
    stamp = (next(tmp_path.iterdir()) / "true.npy").stat().st_mtime_ns
    found = bank.open_bank(tmp_path, "fluoroscopy", 2)
    assert (next(tmp_path.iterdir()) / "true.npy").stat().st_mtime_ns == stamp
    assert np.array_equal(found.shown[0], bank.clips("fluoroscopy", 0)[0][0])


def test_a_half_drawn_bank_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    bank.open_bank(tmp_path, "fluoroscopy", 1)
    whole = next(tmp_path.iterdir()) / "true.npy"
    whole.replace(whole.with_name("true.part.npy"))  # as a power cut would leave it
    assert len(bank.open_bank(tmp_path, "fluoroscopy", 1)) == bank.CROPS
    assert whole.exists()


@pytest.mark.parametrize("seed", [-1, bank.FIRST_VALIDATION_SEED, 2_000_000])
def test_seeds_of_tuning_and_of_the_judge_are_not_for_training(seed: int) -> None:
    with pytest.raises(ValueError, match="not for training"):
        bank.clips("fluoroscopy", seed)
