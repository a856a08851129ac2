"""`limpid watch`: a running daemon's figures in the terminal."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from edge.client import Control
from edge.commands.here import key_to


def run(control: str, every: float, *, once: bool, as_json: bool) -> None:
    desk = Control(control, key=key_to(control))
    status = desk.ask("status")
    if once or as_json:
        _print(desk, status, every, once=once, as_json=as_json)
        return
    with (
        contextlib.suppress(KeyboardInterrupt),
        Live(table(status), console=Console(), refresh_per_second=4) as view,
    ):
        while True:
            time.sleep(every)
            view.update(table(desk.ask("status")))


def _print(desk: Control, status: dict[str, Any], every: float, *, once: bool, as_json: bool) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            if as_json:
                print(json.dumps(status), flush=True)
            else:
                Console().print(table(status))
            if once:
                return
            time.sleep(every)
            status = desk.ask("status")


def table(status: dict[str, Any]) -> Table:
    title = escape(f"limpid {status['version']}, {status['backend']}, {status['rss_mb']} MB")
    caption = f"latency in ms, received to published{heat(status)}\n{escape(status.get('backend_why', ''))}".rstrip()
    view = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, padding=0)
    for column in ("stream", "picture", "in", "enhanced", "original", "dropped", "p50", "p99", "max"):
        words = column in ("stream", "picture")
        # What a narrow terminal cannot hold in one line goes on in the next: a badge cut short says nothing.
        view.add_column(
            column, justify="left" if words else "right", min_width=8 if words else len(column), overflow="fold"
        )
    for name, facts in status["streams"].items():
        frames, latency = facts["frames"], facts["latency_ms"]
        view.add_row(
            escape(name),
            picture(facts),
            str(frames["in"]),
            str(sum(frames["enhanced"].values())),
            _reasons(frames["original"]),
            _reasons(frames["dropped"]),
            *(f"{latency[point]:.2f}" if latency else "" for point in ("p50", "p99", "max")),
        )
    return view


def heat(status: dict[str, Any]) -> str:
    """Told where it holds something back, and where it is not known; an older daemon says nothing of it."""
    told = status.get("health", {}).get("heat")
    if told is None:
        return ""
    if not told["known"]:
        held = "" if told["step"] == "normal" else f", {told['step']} when last read"
        return f"\ntemperature not known ({escape(told['trouble'])}){held}"
    mark = {"normal": "green", "warm": "yellow", "hot": "yellow", "critical": "red"}[told["step"]]
    words = f"{escape(told['zone'])} {told['celsius']:g} °C, {told['margin']:g} until it throttles"
    return f"\n[{mark}]{told['step']}[/]: {words}"


def picture(facts: dict[str, Any]) -> str:
    """What is on the display, in the words of its badge."""
    if facts["frozen"]:
        return "[yellow]FROZEN[/]"
    if not facts.get("live", False):
        return "[red]NOT LIVE[/]"
    if facts["view"] == "original":
        return "ORIGINAL (operator)"
    if facts.get("rung", "original") == "original":
        return f"[yellow]ORIGINAL ({escape(facts.get('why') or 'opening')})[/]"
    engine = facts.get("engine", {})
    runs = f" {engine['sha256'][:8]} on {engine['backend']}" if engine.get("sha256") else ""
    what = escape(f"{engine.get('name', facts['rung'])}{runs}")
    badge = f"[green]ENHANCED[/] {what} {facts['strength_percent']:g} %"
    if facts.get("drift", {}).get("state") != "outside":
        return badge
    by = escape(", ".join(facts["drift"]["by"]) or "just now")
    return f"{badge} [yellow]OUTSIDE what it was judged on: {by}[/]"


def _reasons(counts: dict[str, int]) -> str:
    detail = ", ".join(f"{reason} {count}" for reason, count in counts.items())
    return f"{sum(counts.values())} ({escape(detail)})" if detail else "0"
