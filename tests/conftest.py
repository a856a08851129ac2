"""What all tests share."""

from __future__ import annotations

import gc

import pytest


def pytest_collection_finish(session: pytest.Session) -> None:
    """As the daemon does when it has started: what is there now stays, and need not be looked through each time the
    live loop collects. Thousands of tests are there."""
    gc.collect()
    gc.freeze()
