"""`limpid capture`: names, options and help. What a command does is in `edge/commands/capture.py`."""

from __future__ import annotations

from typing import Annotated

import typer

from edge.commands.here import CONTROL

app = typer.Typer(
    help="Press the capture button of a running daemon. Each answers once the pictures are stored, or says why not.",
    no_args_is_help=True,
)

ControlOption = Annotated[str, typer.Option(help="The daemon's control socket.")]
StreamOption = Annotated[str | None, typer.Option(help="Which stream, where there are several.", show_default=False)]
AnglesOption = Annotated[
    tuple[float, float] | None,
    typer.Option("--angles", help="Of the C-arm: primary, secondary, in degrees.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


@app.command()
def still(
    angles: AnglesOption = None, control: ControlOption = CONTROL, stream: StreamOption = None, json: JsonOption = False
) -> None:
    """The picture that is being shown, frozen or not."""
    from edge.commands import capture as command

    command.run(control, "capture-still", stream, command.at(angles), as_json=json)


@app.command()
def back(
    seconds: Annotated[float, typer.Argument(min=0.1, max=600, help="How far back.")] = 10.0,
    angles: AnglesOption = None,
    control: ControlOption = CONTROL,
    stream: StreamOption = None,
    json: JsonOption = False,
) -> None:
    """The last seconds, as a clip."""
    from edge.commands import capture as command

    command.run(control, "capture-back", stream, {"seconds": seconds, **command.at(angles)}, as_json=json)


@app.command()
def burst(
    count: Annotated[int, typer.Argument(min=2, max=50, help="How many stills.")] = 5,
    every_ms: Annotated[float, typer.Option(min=0, max=5000, help="At least so far apart.")] = 200.0,
    angles: AnglesOption = None,
    control: ControlOption = CONTROL,
    stream: StreamOption = None,
    json: JsonOption = False,
) -> None:
    """The next few pictures, each as a still."""
    from edge.commands import capture as command

    more = {"count": count, "every_ms": every_ms, **command.at(angles)}
    command.run(control, "capture-burst", stream, more, as_json=json)


@app.command()
def clip(
    what: Annotated[str, typer.Argument(help="start, stop, or a number of seconds.")],
    angles: AnglesOption = None,
    control: ControlOption = CONTROL,
    stream: StreamOption = None,
    json: JsonOption = False,
) -> None:
    """A clip of what comes: from start to stop, or for so many seconds."""
    from edge.commands import capture as command

    command.clip(control, what, stream, angles, as_json=json)
