"""The table of events against the code that tells them, and against the page that describes them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from edge.event_table import EVENTS

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\Z")
TELLS = {"emit", "_emit", "_forget", "_pause", "_tell"}
ROW = re.compile(r"^\| `([a-z.-]+)` \| (\w+) \| (.+) \|$", re.MULTILINE)


def told_in(path: Path) -> Iterator[str]:
    """Names in what is given to a function that tells events, also where one of two is chosen."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names: set[str] = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if called not in TELLS:
            continue
        for argument in call.args:
            names |= {argument.id} if isinstance(argument, ast.Name) else set()
            yield from _constants(argument)
    for node in ast.walk(tree):  # a name that is given to it: what the name was set to
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id in names for to in node.targets):
            yield from _constants(node.value)


def _constants(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and NAME.match(inner.value):
            yield inner.value


def all_told() -> set[str]:
    return {name for path in (ROOT / "edge").rglob("*.py") for name in told_in(path)}


def test_what_the_code_tells_is_in_the_table_and_nothing_else_is() -> None:
    assert all_told() - EVENTS.keys() == set(), "add them to edge/event_table.py, with how serious they are"
    assert EVENTS.keys() - all_told() == set(), "nobody tells these"


def test_the_search_finds_names_in_all_their_places() -> None:
    assert {"live.ready", "object.confirmed", "drift.outside", "drift.inside"} <= all_told()


def test_the_page_has_the_same_table() -> None:
    page = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
    assert {name: (level, words) for name, level, words in ROW.findall(page)} == EVENTS
