"""`limpid bench`: run it, print it, draw it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from edge.bench.picture import draw
from edge.bench.run import Options
from edge.bench.run import run as measure
from edge.errors import ConfigError

__all__ = ["Options", "parse_size", "run"]
POINTS = ("p50", "p90", "p95", "p99", "p99.9", "max")


def parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise ConfigError(f'size "{text}" is not WIDTHxHEIGHT')
    width, height = int(match[1]), int(match[2])
    if not (64 <= width <= 4096 and 64 <= height <= 4096):
        raise ConfigError(f"size {text} is outside 64x64 to 4096x4096")
    return width, height


def run(options: Options, picture: Path | None, *, as_json: bool) -> None:
    if options.bits != 8 and not 10 <= options.bits <= 16:
        raise ConfigError(f"depth {options.bits} is neither 8 nor 10 to 16 bits")
    if options.keys and options.transport != "tcp":
        raise ConfigError("--keys goes with --transport tcp: over ipc nobody is asked for one")
    report = _with_progress(options)
    latencies = {"daemon": report.pop("latencies_us"), "bare script": report.pop("bare_latencies_us", [])}
    if picture is not None:
        draw(picture, latencies, f"{report['size']} {report['bits']} bit, {options.fps:g} fps")
        report["picture"] = str(picture)
    if as_json:
        print(json.dumps(report))
    else:
        _print(report)


def _with_progress(options: Options) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("starting", total=1.0)
        return measure(options, lambda what, part: bar.update(task, description=what, completed=part))


def _print(report: dict[str, Any]) -> None:
    table = Table(title=f"limpid bench {report['size']}, {report['bits']} bit, {report['fps']:g} fps (ms)")
    table.add_column("")
    for point in POINTS:
        table.add_column(point, justify="right")
    stages = report["stages_ms"]
    rows = {
        "sent -> received": report["latency_ms"],
        "engine": report["engine_ms"],
        "all but the engine": report["overhead_ms"],
        "  way in": stages["way_in"],
        "  the daemon itself": stages["own"],
        "  way out": stages["way_out"],
        "bare script": report.get("bare_script_ms"),
        "  its engine": report.get("bare_engine_ms"),
        "  all but its engine": report.get("bare_overhead_ms"),
    }
    for name, figures in rows.items():
        if figures:
            table.add_row(name, *(f"{figures[point]:.2f}" for point in POINTS))
    console = Console()
    console.print(table)
    frames = ", ".join(f"{name} {count}" for name, count in report["frames"].items())
    console.print(f"frames: {frames}")
    for what in ("original_by_reason", "dropped_by_reason"):
        if report[what]:
            console.print(f"{what.replace('_', ' ')}: {report[what]}")
    if report.get("overhead_to_bare"):
        ratio = report["overhead_to_bare"]
        console.print(f"overhead to bare script's: {ratio['median']} (rounds: {ratio['least']} to {ratio['most']})")
    console.print(f"processor {report['cpu_percent']} % of one core, memory {report['rss_mb']} MB")
