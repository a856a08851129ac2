"""`limpid audit`: names, options and help. What a command does is in `edge/commands/audit.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Who did what on this appliance; whether the logs are what was written; what the repository was told.",
    no_args_is_help=True,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML configuration; without it, the defaults.", show_default=False),
]
LogOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log", "-l", help="Only outbox, console, keys, engines, updates or system; repeatable.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


@app.command("list")
def list_(
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=100_000, help="How many lines.")] = 50,
    did: Annotated[
        list[str] | None, typer.Option("--did", help="Only what was done so, as sent or log-in; may be repeated.")
    ] = None,
    about: Annotated[str, typer.Option("--to", help="Only what it was done to: any part of its name.")] = "",
    log: LogOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """The newest lines of all logs, as one."""
    from edge.commands import audit as command

    raise typer.Exit(command.list_(command.open_desk(config, log or [], as_json=json), last, did or [], about))


@app.command()
def verify(
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The public key of the seals; otherwise as configured.", show_default=False),
    ] = None,
    head: Annotated[
        list[str] | None,
        typer.Option("--head", help="LOG:SUM of a line that was noted earlier, and has to be there still."),
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option("--file", help="A log that was exported, in place of this appliance's.")
    ] = None,
    log: LogOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Is every line as it was written, none missing, none too many? Exit status 1 where not, and which is the first."""
    from edge.commands import audit as command

    desk = command.open_desk(config, log or [], as_json=json)
    raise typer.Exit(command.verify(desk, key, head or [], file or []))


@app.command()
def export(
    into: Annotated[Path, typer.Argument(help="An empty or a new folder.")],
    log: LogOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the logs, whole and as they are, with the sums of their last lines."""
    from edge.commands import audit as command

    raise typer.Exit(command.export(command.open_desk(config, log or [], as_json=json), into))


@app.command()
def status(log: LogOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """How long the logs are, and how far the audit repository was told."""
    from edge.commands import audit as command

    raise typer.Exit(command.status(command.open_desk(config, log or [], as_json=json)))


@app.command()
def key(
    path: Annotated[Path, typer.Argument(help="The private key to write; the public one goes beside it.")],
    json: JsonOption = False,
) -> None:
    """A new key to seal the logs with."""
    from edge.commands import audit as command

    raise typer.Exit(command.key(path, as_json=json))
