"""`limpid ...`: names, options and help. What a command does is in `edge/commands/`.

Whoever builds on `edge` adds commands by the entry-point group `limpid.commands`: each a function for typer.
"""

from __future__ import annotations

import sys
import threading
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from edge import __version__
from edge.commands import audit_app, capture_app, console_app, engine_app, exam_app, keys_app, outbox_app, update_app
from edge.commands.here import CONTROL, FRAMES, PICTURES
from edge.commands.identity import give
from edge.errors import ConfigError, LimpidError

OPERATOR_ERROR = 2
EXTRA_COMMANDS = "limpid.commands"

app = typer.Typer(
    help="Point-of-care imaging at the edge: a frame in, an enhanced frame out before the next is due.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Configuration files.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(audit_app.app, name="audit")
app.add_typer(capture_app.app, name="capture")
app.add_typer(console_app.app, name="console")
app.add_typer(engine_app.app, name="engine")
app.add_typer(exam_app.app, name="exam")
app.add_typer(keys_app.app, name="keys")
app.add_typer(outbox_app.app, name="outbox")
app.add_typer(update_app.app, name="update")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML configuration; without it, the defaults.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", help="An option of the source, as KEY=VALUE; may be repeated."),
]
PicturesOption = Annotated[str, typer.Option(help="The daemon's picture socket.")]
ControlOption = Annotated[str, typer.Option(help="The daemon's control socket.")]
RootOption = Annotated[Path, typer.Option("--root", help="Another root: an image, say.", show_default=False)]
EnvironmentOption = Annotated[
    Path | None,
    typer.Option("--environment", help="The virtual environment to run; otherwise this one.", show_default=False),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def _root(
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            envvar="LIMPID_KEY",
            show_default=False,
            help="The client key with which to connect to a daemon that asks for one.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit.")
    ] = False,
) -> None:
    del version
    give(key)


@app.command()
def demo(
    modality: Annotated[str, typer.Option(help="ultrasound or fluoroscopy.")] = "ultrasound",
    seconds: Annotated[
        float | None,
        typer.Option(min=2, help="How long to run; otherwise until Ctrl-C, or 20 s where nobody watches."),
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="No table, console or panel: for scripts.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for pictures, the clip and the archive.")] = Path("out"),
    json: JsonOption = False,
) -> None:
    """The whole appliance around a phantom scanner: live picture, console, captures, and an archive they arrive in."""
    from edge.commands import demo as command

    quiet = headless or json
    if seconds is None:
        seconds = 0.0 if sys.stdout.isatty() and not quiet else 20.0
    command.run(command.Options(modality=modality, seconds=seconds, out=out, quiet=quiet), as_json=json)


@app.command()
def run(
    config: ConfigOption = None,
    update_state: Annotated[
        Path | None,
        typer.Option("--update-state", help="Let `limpid update` start them again: its --state.", show_default=False),
    ] = None,
    update_root: Annotated[Path, typer.Option("--update-root", help="And its --root.")] = Path("/opt/limpid"),
) -> None:
    """Run and supervise the appliance's processes, where there is no systemd."""
    from edge.commands import run as command

    updates = command.Updates(update_state, update_root) if update_state is not None else None
    raise typer.Exit(command.run(config, updates))


