"""Memory, descriptors, threads and processor time of each process, every few seconds; and how they grow."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

import psutil

MB = 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float  # since the soak began
    rss_mb: float
    descriptors: int
    threads: int
    cpu_s: float
    pid: int


@dataclass(slots=True)
class Gauge:
    samples: dict[str, list[Sample]] = field(default_factory=dict[str, list[Sample]])

    def look(self, at_s: float, top: list[psutil.Process]) -> None:
        """The given processes and all below them, by what they are."""
        for process in top:
            for each in [process, *_below(process)]:
                try:
                    self._add(name_of(each.cmdline()), at_s, each)
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue  # it has just ended

    def _add(self, name: str, at_s: float, process: psutil.Process) -> None:
        with process.oneshot():
            times = process.cpu_times()
            sample = Sample(
                round(at_s, 1), process.memory_info().rss / MB, process.num_fds(), process.num_threads(),
                times.user + times.system, process.pid,
            )  # fmt: skip
        if name:
            self.samples.setdefault(name, []).append(sample)

    def trends(self, warm_up_s: float) -> dict[str, Any]:
        return {name: trend(samples, warm_up_s) for name, samples in self.samples.items()}


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def name_of(command: list[str]) -> str:
    """What a process is, by its command line; empty for what lives too briefly to have a trend."""
    known = {
        "edge.darkroom": "darkroom", "edge.commands.demo_archive": "archive", "tools.soak.eye": "subscriber",
    }  # fmt: skip
    for module, name in known.items():
        if module in command:
            return name
    if command and command[0].endswith("Orthanc"):
        return "archive"
    if "edge" in command:
        name = command[command.index("edge") + 1]
        return {"send": "scanner", "run": "supervisor"}.get(name, name)
    return ""


def trend(samples: list[Sample], warm_up_s: float) -> dict[str, Any]:
    """Of the process that lived last: a fresh one begins anew."""
    living = [sample for sample in samples if sample.pid == samples[-1].pid]
    settled = [sample for sample in living if sample.at_s >= living[0].at_s + warm_up_s] or living[-1:]
    hours = (settled[-1].at_s - settled[0].at_s) / 3600
    passed = living[-1].at_s - living[0].at_s
    rss, descriptors = [each.rss_mb for each in settled], [float(each.descriptors) for each in settled]
    at = [each.at_s / 3600 for each in settled]
    return {
        "pids": len({sample.pid for sample in samples}),
        "measured_hours": round(hours, 3),
        "rss_mb": {"first": round(rss[0], 1), "last": round(rss[-1], 1), "most": round(max(rss), 1)},
        "rss_mb_per_hour": round(slope(at, rss), 2),
        "descriptors": {"first": int(descriptors[0]), "last": int(descriptors[-1]), "most": int(max(descriptors))},
        "descriptors_per_hour": round(slope(at, descriptors), 2),
        "threads": {"first": settled[0].threads, "last": settled[-1].threads},
        "cpu_percent": round(100 * (living[-1].cpu_s - living[0].cpu_s) / passed, 1) if passed > 0 else 0.0,
    }


MOST_POINTS = 240


def slope(at: list[float], values: list[float]) -> float:
    """Units an hour: the median of the slopes between any two points, so that a peak now and then does not count."""
    step = max(1, len(at) // MOST_POINTS)
    at, values = at[::step], values[::step]
    found = [
        (values[j] - values[i]) / (at[j] - at[i])
        for i in range(len(at))
        for j in range(i + 1, len(at))
        if at[j] > at[i]
    ]
    return statistics.median(found) if found else 0.0
