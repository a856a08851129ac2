"""The nets of `engines/nets.py` as ONNX files that keep the contract of `edge/catalog.py`, and back.

Drawn node by node rather than traced, so that every tensor has a name a person chose: the quantisers can be found
again by the site's calibration, and the weights by `parameters`. Float and INT8 share one drawing; in the INT8 file
each quantiser is a QuantizeLinear/DequantizeLinear pair, symmetric, zero point 0.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.drawing import NEAREST, Drawing
from engines.layers import CENTRE, LIT, TOP, Convolution, Quantiser
from engines.nets import BLOCK, NEWS_GAIN, PIXELS, SMALL, STEEP, WAVER, Clarity, Upscale
from engines.pen import OPSET
from engines.recipes import Recipe
from engines.veil_drawing import draw_veil

Net = Clarity | Upscale


def float_model(net: Net, recipe: Recipe) -> onnx.ModelProto:
    return _model(_Drawing(net, int8=False), recipe)


def int8_model(net: Net, recipe: Recipe) -> onnx.ModelProto:
    return _model(_Drawing(net, int8=True), recipe)


def read(model: bytes) -> onnx.ModelProto:
    return onnx.load_model_from_string(model)


def parameters(model: onnx.ModelProto) -> dict[str, torch.Tensor]:
    """The parameters of a float model, by their names in the net."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    return {
        name: torch.from_numpy(value.copy()) for name, value in arrays.items() if name.endswith((".weight", ".bias"))
    }


