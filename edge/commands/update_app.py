"""`limpid update`: names, options and help. What a command does is in `edge/commands/update*.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge.commands.update import Desk

app = typer.Typer(
    help="Versions of the appliance itself: from a signed update to what runs, and back by itself if it fails.",
    no_args_is_help=True,
)
keys_app = typer.Typer(
    help="Whose updates are taken here: Ed25519 keys, other ones than engines'.", no_args_is_help=True
)
app.add_typer(keys_app, name="keys")

ROOT, STATE, KEYS = Path("/opt/limpid"), Path("/var/lib/limpid/update"), Path("/etc/limpid/update-keys")

RootOption = Annotated[Path, typer.Option("--root", help="Where versions are installed.")]
StateOption = Annotated[Path, typer.Option("--state", help="Trial, history and audit log.")]
KeysOption = Annotated[Path, typer.Option("--keys", help="The folder of keys that are trusted or revoked here.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="This site's configuration; otherwise /etc/limpid/limpid.toml, if there.",
        show_default=False,
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
Source = Annotated[str, typer.Argument(help="An update, a folder of updates, a mounted stick, an http(s) address.")]
KeyFile = Annotated[Path, typer.Option("--key", help="The private key, as `limpid update keys make` made it.")]


def _desk(root: Path, state: Path, keys: Path, config: Path | None, as_json: bool) -> Desk:
    from edge.commands import update

    return update.open_desk(root, state, keys, config, as_json=as_json)


@app.command()
def make(
    source: Annotated[
        Path, typer.Argument(help="A folder with all wheels, or a virtual environment (or its site-packages).")
    ],
    key: KeyFile,
    to: Annotated[Path, typer.Option("--to", help="The file to write, or a folder for it.")] = Path(),
    minimum: Annotated[
        str, typer.Option("--minimum", help="The oldest version that it may follow.", show_default=False)
    ] = "",
    notes: Annotated[str, typer.Option("--notes", help="What is new: a text, or @FILE.", show_default=False)] = "",
    json: JsonOption = False,
) -> None:
    """Pack a built version into one signed file."""
    from edge.commands import update

    raise typer.Exit(update.make(source, key, to, minimum, notes, as_json=json))


@app.command()
def check(
    source: Source,
    head: Annotated[bool, typer.Option("--head", help="Only signature and manifest: spares a download.")] = False,
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    json: JsonOption = False,
) -> None:
    """What a source holds: what is newer, and whether it can be taken. Changes nothing."""
    from edge.commands import update

    raise typer.Exit(update.check(_desk(root, state, keys, None, json), source, head_only=head))


@app.command()
def stage(
    source: Source,
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    json: JsonOption = False,
) -> None:
    """Verify an update and install it beside what runs, without a network. What runs stays so."""
    from edge.commands import update

    raise typer.Exit(update.stage(_desk(root, state, keys, None, json), source))


def _apply(
    version: Annotated[str, typer.Argument(help="Which one; without it, the newest.", show_default=False)] = "",
    trial_seconds: Annotated[float, typer.Option(min=1, help="How long it is watched before it is kept.")] = 300.0,
    ready_seconds: Annotated[float, typer.Option(min=1, help="By when its live process must answer.")] = 30.0,
    frames: Annotated[int, typer.Option(min=90, help="Of a stream, before it is called late or slow.")] = 600,
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Check a staged version, switch to it, watch it; it is kept, or taken back by itself (exit status 3)."""
    from edge.commands import update
    from edge.update.settling import Terms

    terms = Terms(trial_seconds, ready_seconds, frames)
    raise typer.Exit(update.apply(_desk(root, state, keys, config, json), version, terms))


app.command("apply")(_apply)
app.command("activate", help="The same as apply.", hidden=True)(_apply)


@app.command()
def rollback(
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept in the audit log.")] = "by hand",
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Back to the version before, without asking anybody."""
    from edge.commands import update

    raise typer.Exit(update.roll_back(_desk(root, state, keys, config, json), reason))


@app.command()
def settle(
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """For limpid-update.service: watch a trial that is due or was cut off, to its end."""
    from edge.commands import update

    raise typer.Exit(update.settle(_desk(root, state, keys, config, json)))


@app.command()
def status(
    root: RootOption = ROOT, state: StateOption = STATE, keys: KeysOption = KEYS, json: JsonOption = False
) -> None:
    """What is current, where the way back leads, and whether a trial is under way."""
    from edge.commands import update_view

    raise typer.Exit(update_view.status(_desk(root, state, keys, None, json)))


@app.command("list")
def list_(
    root: RootOption = ROOT, state: StateOption = STATE, keys: KeysOption = KEYS, json: JsonOption = False
) -> None:
    """Every version here, and who signed it."""
    from edge.commands import update_view

    raise typer.Exit(update_view.list_(_desk(root, state, keys, None, json)))


@app.command()
def remove(
    version: Annotated[str, typer.Argument(help="Which one.")],
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    json: JsonOption = False,
) -> None:
    """Delete a version that is neither current nor the way back."""
    from edge.commands import update

    raise typer.Exit(update.remove(_desk(root, state, keys, None, json), version))


@app.command()
def log(
    last: Annotated[int, typer.Option(min=1, help="How many entries.")] = 30,
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    json: JsonOption = False,
) -> None:
    """What was done with versions here, by whom. Exit status 1 where the log was altered."""
    from edge.commands import update_view

    raise typer.Exit(update_view.log(_desk(root, state, keys, None, json), last))


@keys_app.command("make")
def keys_make(
    path: Annotated[Path, typer.Argument(help="The private key to write; the public one gets .pub at its end.")],
    json: JsonOption = False,
) -> None:
    """A new key pair, for whoever signs updates."""
    from edge.commands import bundle_keys

    raise typer.Exit(bundle_keys.make_keys(path, as_json=json))


@keys_app.command("trust")
def keys_trust(
    public: Annotated[Path, typer.Argument(help="The public key (.pub).")],
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    json: JsonOption = False,
) -> None:
    """From now on, take updates signed with this key."""
    from edge.commands import update

    raise typer.Exit(update.trust(_desk(root, state, keys, None, json), public))


@keys_app.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(help="The key's id.")],
    root: RootOption = ROOT,
    state: StateOption = STATE,
    keys: KeysOption = KEYS,
    json: JsonOption = False,
) -> None:
    """Never again take updates signed with this key, nor apply those that were staged."""
    from edge.commands import update

    raise typer.Exit(update.revoke(_desk(root, state, keys, None, json), key))


@keys_app.command("list")
def keys_list(keys: KeysOption = KEYS, json: JsonOption = False) -> None:
    """Which keys are trusted or revoked here."""
    from edge.commands import update_view

    raise typer.Exit(update_view.keys(_desk(ROOT, STATE, keys, None, json)))