@app.command()
def setup(
    seal: Annotated[bool, typer.Option("--seal", help="Also a key that seals what waits in the outbox.")] = False,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="A name or address of the console, for its certificate; may be repeated."),
    ] = None,
    token: Annotated[bool, typer.Option("--token", help="A new one-time token, where the old one was lost.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make the keys and the certificate that are missing; what is there stays. There are no default secrets."""
    import socket

    from edge.commands import setup as command

    names = tuple(name or [socket.gethostname(), "localhost", "127.0.0.1"])
    raise typer.Exit(
        command.run(config, lambda read: command.Plan(read, dry_run, seal, names), new_token=token, as_json=json)
    )


@app.command()
def live(config: ConfigOption = None) -> None:
    """The live process alone: receive, enhance, publish."""
    from edge import config as configs
    from edge.daemon import run_live

    raise typer.Exit(run_live(configs.load(config), threading.Event()))


@app.command()
def forward(
    config: ConfigOption = None,
    check: Annotated[bool, typer.Option("--check", help="Ask each destination whether it is there, and end.")] = False,
    json: JsonOption = False,
) -> None:
    """The forward process alone: the outbox to its destinations."""
    from edge.commands import forward as command

    raise typer.Exit(command.run(config, check=check, as_json=json))


@app.command()
def display(
    config: ConfigOption = None,
    fullscreen: Annotated[
        bool | None, typer.Option("--fullscreen/--window", help="The whole screen, or a window.", show_default=False)
    ] = None,
    screen: Annotated[int | None, typer.Option(min=0, help="Which screen, counted from 0.", show_default=False)] = None,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT; otherwise the screen's own.", show_default=False)] = "",
    vsync: Annotated[
        bool | None, typer.Option("--vsync/--no-vsync", help="Wait for the screen.", show_default=False)
    ] = None,
    stream: Annotated[str | None, typer.Option(help="Which stream; otherwise the first heard.")] = None,
    pictures: Annotated[str, typer.Option(help="The daemon's picture socket.", show_default=False)] = "",
    control: Annotated[str, typer.Option(help="The daemon's control socket.", show_default=False)] = "",
    frames: Annotated[int, typer.Option(min=0, help="End after so many drawn pictures; 0: never.")] = 0,
    seconds: Annotated[float, typer.Option(min=0, help="End after this long; 0: never.")] = 0.0,
    screenshot: Annotated[Path | None, typer.Option(help="Write the last screen as a PNG.", show_default=False)] = None,
    json: JsonOption = False,
) -> None:
    """The panel: the newest picture on the device's own screen, what was done to it, how old it is."""
    from edge.commands import display as command

    asked = command.Asked(fullscreen, screen, size, vsync, stream, pictures, control, frames, seconds, screenshot)
    raise typer.Exit(command.run(config, asked, as_json=json))


@app.command()
def deidentify(
    into: Annotated[Path, typer.Argument(help="The folder for the copies.")],
    what: Annotated[
        list[str] | None, typer.Argument(help="DICOM files, folders of them, or captures of the outbox.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All captures of the outbox.")] = False,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="Of the pseudonyms; without it, the outbox's own.", show_default=False),
    ] = None,
    unclean: Annotated[
        bool, typer.Option("--keep-unclean", help="Also where burnt-in writing cannot be blanked: look at them first.")
    ] = False,
    config: ConfigOption = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="The outbox, if not the configuration's.", show_default=False)
    ] = None,
    json: JsonOption = False,
) -> None:
    """Copies without identity, for teaching and training: the same key, the same pseudonyms and UIDs."""
    from edge.commands import deidentify as command
    from edge.commands.outbox import open_desk

    desk = open_desk(config, folder, [], as_json=json, with_key=True)
    raise typer.Exit(command.run(desk, into, what or [], everything=everything, key_file=key_file, unclean=unclean))


@app.command()
def send(
    source: Annotated[str, typer.Argument(help="phantom, replay, video, openigtlink ...")] = "phantom",
    to: Annotated[str, typer.Option(help="The daemon's frame socket.")] = FRAMES,
    settings: SetOption = None,
    seconds: Annotated[float, typer.Option(min=0, help="Stop after this long; 0: when the source ends.")] = 0.0,
    json: JsonOption = False,
) -> None:
    """Send any source's frames to a daemon, as a scanner would."""
    from edge.commands import send as command

    command.run(source, command.parse_settings(settings or []), to, seconds, as_json=json)


