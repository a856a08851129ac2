"""kill -9 at random moments of installing, activating, rolling back: what is active is the old engine or the new."""

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

from edge import bundle
from edge.catalog import Catalog
from edge.signing import make_key
from tests.engine_making import NAME, make_version, packed, store_at

pytest.importorskip("onnx")
ROOT = Path(__file__).parents[2]
VERSIONS = ("2", "3", "4")


class Killer:
    """One worker at a time, ended with no warning."""

    def __init__(self, store: Path, bundles: Path) -> None:
        line = [sys.executable, "-m", "tests.engine_child", str(store), str(bundles)]
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
def home(tmp_path: Path) -> Path:
    store = store_at(tmp_path / "store")
    signer = make_key(tmp_path / "key")
    store.keys.trust(tmp_path / "key.pub")
    (tmp_path / "bundles").mkdir()
    for version in VERSIONS:
        made = make_version(tmp_path / f"v{version}", version)
        (tmp_path / "bundles" / f"{version}{bundle.SUFFIX}").write_bytes(packed(made, signer))
    return tmp_path


@pytest.fixture
def killer(home: Path) -> Iterator[Killer]:
    one = Killer(home / "store", home / "bundles")
    yield one
    one.close()


def active_of(root: Path) -> str:
    """What a daemon would open now; it must be whole, whatever it is."""
    catalog = Catalog([root])
    assert catalog.refused == {}
    engine = catalog.engines.get(NAME)
    if engine is None:
        return "shipped"
    assert engine.read_model()
    return engine.manifest.version


def allowed(before: str, said: list[list[str]]) -> set[str]:
    """What may be active after these steps: of a step that was not finished, the old or the new."""
    active, may_be = before, {before}
    for word, step, to in said:
        if step not in ("activate", "rollback"):
            continue
        if word == "did":
            active, may_be = to, {to}
        else:
            may_be = {active, to}
    return may_be


def kill_again_and_again(home: Path, killer: Killer, kills: int) -> Counter[str]:
    chance, active, steps = random.Random(kills), active_of(home / "store"), Counter[str]()
    for number in range(kills):
        said = killer.run_and_kill(number, chance.uniform(0.0, 0.12))
        found = active_of(home / "store")
        assert found in allowed(active, said), (active, said)
        active = found
        steps.update(step for word, step, _ in said if word == "did")
        if said and said[-1][0] == "doing":
            steps["interrupted " + said[-1][1]] += 1
    return steps


def settle(home: Path) -> None:
    """The next who comes finds nothing to repair, and clears away what was left half-written."""
    store = store_at(home / "store")
    with (home / "bundles" / f"4{bundle.SUFFIX}").open("rb") as file:
        version, _ = store.install(file)
    store.activate(NAME, version.home)
    assert active_of(home / "store") == "4"
    store.put_files(NAME, "5", {"manifest.toml": b""})
    assert not [path for path in (home / "store").iterdir() if "~tmp~" in path.name]
    assert store.audit.verify().faults == ()


def test_killed_at_random_moments_the_active_engine_is_whole(home: Path, killer: Killer) -> None:
    steps = kill_again_and_again(home, killer, 15)
    settle(home)
    assert steps["install"] or steps["interrupted install"]


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_killed_two_hundred_times_the_active_engine_is_whole(home: Path, killer: Killer) -> None:
    steps = kill_again_and_again(home, killer, 200)
    settle(home)
    assert all(steps[step] for step in ("install", "activate", "rollback")), steps
    assert sum(count for step, count in steps.items() if step.startswith("interrupted")) > 50, steps
