"""The guide for a Jetson: what of it can be checked here. Its `limpid` lines against the commands as they are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from edge.cli import app
from edge.config import parse

PAGE = (Path(__file__).parents[2] / "docs/jetson.md").read_text(encoding="utf-8")
UsageError: Any = typer.BadParameter.__base__
CODE = re.compile(r"^ {4,}(\S.*)$|`([^`\n]+)`", re.MULTILINE)


def lines_of(page: str) -> Iterator[list[str]]:
    """Each call of `limpid`, indented or between backticks, without its comment."""
    for indented, quoted in CODE.findall(page):
        words = shlex.split(indented or quoted, comments=True)
        if words and Path(words[0]).name == "limpid" and words[1:]:
            yield words[1:]


def check(words: list[str]) -> None:
    """Raises UsageError. Options and arguments are read, nothing is run."""
    command: Any = typer.main.get_command(app)
    while isinstance(command, TyperGroup):
        name, *words = words
        found = command.get_command(command.make_context(name, [], resilient_parsing=True), name)
        if found is None:
            raise UsageError(f"no command {name}")
        command = found
    command.make_context("", words)


LINES = list(lines_of(PAGE))


@pytest.mark.parametrize("words", LINES, ids=" ".join)
def test_a_command_of_the_page_exists_with_these_options(words: list[str]) -> None:
    check(words)


def test_the_lines_were_found() -> None:
    assert {"doctor", "display", "bench"} <= {words[0] for words in LINES}
    assert {"build", "verify", "list"} <= {words[1] for words in LINES if words[0] == "engine"}


@pytest.mark.parametrize(
    "line", ["engine biuld --all", "engine build --every", "engine build --depth deep", "doctor here"]
)
def test_a_line_that_is_wrong_is_found(line: str) -> None:
    with pytest.raises(UsageError):
        check(line.split())


def test_the_configuration_of_the_page_is_one() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    assert parse(block).engines.backend == "tensorrt_int8"
