"""The part of /metrics that every process of the appliance tells of itself. From any thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edge.config import Config
from edge.dispatches import COUNTED
from edge.process_report import Report, as_facts

Sample = tuple[Mapping[str, str], float]
Family = tuple[str, str, str, list[Sample]]


def processes_of(config: Config, reports: Mapping[str, Report], now_ns: int) -> dict[str, dict[str, Any]]:
    """Those that this configuration needs, whether or not they have ever run, and whoever else is up."""
    sends = bool(config.destination) or bool(config.mpps.host)
    needed = {"live": True, "forward": sends, "display": config.panel.enabled, "console": True}
    told = {name: as_facts(report, now_ns) for name, report in reports.items()}
    names = {name for name, is_needed in needed.items() if is_needed} | {name for name in told if told[name]["up"]}
    return {name: told.get(name, {"up": False, "starts": 0, "figures": {}}) for name in sorted(names)}


def families(processes: Mapping[str, dict[str, Any]]) -> Iterator[Family]:
    def each(key: str) -> list[Sample]:
        up = {name: facts for name, facts in processes.items() if facts["up"]}
        return [({"process": name}, facts[key]) for name, facts in up.items()]

    yield (
        "limpid_process_up", "gauge", "Whether a process of the appliance has reported in the last 20 s",
        [({"process": name}, facts["up"]) for name, facts in processes.items()],
    )  # fmt: skip
    starts: list[Sample] = [({"process": name}, facts["starts"]) for name, facts in processes.items()]
    yield "limpid_process_starts_total", "counter", "How often it was started since the machine was", starts
    yield "limpid_process_uptime_seconds", "gauge", "Since when it runs", each("uptime_s")
    yield "limpid_process_resident_bytes", "gauge", "Memory it holds", each("rss_bytes")
    yield "limpid_process_cpu_seconds_total", "counter", "Processor time it took", each("cpu_s")
    yield "limpid_process_descriptors", "gauge", "Files and sockets it holds", each("descriptors")
    yield "limpid_process_threads", "gauge", "Its threads", each("threads")
    lost: list[Sample] = [
        ({"process": name}, facts["figures"]["events_lost"])
        for name, facts in processes.items()
        if "events_lost" in facts["figures"]
    ]
    yield "limpid_events_lost_total", "counter", "Events that found no room, or no journal", lost
    yield from _of_forward(_figures(processes, "forward").get("destinations", {}))
    yield from _of_display(_figures(processes, "display"))


def _figures(processes: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """Of a process that is up: what another left behind is not how it is."""
    facts = processes.get(name)
    return facts["figures"] if facts is not None and facts["up"] else {}


def _of_forward(destinations: Mapping[str, dict[str, Any]]) -> Iterator[Family]:
    def each(key: str) -> list[Sample]:
        return [({"destination": name}, figures[key]) for name, figures in destinations.items()]

    yield "limpid_forward_waiting", "gauge", "Objects that wait for a destination", each("waiting")
    yield "limpid_forward_oldest_waiting_seconds", "gauge", "Age of the oldest of them", each("oldest_waiting_s")
    outcomes: list[Sample] = [
        ({"destination": name, "outcome": outcome}, figures[outcome])
        for name, figures in destinations.items()
        for outcome in COUNTED
    ]
    yield "limpid_forward_objects_total", "counter", "What became of objects since the process began", outcomes
    errors: list[Sample] = [
        ({"destination": name, "kind": figures["last_error"]}, figures["last_error_age_s"])
        for name, figures in destinations.items()
        if "last_error" in figures
    ]
    yield "limpid_forward_last_error_age_seconds", "gauge", "How long ago a destination last failed, and how", errors


def _of_display(figures: Mapping[str, Any]) -> Iterator[Family]:
    if "pictures" not in figures:
        return
    counts: list[Sample] = [({"what": what}, count) for what, count in figures["pictures"].items()]
    yield "limpid_display_pictures_total", "counter", "Pictures that came to the panel, and those drawn", counts
    yield "limpid_display_not_live_total", "counter", "How often NOT LIVE came up", [({}, figures["not_live"])]
    present: list[Sample] = [({"quantile": point}, ms / 1000) for point, ms in figures["present_ms"].items()]
    yield "limpid_display_present_seconds", "gauge", "Received to shown, over the last 600 pictures", present


def of_drift(streams: Mapping[str, dict[str, Any]]) -> Iterator[Family]:
    told = {name: facts["drift"] for name, facts in streams.items() if "drift" in facts}
    judged: list[Sample] = [({"stream": name}, drift["state"] != "unjudged") for name, drift in told.items()]
    yield "limpid_drift_judged", "gauge", "1 while there is a profile to compare the pictures with", judged
    outside: list[Sample] = [({"stream": name}, drift["state"] == "outside") for name, drift in told.items()]
    yield "limpid_drift_outside", "gauge", "1 while pictures are unlike those the engine was judged on", outside
    for figure, words in (("noise", "Finest detail in the calmest windows"), ("level_middle", "The median level")):
        known: list[Sample] = [
            ({"stream": name}, 10 ** drift["figures"][figure] if figure == "noise" else drift["figures"][figure])
            for name, drift in told.items()
            if "figures" in drift
        ]
        yield f"limpid_input_{figure}", "gauge", f"{words}, as a part of full scale", known
