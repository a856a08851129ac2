"""What lies over a picture: told from whole phantoms, never made brighter, and written into both files of an engine."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="the extra `make-engines` is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed: engines cannot be changed here")

import numpy as np
import torch

from calibration import quantize, redraw, unveil, whole_pictures
from calibration.quantize import load_float
from calibration.unveil import (
    Learning,
    errors,
    gathered,
    lost,
    lost_of_needles,
    needles,
    retoned,
    signs_of,
    strayed,
    with_discs,
)
from calibration.whole_pictures import KEPT, PARTS, Pictures, cells_of, film_of
from edge.catalog import float_twin, read_engine, shipped_folder
from engines import nets
from engines.layers import CENTRE, hold_to_int8
from engines.recipes import RECIPES
from engines.veil import SIGNS, Veil, evened, signs

torch.set_num_threads(1)  # tests share the cores
NAME = "ultrasound-clarity-small"
SEED = 7  # a small scene
SMALL_SCENES = (3, 4, 7, 11, 12, 14)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine, where tools look for engines."""
    shutil.copytree(shipped_folder() / NAME, tmp_path / NAME)
    for module in (unveil, redraw, quantize):
        monkeypatch.setattr(module, "HOME", tmp_path)
    return tmp_path


def lively_veil() -> Veil:
    torch.manual_seed(5)
    veil = Veil()
    torch.nn.init.normal_(veil.head.weight, std=0.5)
    for _, each in unveil.quantisers(veil):
        if not each.by_design:
            each.limit.fill_(4.0)
    return veil.eval()


class TestVeil:
    def given(self) -> torch.Tensor:
        found = torch.rand(1, SIGNS, 16, 20, generator=torch.Generator().manual_seed(2)) * 0.4
        found[:, -1, :, :6] = 0  # black
        return found

    def test_it_never_makes_a_cell_brighter_and_leaves_what_is_black(self) -> None:
        veil, given = lively_veil(), self.given()
        with torch.no_grad():
            signed, over = veil.signed(given), veil(given)
        assert float(signed.min()) < 0 < float(signed.max())
        assert float(over.min()) == 0
        assert bool((over <= signed.clamp(min=0)).all())
        assert float(over.sum()) > 0.3 * float(signed.clamp(min=0).sum())
        assert float(over[..., :6].abs().max()) == 0

    def test_a_patch_is_spread_over_what_lies_around(self) -> None:
        over, level = torch.zeros(1, 1, 9, 9), torch.full((1, 1, 9, 9), 0.5)
        over[..., 4, 4] = 0.2
        even = evened(over, level)
        assert 0 < float(even.max()) <= 0.2 / 9 + 1e-6
        assert float(even.sum()) <= float(over.sum())

    def test_a_needle_keeps_what_was_to_be_left_of_it(self) -> None:
        over, level = torch.full((1, 1, 9, 9), 0.1), torch.full((1, 1, 9, 9), 0.3)
        over[..., 4, :], level[..., 4, :] = 0.01, 0.9
        even = evened(over, level)
        assert torch.equal(even[..., 4, :], over[..., 4, :])
        assert bool((even[..., :2, :] > 0.09).all()), "what is far from it loses what it did"

    def test_what_is_even_stays_as_it_is_up_to_the_rim(self) -> None:
        level = torch.linspace(0.1, 0.9, 9).expand(1, 1, 9, 9).contiguous()
        assert torch.allclose(evened(0.3 * level, level), 0.3 * level, atol=1e-6)
        assert not evened(torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 9, 9)).any()

    def test_it_sees_far(self) -> None:
        """A bounce lies at twice the depth of what it comes from."""
        veil, given = lively_veil().double(), torch.full((1, SIGNS, 64, 64), 0.2, dtype=torch.float64)
        changed = given.clone()
        changed[..., 30:34, 30:34] = 0.4
        reached = (veil.signed(changed) - veil.signed(given)).abs()[0, 0] > 1e-9
        rows = torch.nonzero(reached.any(1)).flatten()
        assert int(rows.max()) - int(rows.min()) >= 48, "of 64 cells: less than three quarters of a picture"

    def test_a_new_one_takes_nothing_away_and_can_learn(self) -> None:
        veil = Veil()
        given = self.given()
        assert not veil(given).any()
        veil.signed(given).sum().backward()
        assert veil.head.bias is not None
        assert veil.head.bias.grad is not None
        assert float(veil.head.bias.grad.abs()) > 0


