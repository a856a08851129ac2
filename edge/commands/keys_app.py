"""`limpid keys`: names, options and help. What a command does is in `edge/commands/keys.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Who may connect from other machines: this appliance's key, its clients, and their roles.",
    no_args_is_help=True,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML configuration; without it, the defaults.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
Name = Annotated[str, typer.Argument(help="The client's name: a-z 0-9 -. Never anything about a patient.")]
File = Annotated[Path, typer.Argument(help="A client's key file.")]


@app.command()
def make(
    file: Annotated[
        Path | None,
        typer.Argument(help="The client key to write; without it, this appliance's own key.", show_default=False),
    ] = None,
    server: Annotated[
        str, typer.Option("--server", help="The appliance's public key, where this is not the appliance.")
    ] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """A new key pair, in a file of mode 0600. Prints the public half; the secret is never shown."""
    from edge.commands import keys

    desk = keys.open_desk(config, as_json=json)
    raise typer.Exit(keys.make_server(desk) if file is None else keys.make_client(desk, file, server))


@app.command()
def enrol(
    name: Name,
    public: Annotated[str, typer.Argument(help="The client's public key, or a file that holds it.")],
    role: Annotated[str, typer.Option("--role", help="scanner, display, viewer or operator.")],
    stream: Annotated[
        list[str] | None,
        typer.Option(help="That a scanner may send into; again for another. Without it, any.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Let a client in, from now on: also into a daemon that is running."""
    from edge.commands import keys

    raise typer.Exit(keys.enrol(keys.open_desk(config, as_json=json), name, public, role, tuple(stream or ())))


@app.command("list")
def list_(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Who is let in and what they may do, and who was revoked."""
    from edge.commands import keys

    raise typer.Exit(keys.list_(keys.open_desk(config, as_json=json)))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A client; without it, this appliance.")] = "",
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """The public key of this appliance, which its clients need; or what is known of a client."""
    from edge.commands import keys

    desk = keys.open_desk(config, as_json=json)
    raise typer.Exit(keys.show_client(desk, name) if name else keys.show_server(desk))


@app.command()
def revoke(name: Name, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Put a client out, for good: a running daemon cuts it off within a second."""
    from edge.commands import keys

    raise typer.Exit(keys.revoke(keys.open_desk(config, as_json=json), name))


@app.command()
def rotate(
    finish: Annotated[bool, typer.Option("--finish", help="Change over: the old key is gone.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Forget the new key.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Change this appliance's key, in two steps: first its clients learn the new one, then it is taken up."""
    from edge.commands import keys

    raise typer.Exit(keys.rotate(keys.open_desk(config, as_json=json), finish=finish, cancel=cancel))


@app.command()
def server(
    file: File,
    public: Annotated[str, typer.Argument(help="The appliance's public key, as `limpid keys show` prints it there.")],
    next_: Annotated[bool, typer.Option("--next", help="The one it is about to change to.")] = False,
    json: JsonOption = False,
) -> None:
    """Tell a client's key file whom it is for."""
    from edge.commands import keys

    raise typer.Exit(keys.meet(file, public, is_next=next_, as_json=json))
