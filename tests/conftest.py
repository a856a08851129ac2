"""What all tests share."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

SYSTEM = Path(__file__).parent / "system"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those of whole processes first: their files are the longest, and a worker that began one last would end long
    after the others."""
    items.sort(key=lambda item: SYSTEM not in item.path.parents)


def pytest_collection_finish(session: pytest.Session) -> None:
    """As the daemon does when it has started: what is there now stays, and need not be looked through each time the
    live loop collects. Thousands of tests are there."""
    gc.collect()
    gc.freeze()
