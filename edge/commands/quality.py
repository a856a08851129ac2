"""`limpid quality`: what each day's pictures were like, by kind, as the live process wrote it down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from edge import config as configs
from edge.places import quality_of
from edge.quality import summary
from edge.quality_book import Book

LEFT = ("date", "pictures")


def run(path: Path | None, days: int, *, as_json: bool) -> int:
    folder = quality_of(configs.load(path))
    told = [summary(day) for day in Book(folder).days()[-days:]]
    if as_json:
        print(json.dumps({"folder": str(folder), "days": told}))
    elif not told:
        print(f"no figures yet: {folder} is empty; the live process writes them once a minute")
    else:
        Console(highlight=False).print(table(told))
    return 0


def table(days: list[dict[str, Any]]) -> Table:
    caption = "latency in ms; noise and change in % of full scale; drift: minutes outside what the engine was judged on"
    view = Table(caption=caption, box=box.SIMPLE_HEAD, padding=0)
    columns = (
        *LEFT, "enhanced", "original", "dropped", "p50", "p99", "noise", "sharpness", "change", "drift", "captures",
        "heat",
    )  # fmt: skip
    for column in columns:
        view.add_column(column, justify="left" if column in LEFT else "right", overflow="fold")
    for day in days:
        for number, (kind, facts) in enumerate(day["kinds"].items() or [("none", None)]):
            rest = [str(day["captures"]), _heat(day)] if not number else ["", ""]
            view.add_row("" if number else day["date"], kind, *(_cells(facts) if facts else [""] * 9), *rest)
    return view


def _cells(facts: dict[str, Any]) -> list[str]:
    frames, latency = facts["frames"], facts["latency_ms"]
    changes = facts["mean_change_percent"].values()
    return [
        *(str(sum(frames[what].values())) for what in ("enhanced", "original", "dropped")),
        _figure(latency["p50"]), _figure(latency["p99"]), _figure(facts["noise_percent"]), _figure(facts["sharpness"]),
        f"{max(changes):.2f}" if changes else "",
        f"{facts['drift_minutes']:g} of {facts['judged_minutes']:g}" if facts["judged_minutes"] else "not judged",
    ]  # fmt: skip


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _heat(day: dict[str, Any]) -> str:
    return ", ".join(f"{degree} {minutes:g} min" for degree, minutes in day["heat_minutes"].items())
