"""Training and INT8 conversion, end to end, on a net and a bank small enough for a test."""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: nothing can be trained here")
pytest.importorskip("onnx", reason="the extra `train` is not installed")

import torch

from calibration import quantize
from edge.catalog import read_engine
from engines import bank, export, nets, train
from engines import vault as vault_module
from engines.clip_loss import followed
from engines.implants import Ghosts
from engines.layers import Convolution
from engines.recipes import Recipe
from engines.together import run_together
from engines.vault import Vault

torch.set_num_threads(1)  # tests share the cores: threads that wait for each other would take them from all
TINY = Recipe(
    "ultrasound-clarity-small", "ultrasound", "small", 8, 1, 8, batch=2, crop=32, warm=1, clip=2, minutes=0.02
)


@pytest.fixture(scope="module")
def vault(clips: bank.Bank) -> Vault:
    return Vault(clips, torch.device("cpu"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> bank.Bank:
    return bank.open_bank(tmp_path_factory.mktemp("bank"), "fluoroscopy", 9)


def test_a_few_steps_bring_the_loss_down(vault: Vault, tmp_path: Path) -> None:
    training = train.Training(TINY, [vault], 0.1, tmp_path)
    training.at.seconds = train.LEARN * training.budget  # the rate is at its highest
    losses = [float(training.step()) for _ in range(60)]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


def test_a_training_goes_on_where_it_was_left(vault: Vault, tmp_path: Path) -> None:
    first = train.Training(TINY, [vault], 0.02, tmp_path)
    run_together([first])
    second = train.Training(TINY, [vault], 0.02, tmp_path)
    assert second.at == first.at
    assert second.at.step > 0
    for name, value in first.net.state_dict().items():
        assert torch.equal(second.net.state_dict()[name], value)


def test_what_ghosts_have_cost_so_far_is_kept_too(vault: Vault, tmp_path: Path) -> None:
    first = train.Training(TINY, [vault], 1.0, tmp_path)
    first.at.seconds = 40.0
    for _ in range(3):
        first.step()
    first.note(0.1)
    second = train.Training(TINY, [vault], 1.0, tmp_path)
    assert not torch.equal(first._ghosts.sums, Ghosts(torch.device("cpu")).sums)
    assert torch.equal(second._ghosts.sums, first._ghosts.sums)


def test_a_state_that_was_saved_without_them_is_gone_on_from(vault: Vault, tmp_path: Path) -> None:
    first = train.Training(TINY, [vault], 1.0, tmp_path)
    first.step()
    first.note(0.1)
    path = train.saved_state(tmp_path, TINY)
    state = torch.load(path, weights_only=True)
    del state["ghosts"], state["at"]["before"]
    torch.save(state, path)
    assert train.Training(TINY, [vault], 1.0, tmp_path).at.step == 1


def test_a_training_can_begin_from_what_is_shipped(vault: Vault, tmp_path: Path) -> None:
    shipped = nets.build(TINY)
    training = train.Training(TINY, [vault], 0.1, tmp_path)
    assert training.listening == 0, "a young net has first to learn to calm grain"
    training.begin_from(export.float_model(shipped, TINY).SerializeToString())
    assert training.listening == 1
    assert training.rate < TINY.rate
    for name, value in shipped.named_parameters():
        assert torch.equal(training.net.state_dict()[name], value.detach())
        assert torch.equal(training.average[name], value.detach())


def test_the_same_seed_takes_the_same_first_step(vault: Vault, tmp_path: Path) -> None:
    losses = [train.Training(TINY, [vault], 0.1, tmp_path / str(n)).step() for n in range(2)]
    assert losses[0] == losses[1]


def test_the_trail_of_truths_is_averaged_as_the_frames_were() -> None:
    truths = torch.tensor([0.2, 0.6]).view(2, 1, 1, 1, 1).expand(2, 1, 1, 8, 8)
    first = followed(None, truths[0], (torch.zeros(0), torch.ones(1, 16, 2, 2), torch.zeros(0)))
    again = followed(first, truths[1], (torch.zeros(0), torch.full((1, 16, 2, 2), 4.0), torch.zeros(0)))
    assert float(again.mean()) == pytest.approx(0.2 + 0.4 / 4)


def test_the_best_limit_clips_a_lone_outlier_and_keeps_a_flat_range() -> None:
    rng = np.random.default_rng(0)
    bulk = rng.random(400_000).astype(np.float32)
    assert quantize.best_limit(bulk) == pytest.approx(1.0, abs=0.05)
    assert quantize.best_limit(np.append(bulk, 3.0)) < 2.0
    assert quantize.best_limit(np.zeros(10, np.float32)) == 1.0


@pytest.fixture
def options(clips: bank.Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """Training takes place in `tmp_path`."""
    monkeypatch.setattr(train, "HOME", tmp_path)
    monkeypatch.setattr(vault_module, "VALIDATION", 2)
    monkeypatch.setattr(train, "open_bank", lambda root, modality, scenes: clips)
    return Namespace(bank=tmp_path / "bank", out=tmp_path / "out", scenes=9, minutes=0.01, from_shipped=False)


def one_step_each(trainings: Sequence[train.Training]) -> None:
    """In place of a run by the clock; it uses up the time."""
    for training in trainings:
        training.step()
        training.at.seconds = training.budget
        training.note(0.1)


def test_shipped_weights_are_not_taken_for_those_of_a_training_that_was_begun(
    options: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "run_together", one_step_each)
    train.train([TINY], options)
    home, saved = tmp_path / TINY.name, train.saved_state(options.out, TINY)
    other = export.float_model(nets.build(TINY), TINY).SerializeToString()
    (home / "fp32.onnx").write_bytes(other)
    options.from_shipped = True
    with pytest.raises(SystemExit, match=str(saved)):
        train.train([TINY], options)
    assert (home / "fp32.onnx").read_bytes() == other
    saved.unlink()
    train.train([TINY], options)
    first = json.loads((home / "training.json").read_text())
    assert len(first["before"]) == 1

    # Gone on with, the run is still one run, and the shipped weights' the only one before it.
    options.from_shipped = False
    train.train([TINY], options)
    told = json.loads((home / "training.json").read_text())
    assert told["before"] == first["before"]
    assert (first["steps"], told["steps"]) == (1, 2)


def test_a_training_whose_time_is_over_writes_nothing(
    options: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(train, "run_together", one_step_each)
        train.train([TINY], options)
    (tmp_path / TINY.name / "fp32.onnx").write_bytes(b"brought to INT8 since, and its weights tuned")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    train.train([TINY], options)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert "nothing was changed" in capsys.readouterr().out


def test_from_clips_to_an_engine_that_the_catalogue_takes(
    clips: bank.Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "HOME", tmp_path)
    monkeypatch.setattr(quantize, "HOME", tmp_path)
    monkeypatch.setattr(quantize, "SCENES", 1)
    monkeypatch.setattr(vault_module, "VALIDATION", 2)
    options = Namespace(bank=tmp_path / "bank", out=tmp_path / "out", scenes=9, minutes=0.02, from_shipped=False)
    monkeypatch.setattr(train, "open_bank", lambda root, modality, scenes: clips)
    train.train([TINY], options)
    quantize.quantize([TINY], options)
    home = tmp_path / TINY.name
    engine = read_engine(home)
    assert engine.read_model()
    told = json.loads((home / "calibration.json").read_text())
    assert len(told["frames"]) == 1
    net = nets.build(TINY)
    named = {n for n, m in net.named_modules() if isinstance(m, Convolution)}
    assert named <= set(told["cost_of_each_layer_alone_db"])
    assert json.loads((home / "training.json").read_text())["steps"] > 0
    assert (home / "learning.png").stat().st_size > 1000


def test_a_float_file_of_another_net_is_refused(clips: bank.Bank, tmp_path: Path) -> None:
    other = dataclasses.replace(TINY, channels=16, name="other")
    model = export.float_model(nets.build(other), other).SerializeToString()
    with pytest.raises((SystemExit, RuntimeError)):
        quantize.load_float(TINY, model)
