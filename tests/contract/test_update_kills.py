"""kill -9 at random moments of staging, switching, keeping and going back: current is old or new, and whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.update.store import STAGING
from tests.update_bench import Bench, bench_at, quick_install, store_at

ROOT = Path(__file__).parents[2]
TURNING = ("switch", "rollback")


class Killer:
    """One worker at a time, ended with no warning."""

    def __init__(self, home: Path) -> None:
        line = [sys.executable, "-m", "tests.update_child", str(home)]
        self._process = subprocess.Popen(
            line, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )

    def run_and_kill(self, seed: int, after_s: float) -> list[list[str]]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seed}\n")
        word, worker = self._line()
        assert word == "worker"
        threading.Event().wait(after_s)  # any moment will do: this is what is being tried
        os.kill(int(worker), signal.SIGKILL)
        said: list[list[str]] = []
        while (words := self._line()) != ["ended", worker]:
            said.append(words)
        return said

    def _line(self) -> list[str]:
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        assert words, "the child has ended"
        return words

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = bench_at(tmp_path)
    for version in ("1", "2", "3", "4"):
        made.update(version)
    first = next((tmp_path / "out").iterdir())
    with first.open("rb") as file:
        version, _ = made.store.stage(file, install=quick_install)
    made.store.switch(version.number, None)
    return made


@pytest.fixture
def killer(bench: Bench) -> Iterator[Killer]:
    one = Killer(bench.home)
    yield one
    one.close()


def current_of(home: Path) -> str:
    """What a unit would start now; it must be whole, whatever it is, and so must be the one that would watch it."""
    store = store_at(home)
    versions = {version.number: version for version in store.versions()}
    for number in (store.current, store.good):
        store.check(versions[number])
    trial = store.trial()
    if trial is not None:
        assert store.previous == trial.before
        store.check(versions[trial.before])
    return store.current


def allowed(before: str, said: list[list[str]]) -> set[str]:
    """What may be current after these steps: of one that was not finished, the old or the new."""
    current, may_be = before, {before}
    for word, step, to in said:
        if step not in TURNING:
            continue
        if word == "did":
            current, may_be = to, {to}
        elif word == "doing":
            may_be = {current, to}
    return may_be


def kill_again_and_again(home: Path, killer: Killer, kills: int) -> Counter[str]:
    chance, current, steps = random.Random(kills), current_of(home), Counter[str]()
    for number in range(kills):
        said = killer.run_and_kill(number, chance.uniform(0.0, 0.15))
        found = current_of(home)
        assert found in allowed(current, said), (current, said)
        current = found
        steps.update(step for word, step, _ in said if word == "did")
        if said and said[-1][0] == "doing":
            steps["interrupted " + said[-1][1]] += 1
    return steps


def settle(bench: Bench) -> None:
    """The next who comes finds nothing to repair, and clears away what was left half-written."""
    store = store_at(bench.home)
    number = bench.stage(bench.update("5"))
    store.switch(number, None)
    assert current_of(bench.home) == "5"
    assert not [path for path in store.root.iterdir() if path.name.startswith(STAGING)]
    assert store.audit.verify().faults == ()


def test_killed_at_random_moments_the_current_version_is_whole(bench: Bench, killer: Killer) -> None:
    steps = kill_again_and_again(bench.home, killer, 12)
    settle(bench)
    assert sum(steps.values())


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_killed_a_hundred_times_the_current_version_is_whole(bench: Bench, killer: Killer) -> None:
    steps = kill_again_and_again(bench.home, killer, 100)
    settle(bench)
    assert all(steps[step] for step in ("stage", "switch", "rollback", "hold")), steps
    assert sum(count for step, count in steps.items() if step.startswith("interrupted")) > 25, steps
    print(dict(steps))
