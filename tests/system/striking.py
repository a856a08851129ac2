"""When a kill strikes: at a moment that nobody chose, or at the very sight of a step being taken. Not a test itself.

Steps are short: chance alone would hardly ever meet a capture half written, or half removed.
"""

from __future__ import annotations

import contextlib
import fnmatch
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.system.whole import Appliance, Presser

ANYTIME = {"live": 4, "forward": 4, "darkroom": 2, "archive": 1}
PATIENCE_S = 3.0  # for a step to be seen; then whoever takes it is struck as it is
Sight = Callable[[], bool]


@dataclass(frozen=True)
class Step:
    """One stretch of a capture's way: who goes it, and by what it is seen."""

    name: str
    whom: str
    seen: Callable[[Appliance, Presser], Sight]


def _new(pattern: str) -> Callable[[Appliance, Presser], Sight]:
    """A file or folder of this name that was not there before."""

    def sight(made: Appliance, _presser: Presser) -> Sight:
        captures = made.home / "outbox" / "captures"
        before = _names(captures, pattern)
        return lambda: not _names(captures, pattern) <= before

    return sight


def _names(captures: Path, pattern: str) -> set[str]:
    """`Path.glob`, over folders that come and go meanwhile."""
    folders, _, files = pattern.partition("/")
    found: set[str] = set()
    for folder in fnmatch.filter(_listed(captures), folders):
        inside = fnmatch.filter(_listed(captures / folder), files) if files else [""]
        found.update(f"{folder}/{name}" for name in inside)
    return found


def _listed(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [path.name for path in folder.iterdir()]
    return []


STEPS = (
    Step("capture", "live", lambda _made, presser: lambda: presser.is_pressed),
    Step("spool", "live", _new("*.tmp/*.dcm")),
    Step("compression", "darkroom", _new("*/*.2.dcm")),
    Step("send", "forward", _new("*/*.sent")),
    Step("commitment", "forward", _new("*/*.asked")),
    Step("delete", "forward", _new("*.gone")),
)


def strike(made: Appliance, presser: Presser, chance: random.Random) -> None:
    """Half of them at a step, half whenever it happens to be."""
    if chance.random() < 0.5:
        whom = chance.choices(list(ANYTIME), list(ANYTIME.values()))[0]
        made.start_missing(wait=chance.random() < 0.9)  # sometimes it is struck before it has begun
        time.sleep(chance.uniform(0.0, 1.2))  # any moment will do: this is what is being tried
        made.kill(whom)
        return
    step = chance.choice(STEPS)
    sight = step.seen(made, presser)  # before: whoever starts sweeps, and removes what is safe
    made.start_missing()
    seen = _wait_for(sight)
    time.sleep(chance.choice([0.0, 0.0, 0.001, 0.005]))
    made.kill(step.whom)
    made.struck[f"at the sight of {step.name}" if seen else f"{step.name} not seen"] += 1


def _wait_for(sight: Sight) -> bool:
    end = time.monotonic() + PATIENCE_S
    while not (seen := sight()) and time.monotonic() < end:
        time.sleep(0.0005)
    return seen
