"""The roofline's counts: against nets counted by hand, and against what each engine's manifest says of itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx")

from tools.roofline import MODULES, Work, bound, count, shipped

ROOT = Path(__file__).parents[2]
ENGINES = {engine.manifest.name: engine for engine in shipped()}


@pytest.mark.parametrize("name", sorted(ENGINES))
def test_the_multiplications_of_a_frame_are_those_that_the_manifest_tells(name: str) -> None:
    engine = ENGINES[name]
    work = count(engine, 640, 480, 8)
    shown = 640 * 480 * engine.manifest.scale**2  # the manifest counts for a pixel of the result
    assert (work.int8_macs + work.float_macs) / shown / 1000 == pytest.approx(engine.manifest.kmac_per_px, rel=0.02)
    assert work.int8_macs > 5 * work.float_macs  # what was meant to be INT8 is


def test_four_times_the_pixels_are_four_times_the_work() -> None:
    small, large = (count(ENGINES["ultrasound-clarity-small"], 320 * n, 256 * n, 8) for n in (1, 2))
    assert large.int8_macs == 4 * small.int8_macs
    assert large.elementwise == pytest.approx(4 * small.elementwise, rel=0.01)


def test_the_least_that_moves_is_the_frame_its_result_the_state_and_the_weights() -> None:
    engine = ENGINES["handbuilt-small"]  # a state of 16 channels at a quarter of the sides, in float
    eight, sixteen = (count(engine, 640, 480, bits).fewest_bytes for bits in (8, 16))
    assert sixteen - eight == 2 * 640 * 480
    weights = eight - 2 * 640 * 480 - 2 * 4 * 16 * 160 * 120
    assert 0 < weights < engine.model_path.stat().st_size
    assert count(engine, 640, 480, 8).unfused_bytes > eight


def test_the_modules_figures_agree_with_the_totals_their_vendor_advertises() -> None:
    """Sparse is twice dense; the totals of a module with DLAs are without these."""
    advertised = {"Orin Nano 8GB": 40, "Orin Nano 8GB Super": 67, "Orin NX 16GB": 100 - 40, "AGX Orin 64GB": 275 - 105}
    found = {module.name: 2 * module.int8_tops for module in MODULES}
    for name, sparse in advertised.items():
        assert found[name] == pytest.approx(sparse, rel=0.03)
    assert all(module.source for module in MODULES)


def test_a_bound_is_arithmetic_or_memory_whichever_takes_longer() -> None:
    module = next(module for module in MODULES if module.name == "AGX Orin 64GB")
    computing = bound("e", Work(10**10, 0, 0, 1, 1), module, 640, 480)
    assert computing.floor_ms == pytest.approx(2e10 / (module.int8_tops * 1e12) * 1000, rel=0.01)
    assert computing.limited_by == "int8"
    moving = bound("e", Work(1, 0, 0, 10**8, 4 * 10**8), module, 640, 480)
    assert moving.floor_ms == pytest.approx(1e8 / 204.8e9 * 1000, rel=0.01)
    assert moving.unfused_ms == pytest.approx(4 * moving.floor_ms, rel=0.01)
    assert moving.limited_by == "memory"
    assert moving.floor_fps == round(1000 / moving.floor_ms)


def test_what_it_says_is_labelled_a_prediction() -> None:
    line = [sys.executable, "-m", "tools.roofline", "engines/handbuilt-small"]
    words = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert words.count("PREDICTION, not a measurement") == 6  # three sizes: times, and the rates they imply
    facts = json.loads(
        subprocess.run([*line, "--json"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    )
    assert (facts["prediction"], facts["measured"]) == (True, False)
    assert len(facts["bounds"]) == 3 * len(MODULES)
    for each in facts["bounds"]:
        assert f"{each['floor_fps']} / {each['unfused_fps']}" in words


def test_the_guides_figures_are_those_that_the_tool_predicts() -> None:
    """docs/jetson.md, section 5: one engine, two sizes, two modules."""
    said = re.sub(r"\s+", " ", (ROOT / "docs/jetson.md").read_text(encoding="utf-8"))
    name = re.search(r"At 640x480, for `([a-z0-9-]+)` that is", said)
    assert name is not None
    works = {size: count(ENGINES[name[1]], *size, 8) for size in ((640, 480), (1024, 1024))}
    bounds = [
        bound(name[1], work, module, *size)
        for size, work in works.items()
        for module in (MODULES[0], next(module for module in MODULES if module.name == "AGX Orin 64GB"))
    ]
    told = [float(figure) for figure in re.findall(r"\d+\.\d+(?= )", said[name.end() : said.index("**A prediction")])]
    wanted = [figure for each in bounds for figure in (each.floor_ms, each.unfused_ms)]
    assert told == [pytest.approx(figure, abs=0.006) for figure in wanted], wanted
