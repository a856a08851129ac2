"""The dashboard and the alert rules ask for metrics that the console gives, by labels that they have."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge.config import parse
from edge.console import metrics, process_metrics
from edge.dispatches import COUNTED
from edge.process_report import Report

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tools" / "observability"
NAME = re.compile(r"\blimpid_[a-z_]+\b")
SELECTOR = re.compile(r"\b(limpid_[a-z_]+)\{([^}]*)\}")
OF_EVERY_SCRAPE = {"instance", "job"}
NS = 10**9


def machine() -> dict[str, Any]:
    return {
        "temperatures": [{"name": "cpu", "celsius": 50.0}], "disks": [{"name": "outbox", "free_mb": 1000}],
        "memory_mb": {"free": 500},
    }  # fmt: skip


def device() -> dict[str, Any]:
    """As the daemon's checkup tells it, with all that it may know."""
    return {
        "heat": {"step": "normal", "known": True, "zone": "cpu", "celsius": 61.0, "margin": 34.0},
        "zones": [{"name": "cpu", "celsius": 61.0}], "throttles": False, "clocks_mhz": {"cpu": 1510},
        "disks": [{"name": "mmcblk0", "used_life_percent": 10.0}], "clock": {"synchronised": True, "error_ms": 0.4},
        "links": [{"name": "eth0", "up": True}],
    }  # fmt: skip


def streams() -> dict[str, Any]:
    frames = {"in": 9, "enhanced": {"e": 5}, "original": {"late": 2}, "dropped": {"too-old": 2}, "lost_on_the_way": 1}
    drift = {"state": "outside", "by": ["noise"], "figures": {"noise": -2.0, "level_middle": 0.4}}
    facts = {"frames": frames, "frozen": False, "live": True, "latency_ms": {"p50": 7.0, "p99": 25.7}, "drift": drift}
    return {"probe-1": facts}


def report(process: str, **figures: Any) -> Report:
    return Report(
        process, os.getpid(), "boot", 2, 0, NS, rss_bytes=1, cpu_s=1.5, descriptors=9, threads=3, figures=figures
    )


def reports() -> dict[str, Report]:
    queue = {"waiting": 3, "oldest_waiting_s": 9.0, "last_error": "SinkUnavailable", "last_error_age_s": 2.0}
    queue |= dict.fromkeys(COUNTED, 1)
    pictures = {"received": 9, "drawn": 8, "superseded": 1}
    return {
        "live": report("live", events_lost=0), "console": report("console"),
        "forward": report("forward", destinations={"pacs": queue}),
        "display": report("display", pictures=pictures, not_live=1, present_ms={"p50": 3.0, "p99": 9.0}),
    }  # fmt: skip


def families() -> dict[str, set[str]]:
    """Each metric that /metrics can give, and its labels."""
    outbox = {"captures": 1, "held": 0, "damaged": 0}
    forward = {"destinations": {"pacs": {"waiting": 1, "oldest_waiting_s": 3.0}}, "runs": True}
    config = parse('[destination.pacs.folder]\npath = "/x"\n[panel]\nenabled = true')
    processes = process_metrics.processes_of(config, reports(), NS)
    all_of = [
        *metrics.of_streams(streams()), *metrics.of_machine(machine()), *metrics.of_outbox(outbox, forward),
        *metrics.of_device(device()), *process_metrics.of_drift(streams()), *process_metrics.families(processes),
    ]  # fmt: skip
    told = {name: {label for labels, _ in samples for label in labels} for name, _, _, samples in all_of}
    lone = re.findall(r'"(limpid_[a-z_]+)"', (ROOT / "edge/console/metrics.py").read_text())
    return {**{name: set[str]() for name in lone if name not in told}, **told}


def asked() -> list[str]:
    """Every expression of both files."""
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [one["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    return [*expressions, *re.findall(r"expr: (.*(?:\n {12,}.*)*)", (FILES / "alerts.yaml").read_text())]


def test_every_metric_that_is_asked_for_is_given() -> None:
    wanted = {name for expression in asked() for name in NAME.findall(expression)}
    assert len(wanted) > 20
    assert wanted - families().keys() == set()


def test_every_label_that_is_asked_for_is_there() -> None:
    given, strange = families(), list[str]()
    for expression in asked():
        for name, selector in SELECTOR.findall(expression):
            labels = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", selector)) - OF_EVERY_SCRAPE
            strange += [f"{name}: {label}" for label in labels - given[name]]
    assert strange == []


def test_samples_are_whole_where_everything_is_told() -> None:
    empty = [name for name, labels in families().items() if not labels and name.startswith("limpid_process")]
    assert empty == []


def test_the_page_names_every_metric() -> None:
    page = (ROOT / "docs/observability.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `limpid_")]
    told: set[str] = set()
    for row in rows:
        whole: list[str] = re.findall(r"`(\w+)`", row.split("|")[1])
        stem = ""
        for name in whole:
            stem = name if name.startswith("limpid_") else stem
            told.add(name if name.startswith("limpid_") else _beside(stem, name))
    assert families().keys() - told - {"limpid_info"} == set()


def _beside(stem: str, ending: str) -> str:
    """`limpid_process_up`, `_starts_total`: the longest name that the first one's beginning makes."""
    known = families()
    parts = stem.split("_")
    return next((name for n in range(len(parts), 0, -1) if (name := "_".join(parts[:n]) + ending) in known), ending)


def test_a_process_that_is_away_is_told_and_its_old_figures_are_not() -> None:
    config = parse('[destination.pacs.folder]\npath = "/x"')
    processes = process_metrics.processes_of(config, {"forward": reports()["forward"]}, 60 * NS)
    assert {name: facts["up"] for name, facts in processes.items()} == {
        "console": False,
        "forward": False,
        "live": False,
    }
    told = {name: samples for name, _, _, samples in process_metrics.families(processes)}
    assert told["limpid_process_up"] == [({"process": name}, False) for name in ("console", "forward", "live")]
    assert told["limpid_process_resident_bytes"] == []
    assert told["limpid_forward_waiting"] == []


def test_panels_lie_apart_and_each_has_its_own_number() -> None:
    panels = json.loads((FILES / "dashboard.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_rules_are_what_prometheus_reads() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        reason = "promtool is not installed (Debian: prometheus)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run([promtool, "check", "rules", str(FILES / "alerts.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{(FILES / 'alerts.yaml').read_text().count('- alert:')} rules found" in done.stdout
