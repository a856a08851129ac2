"""`python -m calibration.judge NAME...|--all`: what engines do to held-out pictures, beside their peers.

Figures go to standard output as one JSON object with `--json`, to a folder as pages and pictures with `--report`, and
into the engines' own folders (judged.json, CARD.md, manifest.toml) with `--write`. Progress goes to standard error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from calibration.judging import cards, examination, real, report, timing, trial
from calibration.judging.clips import Field
from calibration.judging.contestants import Contestant
from calibration.judging.figures import VERSION, Judged, for_machines
from calibration.judging.gates import decide
from calibration.judging.plan import FULL, QUICK
from edge.catalog import read_engine, shipped_folder
from edge.errors import ConfigError, LimpidError

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
HAND_BUILT = "handbuilt-"  # for trying the path: judged when named, not with --all
ERROR = 2
err = Console(stderr=True, highlight=False)


def quick_gates(folder: Path) -> dict[str, bool]:
    """The safety gates of the one engine in a folder, told from a quick run: what a site's own calibration asks."""
    return trial.judge([folder], QUICK, lambda _kind, _words: None)[0].gates


def in_json(judged: list[Judged], quick: bool, machine: dict[str, object]) -> str:
    """All engines as one object; what was not measured is null."""
    engines = {one.engine: for_machines(one) for one in judged}
    told = {"judge": VERSION, "quick": quick, "machine": machine, "engines": engines}
    return msgspec.json.encode(told).decode()


def judge(
    names: Annotated[list[str] | None, typer.Argument(help="Engines of the shipped folder, or folders.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All shipped engines but the hand-built ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")] = False,
    pages: Annotated[Path | None, typer.Option("--report", help="A folder for pages and pictures.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few frames: finds broken engines, vouches for none.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Cards and judgements into the engines' folders.")] = False,
    data: Annotated[Path, typer.Option(help="Real frames.")] = DATA,
) -> None:
    """What engines do to held-out pictures, beside their peers."""
    folders = _folders(names or [], every)
    plan = QUICK if quick else FULL
    machine = timing.machine(min(2, len(os.sched_getaffinity(0))))
    judged = trial.judge(folders, plan, lambda kind, words: err.print(f"[dim]{kind:12}[/dim] {words}"))
    if pages is not None or not quick:
        _look_at_pictures(judged, folders, pages, data)
    if write:
        for one, folder in zip(judged, folders, strict=True):
            cards.write(one, folder)
    if as_json:
        sys.stdout.write(in_json(judged, quick, machine) + "\n")
    else:
        _show(judged)


def _folders(names: list[str], every: bool) -> list[Path]:
    home = shipped_folder()
    if every:
        found = sorted(path.parent for path in home.glob("*/manifest.toml"))
        names = [str(folder) for folder in found if not folder.name.startswith(HAND_BUILT)]
    folders = [Path(name) if "/" in name else home / name for name in names]
    if not folders:
        raise ConfigError("no engine to judge: name one, or --all")
    engines = {read_engine(folder).manifest.name: folder for folder in folders}
    return list(engines.values())


def _look_at_pictures(judged: list[Judged], folders: list[Path], pages: Path | None, data: Path) -> None:
    """Real frames always; pictures of them, and of phantoms, for a report."""
    if not data.is_dir():
        err.print(f"real frames: none at {data}")
    parts: dict[str, str] = {}
    for one, folder in zip(judged, folders, strict=True):
        err.print(f"[dim]{one.engine}[/dim] pictures")
        field = examination.take_part(one.kind, [read_engine(folder)], FULL, len(os.sched_getaffinity(0)))
        who = next(each for each in field.contestants if each.role == "engine")
        if pages is None:
            one.real = real.look(field, who, one.kind, data, None) if data.is_dir() else None
        else:
            parts[one.engine] = _pictures(pages, one, field, who, data)
        decide(one)
    if pages is not None:
        report.write(pages, judged, parts)
        err.print(f"report: {pages / 'index.html'}")


def _pictures(pages: Path, one: Judged, field: Field, who: Contestant, data: Path) -> str:
    phantoms = report.pictures(pages, one, field, who, QUICK)
    return phantoms + report.real_pictures(pages, one, field, who, data)


def _show(judged: list[Judged]) -> None:
    table = Table("engine", "PSNR dB", "gain", "gCNR", "d'", "input d'", "ms", "safety", "targets missed")
    for one in judged:
        psnr, cho = one.measures["psnr_db"], one.measures["cho"]
        unsafe = [name for name, met in one.gates.items() if not met]
        table.add_row(
            one.engine, f"{psnr.engine:.2f}", f"{psnr.over_input:+.2f}", f"{one.measures['gcnr'].engine:.3f}",
            f"{cho.engine:.2f}", f"{cho.input or 0:.2f}", f"{one.ms(one.engine):.1f}",
            "met" if not unsafe else "missed: " + ", ".join(unsafe), ", ".join(one.targets_missed) or "none",
        )  # fmt: skip
    Console().print(table)


def main(arguments: list[str] | None = None) -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(judge)
    try:
        app(arguments, prog_name="python -m calibration.judge")
    except LimpidError as error:
        err.print(f"[red]{error}[/red]")
        raise SystemExit(ERROR) from error


if __name__ == "__main__":
    main()