@app.command()
def record(
    path: Annotated[Path, typer.Argument(help="The recording to write (.lmpr); it must not exist.")],
    pictures: PicturesOption = PICTURES,
    stream: Annotated[str, typer.Option(help="Which stream; without it, the first one heard.")] = "",
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0: until Ctrl-C.")] = 10.0,
    json: JsonOption = False,
) -> None:
    """Record the original frames of a running daemon, for `limpid send replay -s path=...`."""
    from edge.commands import record as command

    command.run(command.Options(path=path, pictures=pictures, stream=stream, seconds=seconds), as_json=json)


@app.command()
def watch(
    control: ControlOption = CONTROL,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    json: JsonOption = False,
) -> None:
    """Figures of a running daemon, in the terminal. With --json: one object a line."""
    from edge.commands import watch as command

    command.run(control, every, once=once, as_json=json)


@app.command(name="set")
def set_(
    control: ControlOption = CONTROL,
    stream: Annotated[str | None, typer.Option(help="Which stream; without it, all of them.")] = None,
    strength: Annotated[float | None, typer.Option(min=0, max=100, help="Per cent; 0 is the original.")] = None,
    view: Annotated[str | None, typer.Option(help="enhanced or original.")] = None,
    engine: Annotated[str | None, typer.Option(help="An engine family.")] = None,
    freeze: Annotated[bool | None, typer.Option("--freeze/--unfreeze", help="Hold or release the picture.")] = None,
) -> None:
    """Change a running daemon's picture: strength, view, engine, freeze."""
    from edge.commands import set_picture as command

    command.run(control, stream, {"strength_percent": strength, "view": view, "engine": engine}, freeze)


