"""`limpid doctor`: is this machine fit to run? Each check is one function; each finding carries its remedy."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import psutil
from rich.console import Console
from rich.markup import escape

from edge import config as configs
from edge import processor
from edge.access.exposure import unlocked
from edge.backends import Shape, nvidia_nodes, open_backend
from edge.catalog import SIZES, Manifest, open_catalog
from edge.clock import MS, SECOND
from edge.commands.config_check import check as check_config
from edge.commands.doctor_health import condition
from edge.commands.doctor_screen import screen
from edge.config import Config
from edge.daemon import bound_addresses
from edge.errors import ConfigError, EngineRefused
from edge.survey import usual_cost

Verdict = Literal["ok", "warning", "failure"]
COLOURS = {"ok": "green", "warning": "yellow", "failure": "red"}
LIBRARIES = ("numpy", "opencv-python-headless", "pyzmq", "msgspec", "openvino", "psutil")
TRIAL = Shape(480, 640, 8)


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    what: str
    remedy: str = ""


def run(path: Path | None, *, as_json: bool) -> int:
    findings = list(examine(path))
    if as_json:
        print(json.dumps({"ok": _fit(findings), "findings": [asdict(finding) for finding in findings]}))
    else:
        console = Console(highlight=False)
        for finding in findings:
            console.print(
                f"[{COLOURS[finding.verdict]}]{finding.verdict:8}[/] {finding.check:12} {escape(finding.what)}"
            )
            if finding.remedy:
                console.print(f"{'':9}{'':13}-> {finding.remedy}", markup=False)
    return 0 if _fit(findings) else 1


def _fit(findings: list[Finding]) -> bool:
    return all(finding.verdict != "failure" for finding in findings)


def examine(path: Path | None) -> Iterator[Finding]:
    try:
        config = check_config(path) if path else configs.Config()
        yield Finding("config", "ok", str(path or "the defaults"))
    except ConfigError as error:
        yield Finding("config", "failure", str(error), "correct the file; `limpid config check FILE` shows the same")
        config = configs.Config()
    checks: tuple[Callable[[Config], Iterator[Finding]], ...] = (
        _processor, _memory, _libraries, _gpu, _engines, _ports, _locks, _disk, _clock, _condition, _screen,
    )  # fmt: skip
    for check in checks:
        yield from check(config)


def _condition(config: Config) -> Iterator[Finding]:
    yield from (Finding(*each) for each in condition(config))


def _screen(config: Config) -> Iterator[Finding]:
    yield from (Finding(*each) for each in screen(config))


def _processor(config: Config) -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    wanted = config.engines.threads or cores
    told = processor.described()
    what = f"{processor.name_of(told)}, {cores} cores for us"
    if cores < 2:
        yield Finding("processor", "warning", what, "with one core engine and sockets take turns; give the daemon two")
    elif wanted > cores:
        yield Finding("processor", "warning", what, f"[engines] threads = {wanted} is more than there are cores")
    else:
        yield Finding("processor", "ok", what)
    if found := processor.int8_of(told):
        yield Finding("int8", "ok", ", ".join(found))
    else:
        remedy = "INT8 runs, but slowly: the ladder will settle on a smaller engine"
        yield Finding("int8", "warning", "no INT8 instructions", remedy)


def _memory(config: Config) -> Iterator[Finding]:
    free, ring = psutil.virtual_memory().available / 1e6, config.live.recent_megabytes
    what = f"{free:.0f} MB available, {ring} MB of it for the last seconds"
    if free < ring + 500:
        yield Finding("memory", "failure", what, "lower [live] recent_megabytes or free some memory")
    else:
        yield Finding("memory", "ok", what)


def _libraries(config: Config) -> Iterator[Finding]:
    del config
    versions = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    yield Finding("libraries", "ok", f"Python {platform.python_version()}, {', '.join(versions)}")


def _gpu(config: Config) -> Iterator[Finding]:
    nodes = nvidia_nodes()
    if nodes and config.engines.backend != "tensorrt_int8":
        remedy = (
            '[engines] backend = "tensorrt_int8", after `limpid engine build --all` and `limpid engine verify --all`'
        )
        yield Finding("gpu", "warning", f"NVIDIA ({', '.join(nodes)}) is not used", remedy)
    elif nodes:
        yield Finding("gpu", "ok", f"NVIDIA ({', '.join(nodes)})")
    else:
        yield Finding("gpu", "ok", "none: engines run on the CPU, the embedded default")


def _engines(config: Config) -> Iterator[Finding]:
    try:
        catalog = open_catalog(config.engines.folders, config.engines.keys)
        backend = open_backend(config.engines.backend, config.engines.threads)
    except ConfigError as error:
        yield Finding("engines", "failure", str(error), "correct [engines] in the configuration")
        return
    for folder, reason in catalog.refused.items():
        remedy = "not for use until it passes the judge" if "found unsafe" in reason else "install this engine again"
        yield Finding("engines", "warning", f"{folder}: {reason}", remedy)
    for modality in ("ultrasound", "fluoroscopy"):
        family = getattr(config.engines, modality)
        variants = catalog.family(family, modality)
        if not variants:
            remedy = f"known families: {', '.join(catalog.families) or 'none'}"
            yield Finding("engines", "failure", f'no engine "{family}" for {modality}', remedy)
        for size in (size for size in SIZES if size in variants):
            try:
                cost = usual_cost(backend.open(variants[size], TRIAL), np.zeros((TRIAL.height, TRIAL.width), np.uint8))
            except EngineRefused as error:
                yield Finding("engines", "failure", str(error), "install this engine again")
                continue
            yield _engine_finding(variants[size].manifest, modality, cost, config.live.deadline_ms)


def _engine_finding(manifest: Manifest, modality: str, cost_ns: int, deadline_ms: float) -> Finding:
    what = f"{manifest.name} for {modality}: {cost_ns / MS:.1f} ms at {TRIAL.width}x{TRIAL.height}"
    if not manifest.is_judged:
        what += ", not judged"
    if cost_ns / MS > deadline_ms:
        return Finding("engines", "warning", what, f"over the deadline of {deadline_ms:g} ms: a smaller one will run")
    if not manifest.is_judged:
        return Finding("engines", "warning", what, "for trying the path, not for reading pictures")
    return Finding("engines", "ok", what)


def _ports(config: Config) -> Iterator[Finding]:
    wanted = {
        "pictures": config.sockets.pictures, "control": config.sockets.control, "events": config.sockets.events,
        "frames": str(config.source.get("zeromq", {}).get("bind", "tcp://127.0.0.1:5570")),
    }  # fmt: skip
    if "zeromq" not in config.source:
        del wanted["frames"]
    for name, address in wanted.items():
        trouble = _cannot_bind(address)
        if trouble:
            remedy = "another daemon runs already, or another program has it: stop it, or choose another address"
            yield Finding("sockets", "failure", f"{name} {address}: {trouble}", remedy)
        else:
            yield Finding("sockets", "ok", f"{name} {address}")


def _locks(config: Config) -> Iterator[Finding]:
    for trouble in unlocked(config, bound_addresses(config)):
        what, _, remedy = trouble.rpartition(": ")
        yield Finding("keys", "failure", what, remedy)


def _cannot_bind(address: str) -> str:
    if address.startswith("ipc://"):
        folder = Path(address.removeprefix("ipc://")).parent
        return "" if os.access(folder, os.W_OK) else f"{folder} cannot be written"
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host.replace("*", "0.0.0.0"), int(port)))
        except (OSError, ValueError) as error:
            return str(error)
    return ""


def _disk(config: Config) -> Iterator[Finding]:
    del config
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < 1:
        yield Finding("disk", "warning", f"{free:.1f} GB free", "recordings and captures need room")
    else:
        yield Finding("disk", "ok", f"{free:.0f} GB free")


def _clock(config: Config) -> Iterator[Finding]:
    del config
    year = time.gmtime().tm_year
    if year < 2024:
        remedy = "set the clock (NTP): pictures are timed by another clock, but captures would carry a wrong date"
        yield Finding("clock", "failure", f"the date says {year}", remedy)
        return
    resolution = time.get_clock_info("monotonic").resolution
    if resolution * SECOND > MS:
        yield Finding("clock", "warning", f"monotonic clock of {resolution * 1e3:.1f} ms", "use a kernel with timers")
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M %Z"))
