"""`limpid console`: names, options and help. What a command does is in `edge/commands/console.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The web page on the appliance, its API, and who may use them.", invoke_without_command=True)
user_app = typer.Typer(help="Who may use the console.", no_args_is_help=True)
app.add_typer(user_app, name="user")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML configuration; without it, the defaults.", show_default=False),
]
Name = Annotated[str, typer.Argument(help="The user's name: a-z 0-9 . _ -")]
RoleOption = Annotated[str, typer.Option("--role", help="view, operate or administer.")]
StdinOption = Annotated[bool, typer.Option("--stdin", help="The password is one line on standard input.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


@app.callback()
def console(context: typer.Context, config: ConfigOption = None) -> None:
    """The web page on the appliance and its API, until Ctrl-C: [console] says where."""
    if context.invoked_subcommand is None:
        from edge.commands import console as command

        raise typer.Exit(command.run(config))


@user_app.command()
def add(name: Name, role: RoleOption = "view", stdin: StdinOption = False, config: ConfigOption = None) -> None:
    """A new user. With the first one, everybody has to log in."""
    from edge.commands import console as command

    command.add(config, name, role, from_stdin=stdin)


@user_app.command()
def password(name: Name, stdin: StdinOption = False, config: ConfigOption = None) -> None:
    """Another password; whoever is logged in by the old one is logged out."""
    from edge.commands import console as command

    command.change_password(config, name, from_stdin=stdin)


@user_app.command()
def remove(name: Name, config: ConfigOption = None) -> None:
    """Take a user away, at once."""
    from edge.commands import console as command

    command.remove(config, name)


@user_app.command("list")
def list_(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Who there is, and what they may do."""
    from edge.commands import console as command

    command.list_(config, as_json=json)
