"""Real processes that install, activate and roll back, to be killed at any moment. Not a test itself.

`python -m tests.engine_child STORE BUNDLES` reads seeds and forks a worker for each, so that a killed one costs no
start of an interpreter. A worker says what it is about to do, and that it has done so: "doing activate 2", "did ...".
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from edge.engine_store import EngineStore
from edge.errors import ConfigError
from tests.engine_making import NAME, store_at


def say(*words: object) -> None:
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def work(store: EngineStore, bundles: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10_000):
        step = chance.choice(("install", "activate", "activate", "rollback", "remove"))
        _steps[step](store, chance, bundles)


def _install(store: EngineStore, chance: random.Random, bundles: Path) -> None:
    path = chance.choice(sorted(bundles.iterdir()))
    say("doing", "install", path.stem)
    with path.open("rb") as file:
        store.install(file)
    say("did", "install", path.stem)


def _activate(store: EngineStore, chance: random.Random, _bundles: Path) -> None:
    versions = store.versions(NAME)
    if versions:
        version = chance.choice(versions)
        say("doing", "activate", version.number)
        store.activate(NAME, version.home, trial=chance.random() < 0.5)
        say("did", "activate", version.number)


def _roll_back(store: EngineStore, _chance: random.Random, _bundles: Path) -> None:
    before = store.home_before(NAME)
    to = next((version.number for version in store.versions(NAME) if version.home == before), "shipped")
    say("doing", "rollback", to)
    try:
        store.roll_back(NAME, "to try it")
    except ConfigError:
        return
    say("did", "rollback", to)


def _remove(store: EngineStore, chance: random.Random, _bundles: Path) -> None:
    removable = [version for version in store.versions(NAME) if not version.active and not version.previous]
    if removable:
        version = chance.choice(removable)
        say("doing", "remove", version.number)
        store.remove(NAME, version.home)


_steps = {"install": _install, "activate": _activate, "rollback": _roll_back, "remove": _remove}


def main() -> None:
    store, bundles = store_at(Path(sys.argv[1])), Path(sys.argv[2])
    for line in sys.stdin:
        worker = os.fork()
        if worker == 0:
            say("worker", os.getpid())
            work(store, bundles, int(line))
            os._exit(0)
        os.waitpid(worker, 0)
        say("ended", worker)


if __name__ == "__main__":
    main()
