"""The table of hazards says what is so: its files exist, its tests are there and run in CI, nothing is left blank."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/hazards.md"
TEST = re.compile(r"`(tests/[\w/.]+\.py)::(\w+)`")
FILE = re.compile(r"`((?:edge|calibration|engines|tools|docs)/[\w/.-]+\.\w+)`")
OUT_OF_CI = ("pytest.mark.soak", "pytest.mark.gpu", "pytest.mark.skip(")
COLUMNS = 7
MUST_COVER = (
    "wrong", "late", "frozen", "mixed-up", "invented", "smoothed away", "lost", "leaked", "marked sent though refused",
    "orientation", "scale", "overheated", "bad update",
)  # fmt: skip


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| [HT]\d", line)]
    return [[cell.strip() for cell in line.strip().strip("|").split(" | ")] for line in lines]


@lru_cache
def functions_of(file: str) -> dict[str, list[str]]:
    """Test -> its markers."""
    tree = ast.parse((ROOT / file).read_text())
    found = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {node.name: [ast.unparse(one) for one in node.decorator_list] for node in found}


ROWS = rows()


def test_the_table_is_there_and_covers_what_it_has_to():
    assert len(ROWS) >= 30
    told = " ".join(row[1].lower().replace("*", "") for row in ROWS)
    assert [word for word in MUST_COVER if word not in told] == []
    assert [row[0] for row in ROWS] == [f"H{n}" for n in range(1, len(ROWS) + 1)]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_has_a_control_and_a_test_or_says_open(row: list[str]):
    assert len(row) >= COLUMNS - 1
    assert all(row[:5])
    is_open = "**open**" in " ".join(row)
    assert is_open or (FILE.search(row[4]) and TEST.search(row[5]) and row[6])


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_test_and_every_file_that_is_named_is_there(row: list[str]):
    text = " ".join(row)
    for file, name in TEST.findall(text):
        assert (ROOT / file).is_file(), file
        assert name in functions_of(file), f"{file}::{name}"
        markers = functions_of(file)[name]
        assert not any(one.startswith(OUT_OF_CI) for one in markers), f"{name} does not run in CI"
    for file in FILE.findall(text):
        assert (ROOT / file).is_file(), file


def test_the_threat_model_names_only_what_is_there():
    text = (ROOT / "docs/threat-model.md").read_text()
    assert len(TEST.findall(text)) >= 15
    for file, name in TEST.findall(text):
        assert name in functions_of(file), f"{file}::{name}"
    for file in FILE.findall(text):
        assert (ROOT / file).is_file(), file
