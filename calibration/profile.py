"""`python -m calibration.profile NAME...|--all`: what pictures an engine was judged on, into its folder.

With `--look` nothing is written: it tells how often held-out phantoms, altered ones and real frames are found outside.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from calibration import strangers
from calibration.profiling import FIRST_SEED, SCENES, Rows, phantom_rows, profile_of
from edge.catalog import Engine, read_engine, shipped_folder
from edge.drift import Profile
from edge.errors import ConfigError, LimpidError
from edge.profiles import PROFILE_FILE, read_profile

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
ERROR = 2
err = Console(stderr=True, highlight=False)


def profile(
    names: Annotated[list[str] | None, typer.Argument(help="Engines of the shipped folder, or folders.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All judged engines of the live path.")] = False,
    look: Annotated[bool, typer.Option("--look", help="Write nothing: tell what is found outside.")] = False,
    scenes: Annotated[int, typer.Option(min=10, help="Held-out scenes for --look.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")] = False,
    data: Annotated[Path, typer.Option(help="Real frames, for --look.")] = DATA,
) -> None:
    """Which pictures an engine was judged on, as a profile beside it."""
    engines = list(_engines(names or [], every=every))
    told = _looked(engines, scenes, data) if look else _made(engines)
    if as_json:
        print(json.dumps(told))
    elif look:
        _show(told)
    else:
        for name, facts in told.items():
            print(f"{name}: {facts['frames']} frames, limit {facts['limit']:g}")


def _engines(names: list[str], *, every: bool) -> Iterator[Engine]:
    home = shipped_folder()
    if every:
        found = [read_engine(path.parent) for path in sorted(home.glob("*/manifest.toml"))]
        yield from (engine for engine in found if engine.manifest.is_judged and engine.manifest.scale == 1)
        return
    if not names:
        raise ConfigError("no engine: name one, or --all")
    for name in names:
        yield read_engine(Path(name) if "/" in name else home / name)


def modality_of(engine: Engine) -> str:
    return "fluoroscopy" if "fluoroscopy" in engine.manifest.modalities else "ultrasound"


def _made(engines: list[Engine]) -> dict[str, dict[str, object]]:
    rows: dict[str, Rows] = {}
    told: dict[str, dict[str, object]] = {}
    for engine in engines:
        modality = modality_of(engine)
        if modality not in rows:
            err.print(f"[dim]{modality}[/dim] {SCENES} scenes")
            rows[modality] = list(phantom_rows(modality))
        of = f"{modality} phantoms, seeds {FIRST_SEED} to {FIRST_SEED + SCENES - 1}"
        made = profile_of(engine.manifest.name, engine.manifest.sha256, rows[modality], of)
        write(engine.folder, made)
        told[engine.manifest.name] = {"frames": made.clouds[0].frames, "limit": made.clouds[0].limit}
    return told


def write(folder: Path, made: Profile) -> None:
    (folder / PROFILE_FILE).write_bytes(in_json(made))


def in_json(made: Profile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"


def _looked(engines: list[Engine], scenes: int, data: Path) -> dict[str, dict[str, object]]:
    """The same pictures for each profile of one modality: they are filmed once."""
    told: dict[str, dict[str, object]] = {}
    found: dict[str, dict[str, Rows]] = {}
    for engine in engines:
        profile, modality = read_profile(engine), modality_of(engine)
        if profile is None:
            raise ConfigError(f"{engine.manifest.name}: no profile of this very model; make it first")
        if modality not in found:
            err.print(f"[dim]{modality}[/dim] {scenes} held-out scenes")
            found[modality] = strangers.all_of(modality, scenes, data)
        told[engine.manifest.name] = {
            kind: strangers.part_outside(rows, profile) for kind, rows in found[modality].items()
        }
    return told


def _show(told: dict[str, dict[str, object]]) -> None:
    table = Table("pictures", *told, title="part that is outside the profile (of frames)")
    for kind in dict.fromkeys(kind for facts in told.values() for kind in facts):
        table.add_row(kind, *(str(facts.get(kind, "")) for facts in told.values()))
    Console().print(table)


def main(arguments: list[str] | None = None) -> None:
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(profile)
    try:
        app(arguments, prog_name="python -m calibration.profile")
    except LimpidError as error:
        err.print(f"[red]{error}[/red]")
        raise SystemExit(ERROR) from error


if __name__ == "__main__":
    main()
