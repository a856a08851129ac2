"""`limpid exam`: whose pictures these are, from a terminal. Only `worklist` and `show --identity` print a patient."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from edge.client import Control
from edge.commands.here import key_to
from edge.errors import ConfigError

PATIENCE_S = 5.0
WORKLIST_PATIENCE_S = 120.0
CORRECTION_PATIENCE_S = 900.0  # every stored object of the exam is written anew


@dataclass(frozen=True)
class Who:
    """Where the identity comes from."""

    item: str = ""
    barcode: bool = False
    file: Path | None = None

    def told(self) -> dict[str, Any]:
        if sum((bool(self.item), self.barcode, self.file is not None)) > 1:
            raise ConfigError("--item, --barcode or --from: one of them")
        if self.item:
            return {"item": self.item}
        if self.barcode:
            return {"barcode": sys.stdin.readline().strip() or _nothing_scanned()}
        return _read(self.file) if self.file is not None else {}


def _nothing_scanned() -> str:
    raise ConfigError("no barcode came")


def _read(file: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        told = json.loads(text)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except ValueError:
        raise ConfigError(f"{file}: not JSON") from None  # what it says instead may be somebody's name
    if not isinstance(told, dict) or not set(told) <= {"patient", "order"} or "patient" not in told:
        raise ConfigError(f'{file}: expected {{"patient": {{...}}, "order": {{...}}}}')
    return {key: value for key, value in told.items() if value is not None}


def worklist(control: str, accession: str, patient_id: str, *, as_json: bool) -> None:
    question = {"accession": accession, "patient_id": patient_id}
    answer = Control(control, WORKLIST_PATIENCE_S, key_to(control)).ask("exam-worklist", **question)
    if as_json:
        print(json.dumps(answer))
        return
    view = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in ("item", "scheduled", "patient", "id", "born", "procedure", "accession"):
        view.add_column(column, overflow="fold")
    for item in answer["items"]:
        patient, order = item["patient"], item["order"]
        view.add_row(
            item["key"], order["scheduled"], patient["name"], patient["id"], patient["birth_date"],
            order["procedure"] or order["step"], order["accession"],
        )  # fmt: skip
    console = Console(markup=False, emoji=False)  # names and words are the worklist's
    console.print(view if answer["items"] else "nothing is scheduled")
    if (stale := answer["stale"]) is not None:
        age = f"{stale['age_minutes']:.0f} minutes ago, at {stale['asked']}"
        console.print(f"NOT OF NOW: this is what it said {age}. {stale['why']}", markup=False, soft_wrap=True)


def open_(control: str, who: Who, about: dict[str, Any], *, as_json: bool) -> None:
    tell(control, "exam-open", {**who.told(), **about}, as_json=as_json)


def correct(control: str, exam: str, who: Who, *, as_json: bool) -> None:
    told = who.told()
    if not told:
        raise ConfigError("nothing to correct with: --item, --barcode or --from")
    tell(control, "exam-correct", {"exam": exam, **told}, as_json=as_json, patience_s=CORRECTION_PATIENCE_S)


def tell(control: str, do: str, more: dict[str, Any], *, as_json: bool, patience_s: float = PATIENCE_S) -> None:
    answer = Control(control, patience_s, key_to(control)).ask(do, **more)
    print(json.dumps(answer) if as_json else _words(answer))


def show(control: str, *, identity: bool, as_json: bool) -> None:
    answer = Control(control, key=key_to(control)).ask("exam-show", identity=identity)
    if as_json:
        print(json.dumps(answer))
        return
    exam = answer["exam"]
    print("no exam is open" if exam is None else _words(exam))
    for uid in answer["uncorrected"]:
        print(f"exam {uid} still has a provisional identity: nothing of it is sent before it is corrected")


def _words(facts: dict[str, Any]) -> str:
    return "\n".join(f"{key:12} {_one_line(value)}" for key, value in facts.items() if value not in ("", None, [], {}))


def _one_line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={each}" for key, each in value.items() if each not in ("", None))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
