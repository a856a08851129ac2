"""How the appliance is: latencies over time, where frames went, the machine, its links, the way to the archives."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from datetime import datetime, timezone
from typing import Any

import psutil

from edge import durable
from edge.console.calls import Answer, Asked, Call
from edge.console.office import Office
from edge.console.process_metrics import processes_of
from edge.errors import LimpidError
from edge.outbox import Capture
from edge.process_report import read_all
from edge.quality import summary

FEVERS = 32  # temperatures that are told


def health_of(office: Office) -> dict[str, Any]:
    pulse = office.pulse
    streams = {
        name: {
            "latency_ms": facts["latency_ms"],
            "frames": facts["frames"],
            "history": [point.as_dict() for point in _copy(pulse.history.get(name))],
        }
        for name, facts in pulse.beat.status.get("streams", {}).items()
    }
    return {
        "streams": streams,
        "machine": machine_of(office),
        "device": pulse.beat.status.get("health") if pulse.beat.answers else None,
        "links": _links(),
        "forward": _forward(office),
        "processes": processes_of(office.config, read_all(office.reports), office.clock.now()),
        "console": {
            "watching": len(office.gallery.viewers),
            "clients": [viewer.told(time.monotonic_ns()) for viewer in office.gallery.viewers],
            "uptime_s": round(office.uptime_s), "audit_failures": office.audit_failures,
        },
    }  # fmt: skip


def _copy(points: deque[Any] | None) -> list[Any]:
    for _ in range(3):
        with contextlib.suppress(RuntimeError):  # the pulse has just added one
            return list(points or ())
    return []


def machine_of(office: Office) -> dict[str, Any]:
    memory = psutil.virtual_memory()
    return {
        "cpu_percent": psutil.cpu_percent(),
        "load": [round(part, 2) for part in psutil.getloadavg()],
        "memory_mb": {"total": round(memory.total / 1e6), "free": round(memory.available / 1e6)},
        "uptime_s": round(time.time() - psutil.boot_time()),
        "temperatures": _temperatures(),
        "power": _power(),
        "disks": _disks(office),
    }


def _temperatures() -> list[dict[str, Any]]:
    read = getattr(psutil, "sensors_temperatures", None)  # not on every system
    found: dict[str, Any] = {}
    with contextlib.suppress(OSError):
        found = read() if read is not None else {}
    told = [
        {"name": f"{chip} {each.label}".strip(), "celsius": each.current, "high": each.high or each.critical}
        for chip, each_of in found.items()
        for each in each_of
        if each.current is not None
    ]
    return told[:FEVERS]


def _power() -> dict[str, Any] | None:
    read = getattr(psutil, "sensors_battery", None)
    with contextlib.suppress(OSError):
        battery = read() if read is not None else None
        if battery is not None:
            return {"percent": round(battery.percent, 1), "plugged": battery.power_plugged}
    return None


def _disks(office: Office) -> list[dict[str, Any]]:
    settings = office.archive.settings
    percent, free_mb = durable.room(office.archive.box.folder)
    return [
        {
            "name": "outbox", "percent": round(percent, 1), "free_mb": round(free_mb),
            "refuses_at": settings.watermark_percent, "refuses_below_mb": settings.least_free_mb,
            "total_mb": round(psutil.disk_usage(_there(office)).total / 1e6),
        }
    ]  # fmt: skip


def _there(office: Office) -> str:
    folder = office.archive.box.folder
    while not folder.exists():
        folder = folder.parent
    return str(folder)


def _links() -> list[dict[str, Any]]:
    states, counts = psutil.net_if_stats(), psutil.net_io_counters(pernic=True)
    return [
        {
            "name": name, "up": state.isup, "speed_mbps": state.speed or None,
            "sent_mb": round(counts[name].bytes_sent / 1e6, 1) if name in counts else None,
            "received_mb": round(counts[name].bytes_recv / 1e6, 1) if name in counts else None,
        }
        for name, state in states.items()
        if name != "lo"
    ]  # fmt: skip


def _forward(office: Office) -> dict[str, Any]:
    """The way to the archives. Whether the forwarder runs is seen by whether somebody holds its lock."""
    archive, captures = office.archive, list[Capture]()
    with contextlib.suppress(OSError, LimpidError):
        captures = archive.captures() if archive.is_there else []
    counts: dict[str, Counter[str]] = {name: Counter() for name in archive.destinations(*captures)}
    oldest: dict[str, str] = {}
    for capture in captures:  # the newest first
        for item in archive.items(capture):
            counts[item.destination][item.state] += 1
            if item.state == "waiting":
                oldest[item.destination] = capture.id
    destinations = {
        name: {**dict(count), "oldest_waiting_s": _age_s(oldest.get(name))} for name, count in counts.items()
    }
    return {"runs": archive.is_served(), "destinations": destinations}


def _age_s(capture: str | None) -> float | None:
    """By the wall clock, for people: an id begins with when it was made."""
    if capture is None:
        return None
    made = datetime.strptime(capture[:15], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    return max(0.0, round((datetime.now(timezone.utc) - made).total_seconds(), 1))


def _health(asked: Asked) -> Answer:
    asked.office.pulse.refresh()
    return health_of(asked.office)


def _quality(asked: Asked) -> Answer:
    return {"days": [summary(day) for day in asked.office.quality.days()]}


CALLS = (
    Call("GET", "/health", "view", "Latencies, frames, machine, processes, links, the way to the archives", _health),
    Call("GET", "/quality", "view", "Each day's pictures in figures, by kind; the last 366 days", _quality),
)
