"""`limpid calibrate`: an engine's INT8 ranges fitted to the user's own scanner. The command: its options, and what it
says. Its work is in `run` (the steps), `recording` (what is read), `gates` (what must hold) and `folder` (installing).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from edge.cli import ConfigOption, JsonOption
from edge.errors import ConfigError

if TYPE_CHECKING:
    from calibration.site.run import Options, Outcome
    from edge.config import Config

ToOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder to install into; without it, the first of the configuration's \\[engines] folders, or "
        "~/.local/share/limpid/engines. Earlier folders win over later ones, and all over the shipped engines.",
        show_default=False,
    ),
]


def calibrate(
    recording: Annotated[Path, typer.Argument(help="What `limpid record` wrote, or anything that replay reads.")],
    engine: Annotated[str, typer.Option(help="The engine's name, as ultrasound-clarity-medium.")],
    to: ToOption = None,
    modality: Annotated[str, typer.Option(help="Where the recording does not say: ultrasound, fluoroscopy.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fit and judge, but install nothing.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Fit an engine's INT8 ranges to your scanner, judge the result, and install it only if it passes."""
    try:
        from calibration.site.run import Options
    except ModuleNotFoundError as error:
        if error.name != "onnx":
            raise
        raise ConfigError("limpid calibrate needs onnx: pip install 'limpid-edge[make-engines]'") from error
    from edge import config as configs

    outcome = _with_progress(Options(recording, engine, to, modality, dry_run), configs.load(config))
    _print_json(outcome) if json else _print(outcome)
    if outcome.failed:
        raise typer.Exit(1)


def _with_progress(options: Options, config: Config) -> Outcome:
    from calibration.site.run import run

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("starting", total=1.0)
        return run(options, config, lambda what, part: bar.update(task, description=what, completed=part))


def _print_json(outcome: Outcome) -> None:
    recording = outcome.recording
    facts = {
        "ok": not outcome.failed,
        "engine": outcome.manifest.name,
        "version": outcome.manifest.version,
        "sha256": outcome.manifest.sha256,
        "base_version": outcome.base.version,
        "base_sha256": outcome.base.sha256,
        "recording_sha256": recording.sha256,
        "frames_fitted": len(recording.fitting),
        "frames_judged": len(recording.judging),
        "gates": {gate.name: gate.met for gate in outcome.gates},
        "found": {gate.name: gate.found for gate in outcome.gates},
        "figures": outcome.figures,
        "ranges": {
            each.name: {"old": each.old, "new": each.new, "peak": each.peak, "kept": each.kept}
            for each in outcome.ranges
        },
        "installed": str(outcome.installed) if outcome.installed else None,
        "in_force": outcome.in_force,
    }
    print(json.dumps(facts))


def _print(outcome: Outcome) -> None:
    console = Console(highlight=False)
    table = Table(title=f"{outcome.manifest.name}: ranges")
    for column in ("", "as shipped", "seen at most", "now"):
        table.add_column(column, justify="left" if not column else "right")
    for each in outcome.ranges:
        seen, now = ("", "as it was") if each.kept else (f"{each.peak:.4g}", f"{each.new:.4g}")
        table.add_row(each.name, f"{each.old:.4g}", seen, now)
    console.print(table)
    for gate in outcome.gates:
        mark = "[green]passed[/]" if gate.met else "[red]failed[/]"
        console.print(f"{mark}  {gate.name:22} {gate.found}", soft_wrap=True)
    console.print(_conclusion(outcome), markup=False, soft_wrap=True)


def _conclusion(outcome: Outcome) -> str:
    name = outcome.manifest.name
    if outcome.failed:
        said = f"not installed: {', '.join(gate.name for gate in outcome.failed)}. {name} stays as it is."
        if [gate.name for gate in outcome.failed] == ["near_float"]:
            said += " Its ranges suit this scanner at least as well as new ones would."
        return said
    if outcome.installed is None:
        return "passed; a dry run installs nothing"
    said = f"installed: {outcome.installed}, version {outcome.manifest.version}"
    said += "; a running daemon takes it up when it is restarted"
    if not outcome.in_force:
        said += (
            f'\nNo daemon will find it yet: add "{outcome.installed.parent}" to folders in [engines], before others.'
        )
    return said
