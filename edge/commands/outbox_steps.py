"""`limpid outbox steps`: what the archive is yet to be told of exams (MPPS), and a person's hand in what it refused.

A notice is named by its place in the queue and its kind. Whose exam it is lies in the file, which is not opened here.
"""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from edge import config as configs
from edge.config import parse_section
from edge.errors import ConfigError
from edge.exam_book import Vault
from edge.outbox import Settings
from edge.places import steps_folder
from edge.steps import Listed, StepQueue

WORDS = {
    "waiting": "goes out as soon as the archive answers",
    "parked": "refused for good; --retry lets it wait again",
    "damaged": "it is not what was written: it is not sent",
}


def steps(config: Path | None, *, retry: bool, as_json: bool) -> int:
    """0, or 1 where a notice is parked or damaged."""
    queue = StepQueue(_vault(config))
    retried = queue.release() if retry else 0
    listed = queue.listed()
    counts = queue.counts()
    if as_json:
        notices = [{"number": one.number, "kind": one.kind, "state": one.state} for one in listed]
        print(json.dumps({**counts, "retried": retried, "notices": notices}))
    else:
        _show(listed, retried)
    return 1 if counts["parked"] or counts["damaged"] else 0


def _show(listed: list[Listed], retried: int) -> None:
    console = Console(highlight=False)
    if retried:
        console.print(f"{retried} notices wait again")
    if not listed:
        console.print("the archive has been told everything")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("notice", "exam has", "state", ""):
        table.add_column(heading)
    for one in listed:
        table.add_row(str(one.number), one.kind, one.state, WORDS[one.state])
    console.print(table)


def _vault(config: Path | None) -> Vault:
    """Without its key: nothing is read."""
    found = configs.load(config)
    folder = steps_folder(found, parse_section(found.outbox, Settings, "outbox"))
    try:
        if folder.is_dir():
            list(folder.iterdir())
    except PermissionError as error:
        raise ConfigError(f"{folder} may not be read: run this as the service's user or as root") from error
    return Vault(folder)
