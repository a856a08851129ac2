"""Kill -9 at any moment of a build: the cache holds the old plan or the new one, whole, and goes on from there."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.catalog import shipped_folder
from edge.plans import PlanCache, PlanRefused
from tests.plan_child import KEY, PLANS

ROOT = shipped_folder().parent
ENGINE = "handbuilt-small"


def killed_while_storing(folder: Path, rng: random.Random) -> int:
    """How often it had stored before it was killed, somewhere within the next time."""
    line = [sys.executable, "-m", "tests.plan_child", str(folder)]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        stored = 0
        for _ in range(rng.randint(1, 4)):
            assert child.stdout.readline(), "it ended by itself"
            stored += 1
        time.sleep(rng.uniform(0, 0.03))  # the moment within a write: chance is the point, no condition is awaited
        child.send_signal(signal.SIGKILL)
        child.wait(30)
    return stored


def kill_often(folder: Path, times: int) -> None:
    rng = random.Random(times)
    cache = PlanCache(folder)
    halves = 0
    for _ in range(times):
        assert killed_while_storing(folder, rng) > 0
        assert cache.load(KEY) in PLANS
        assert {entry.fault for entry in cache.entries()} == {""}
        halves += len(list(folder.glob("*/*.tmp")))
    cache.store(KEY, b"the last", 1.0)
    assert cache.load(KEY) == b"the last"
    assert [path.name for path in folder.glob("*/*")] == [KEY.slot.name]  # what was half written is gone
    assert halves > 0, "no kill found it within a write: the test did not test what it says"


@pytest.mark.timeout(180)
def test_a_kill_within_a_write_leaves_the_old_plan_or_the_new_one_whole(tmp_path: Path) -> None:
    kill_often(tmp_path, 10)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_a_hundred_and_twenty_kills_leave_the_old_plan_or_the_new_one_whole(tmp_path: Path) -> None:
    kill_often(tmp_path, 120)


def build_line(folder: Path) -> list[str]:
    return [sys.executable, "-m", "edge", "engine", "build", ENGINE, "--runtime", "tensorrt-rtx", "--sm", "86",
            "--size", "64x64", "--force", "--json", "--plans", str(folder)]  # fmt: skip


def kill_the_command(folder: Path, times: int) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")
    began = time.monotonic()
    subprocess.run(build_line(folder), cwd=ROOT, check=True, capture_output=True, timeout=300)
    whole = time.monotonic() - began
    cache = PlanCache(folder)
    (first,) = cache.entries()
    assert first.key is not None
    rng = random.Random(times)
    for number in range(times):
        with subprocess.Popen(build_line(folder), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
            try:
                it.wait(whole * (number + rng.random()) / times)  # from its first moment to its last
            except subprocess.TimeoutExpired:
                it.send_signal(signal.SIGKILL)
            it.wait(60)
        try:
            assert cache.load(first.key)
        except PlanRefused as error:
            pytest.fail(f"after kill {number}: {error}")
        assert {entry.fault for entry in cache.entries()} == {""}


@pytest.mark.timeout(300)
def test_the_command_itself_killed_at_any_moment_leaves_the_cache_whole(tmp_path: Path) -> None:
    kill_the_command(tmp_path, 4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_command_itself_killed_a_hundred_times_leaves_the_cache_whole(tmp_path: Path) -> None:
    kill_the_command(tmp_path, 100)