class _Drawing(Drawing):
    """One net on its way into a graph."""

    def __init__(self, net: Net, int8: bool) -> None:
        super().__init__(int8)
        self.net = net

    def enter(self, *parts: str) -> str:
        """The trunk's input. Parts are quantised before they are joined, all by one scale: of a quantiser behind a join
        OpenVINO makes one for each part, and then runs the first convolution, the largest, in float.
        """
        limit = float(self.net.trunk.enter.limit)
        if len(parts) == 1:
            return self.quantised(parts[0], self.net.trunk.enter, "input")
        if not self.int8:
            return self.op("Concat", list(parts), "seen", axis=1)
        return self.graph.quantised_together(list(parts), limit, "input")

    def trunk(self, x: str) -> str:
        trunk = self.net.trunk
        for number, (layer, limit) in enumerate(zip(trunk.layers, trunk.limits, strict=True)):
            assert isinstance(layer, Convolution)
            assert isinstance(limit, Quantiser)
            out = self.op("Relu", [self.convolution(x, layer, f"trunk.layers.{number}")], f"features{number}")
            x = self.quantised(out, limit, f"features{number}")
        return x

    def level(self) -> str:
        self.constant("nothing", 0)
        self.constant("centre", CENTRE)
        return self.op("Div", ["frame", "full_scale"], "level")

    def shown(self, mixed: str) -> None:
        """Whole levels within their range."""
        levels = self.op("Mul", [mixed, "full_scale"], "levels")
        bounded = self.op("Min", [self.op("Max", [levels, "nothing"], "above"), "full_scale"], "bounded")
        self.op("Round", [bounded], "enhanced")

    def small(self, x: str, output: str) -> str:
        return self.op("Mul", [x, self.constant(f"{output}.scale", SMALL)], output)

    # --- the two nets ---------------------------------------------------------------------------------------

    def clarity(self, net: Clarity) -> None:
        level = self.level()
        x = self.op("SpaceToDepth", [level], "x", blocksize=BLOCK)
        news, fresh = self._news(x)
        past = self.op("Sub", [x, news], "past")
        if net.evens:
            past, news = self._evened(past, news)
        centred = self.op("Sub", [past, "centre"], "past_centred")
        louder = self.op("Mul", [news, self.constant("news.scale", NEWS_GAIN)], "louder")
        freshness = self.op("ReduceMean", [fresh], "fresh.mean", axes=[1], keepdims=1)
        freshness = self.op("Mul", [freshness, self.constant("half", 0.5)], "freshness")
        found = self.trunk(self.enter(centred, louder, "hidden_in", freshness))
        mean = self._mean(net, past, news, fresh, found)
        hidden = self.small(self.convolution(found, net.features, "features"), "memories")
        self.op("Min", [self.op("Max", [hidden, "nothing"], "hidden_floor"), self.constant("top", TOP)], "hidden_out")
        clean = self._clean(net, mean, found)
        if net.veil is not None:
            clean = self.op("Sub", [clean, draw_veil(self, net.veil, x, mean, news)], "clean.unveiled")
        # Of one channel both modes are the same; OpenVINO moves runs of pixels in this one, single ones in the other.
        whole = self.op("DepthToSpace", [clean], "clean.pixels", blocksize=BLOCK, mode="CRD")
        change = self.op("Sub", [whole, self.op("Sub", [level, "centre"], "level.centred")], "change")
        self.shown(self.op("Add", [level, self.op("Mul", [change, "strength"], "applied")], "mixed"))

    def _news(self, x: str) -> tuple[str, str]:
        """What differs from the mean so far, and what a new frame counts at least. Without a past nothing differs."""
        one = self.constant("one", 1)
        started = self.op("Min", ["age_in", one], "started")
        news = self.op("Mul", [self.op("Sub", [x, "mean_in"], "step"), started], "news")
        return news, self.op("Div", [one, self.op("Add", ["age_in", one], "older")], "fresh")

    def _evened(self, past: str, news: str) -> tuple[str, str]:
        """As `flicker` of `engines/nets.py`."""
        there = self.op(
            "Min", [self.op("Mul", [self._of_block(past), self.constant("lit", LIT)], "lit.past"), "one"], "there"
        )
        still = self._of_block("age_in")
        trust = self.op("Mul", [there, still], "trust")
        whole = self.op("Max", [self._of_frame(trust), self.constant("least_trust", 1e-3)], "trust.whole")
        highest, lowest = self.constant("waver", WAVER), self.constant("waver.down", -WAVER)
        rest, wavers = self._of_block(news), ""
        for turn in ("first", "second"):
            bounded = self.op("Min", [self.op("Max", [rest, lowest], f"{turn}.floor"), highest], f"{turn}.bounded")
            trusted = self._of_frame(self.op("Mul", [bounded, trust], f"{turn}.trusted"))
            found = self.op("Div", [trusted, whole], f"{turn}.wavers")
            rest = self.op("Sub", [rest, found], f"{turn}.rest")
            wavers = self.op("Add", [wavers, found], "wavers") if wavers else found
        seen = self.op("Div", [self._of_frame(self.op("Mul", [still, trust], "still.trusted")), whole], "frames_seen")
        shift = self.op("Mul", [wavers, there], "shift")
        part = self.op("Div", [shift, self.op("Add", [seen, "one"], "frames_in_all")], "shift.part")
        return self.op("Add", [past, part], "past.evened"), self.op("Sub", [news, shift], "news.evened")

    def _of_block(self, x: str) -> str:
        return self.op("ReduceMean", [x], f"{x}.of_block", axes=[1], keepdims=1)

    def _of_frame(self, x: str) -> str:
        return self.op("ReduceMean", [x], f"{x}.of_frame", axes=[2, 3], keepdims=1)

    def _mean(self, net: Clarity, past: str, news: str, fresh: str, found: str) -> str:
        steep = self.op("Mul", [self.convolution(found, net.moved, "moved"), self.constant("steep", STEEP)], "surely")
        settled = self.op("Sub", ["one", fresh], "settled")
        gain = self.op("Add", [fresh, self.op("Mul", [settled, self.op("Sigmoid", [steep], "left")], "again")], "gain")
        self.op("Min", [self.op("Div", ["one", gain], "worth"), self.constant("memory", net.memory)], "age_out")
        taken = self.op("Mul", [news, self.of_pixels(gain, "gain.pixels")], "taken")
        return self.op("Add", [past, taken], "mean_out")

    def _clean(self, net: Clarity, mean: str, found: str) -> str:
        """The mean with the net's own correction, less grain of both widths; centred, as it enters convolutions."""
        centred = self.op("Sub", [mean, "centre"], "mean_centred")
        repeats = net.narrow.padding_mode == "replicate"
        whole = self.quantised(self.with_rim(centred, 1, "mean") if repeats else centred, net.levels, "mean_levels")
        narrow, wide = self.convolution(whole, net.narrow, "narrow"), self.convolution(whole, net.wide, "wide")
        fine = self._removed(self.op("Sub", [centred, narrow], "fine"), found, net.calm_fine, "calm_fine")
        coarse = self._removed(self.op("Sub", [narrow, wide], "coarse"), found, net.calm_coarse, "calm_coarse")
        residual = self.small(self.convolution(found, net.residual, "residual"), "correction")
        residual = self.of_pixels(residual, "correction.pixels")
        mended = self.op("Sub", [residual, self.op("Add", [fine, coarse], "removed")], "mended")
        return self.op("Add", [centred, mended], "clean")

    def _removed(self, grain: str, found: str, calm: Convolution, name: str) -> str:
        consent = self.op("Sigmoid", [self.convolution(found, calm, name)], f"{name}.consent")
        return self.op("Mul", [grain, self.of_pixels(consent, f"{name}.pixels")], f"{name}.removed")

    def of_pixels(self, said: str, name: str) -> str:
        """As `of_pixels` of `engines/nets.py`."""
        assert isinstance(self.net, Clarity)
        return said if self.net.decided == PIXELS else self.smoothly(said, BLOCK, name)

    def upscale(self, net: Upscale) -> None:
        level = self.level()
        x = self.op("SpaceToDepth", [level], "x", blocksize=2)
        found = self.trunk(self.enter(self.op("Sub", [x, "centre"], "seen")))
        residual = self.small(self.convolution(found, net.residual, "residual"), "correction")
        # The base from 2x2 blocks and their neighbours; a rim of the edge's own pixels around it.
        rim = self.graph.constant("rim", np.array([0, 0, 2, 2, 0, 0, 2, 2], np.int64))
        wide = self.op("SpaceToDepth", [self.op("Pad", [level, rim], "padded", mode="edge")], "wide", blocksize=2)
        base = self.op("Conv", [wide, self.constant("base.kernel", base_weights())], "base", kernel_shape=[3, 3])
        within = self.constant("within", within_pixels()[:, :, None, None])
        balanced = self.op("Conv", [residual, within], "balanced", kernel_shape=[1, 1])
        applied = self.op("Mul", [balanced, "strength"], "applied")
        blocks = self.op("Add", [base, applied], "blocks")
        large = self.op("DepthToSpace", [blocks], "large", blocksize=BLOCK)
        lowest = self.op("Neg", [self._highest(self.op("Neg", [level], "inverted"), "inverted")], "lowest")
        risen = self.op("Max", [large, self._of_each(lowest, "lowest")], "risen")
        self.shown(self.op("Min", [risen, self._of_each(self._highest(level, "level"), "highest")], "mixed"))

    def _highest(self, x: str, name: str) -> str:
        return self.op("MaxPool", [x], f"{name}.highest", kernel_shape=[3, 3], pads=[1] * 4)

    def _of_each(self, x: str, name: str) -> str:
        """What holds for a pixel of the small picture, for its four of the large one."""
        twice = self.graph.constant(f"{name}.twice", np.array([1, 1, 2, 2], np.float32))
        return self.op("Resize", [x, "", twice], f"{name}.of_each", **NEAREST)


