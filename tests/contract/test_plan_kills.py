"""Kill -9 at any moment of a build: the cache holds the old plan or the new one, whole, and goes on from there."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
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
    """And on, if none of these has found it within a write: on a busy machine a moment of chance comes late."""
    rng = random.Random(times)
    cache = PlanCache(folder)
    halves = kills = 0
    while kills < times or (halves == 0 and kills < 20 * times):
        kills += 1
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
            "--size", "64x64", "--force", "--plans", str(folder)]  # fmt: skip


def built_and_killed(line: list[str], after_s: float, told: Path) -> str:
    """Where the command was when it was killed: "beginning", "building" (it tells so), "built"; "ended" by itself."""
    with told.open("wb") as out, subprocess.Popen(line, cwd=ROOT, stdout=out, stderr=out) as it:
        with contextlib.suppress(subprocess.TimeoutExpired):
            it.wait(after_s)
        if it.returncode is not None:
            assert it.returncode == 0, told.read_text()
            return "ended"
        it.send_signal(signal.SIGKILL)
        it.wait(60)
    said = told.read_text()
    return "built" if "plans in" in said else "building" if ENGINE in said else "beginning"


def kill_the_command(folder: Path, kills: int) -> Counter[str]:
    pytest.importorskip("tensorrt_rtx", reason="the extra `rtx` is not installed")
    line, told = build_line(folder / "plans"), folder / "told"
    began = time.monotonic()
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True, timeout=300)
    whole = time.monotonic() - began
    cache = PlanCache(folder / "plans")
    (first,) = cache.entries()
    assert first.key is not None
    rng = random.Random(kills)
    found: Counter[str] = Counter()
    while kills > found.total() - found["ended"]:
        part = (found.total() + rng.random()) / kills % 1  # from its first moment to its last
        began = time.monotonic()
        where = built_and_killed(line, whole * part, told)
        found[where] += 1
        if where == "ended":  # the machine has become faster since: the next kill is to find it at work
            whole = min(whole, time.monotonic() - began)
        try:
            assert cache.load(first.key)
        except PlanRefused as error:
            pytest.fail(f"after kill {found.total()}: {error}")
        assert {entry.fault for entry in cache.entries()} == {""}
    return found


@pytest.mark.timeout(300)
def test_the_command_itself_killed_at_any_moment_leaves_the_cache_whole(tmp_path: Path) -> None:
    assert kill_the_command(tmp_path, 4)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_command_itself_killed_a_hundred_times_leaves_the_cache_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = kill_the_command(tmp_path, 100)
    with capsys.disabled():
        print(f"\n`limpid engine build` killed: {dict(found)}")
    assert found["building"] > 0, "no kill found it building: the test did not test what it says"