class TestWholePictures:
    def test_the_same_seed_is_the_same_film_and_others_are_refused(self) -> None:
        assert film_of(SEED).scene == film_of(SEED).scene != film_of(SEED + 1).scene
        with pytest.raises(ValueError, match="not for training"):
            film_of(1_000_000)

    def test_some_scenes_have_nothing_to_be_taken_away(self) -> None:
        scenes = [film_of(seed).scene for seed in range(60)]
        clean = [scene for scene in scenes if scene.noise_db < -100 and scene.haze_db <= -40 and not scene.streaks]
        assert 4 <= len(clean) <= 30

    def test_cells_hold_what_the_net_itself_is_shown(self, home: Path) -> None:
        film = film_of(SEED)
        cells = cells_of(film, unveil.glass(RECIPES[NAME], home / "out"))
        assert cells.shape[:2] == (len(KEPT), len(PARTS))
        net, _ = unveil.bare(RECIPES[NAME])
        hold_to_int8(net, True)
        wanted = self.seen_by(net, film)
        for found, one in zip(cells, wanted, strict=True):
            given = signs_of(gathered([found], None))[0]
            assert given.shape == one.shape
            away = (given - one).abs()
            assert float(away.mean()) < 0.001  # cells are in half precision
            assert float(away.quantile(0.99)) < 0.01, "a feature between two INT8 steps may fall either way"

    def seen_by(self, net: nets.Clarity, film: whole_pictures.Film) -> list[torch.Tensor]:
        phantom = whole_pictures.UltrasoundPhantom(film.scene)
        inside = whole_pictures._zoomed(phantom.mask[phantom.region.slices], film.zoom)
        more = tuple((0, -side % 32) for side in inside.shape)
        state, found = None, list[torch.Tensor]()
        for number, (shown, _) in enumerate(whole_pictures.moments(film, phantom, inside)):
            level = torch.from_numpy(np.pad(shown, more, mode="edge").astype(np.float32))[None, None]
            x = torch.nn.functional.pixel_unshuffle(level, nets.BLOCK)
            past = x if state is None else state[0]
            with torch.no_grad():
                _, state = net(level, state)
            if number in KEPT:
                found.append(signs(x, state[0], x - past, 1 / state[1])[0])
        return found

    def test_they_are_drawn_once_for_the_same_engine(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        through = [unveil.glass(RECIPES[NAME], home / "out")]
        first = whole_pictures.open_pictures(home / "bank", through, 2)
        (folder,) = (home / "bank").iterdir()
        made = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        again = whole_pictures.open_pictures(home / "bank", through, 2)
        assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == made
        assert all(np.array_equal(a, b) for a, b in zip(first.cells, again.cells, strict=True))

    def test_of_some_scenes_the_same_is_drawn_without_its_needle(self, home: Path) -> None:
        number = next(n for n in range(0, 200, 2) if film_of(n).scene.needle and film_of(n).scene.width <= 320)
        with_it, without = (film_of(number, needle=needle) for needle in (True, False))
        assert with_it.scene.needle
        assert dataclasses.replace(with_it.scene, needle=False) == without.scene
        through = unveil.glass(RECIPES[NAME], home / "out")
        pair = np.stack([cells_of(film, through) for film in (with_it, without)], 1)
        shaft, near = needles(gathered(list(pair), None))
        assert 0 < float(shaft[-1].mean()) < float(near[-1].mean()) < 0.7
        assert not (shaft > near).any()
        with_needle, bare = pair[0, :, PARTS.index("calm")]
        assert 0.5 < float((with_needle == bare).mean()) < 1, "all else is alike, noise too"

    def test_which_these_are_is_told_by_their_number(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(whole_pictures, "_Drawn", _DrawnByName)
        drawn = whole_pictures.open_pictures(home / "bank", [unveil.glass(RECIPES[NAME], home / "out")], 12)
        assert [int(cells[0]) for cells in drawn.cells] == list(range(12))
        told = [None if cells is None else cells.tolist() for cells in drawn.without]
        assert told == [[n, 0] if n % 2 == 0 and film_of(n).scene.needle else None for n in range(12)]
        assert told != [None] * 12


class _DrawnByName(whole_pictures._Drawn):
    def __call__(self, wanted: whole_pictures.Wanted) -> None:
        np.save(wanted.file(self.folder), np.array([wanted.seed, wanted.needle]))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    """Where the whole picture is a tenth too bright: more than any grain hides. Every second one has a needle."""
    rng = np.random.default_rng(4)
    found: list[whole_pictures.Cells] = []
    for number in range(30):
        cells = rng.random((3, len(PARTS), 8 + 4 * (number % 2), 8)).astype(np.float16) * 0.2 + 0.3
        cells[:, PARTS.index("lit")] = cells[:, PARTS.index("inside")] = 1
        cells[:, PARTS.index("result")] = cells[:, PARTS.index("truth")] + np.float16(0.1)
        found.append(cells)
    return Pictures(found, [_without_needle(cells) if number % 2 else None for number, cells in enumerate(found)])


def _without_needle(cells: np.ndarray) -> np.ndarray:
    """It lay in the second row."""
    found = cells.copy()
    found[:, [PARTS.index(name) for name in ("calm", "truth", "result")], 1] -= np.float16(0.2)
    return found


class TestLearning:
    def test_a_veil_is_learnt_and_kept_in_int8(
        self, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ticks = itertools.count()  # a step is a hundredth of a second, however busy the machine is
        monkeypatch.setattr(unveil.time, "monotonic", lambda: next(ticks) / 100)
        learning = Learning(pictures, tmp_path / "veil.pt", (2.0, 2.0))
        assert learning.on_those_aside() == unveil.Aside(0, 0, 0)
        veil = learning.run()
        assert learning.on_those_aside().gain_db > 3, "in INT8, of 9.5 dB that there are"
        assert all(each.active and float(each.limit) > 0 for _, each in unveil.quantisers(veil))
        assert learning.at.curve[-1][0] >= 4.0

    def test_it_goes_on_where_it_was_left(self, pictures: Pictures, tmp_path: Path) -> None:
        first = Learning(pictures, tmp_path / "veil.pt", (0.3, 0.2))
        first.run()
        again = Learning(pictures, tmp_path / "veil.pt", (0.3, 0.2))
        assert again.at == first.at
        assert again.at.aware
        given = torch.rand(1, SIGNS, 8, 8)
        assert torch.equal(again.averaged()(given), first.averaged()(given))

    def test_with_more_time_it_goes_on_in_int8_and_never_back(self, pictures: Pictures, tmp_path: Path) -> None:
        first = Learning(pictures, tmp_path / "veil.pt", (0.3, 0.2))
        first.run()
        more = Learning(pictures, tmp_path / "veil.pt", (60.0, 0.2))  # its time in float is over
        more.run()
        assert more.at.step == first.at.step
        further = Learning(pictures, tmp_path / "veil.pt", (0.3, 0.8))
        further.run()
        assert further.at.step > first.at.step
        assert all(group["lr"] > 0 for group in further._optimiser.param_groups)

    def test_what_is_beyond_black_can_be_brought_back(self, pictures: Pictures) -> None:
        cells = gathered([pictures.cells[0][2]], None)
        over = torch.full_like(cells[:, :1], 0.9).requires_grad_()  # more than there is
        after, too_dark, _ = errors(over, cells)
        assert float(too_dark.detach()) == pytest.approx(float(after.detach()))
        after.sum().backward()
        assert over.grad is not None
        assert float(over.grad.min()) > 0, "less would be better, and the gradient says so"

    def test_what_takes_discs_with_it_costs_more(self, pictures: Pictures) -> None:
        cells = gathered([picture[2] for picture in pictures.cells[:2]], None)
        marked, discs = with_discs(cells, np.random.default_rng(1))
        calm = cells[:, PARTS.index("calm"), None]
        assert float((marked[:, PARTS.index("calm"), None] - calm - discs).abs().max()) < 1e-6
        assert 0 < float((discs != 0).float().mean()) < 0.9
        assert float(lost(calm, calm, discs)) == 0
        assert float(lost(calm, calm + discs, discs)) == pytest.approx(1)
        assert float(lost(calm, calm - 0.5 * discs, discs)) == pytest.approx(0.5), "what adds to them, too"

    def test_what_differs_beside_a_needle_costs_more(self, pictures: Pictures) -> None:
        with_it, without = pictures.cells[1], pictures.without[1]
        assert without is not None
        pairs = gathered([np.stack((with_it[2], without[2]))], None)
        shaft, near = needles(pairs)
        assert shaft[0, 0, :, 0].tolist() == [0, 1] + [0] * (near.shape[2] - 2)
        assert near[0, 0, :, 0].tolist() == [1] * (2 + unveil.BESIDE) + [0] * (near.shape[2] - 2 - unveil.BESIDE)
        over = torch.zeros_like(near)
        assert float(strayed(over, over, near)) == 0
        assert float(strayed(over + 0.1 * near, over, near)) == pytest.approx(0.1)
        assert float(strayed(over, over + 0.1 * near, near)) == pytest.approx(0.1), "what is less there, too"
        assert float(strayed(over + 1 - near, over, near)) == 0, "elsewhere the truth alone tells"

    def test_one_dark_cell_of_a_shaft_costs_more_than_the_same_spread_over_it(self, pictures: Pictures) -> None:
        with_it, without = pictures.cells[1], pictures.without[1]
        assert without is not None
        pairs = gathered([np.stack((with_it[2], without[2]))], None)
        shaft, near = needles(pairs)
        over = torch.zeros_like(near)
        one = torch.zeros_like(near)
        one[0, 0, 1, 3] = 1
        spread, dark, aside = (
            float(lost_of_needles(over + each, over, pairs))
            for each in (0.1 * shaft / shaft.sum(), 0.1 * one, 0.1 * (near - shaft) / shaft.sum())
        )
        assert 0 < aside < spread < dark
        assert float(lost_of_needles(over + 1 - near, over, pairs)) == 0

    def test_another_grey_map_changes_levels_and_grain_alike_and_black_stays_black(self, pictures: Pictures) -> None:
        cells = gathered([pictures.cells[0][2]], None)
        cells[..., :3] = 0
        toned = retoned(cells, np.random.default_rng(3))
        for name in ("fresh", "lit", "inside"):
            assert torch.equal(toned[:, PARTS.index(name)], cells[:, PARTS.index(name)])
        assert not toned[..., :3].any()
        steeper = (toned / cells)[0, PARTS.index("news"), :, 3:]
        assert float(steeper.std()) < 1e-3
        over = [each[:, PARTS.index("result")] - each[:, PARTS.index("truth")] for each in (cells, toned)]
        assert torch.allclose(over[1][..., 3:], over[0][..., 3:] * steeper.mean(), atol=2e-3)


class TestAttach:
    def test_both_files_have_it_and_all_else_is_what_it_was(self, home: Path) -> None:
        recipe = RECIPES[NAME]
        before, _ = unveil.bare(recipe)
        unveil.attach(recipe, lively_veil(), unveil.Progressed(step=3, curve=[(60.0, -1.0, 1.0), (70, -1, 1.1)]), 9)
        engine = read_engine(home / NAME)
        assert engine.manifest.multiple == 32
        net = load_float(recipe, float_twin(engine).read_model())
        assert isinstance(net, nets.Clarity)
        assert net.veil is not None
        assert torch.equal(net.veil.head.weight, lively_veil().head.weight)
        for name, value in before.state_dict().items():
            assert torch.equal(net.state_dict()[name], value) or name.endswith("limit")
        told = json.loads((home / NAME / "calibration.json").read_text())
        assert told["veil"]["steps"] == 3
        assert told["limits"]["veil.near.limit"] == 4.0
        assert b"veil.head.weight_q" in engine.read_model()

    def test_drawn_anew_it_is_the_same_and_taken_off_it_is_as_it_was_before(self, home: Path) -> None:
        recipe = RECIPES[NAME]
        bare = unveil.glass(recipe, home / "out").model.read_bytes()
        unveil.attach(recipe, lively_veil(), unveil.Progressed(curve=[(60.0, -1.0, 1.0)]), 9)
        assert redraw.redraw(recipe) is False
        assert unveil.glass(recipe, home / "out").model.read_bytes() == bare


def test_levels_of_cells_are_centred_as_the_nets_are() -> None:
    cells = torch.zeros(1, len(PARTS), 4, 4)
    cells[:, 0] = CENTRE
    assert float(signs_of(cells).abs().max()) < 1e-6