@app.command()
def doctor(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Preflight: is this machine fit to run? Each line ok, warning or failure, with the remedy."""
    from edge.commands import doctor as command

    raise typer.Exit(command.run(config, as_json=json))


@app.command()
def quality(
    config: ConfigOption = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="The last so many days.")] = 31,
    json: JsonOption = False,
) -> None:
    """What each day's pictures were like: treatment, latency, noise, sharpness, drift. Kept for a year."""
    from edge.commands import quality as command

    raise typer.Exit(command.run(config, days, as_json=json))


@app.command(name="support-bundle")
def support_bundle(
    config: ConfigOption = None,
    to: Annotated[
        Path | None, typer.Option(help="The file to write; otherwise one in this folder.", show_default=False)
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Only say what would go in.")] = False,
    json: JsonOption = False,
) -> None:
    """One file for whoever helps from afar: versions, findings, events, counts. Nothing in it is of a patient."""
    from edge.commands import support_bundle as command

    raise typer.Exit(command.run(config, to, listing=listing, as_json=json))


@app.command()
def install(
    root: RootOption = Path("/"),
    environment: EnvironmentOption = None,
    start: Annotated[bool, typer.Option("--start", help="Start it as well.")] = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Lay down units, user and folders for systemd. A configuration that is there is never touched."""
    from edge.commands import install as command

    raise typer.Exit(command.install(command.Asked(root, environment, dry_run, json), start=start))


@app.command()
def uninstall(
    root: RootOption = Path("/"),
    environment: EnvironmentOption = None,
    purge: Annotated[bool, typer.Option("--purge", help="Configuration, state and user as well.")] = False,
    even_captures: Annotated[
        bool, typer.Option("--even-captures", help="With --purge: also captures that no archive may have yet.")
    ] = False,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
) -> None:
    """Take away what `limpid install` has laid down. Data stays: captures, exams, configuration."""
    from edge.commands import install as command
    from edge.commands.install_plan import Purge

    asked = command.Asked(root, environment, dry_run, json)
    raise typer.Exit(command.uninstall(asked, Purge(data=purge, captures=even_captures)))


@app.command()
def bench(
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of a frame.")] = "640x480",
    fps: Annotated[float, typer.Option(min=1, max=1000, help="Frames a second, each stream.")] = 30.0,
    depth: Annotated[int, typer.Option(help="Bits a sample: 8, or 10 to 16.")] = 8,
    streams: Annotated[int, typer.Option(min=1, max=8, help="Streams at once.")] = 1,
    engine: Annotated[str, typer.Option(help="Engine family; the shipped one for such frames otherwise.")] = "",
    seconds: Annotated[float, typer.Option(min=3, help="Measured time for the daemon.")] = 60.0,
    rounds: Annotated[int, typer.Option(min=1, help="Turns between daemon and bare script.")] = 3,
    transport: Annotated[str, typer.Option(help="ipc or tcp.")] = "ipc",
    keys: Annotated[bool, typer.Option("--keys", help="With CURVE on the daemon's sockets; over tcp.")] = False,
    deadline_ms: Annotated[float, typer.Option(min=2, help="The daemon's deadline.")] = 33.0,
    picture: Annotated[Path | None, typer.Option(help="Write the latencies' distribution as a PNG.")] = None,
    json: JsonOption = False,
) -> None:
    """Measure the daemon from outside, over real sockets, beside a bare script that runs the same engine."""
    from edge.commands import bench as command

    width, height = command.parse_size(size)
    options = command.Options(
        width=width, height=height, fps=fps, bits=depth, streams=streams, engine=engine, seconds=seconds,
        rounds=rounds, transport=transport, deadline_ms=deadline_ms, keys=keys,
    )  # fmt: skip
    command.run(options, picture, as_json=json)


@app.command()
def sbom(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write it here; otherwise to stdout.")] = None,
    config: ConfigOption = None,
) -> None:
    """What this installation is made of: packages, engines, system libraries, as CycloneDX 1.6 (JSON)."""
    from edge.commands import sbom as command

    raise typer.Exit(command.run(config, out))


@config_app.command("check")
def config_check(
    path: Annotated[Path, typer.Argument(help="The configuration file.")], json: JsonOption = False
) -> None:
    """Read a configuration as the daemon would, and say what is wrong with it."""
    from edge.commands import config_check as command

    raise typer.Exit(command.run(path, as_json=json))


def add_extra_commands(asked: str) -> None:
    """Commands of other packages. They are only looked for when no command of our own was asked for."""
    own = {info.name or info.callback.__name__ for info in app.registered_commands if info.callback}
    own |= {group.name for group in app.registered_groups if group.name}
    if asked in own:
        return
    points = [point for point in entry_points(group=EXTRA_COMMANDS) if point.name not in own]
    for point in [point for point in points if point.name == asked] or points:
        _add_command(point)


def _add_command(point: EntryPoint) -> None:
    try:
        command = point.load()
        trial = typer.Typer()
        trial.command(point.name)(command)
        typer.main.get_command(trial)  # what cannot be a command shows here, alone
    except Exception as error:  # noqa: BLE001 - not our code: whatever is wrong with it, the others still work
        _complain(f"the command {point.name} ({point.value}) cannot be used: {type(error).__name__}: {error}")
    else:
        app.command(point.name)(command)


def main() -> NoReturn:
    """Errors on purpose are one line on stderr, for whoever must act; only what is not ours is a traceback."""
    add_extra_commands(next((word for word in sys.argv[1:] if not word.startswith("-")), ""))
    try:
        result: Any = app(standalone_mode=False)
    except ConfigError as error:
        _fail(str(error), OPERATOR_ERROR)
    except LimpidError as error:
        _fail(str(error), 1)
    except typer.Exit as leave:
        sys.exit(leave.exit_code)
    except typer.Abort:
        sys.exit(130)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # a usage error of the command line
            _fail(error.format_message(), OPERATOR_ERROR)  # type: ignore[attr-defined]
        raise
    sys.exit(result if isinstance(result, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    _complain(message)
    sys.exit(status)


def _complain(message: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"limpid: {message}", style="red", markup=False)
