"""How long an engine takes for a frame of 640x480, in INT8 beside its float twin, both alone in their process.

    python -m tools.bench_engines                                # all that are shipped and trained
    python -m tools.bench_engines ultrasound-clarity-small --json

As on a device, where one engine computes picture after picture. (In the judge a dozen contestants take turns, engines
and peers, in one process.) INT8 and float take turns as the judge's do, some frames long, the first of which do not
count; what is told is the median of each turn, and over all turns their middle, least and most.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
from collections.abc import Sequence
from typing import Any

from calibration.judging import timing
from calibration.judging.contestants import EngineTreatment, kind_of
from edge.backends.openvino_cpu import OpenVinoCpu
from edge.catalog import float_twin, read_engine, shipped_folder
from edge.errors import LimpidError
from engines.recipes import RECIPES


def measure(name: str, turns: int, threads: int) -> dict[str, Any]:
    engine = read_engine(shipped_folder() / name)
    pictures, bits = timing.screen(kind_of(engine))
    rows, columns = pictures[0].shape
    backend = OpenVinoCpu(threads)
    int8, twin = (EngineTreatment(one, bits, backend) for one in (engine, float_twin(engine)))
    both = (int8, twin)
    taken = [tuple(statistics.median(timing.turn(each, pictures)) for each in both) for _ in range(turns)]
    return {
        "engine": name, "sha256": engine.manifest.sha256, "frame": f"{columns}x{rows}",
        "ms_int8": _spread([ours for ours, _ in taken]), "ms_float": _spread([theirs for _, theirs in taken]),
        "float_over_int8": _spread([theirs / ours for ours, theirs in taken]),
    }  # fmt: skip


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = {"middle": statistics.median(values), "least": min(values), "most": max(values)}
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help="trained engines; all otherwise")
    parser.add_argument("--turns", type=int, default=25, help=f"of each, {timing.TURN} frames long")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="one object on stdout, nothing else")
    options = parser.parse_args()
    names: list[str] = options.names or sorted(RECIPES)
    if unknown := sorted(set(names) - set(RECIPES)):
        parser.error(f"no trained engine is called {', '.join(unknown)}; there are {', '.join(sorted(RECIPES))}")
    if min(options.turns, options.threads) < 1:
        parser.error("--turns and --threads: one at least")
    told: dict[str, Any] = {"machine": timing.machine(options.threads), "engines": []}
    try:
        for name in names:  # each in a process of its own: no other engine's threads wait beside it
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                told["engines"].append(alone.apply(measure, (name, options.turns, options.threads)))
            if not options.json:
                _show(told["engines"][-1])
    except LimpidError as error:
        raise SystemExit(str(error)) from error
    if options.json:
        print(json.dumps(told, indent=1))
    else:
        print(told["machine"]["processor"])


def _show(row: dict[str, Any]) -> None:
    parts = [f"{row['engine']:28} {row['frame']}"]
    for what, key in (("INT8", "ms_int8"), ("float", "ms_float"), ("float / INT8", "float_over_int8")):
        spread = row[key]
        parts.append(f"{what} {spread['middle']:.2f} ({spread['least']:.2f} to {spread['most']:.2f})")
    print("   ".join(parts), flush=True)


if __name__ == "__main__":
    main()