def within_pixels() -> NDArray[np.float32]:
    """What leaves of a 4x4 block only how its pixels differ from the mean of their own 2x2."""
    group = [(y // 2, x // 2) for y in range(BLOCK) for x in range(BLOCK)]
    same = np.array([[a == b for b in group] for a in group], np.float32)
    return (np.eye(PIXELS) - same / 4).astype(np.float32)


def base_weights() -> NDArray[np.float32]:
    """Bicubic, made so that the mean of every four pixels is the one they come from."""
    within = within_pixels()
    weights = np.einsum("ab,bcyx->acyx", within, bicubic_weights())
    for y in range(BLOCK):
        for x in range(BLOCK):
            weights[y * BLOCK + x, (y // 2) * 2 + x // 2, 1, 1] += 1
    return weights


def bicubic_weights() -> NDArray[np.float32]:
    """Bicubic enlargement by two (a = -0.75) as a 3x3 convolution from 2x2 blocks to 4x4 blocks."""
    taps = {0: _cubic(0.75), 1: _cubic(0.25)}  # an even result lies a quarter before its pixel, an odd one after
    line = np.zeros((BLOCK, 6))  # results of one block from the six pixels of three blocks
    for result in range(BLOCK):
        first = 2 + (result - 1) // 2 - 1 if result % 2 else 2 + result // 2 - 2
        line[result, first : first + 4] = taps[result % 2]
    weights = np.zeros((PIXELS, 4, 3, 3), np.float32)
    for y in range(BLOCK):
        for x in range(BLOCK):
            both = np.outer(line[y], line[x]).reshape(3, 2, 3, 2)
            weights[y * BLOCK + x] = both.transpose(1, 3, 0, 2).reshape(4, 3, 3)
    return weights


def _cubic(part: float) -> NDArray[np.float64]:
    """Weights of the four pixels around a point that lies `part` of the way from the second to the third."""
    a = -0.75
    away = np.abs(np.array([1 + part, part, 1 - part, 2 - part]))
    close = (a + 2) * away**3 - (a + 3) * away**2 + 1
    far = a * away**3 - 5 * a * away**2 + 8 * a * away - 4 * a
    return np.where(away <= 1, close, far)


def _model(drawing: _Drawing, recipe: Recipe) -> onnx.ModelProto:
    net = drawing.net
    picture: list[int | str] = [1, 1, "h", "w"]
    inputs: dict[str, list[int | str]] = {"frame": picture, "full_scale": [], "strength": []}
    outputs: dict[str, list[int | str]] = {"enhanced": picture}
    if isinstance(net, Clarity):
        drawing.clarity(net)
        for name, shape in state_shapes(net).items():
            inputs[f"{name}_in"] = outputs[f"{name}_out"] = [
                v.replace("/", "") if isinstance(v, str) else v for v in shape
            ]
    else:
        drawing.upscale(net)
        outputs = {"enhanced": [1, 1, "h2", "w2"]}
    graph = helper.make_graph(
        drawing.graph.nodes,
        recipe.name,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        drawing.graph.constants,
    )
    model = helper.make_model(graph, producer_name="limpid-edge", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def state_shapes(net: Clarity) -> dict[str, list[int | str]]:
    return {
        "mean": [1, PIXELS, "h/4", "w/4"],
        "age": [1, net.decided, "h/4", "w/4"],
        "hidden": [1, net.hidden, "h/4", "w/4"],
    }
