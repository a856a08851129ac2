"""The run itself: parts side by side in processes of their own, then everybody's times alone.

A kind's films, peers and figures are its own, and lesions are looked for in films of their own: so several processes
keep the cores busy where the threads of one small engine could not. Times are taken last, when nothing else runs.
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
from calibration.judging.examination import PARTS, Evidence, Part
from calibration.judging.figures import Judged
from calibration.judging.gates import decide
from calibration.judging.plan import Plan
from edge.catalog import Engine, read_engine
from edge.errors import LimpidError

Tell = Callable[[str, str], None]  # who, and what is being done
Kinds = dict[Kind, list[Engine]]


class TrialBroke(LimpidError):  # noqa: N818
    """The operator must look: a part of the run ended without figures."""


def judge(folders: list[Path], plan: Plan, tell: Tell) -> list[Judged]:
    """Every engine, with verdicts, in the order in which they were named."""
    kinds = examination.by_kind(folders)
    cores = len(os.sched_getaffinity(0))
    jobs = sorted((Job(kind, part) for kind in kinds for part in PARTS), key=_longest_first)
    gathered = _side_by_side(jobs, kinds, plan, cores, tell) if cores > 1 else _in_turn(jobs, kinds, plan, tell)
    found: list[Judged] = []
    for kind, engines in kinds.items():
        judged = examination.conclude(kind, engines, plan, {part: gathered[Job(kind, part)] for part in PARTS})
        tell(kind, "times")
        examination.add_times(judged, engines, plan, min(2, cores))
        found += judged
    for one in found:
        decide(one)
    order = [read_engine(folder).manifest.name for folder in folders]
    return sorted(found, key=lambda one: order.index(one.engine))


@dataclass(frozen=True)
class Job:
    kind: Kind
    part: Part


def _longest_first(job: Job) -> tuple[bool, bool]:
    """So that the cores end together."""
    return job.kind == "superres", job.part != "pictures"


@dataclass
class _Worker:
    process: BaseProcess
    line: Connection
    job: Job


def _in_turn(jobs: list[Job], kinds: Kinds, plan: Plan, tell: Tell) -> dict[Job, Evidence]:
    def gather(job: Job) -> Evidence:
        return examination.gather(job.part, job.kind, kinds[job.kind], plan, 1, lambda words: tell(job.kind, words))

    return {job: gather(job) for job in jobs}


def _side_by_side(jobs: list[Job], kinds: Kinds, plan: Plan, cores: int, tell: Tell) -> dict[Job, Evidence]:
    waiting, working = list(jobs), list[_Worker]()
    found: dict[Job, Evidence] = {}
    folders = [engine.folder for engines in kinds.values() for engine in engines]
    threads = max(1, cores // len(jobs))
    try:
        while waiting and len(working) < cores:
            working.append(_start(waiting.pop(0), folders, plan, threads))
        while working:
            for line in wait([each.line for each in working]):
                each = next(each for each in working if each.line is line)
                message = _heard(each)
                if isinstance(message, str):
                    tell(each.job.kind, message)
                    continue
                found[each.job] = message
                if waiting:
                    each.job = waiting.pop(0)
                    each.line.send(each.job)
                else:
                    working.remove(each)
                    each.line.send(None)
                    each.process.join()
    finally:
        for each in working:
            each.process.terminate()
    return found


def _start(job: Job, folders: list[Path], plan: Plan, threads: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, folders, plan, threads))
    process.start()
    theirs.close()
    ours.send(job)
    return _Worker(process, ours, job)


def _work(line: Connection, folders: list[Path], plan: Plan, threads: int) -> None:
    """In a process of its own, job after job: words while one goes on, figures at its end."""
    kinds = examination.by_kind(folders)
    while (job := line.recv()) is not None:
        line.send(examination.gather(job.part, job.kind, kinds[job.kind], plan, threads, line.send))


def _heard(each: _Worker) -> str | Evidence:
    try:
        return each.line.recv()
    except EOFError:
        each.process.join()
        raise TrialBroke(f"judging {each.job.kind} ended with code {each.process.exitcode}; see above") from None
