"""`limpid engine`: names, options and help. What a command does is in `edge/commands/engine*.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.commands import engine_build

app = typer.Typer(
    help="Engines: what is installed, which one runs, and the way from a signed bundle to the picture and back.",
    no_args_is_help=True,
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML configuration; without it, the defaults.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]

app.command()(engine_build.build)
app.command()(engine_build.verify)

keys_app = typer.Typer(help="Whose engines are taken here: Ed25519 keys.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

Name = Annotated[str, typer.Argument(help="The engine's name, as ultrasound-clarity-medium.")]
VersionOption = Annotated[
    str, typer.Option("--version", help="Which one; without it, the newest that is not active.", show_default=False)
]
DowngradeOption = Annotated[bool, typer.Option("--allow-downgrade", help="Take one older than the active one.")]
ControlOption = Annotated[
    str | None, typer.Option("--control", help="The daemon's control socket; otherwise as configured.")
]


@app.command("list")
def list_(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Every engine: what is active, installed, previous or refused and why, on what it runs, and who signed it."""
    from edge.commands import engine, engine_view

    raise typer.Exit(engine_view.list_(engine.open_desk(config, as_json=json)))


@app.command()
def bundle(
    name: Name,
    key: Annotated[Path, typer.Option("--key", help="The private key, as `limpid engine keys make` made it.")],
    to: Annotated[Path, typer.Option("--to", help="The file to write, or a folder for it.")] = Path(),
    folder: Annotated[Path | None, typer.Option(help="Where the engine lies; otherwise among the shipped.")] = None,
    json: JsonOption = False,
) -> None:
    """Pack an engine's folder into one signed file."""
    from edge.commands import engine

    raise typer.Exit(engine.make_bundle(name, folder, key, to, as_json=json))


@app.command()
def install(
    source: Annotated[str, typer.Argument(help="A bundle, a folder of bundles, a mounted stick, an http(s) address.")],
    downgrade: DowngradeOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check a signed bundle and keep it beside what is there. What is active stays so."""
    from edge.commands import engine

    raise typer.Exit(engine.install(engine.open_desk(config, as_json=json), source, downgrade=downgrade))


@app.command()
def activate(
    name: Name,
    version: VersionOption = "",
    unjudged: Annotated[bool, typer.Option("--unjudged", help="Take one that nobody has judged.")] = False,
    downgrade: DowngradeOption = False,
    control: ControlOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Verify an installed engine on this device, then switch to it; a running daemon swaps between two frames."""
    from edge.activation import Waivers
    from edge.commands import engine

    desk = engine.open_desk(config, as_json=json)
    waivers = Waivers(unjudged=unjudged, downgrade=downgrade)
    where = engine.control_of(desk, control)
    raise typer.Exit(engine.activate(desk, name, version, where, engine.verifier(desk), waivers))


@app.command()
def rollback(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit log.")] = "by hand",
    control: ControlOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Back to the version before, or to the shipped one where there is none."""
    from edge.commands import engine

    desk = engine.open_desk(config, as_json=json)
    raise typer.Exit(engine.roll_back(desk, name, engine.control_of(desk, control), reason))


@app.command()
def remove(
    name: Name,
    version: Annotated[str, typer.Option("--version", help="Which one.")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Delete an installed version that is neither active nor the way back."""
    from edge.commands import engine

    raise typer.Exit(engine.remove(engine.open_desk(config, as_json=json), name, version))


@app.command()
def log(
    last: Annotated[int, typer.Option(min=1, help="How many entries.")] = 30,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """What was done with engines here, by whom. Exit status 1 where the log was altered."""
    from edge.commands import engine, engine_view

    raise typer.Exit(engine_view.log(engine.open_desk(config, as_json=json), last))


@keys_app.command("make")
def keys_make(
    path: Annotated[Path, typer.Argument(help="The private key to write; the public one gets .pub at its end.")],
    json: JsonOption = False,
) -> None:
    """A new key pair, for whoever signs engines."""
    from edge.commands import bundle_keys

    raise typer.Exit(bundle_keys.make_keys(path, as_json=json))


@keys_app.command("trust")
def keys_trust(
    public: Annotated[Path, typer.Argument(help="The public key (.pub).")],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """From now on, take engines signed with this key."""
    from edge.commands import engine

    raise typer.Exit(engine.trust(engine.open_desk(config, as_json=json), public))


@keys_app.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(help="The key's id.")], config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Never again take engines signed with this key, nor open those that were."""
    from edge.commands import engine

    raise typer.Exit(engine.revoke(engine.open_desk(config, as_json=json), key))


@keys_app.command("list")
def keys_list(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Which keys are trusted or revoked here."""
    from edge.commands import engine, engine_view

    raise typer.Exit(engine_view.keys(engine.open_desk(config, as_json=json)))
