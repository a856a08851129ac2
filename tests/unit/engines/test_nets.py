"""The nets and their ONNX twins: the same pictures, frame after frame, in float and in INT8."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: the nets cannot be trained or checked here")
pytest.importorskip("onnx", reason="the extra `train` is not installed")

import torch

from calibration.manifest import manifest_text
from calibration.measures import raster
from edge.backends import Shape, open_backend
from edge.catalog import read_engine
from edge.clock import SECOND
from edge.config import tomllib
from engines import export, layers, nets
from engines.drawing import smooth_kernel
from engines.recipes import RECIPES, Recipe
from engines.veil import CELL, Veil

CLARITY = Recipe("ultrasound-clarity-small", "ultrasound", "small", channels=16, middle=1, hidden=8)
EVENED = dataclasses.replace(CLARITY, name="fluoroscopy-clarity-small", task="fluoroscopy", evens=True)
BY_BLOCK = dataclasses.replace(CLARITY, by_block=True)
VEILED = dataclasses.replace(BY_BLOCK, name="ultrasound-clarity-medium", size="medium")
UPSCALE = Recipe("superres-2x", "superres", "large", channels=16, middle=1, hidden=0)


def lively(recipe: Recipe, int8: bool) -> nets.Clarity | nets.Upscale:
    """A net whose heads do something, with limits that some features exceed."""
    torch.manual_seed(3)
    net = nets.build(recipe)
    for module in net.modules():
        if isinstance(module, layers.Convolution):
            torch.nn.init.normal_(module.weight, std=0.06)
        if isinstance(module, layers.Quantiser) and not float(module.limit):
            module.limit.fill_(0.5)
    if recipe is VEILED:
        assert isinstance(net, nets.Clarity)
        net.veil = lively_veil()
    layers.hold_to_int8(net, int8)
    return net.eval()


def lively_veil() -> Veil:
    """It takes a good part of a picture away, here more and there less."""
    veil = Veil()
    for module in veil.modules():
        if isinstance(module, layers.Quantiser) and not float(module.limit):
            module.limit.fill_(3.0)
    torch.nn.init.normal_(veil.head.weight, std=0.7)
    torch.nn.init.constant_(veil.head.bias, 0.4)  # type: ignore[arg-type]
    return veil


def session(tmp_path: Path, recipe: Recipe, net: nets.Clarity | nets.Upscale, int8: bool, shape: Shape):
    model = (export.int8_model if int8 else export.float_model)(net, recipe).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(model)
    (tmp_path / "manifest.toml").write_text(manifest_text(recipe, net, model, b""))
    return open_backend("openvino_cpu", 1).open(read_engine(tmp_path), shape)


def run(opened, picture: np.ndarray, strength: float = 1.0) -> np.ndarray:
    opened.start(picture, strength)
    assert opened.wait(20 * SECOND)
    return opened.result().copy()


@pytest.mark.parametrize("recipe", [CLARITY, EVENED, BY_BLOCK, VEILED], ids=["plain", "evened", "by block", "veiled"])
@pytest.mark.parametrize("int8", [False, True])
def test_a_recurrent_engine_computes_what_the_net_does(tmp_path: Path, int8: bool, recipe: Recipe) -> None:
    net = lively(recipe, int8)
    opened = session(tmp_path, recipe, net, int8, Shape(64, 96, 8))
    state, rng = None, np.random.default_rng(1)
    for wavers in (0, 4, 9, -3, 40):
        picture = (rng.integers(0, 200, (64, 96)) + 20 + wavers).astype(np.uint8)
        picture[:24, :24] = 0
        with torch.no_grad():
            wanted, state = net(torch.from_numpy(picture).float()[None, None] / 255, state)
        found = run(opened, picture).astype(int)
        away = np.abs(found - torch.round(wanted[0, 0].clamp(0, 1) * 255).numpy())
        # A feature that lies between two INT8 steps may fall either way; of a cell it moves 64 pixels.
        assert away.max() <= (3 if int8 else 1)
        assert away.mean() < (0.6 if int8 and recipe is VEILED else 0.02)
        assert np.abs(found - picture.astype(int)).mean() > 1, "the net does nothing: the comparison would be empty"


def test_what_is_said_of_blocks_goes_smoothly_from_one_to_the_next() -> None:
    said = torch.zeros(1, 1, 5, 5)
    said[..., 2, 2] = 1
    pixels = torch.nn.functional.pixel_shuffle(nets.of_pixels(said), nets.BLOCK)[0, 0]
    assert float(pixels.max()) == pixels[9, 9] == pixels[10, 10] > 0.7
    assert float(pixels.diff(dim=1).abs().max()) <= 0.25, "no border of a block can be seen"
    assert torch.allclose(nets.of_pixels(torch.full((1, 1, 3, 4), 0.7)), torch.tensor(0.7)), "an even picture stays so"


def test_what_is_said_of_pixels_stays_as_it_is() -> None:
    said = torch.rand(1, nets.PIXELS, 3, 4)
    assert nets.of_pixels(said) is said


def test_a_net_that_decides_by_block_shows_less_of_a_grid() -> None:
    def grid(recipe: Recipe) -> float:
        torch.manual_seed(3)
        net, picture = nets.build(recipe).eval(), torch.rand(64, 99, generator=torch.Generator().manual_seed(8))
        torch.nn.init.normal_(net.residual.weight, std=0.3)
        with torch.no_grad():
            made = [net(picture[None, None, :, at : at + 96], None)[0][0, 0].numpy() for at in range(4)]
        return float(np.median(raster(made, down=False)))

    assert grid(BY_BLOCK) < 0.5 * grid(CLARITY)


@pytest.mark.parametrize("shown", [0, 30, 255])
@pytest.mark.parametrize("int8", [False, True])
def test_where_a_picture_is_even_its_rim_stays_as_it_is(tmp_path: Path, int8: bool, shown: int) -> None:
    """A mean over what lies beyond it, as if that were grey, would draw a line around a black picture."""
    net = nets.build(BY_BLOCK).eval()
    assert isinstance(net, nets.Clarity)
    for head in (net.calm_fine, net.calm_coarse):
        torch.nn.init.constant_(head.bias, 2.0)  # type: ignore[arg-type]
    for limit in net.trunk.limits:
        limit.limit.fill_(1.0)  # type: ignore[union-attr,operator]
    layers.hold_to_int8(net, int8)
    opened = session(tmp_path, BY_BLOCK, net, int8, Shape(64, 96, 8))
    found = run(opened, np.full((64, 96), shown, np.uint8)).astype(int)
    assert np.abs(found - shown).max() <= 1


def test_the_veil_of_these_tests_takes_much_away() -> None:
    """Or they would show nothing of it."""
    veiled, bare = lively(VEILED, False), lively(VEILED, False)
    assert isinstance(bare, nets.Clarity)
    bare.veil = None
    level = torch.rand(1, 1, 64, 96, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        taken = 255 * (bare(level, None)[0] - veiled(level, None)[0])
    assert float(taken.mean()) > 5
    assert float(taken.std()) > 1


@pytest.mark.parametrize("shape", [Shape(64, 96, 8), Shape(96, 64, 16)], ids=str)
@pytest.mark.parametrize("int8", [False, True])
def test_a_veil_can_only_darken(tmp_path: Path, int8: bool, shape: Shape) -> None:
    veiled, bare = (opened_with(tmp_path / name, name == "veiled", int8, shape) for name in ("veiled", "bare"))
    rng = np.random.default_rng(6)
    for _ in range(3):
        picture = rng.integers(0, shape.full_scale + 1, (shape.height, shape.width)).astype(shape.blank().dtype)
        taken = run(bare, picture).astype(int) - run(veiled, picture)
        assert taken.min() >= 0
        assert taken.mean() > 0.01 * shape.full_scale


@pytest.mark.parametrize("int8", [False, True])
def test_whatever_a_veil_finds_half_of_a_picture_stays(tmp_path: Path, int8: bool) -> None:
    """Or noise that lies unevenly in it would leave black holes in tissue."""
    shape = Shape(64, 96, 8)
    greedy = lively(VEILED, int8)
    assert isinstance(greedy, nets.Clarity)
    assert greedy.veil is not None
    torch.nn.init.constant_(greedy.veil.head.bias, 50.0)  # type: ignore[arg-type]
    bare = lively(VEILED, int8)
    assert isinstance(bare, nets.Clarity)
    bare.veil = None
    picture = np.repeat(np.linspace(40, 220, 96).round().astype(np.uint8)[None], 64, axis=0)
    (tmp_path / "bare").mkdir()
    rest = run(session(tmp_path, VEILED, greedy, int8, shape), picture)
    taken = run(session(tmp_path / "bare", VEILED, bare, int8, shape), picture).astype(int) - rest
    level = cv2.blur(picture.astype(np.float32), (17, 17))
    assert (taken <= 0.5 * level + 2).all()
    assert (taken >= 0.4 * level - 2).all(), "it wanted all of it"


@pytest.mark.parametrize("side", [nets.BLOCK, CELL])
def test_between_squares_it_goes_as_smoothly_as_interpolation_does(side: int) -> None:
    squares = torch.rand(1, 1, 5, 7, generator=torch.Generator().manual_seed(2))
    padded = torch.nn.functional.pad(squares, (1, 1, 1, 1), mode="replicate")
    blocks = torch.nn.functional.conv2d(padded, torch.from_numpy(smooth_kernel(side)))
    # As DepthToSpace orders it: by block, then within it.
    over = side // nets.BLOCK
    rows = blocks.reshape(over, over, 4, 4, 5, 7).permute(4, 0, 2, 5, 1, 3).reshape(1, 1, 5 * side, 7 * side)
    wanted = torch.nn.functional.interpolate(squares, scale_factor=side, mode="bilinear")
    assert torch.allclose(rows, wanted, atol=1e-6)


@pytest.mark.parametrize("shape", [Shape(33, 35, 8), Shape(65, 97, 10), Shape(100, 140, 16)], ids=str)
def test_at_strength_nought_nothing_is_lifted_at_any_size(tmp_path: Path, shape: Shape) -> None:
    opened = opened_with(tmp_path / "veiled", True, True, shape)
    rng = np.random.default_rng(6)
    for strength in (0.0, 1.0, 0.0):
        picture = rng.integers(0, shape.full_scale + 1, (shape.height, shape.width)).astype(shape.blank().dtype)
        assert np.array_equal(run(opened, picture, strength), picture) == (strength == 0)


def opened_with(folder: Path, veil: bool, int8: bool, shape: Shape):
    folder.mkdir()
    net = lively(VEILED, int8)
    assert isinstance(net, nets.Clarity)
    if not veil:
        net.veil = None
    return session(folder, VEILED, net, int8, shape)


@pytest.mark.parametrize("int8", [False, True])
def test_super_resolution_computes_what_the_net_does(tmp_path: Path, int8: bool) -> None:
    net = lively(UPSCALE, int8)
    opened = session(tmp_path, UPSCALE, net, int8, Shape(48, 64, 8))
    picture = np.random.default_rng(1).integers(0, 256, (48, 64), dtype=np.uint8)
    with torch.no_grad():
        wanted = net(torch.from_numpy(picture).float()[None, None] / 255)
    found = run(opened, picture)
    assert found.shape == (96, 128)
    away = np.abs(found - torch.round(wanted[0, 0].clamp(0, 1) * 255).clamp(0, 255).numpy())
    assert away.max() <= (4 if int8 else 1)
    assert away.mean() < 0.05


@pytest.mark.parametrize("int8", [False, True])
def test_no_pixel_of_an_enlarged_picture_leaves_the_range_of_those_around_it(tmp_path: Path, int8: bool) -> None:
    opened = session(tmp_path, UPSCALE, lively(UPSCALE, int8), int8, Shape(48, 64, 8))
    picture = np.random.default_rng(1).choice(np.array([40, 60, 200], np.uint8), (48, 64))
    picture[10:30, 10:30] = 60
    around = np.lib.stride_tricks.sliding_window_view(np.pad(picture, 1, mode="edge"), (3, 3))
    lowest, highest = (np.kron(part, np.ones((2, 2), np.uint8)) for part in (around.min((2, 3)), around.max((2, 3))))
    found = run(opened, picture)
    assert (found >= lowest).all()
    assert (found <= highest).all()
    assert ((found > lowest) & (found < highest)).mean() > 0.2, "everything is at its limit: nothing was enlarged"


def test_forgetting_starts_the_recurrence_again(tmp_path: Path) -> None:
    opened = session(tmp_path, CLARITY, lively(CLARITY, True), True, Shape(64, 64, 8))
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 256, (2, 64, 64), dtype=np.uint8)
    fresh = run(opened, second)
    opened.forget()
    run(opened, first)
    remembered = run(opened, second)
    opened.forget()
    assert not np.array_equal(fresh, remembered)
    assert np.array_equal(fresh, run(opened, second))


def test_every_8_bit_level_is_one_int8_value() -> None:
    levels = torch.arange(256) / 255
    enter = nets.Trunk(32, 8, 1).enter
    enter.active = True
    assert torch.allclose(enter(levels - layers.CENTRE) + layers.CENTRE, levels, atol=1e-6)


def test_a_saturated_value_has_no_gradient_and_the_others_pass_it() -> None:
    x = torch.tensor([0.2, 5.0, -5.0], requires_grad=True)
    layers.symmetric(x, torch.tensor(1 / 127)).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_nets_keep_to_their_budget(name: str) -> None:
    recipe = RECIPES[name]
    most = 15 if recipe.task == "superres" else {"large": 25, "medium": 12, "small": 5}[recipe.size]
    assert nets.build(recipe).kmac_per_px() <= most


class TestFlicker:
    def clip(self, brighter: list[float]) -> list[torch.Tensor]:
        """A still scene with a black rim, a little noise, and a tube that wavers."""
        rng = torch.Generator().manual_seed(5)
        scene = 0.3 + 0.4 * torch.rand(1, 1, 64, 64, generator=rng)
        frames: list[torch.Tensor] = []
        for more in brighter:
            frame = scene + more + 0.01 * torch.randn(scene.shape, generator=rng)
            frame[..., :16, :] = 0
            frames.append(frame)
        return frames

    def means(self, recipe: Recipe, frames: list[torch.Tensor]) -> list[float]:
        """How bright the carried mean is after each frame, below the rim, where every pixel counts as moved: no average
        hides the flicker.
        """
        net, state, found = nets.build(recipe).eval(), None, []
        torch.nn.init.constant_(net.moved.bias, 0.4)  # type: ignore[union-attr,arg-type]
        for frame in frames:
            with torch.no_grad():
                state = net(frame, state)[1]  # type: ignore[call-arg,misc]
            found.append(float(torch.nn.functional.pixel_shuffle(state[0], nets.BLOCK)[..., 20:, :].mean()))
        return found

    def test_a_tube_that_wavers_is_evened(self) -> None:
        frames = self.clip([0.01 * (-1) ** n for n in range(30)])
        plain, evened = self.means(CLARITY, frames), self.means(EVENED, frames)
        assert np.std(np.diff(evened[20:])) < 0.6 * np.std(np.diff(plain[20:]))

    def test_a_rim_stays_black(self) -> None:
        net, state = nets.build(EVENED).eval(), None
        for frame in self.clip([0.01 * (-1) ** n for n in range(10)]):
            with torch.no_grad():
                state = net(frame, state)[1]  # type: ignore[call-arg,misc]
        assert float(torch.nn.functional.pixel_shuffle(state[0], nets.BLOCK)[..., :16, :].abs().max()) < 1e-6

    def test_an_exposure_that_has_changed_is_followed(self) -> None:
        frames = self.clip([0.0] * 12 + [0.2] * 40)
        evened = self.means(EVENED, frames)
        assert evened[-1] - evened[11] == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("recipe", [CLARITY, EVENED, BY_BLOCK, VEILED], ids=["plain", "evened", "by block", "veiled"])
def test_parameters_come_back_from_the_float_file(recipe: Recipe) -> None:
    net = lively(recipe, False)
    found = export.parameters(export.read(export.float_model(net, recipe).SerializeToString()))
    assert set(found) == {name for name, _ in net.named_parameters()}
    for name, value in net.named_parameters():
        assert torch.equal(found[name], value.detach())


def test_the_graph_enlarges_as_bicubic_does() -> None:
    weights = export.bicubic_weights()
    assert np.allclose(weights.reshape(16, -1).sum(1), 1, atol=1e-6)
    picture = torch.rand(1, 1, 24, 32)
    blocks = torch.nn.functional.pixel_unshuffle(torch.nn.functional.pad(picture, (2, 2, 2, 2), mode="replicate"), 2)
    mine = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(blocks, torch.from_numpy(weights)), 4)
    theirs = torch.nn.functional.interpolate(picture, scale_factor=2, mode="bicubic", align_corners=False)
    assert torch.allclose(mine, theirs, atol=1e-5)


def test_the_manifest_reads_back(tmp_path: Path) -> None:
    net = lively(CLARITY, True)
    tree = tomllib.loads(manifest_text(CLARITY, net, b"model", b"twin"))
    assert tree["name"] == CLARITY.name
    assert [state["name"] for state in tree["state"]] == ["mean", "age", "hidden"]
