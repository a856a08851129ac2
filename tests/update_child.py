"""Real processes that stage, switch, keep and roll back, to be killed at any moment. Not a test itself.

`python -m tests.update_child HOME` reads seeds and forks a worker for each, so that a killed one costs no start of an
interpreter. A worker says what it is about to do, and that it has done so: "doing switch 2", "did switch 2".
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from edge.errors import ConfigError, UpdateRefused
from edge.update.install import install
from edge.update.store import VersionStore
from edge.update.trial import Trial
from tests.update_bench import quick_install, store_at


def say(*words: object) -> None:
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def work(home: Path, store: VersionStore, seed: int) -> None:
    chance = random.Random(seed)
    steps = ("stage", "stage", "switch", "switch", "switch", "rollback", "hold", "remove")
    for _ in range(10_000):
        step = chance.choice(steps)
        try:
            _steps[step](home, store, chance)
        except (ConfigError, UpdateRefused):  # no way back, older than what is current, still needed
            say("refused", step, "-")


def _stage(home: Path, store: VersionStore, chance: random.Random) -> None:
    path = chance.choice(sorted((home / "out").iterdir()))
    say("doing", "stage", path.name)
    with path.open("rb") as file:
        store.stage(file, install=install if chance.random() < 0.1 else quick_install)
    say("did", "stage", path.name)


def _switch(_home: Path, store: VersionStore, chance: random.Random) -> None:
    versions = store.versions()
    if not versions:
        return
    to = chance.choice(versions).number
    say("doing", "switch", to)
    store.switch(to, Trial(to, store.current, "") if store.current not in ("", to) else None)
    say("did", "switch", to)


def _roll_back(_home: Path, store: VersionStore, _chance: random.Random) -> None:
    to = store.previous
    if to:
        say("doing", "rollback", to)
        store.roll_back("to try it")
        say("did", "rollback", to)


def _hold(_home: Path, store: VersionStore, _chance: random.Random) -> None:
    if store.trial() is not None:
        say("doing", "hold", store.current)
        store.hold()
        say("did", "hold", store.current)


def _remove(_home: Path, store: VersionStore, chance: random.Random) -> None:
    versions = store.versions()
    if versions:
        to = chance.choice(versions).number
        say("doing", "remove", to)
        store.remove(to)
        say("did", "remove", to)


_steps = {"stage": _stage, "switch": _switch, "rollback": _roll_back, "hold": _hold, "remove": _remove}


def main() -> None:
    home = Path(sys.argv[1])
    store = store_at(home)
    for line in sys.stdin:
        worker = os.fork()
        if worker == 0:
            say("worker", os.getpid())
            work(home, store, int(line))
            os._exit(0)
        os.waitpid(worker, 0)
        say("ended", worker)


if __name__ == "__main__":
    main()
