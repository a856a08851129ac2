"""`limpid engine build` and `limpid engine verify`: names, options and help. What they do is in `engine_plans.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Engines by name, or folders.", show_default=False, metavar="ENGINE")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every engine there is, also those the judge refused.")]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="TOML configuration: whose folders hold engines.", show_default=False),
]
RuntimeOption = Annotated[
    str, typer.Option(help="tensorrt or tensorrt-rtx; without it, whichever is installed.", show_default=False)
]
PlansOption = Annotated[Path | None, typer.Option(help="Where plans are kept.", show_default=False)]
SizeOption = Annotated[
    list[str] | None,
    typer.Option(
        help="WIDTHxHEIGHT of the picture's region, or `any` (slower, serves all sizes); may be repeated.",
        show_default="640x480",
    ),
]
DepthOption = Annotated[int | None, typer.Option(help="Bits a sample; without it, 8 and, of fluoroscopy, 12.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]


def build(
    engines: NamesArgument = None,
    all_: AllOption = False,
    runtime: RuntimeOption = "",
    sm: Annotated[str, typer.Option(help="Compute capabilities, as 86,89,120: cards that need not be here.")] = "",
    size: SizeOption = None,
    depth: DepthOption = None,
    precision: Annotated[str, typer.Option(help="int8 (the engine), fp16 (its float twin) or both.")] = "int8",
    dla: Annotated[int | None, typer.Option(help="Put what it can do on this DLA core.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Build also what is built already.")] = False,
    plans: PlansOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Build plans for this device's GPU, or for named cards without one, and keep them for the daemon."""
    from edge.commands import engine_plans as command

    options = command.BuildOptions(
        engines=engines or [], every=all_, runtime=runtime, sm=sm, sizes=size or [], depth=depth, precision=precision,
        dla=dla, force=force, plans=plans, config=config, as_json=json,
    )  # fmt: skip
    raise typer.Exit(command.build(options))


def verify(
    engines: NamesArgument = None,
    all_: AllOption = False,
    backend: Annotated[str, typer.Option(help="What is to run the engine.")] = "tensorrt_int8",
    runtime: RuntimeOption = "",
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the picture's region.")] = "640x480",
    depth: DepthOption = None,
    frames: Annotated[int, typer.Option(min=4, help="Reference frames, one after the other.")] = 12,
    timed: Annotated[int, typer.Option(min=20, help="Frames timed in each precision.")] = 300,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Does the engine show here what its maker shipped, and is INT8 worth it? The whole table, with what could not be
    checked on this machine. Exit status 0: all is met; 1: something is not; 3: something could not be checked."""
    from edge.commands import engine_plans as command

    options = command.VerifyOptions(
        engines=engines or [], every=all_, backend=backend, runtime=runtime, size=size, depth=depth, frames=frames,
        timed=timed, config=config, as_json=json,
    )  # fmt: skip
    raise typer.Exit(command.verify(options))
