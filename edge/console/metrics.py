"""/metrics: Prometheus text. Streams, engines, reasons and destinations are labels; nothing of a patient ever is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from edge import __version__
from edge.access.homes import is_loopback
from edge.console import process_metrics
from edge.console.access.sessions import COOKIE
from edge.console.errors import Refusal
from edge.console.health_calls import health_of
from edge.console.office import Office
from edge.console.status_calls import status_of
from edge.heat import Step

TYPE = "text/plain; version=0.0.4; charset=utf-8"
_UNSAFE = re.compile(r'[\\\n"]')
_ESCAPES = {"\\": r"\\", "\n": r"\n", '"': r"\""}
Sample = tuple[Mapping[str, str], float]


def endpoint(office: Office) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        address = request.client.host if request.client is not None else ""
        open_to_all = office.config.console.open_metrics or is_loopback(address)
        if not open_to_all and office.session_of(request.cookies.get(COOKIE, ""), counts=False) is None:
            raise Refusal(401, "log-in", "metrics are for this host and for who is logged in: [console] open_metrics")
        text = await office.pools.quick.do(lambda: text_of(office))
        return Response(text, headers={"content-type": TYPE, "cache-control": "no-store"})

    return answer


def text_of(office: Office) -> str:
    office.pulse.refresh()
    status, health = status_of(office), health_of(office)
    lines: list[str] = []
    for name, kind, words, samples in _families(office, status, health):
        told = [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
        if told:
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}", *told]
    return "\n".join(lines) + "\n"


def _families(
    office: Office, status: dict[str, Any], health: dict[str, Any]
) -> Iterator[tuple[str, str, str, list[Sample]]]:
    yield "limpid_info", "gauge", "Version of the console", [({"version": __version__}, 1)]
    yield "limpid_daemon_up", "gauge", "Whether the daemon answers", [({}, status["daemon"]["answers"])]
    yield from of_streams(status["streams"])
    yield from process_metrics.of_drift(status["streams"])
    yield from process_metrics.families(health["processes"])
    yield from of_machine(health["machine"])
    yield from of_device(health["device"] or {})
    yield from of_outbox(status["outbox"], health["forward"])
    clients = office.gallery.viewers
    yield "limpid_console_viewers", "gauge", "Clients that watch a live picture", [({}, len(clients))]
    yield "limpid_console_images_total", "counter", "Images encoded for clients", [({}, office.gallery.made)]
    failures: list[Sample] = [({}, office.audit_failures)]
    yield "limpid_console_audit_failures_total", "counter", "Lines that the audit log did not take", failures


def of_streams(streams: dict[str, Any]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    def each(pick: Callable[[dict[str, Any]], float]) -> list[Sample]:
        return [({"stream": name}, pick(facts)) for name, facts in streams.items()]

    def counted(what: str, label: str) -> list[Sample]:
        return [
            ({"stream": name, label: key}, count)
            for name, facts in streams.items()
            for key, count in facts["frames"][what].items()
        ]

    yield "limpid_stream_live", "gauge", "1 while frames arrive", each(lambda s: s.get("live", False))
    yield "limpid_stream_frozen", "gauge", "1 while the operator holds the picture", each(lambda s: s["frozen"])
    yield "limpid_frames_in_total", "counter", "Frames that came", each(lambda s: s["frames"]["in"])
    yield "limpid_frames_enhanced_total", "counter", "Frames shown enhanced", counted("enhanced", "engine")
    yield "limpid_frames_original_total", "counter", "Frames shown as they came", counted("original", "why")
    yield "limpid_frames_dropped_total", "counter", "Frames not shown", counted("dropped", "why")
    lost = each(lambda s: s["frames"]["lost_on_the_way"])
    yield "limpid_frames_lost_total", "counter", "Frames that never arrived", lost
    latency: list[Sample] = [
        ({"stream": name, "quantile": point}, value / 1000)
        for name, facts in streams.items()
        for point, value in facts["latency_ms"].items()
    ]
    yield "limpid_latency_seconds", "gauge", "Received to published, over the last 600 frames", latency


def of_machine(machine: dict[str, Any]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    temperatures: list[Sample] = [({"sensor": one["name"]}, one["celsius"]) for one in machine["temperatures"]]
    yield "limpid_temperature_celsius", "gauge", "What the machine's sensors say", temperatures
    free: list[Sample] = [({"disk": one["name"]}, one["free_mb"] * 1e6) for one in machine["disks"]]
    yield "limpid_disk_free_bytes", "gauge", "Room for captures", free
    yield "limpid_memory_free_bytes", "gauge", "Memory to be had", [({}, machine["memory_mb"]["free"] * 1e6)]


def of_device(device: dict[str, Any]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    """What the daemon's own sensors say; what is not known is left out."""
    if not device:
        return
    heat, clock = device["heat"], device.get("clock")
    yield "limpid_heat_step", "gauge", "0 normal, 1 warm, 2 hot, 3 critical", [({}, Step[heat["step"].upper()])]
    yield "limpid_heat_known", "gauge", "Whether a processor's temperature can be read", [({}, heat["known"])]
    if heat["margin"] is not None:
        margin: list[Sample] = [({"zone": heat["zone"]}, heat["margin"])]
        yield "limpid_heat_margin_celsius", "gauge", "Degrees until the hottest chip throttles", margin
    zones: list[Sample] = [({"zone": zone["name"]}, zone["celsius"]) for zone in device.get("zones", ())]
    yield "limpid_zone_celsius", "gauge", "Temperatures as the daemon reads them", zones
    if device.get("throttles") is not None:
        yield "limpid_throttling", "gauge", "1 while the machine slows itself", [({}, device["throttles"])]
    clocks: list[Sample] = [({"clock": name}, mhz * 1e6) for name, mhz in device.get("clocks_mhz", {}).items()]
    yield "limpid_clock_hertz", "gauge", "Clocks of the processors", clocks
    lives: list[Sample] = [
        ({"disk": disk["name"]}, disk["used_life_percent"] / 100)
        for disk in device.get("disks", ())
        if disk["used_life_percent"] is not None
    ]
    yield "limpid_disk_life_used_ratio", "gauge", "Writes behind it, of those its maker promised", lives
    if clock:
        yield "limpid_wall_clock_synchronised", "gauge", "1 while disciplined", [({}, clock["synchronised"])]
        if clock["error_ms"] is not None:
            error: list[Sample] = [({}, clock["error_ms"] / 1000)]
            yield "limpid_wall_clock_error_seconds", "gauge", "Estimated error", error
    links: list[Sample] = [({"link": link["name"]}, link["up"]) for link in device.get("links", ())]
    yield "limpid_link_up", "gauge", "Network links", links


def of_outbox(outbox: dict[str, Any] | None, forward: dict[str, Any]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    if outbox is None:
        return
    yield "limpid_outbox_captures", "gauge", "Captures on the device", [({}, outbox["captures"])]
    yield "limpid_outbox_held", "gauge", "Captures held for their identity", [({}, outbox["held"])]
    yield "limpid_outbox_damaged", "gauge", "Objects that are not what was written", [({}, outbox["damaged"])]
    states: list[Sample] = [
        ({"destination": name, "state": state}, count)
        for name, counts in forward["destinations"].items()
        for state, count in counts.items()
        if state != "oldest_waiting_s"
    ]
    yield "limpid_outbox_objects", "gauge", "Objects by destination and state", states
    yield "limpid_forward_up", "gauge", "Whether the forwarder runs", [({}, forward["runs"])]


def _labels(labels: Mapping[str, str]) -> str:
    told = ",".join(f'{name}="{_UNSAFE.sub(lambda m: _ESCAPES[m[0]], value)}"' for name, value in labels.items())
    return f"{{{told}}}" if told else ""


def _number(value: float) -> str:
    return f"{float(value):g}" if abs(float(value)) < 1e6 else f"{float(value):.0f}"
