"""The run itself: kinds of engines side by side in processes of their own, then everybody's times alone.

A kind's films, peers and figures are its own, so two kinds keep two cores busy where the threads of one small engine
could not. Times are taken last, when nothing else runs.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from calibration.judging import examination
from calibration.judging.contestants import Kind
from calibration.judging.figures import Judged
from calibration.judging.gates import decide
from calibration.judging.plan import Plan
from edge.errors import LimpidError

Tell = Callable[[str, str], None]  # who, and what is being done


class TrialBroke(LimpidError):  # noqa: N818
    """The operator must look: a part of the run ended without figures."""


def judge(folders: list[Path], plan: Plan, tell: Tell) -> list[Judged]:
    """Every engine, with verdicts, in the order in which they were named."""
    kinds = examination.by_kind(folders)
    cores = len(os.sched_getaffinity(0))
    if len(kinds) == 1 or cores == 1:
        found = [one for kind, engines in kinds.items() for one in _examined(kind, engines, plan, cores, tell)]
    else:
        found = _side_by_side(kinds, plan, cores, tell)
    for kind, engines in kinds.items():
        tell(kind, "times")
        examination.add_times([one for one in found if one.kind == kind], engines, plan, min(2, cores))
    for one in found:
        decide(one)
    order = [engine.manifest.name for engines in kinds.values() for engine in engines]
    return sorted(found, key=lambda one: order.index(one.engine))


def _examined(kind: Kind, engines: list[examination.Engine], plan: Plan, threads: int, tell: Tell) -> list[Judged]:
    return examination.examine(kind, engines, plan, threads, lambda words: tell(kind, words))


@dataclass(frozen=True)
class _Part:
    kind: Kind
    process: BaseProcess
    line: Connection


def _side_by_side(kinds: dict[Kind, list[examination.Engine]], plan: Plan, cores: int, tell: Tell) -> list[Judged]:
    waiting = list(kinds.items())
    running: list[_Part] = []
    found: list[Judged] = []
    try:
        while waiting or running:
            while waiting and len(running) < cores:
                running.append(_start(*waiting.pop(0), plan, max(1, cores // len(kinds))))
            for line in wait([part.line for part in running]):
                part = next(part for part in running if part.line is line)
                message = _heard(part)
                if isinstance(message, str):
                    tell(part.kind, message)
                else:
                    found += message
                    running.remove(part)
                    part.process.join()
    finally:
        for part in running:
            part.process.terminate()
    return found


def _start(kind: Kind, engines: list[examination.Engine], plan: Plan, threads: int) -> _Part:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_part, args=(theirs, kind, [engine.folder for engine in engines], plan, threads))
    process.start()
    theirs.close()
    return _Part(kind, process, ours)


def _part(line: Connection, kind: Kind, folders: list[Path], plan: Plan, threads: int) -> None:
    """In a process of its own: words while it goes on, figures at the end."""
    engines = examination.by_kind(folders)[kind]
    line.send(examination.examine(kind, engines, plan, threads, line.send))


def _heard(part: _Part) -> str | list[Judged]:
    try:
        return part.line.recv()
    except EOFError:
        part.process.join()
        raise TrialBroke(f"judging {part.kind} ended with code {part.process.exitcode}; see above") from None
