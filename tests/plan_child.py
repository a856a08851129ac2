"""A process that builds plans without end, to be killed at any moment. Not a test itself: see contract/test_plan_kills.

python -m tests.plan_child FOLDER       stores, by turns, two plans of one slot; a line on stdout for each
"""

from __future__ import annotations

import sys
from pathlib import Path

from edge.plans import PlanCache, PlanKey

KEY = PlanKey(
    engine="an-engine", model="ab" * 32, recipe="r", runtime="fake 1.0", gpu="sm00", precision="int8", power_mode="",
    shape="640x480x8",
)  # fmt: skip
PLANS = (b"one" * 700_000, b"other" * 500_000)  # large enough for a kill to find it within a write


def main() -> None:
    cache = PlanCache(Path(sys.argv[1]))
    turn = 0
    while True:
        cache.store(KEY, PLANS[turn % 2], 1.0)
        print(turn, flush=True)
        turn += 1


if __name__ == "__main__":
    main()
