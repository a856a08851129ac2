"""`limpid exam`: names, options and help. What a command does is in `edge/commands/exam.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.commands.here import CONTROL

app = typer.Typer(help="Exams of a running daemon: whose pictures these are.", no_args_is_help=True)

ControlOption = Annotated[str, typer.Option(help="The daemon's control socket.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout, nothing else.")]
ItemOption = Annotated[str, typer.Option(help="A key from `limpid exam worklist`.", show_default=False)]
BarcodeOption = Annotated[
    bool, typer.Option("--barcode", help="Read one line from the barcode scanner (standard input).")
]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from", help='JSON with "patient" and "order"; - is standard input: nothing shows in the process list.',
        show_default=False,
    ),
]  # fmt: skip


@app.command()
def worklist(
    accession: Annotated[str, typer.Option(help="Only this accession number, whatever the day.")] = "",
    patient_id: Annotated[str, typer.Option(help="Only this patient, whatever the day.")] = "",
    control: ControlOption = CONTROL,
    json: JsonOption = False,
) -> None:
    """Ask the worklist. Shows patients: it is for the one who chooses."""
    from edge.commands import exam as command

    command.worklist(control, accession, patient_id, as_json=json)


@app.command(name="open")
def open_(
    item: ItemOption = "",
    barcode: BarcodeOption = False,
    from_: FromOption = None,
    body_part: Annotated[str, typer.Option(help="A DICOM term, as ABDOMEN.")] = "",
    laterality: Annotated[str, typer.Option(help="L, R or B.")] = "",
    implant: Annotated[bool, typer.Option("--implant", help="There is metal in the picture.")] = False,
    stat: Annotated[bool, typer.Option("--stat", help="Sent before all others.")] = False,
    operator: Annotated[str, typer.Option(help="FAMILY^GIVEN of who holds the probe.")] = "",
    control: ControlOption = CONTROL,
    json: JsonOption = False,
) -> None:
    """Open an exam; without an item, a barcode or a file it is an emergency with a provisional identity."""
    from edge.commands import exam as command

    who = command.Who(item, barcode=barcode, file=from_)
    about = {
        "body_part": body_part, "laterality": laterality, "implant": implant, "operator": operator,
        "priority": "stat" if stat else "routine",
    }  # fmt: skip
    command.open_(control, who, about, as_json=json)


@app.command()
def close(control: ControlOption = CONTROL, json: JsonOption = False) -> None:
    """End the open exam."""
    from edge.commands import exam as command

    command.tell(control, "exam-close", {}, as_json=json)


@app.command()
def discard(
    captures_too: Annotated[
        bool, typer.Option("--captures-too", help="Also where pictures were captured: they are not sent.")
    ] = False,
    control: ControlOption = CONTROL,
    json: JsonOption = False,
) -> None:
    """End the open exam as one that was not done."""
    from edge.commands import exam as command

    command.tell(control, "exam-discard", {"captures_too": captures_too}, as_json=json)


@app.command()
def correct(
    exam: Annotated[str, typer.Option(help="Its uid; without it, the open one.", show_default=False)] = "",
    item: ItemOption = "",
    barcode: BarcodeOption = False,
    from_: FromOption = None,
    control: ControlOption = CONTROL,
    json: JsonOption = False,
) -> None:
    """The right identity: into what is held, or into corrected copies of what may have been sent."""
    from edge.commands import exam as command

    command.correct(control, exam, command.Who(item, barcode=barcode, file=from_), as_json=json)


@app.command()
def show(
    identity: Annotated[bool, typer.Option("--identity", help="The patient and the order, too.")] = False,
    control: ControlOption = CONTROL,
    json: JsonOption = False,
) -> None:
    """The open exam, and those whose identity is still to be corrected."""
    from edge.commands import exam as command

    command.show(control, identity=identity, as_json=json)
