"""`limpid outbox`: names, options and help. What a command does is in `edge/commands/outbox.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Captures on their way to the archive: what waits, what became of it, and a person's hand in it.",
    no_args_is_help=True,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML configuration; without it, the defaults.", show_default=False),
]
FolderOption = Annotated[
    Path | None, typer.Option("--folder", "-f", help="The outbox; otherwise as configured.", show_default=False)
]
DestinationOption = Annotated[
    list[str] | None, typer.Option("--destination", "-d", help="Only this destination; may be repeated.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit log. Name no patient.")]
Names = Annotated[list[str], typer.Argument(help="Captures: ids, or any unmistakable part of one.")]
MaybeNames = Annotated[list[str] | None, typer.Argument(help="Captures: ids, or any unmistakable part of one.")]


@app.command("list")
def list_(
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only those with an object that is waiting, held, sent, asked, confirmed, parked or damaged."
        ),
    ] = None,
    config: ConfigOption = None,
    folder: FolderOption = None,
    destination: DestinationOption = None,
    json: JsonOption = False,
) -> None:
    """What is in the outbox, the oldest first. Exit status 1 where a capture cannot be read."""
    from edge.commands import outbox as command
    from edge.commands import outbox_view as view

    known = list(view.COLOURS)
    if strange := [name for name in state or () if name not in known]:
        raise typer.BadParameter(f"{', '.join(strange)}: known are {', '.join(known)}", param_hint="--state")
    raise typer.Exit(view.list_(command.open_desk(config, folder, destination or [], as_json=json), state or []))


@app.command()
def show(
    capture: Annotated[str, typer.Argument(help="Its id, or any unmistakable part of it.")],
    config: ConfigOption = None,
    folder: FolderOption = None,
    destination: DestinationOption = None,
    json: JsonOption = False,
) -> None:
    """One capture: its objects, where each of them stands and why, and who did what to it."""
    from edge.commands import outbox as command
    from edge.commands import outbox_view as view

    raise typer.Exit(view.show(command.open_desk(config, folder, destination or [], as_json=json), capture))


@app.command()
def retry(
    captures: MaybeNames = None,
    all_parked: Annotated[bool, typer.Option("--all", help="Everything that is parked or damaged.")] = False,
    config: ConfigOption = None,
    folder: FolderOption = None,
    destination: DestinationOption = None,
    json: JsonOption = False,
) -> None:
    """Send again what was parked, or is not confirmed. A damaged object has to be what was written after all."""
    from edge.commands import outbox as command

    desk = command.open_desk(config, folder, destination or [], as_json=json)
    raise typer.Exit(command.retry(desk, captures or [], destination or [], all_parked=all_parked))


@app.command()
def park(
    captures: Names,
    reason: ReasonOption = "parked by hand",
    config: ConfigOption = None,
    folder: FolderOption = None,
    destination: DestinationOption = None,
    json: JsonOption = False,
) -> None:
    """Keep a capture from being sent, until `retry`."""
    from edge.commands import outbox as command

    desk = command.open_desk(config, folder, destination or [], as_json=json)
    raise typer.Exit(command.park(desk, captures, destination or [], reason))


@app.command()
def release(
    captures: Names, config: ConfigOption = None, folder: FolderOption = None, json: JsonOption = False
) -> None:
    """Let a held capture go as it is, provisional identity and all. It cannot be held again."""
    from edge.commands import outbox as command

    raise typer.Exit(command.release(command.open_desk(config, folder, [], as_json=json), captures))


@app.command()
def discard(
    captures: Names,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit log. Name no patient.")],
    sure: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    folder: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Give a capture up: it is not sent any more, and removed when the retention time is over."""
    from edge.commands import outbox as command

    if not sure:
        typer.confirm(
            f"Discard {len(captures)} captures? The archive will not get what it has not got yet.", abort=True
        )
    raise typer.Exit(command.discard(command.open_desk(config, folder, [], as_json=json), captures, reason))


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="An empty folder, or a mounted stick.")],
    captures: MaybeNames = None,
    everything: Annotated[bool, typer.Option("--all", help="All captures.")] = False,
    held: Annotated[bool, typer.Option("--held", help="Also those with a provisional identity.")] = False,
    config: ConfigOption = None,
    folder: FolderOption = None,
    json: JsonOption = False,
) -> None:
    """Write a DICOM file-set with its DICOMDIR, and read it back. It lies there in plain, whatever the outbox does."""
    from edge.commands import outbox as command

    desk = command.open_desk(config, folder, [], as_json=json, with_key=True)
    raise typer.Exit(command.export(desk, target, captures or [], everything=everything, held=held))


@app.command()
def verify(
    captures: MaybeNames = None, config: ConfigOption = None, folder: FolderOption = None, json: JsonOption = False
) -> None:
    """Is everything as it was written? Reads every file and the audit log's chain. Exit status 1 where it is not."""
    from edge.commands import outbox as command

    raise typer.Exit(command.verify(command.open_desk(config, folder, [], as_json=json), captures or []))


@app.command()
def steps(
    retry: Annotated[bool, typer.Option("--retry", help="Let those wait again that the archive refused.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """What the archive is yet to be told of exams (MPPS). Exit status 1 where it refused something."""
    from edge.commands import outbox_steps as command

    raise typer.Exit(command.steps(config, retry=retry, as_json=json))
