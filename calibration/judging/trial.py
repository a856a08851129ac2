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
_LONGEST_FIRST: tuple[Kind, ...] = ("fluoroscopy", "ultrasound", "superres")  # so that the cores end together


class TrialBroke(LimpidError):  # noqa: N818
    """The operator must look: a part of the run ended without figures."""


def judge(folders: list[Path], plan: Plan, tell: Tell) -> list[Judged]:
    """Every engine, with verdicts, in the order in which they were named."""
    kinds = examination.by_kind(folders)
    cores = len(os.sched_getaffinity(0))
    jobs = [Job(kind, part) for kind in sorted(kinds, key=_LONGEST_FIRST.index) for part in PARTS]
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


@dataclass(frozen=True)
class _Running:
    job: Job
    process: BaseProcess
    line: Connection


def _in_turn(jobs: list[Job], kinds: Kinds, plan: Plan, tell: Tell) -> dict[Job, Evidence]:
    def gather(job: Job) -> Evidence:
        return examination.gather(job.part, job.kind, kinds[job.kind], plan, 1, lambda words: tell(job.kind, words))

    return {job: gather(job) for job in jobs}


def _side_by_side(jobs: list[Job], kinds: Kinds, plan: Plan, cores: int, tell: Tell) -> dict[Job, Evidence]:
    waiting, running = list(jobs), list[_Running]()
    found: dict[Job, Evidence] = {}
    try:
        while waiting or running:
            while waiting and len(running) < cores:
                job = waiting.pop(0)
                running.append(_start(job, kinds[job.kind], plan, max(1, cores // len(jobs))))
            for line in wait([each.line for each in running]):
                each = next(each for each in running if each.line is line)
                message = _heard(each)
                if isinstance(message, str):
                    tell(each.job.kind, message)
                else:
                    found[each.job] = message
                    running.remove(each)
                    each.process.join()
    finally:
        for each in running:
            each.process.terminate()
    return found


def _start(job: Job, engines: list[Engine], plan: Plan, threads: int) -> _Running:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(theirs, job, [engine.folder for engine in engines], plan, threads))
    process.start()
    theirs.close()
    return _Running(job, process, ours)


def _run(line: Connection, job: Job, folders: list[Path], plan: Plan, threads: int) -> None:
    """In a process of its own: words while it goes on, figures at the end."""
    engines = examination.by_kind(folders)[job.kind]
    line.send(examination.gather(job.part, job.kind, engines, plan, threads, line.send))


def _heard(each: _Running) -> str | Evidence:
    try:
        return each.line.recv()
    except EOFError:
        each.process.join()
        raise TrialBroke(f"judging {each.job.kind} ended with code {each.process.exitcode}; see above") from None
