"""The bench itself: starts the processes, measures daemon and bare script in turn, adds up."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

from edge import config as configs
from edge.access.curve import ClientKey, load_client, new_pair, save
from edge.access.homes import Home
from edge.bench.measure import STAGES, BareEye, DaemonEye, Eye, Seen, watching
from edge.bench.sender import Job
from edge.catalog import Engine, open_catalog
from edge.client import Control
from edge.config import Engines
from edge.errors import ConfigError, SourceUnavailable
from edge.health import percentiles
from edge.supervisor import own_command

WARM_UP_S = 3.0
START_S = 30.0
SCANNER = "scanner.key"
Progress = Callable[[str, float], None]  # what is being done, and how much of it all is done


class Options(msgspec.Struct, frozen=True):
    width: int = 640
    height: int = 480
    fps: float = 30.0
    bits: int = 8
    streams: int = 1
    seconds: float = 60.0
    engine: str = ""  # a family; none: the one that is shipped for such frames
    transport: str = "ipc"
    rounds: int = 3
    deadline_ms: float = 33.0
    keys: bool = False  # CURVE on every socket of the daemon, over tcp

    @property
    def modality(self) -> str:
        return "ultrasound" if self.bits == 8 else "fluoroscopy"

    @property
    def family(self) -> str:
        return self.engine or getattr(Engines(), self.modality)


@dataclass(slots=True)
class Segment:
    """One turn of one program."""

    seen: Seen
    sent: int
    refused: int
    sender_late_ns: list[int]  # a sender on a busy machine wakes late; its latencies begin when it sends


@dataclass(slots=True)
class Costs:
    cpu_percent: list[float] = field(default_factory=list)
    rss_mb: float = 0.0


class Addresses(msgspec.Struct, frozen=True):
    frames: str
    pictures: str
    control: str
    events: str
    bare_in: str
    bare_out: str


def addresses(transport: str, folder: Path) -> Addresses:
    names = Addresses.__struct_fields__
    if transport == "ipc":
        return Addresses(*(f"ipc://{folder}/{name}" for name in names))
    if transport == "tcp":
        return Addresses(*(f"tcp://127.0.0.1:{port}" for port in free_ports(len(names))))
    raise ConfigError(f'unknown transport "{transport}"; known: ipc, tcp')


def free_ports(count: int) -> list[int]:
    import socket

    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in socks]


def run(options: Options, progress: Progress = lambda _what, _part: None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="limpid-bench-") as home, contextlib.ExitStack() as stack:
        at = addresses(options.transport, Path(home))
        progress("rendering pictures", 0.0)
        sender = stack.enter_context(_sender(options))
        keys = _make_keys(Path(home)) if options.keys else None
        progress("starting the daemon", 0.05)
        daemon = stack.enter_context(_daemon(options, at, Path(home), keys))
        eyes: dict[str, Eye] = {"daemon": DaemonEye(at.pictures, load_client(keys.own) if keys else None)}
        engine = _largest(options)
        if _fits_bare(options, engine):
            stack.enter_context(_bare(options, engine, at))
            eyes["bare"] = BareEye(at.bare_out)
        for eye in eyes.values():
            stack.callback(eye.close)
        return _measure(options, at, sender, daemon, eyes, progress, keys)


def _measure(
    options: Options, at: Addresses, sender: SenderProcess, daemon: psutil.Process, eyes: dict[str, Eye],
    progress: Progress, keys: Home | None,
) -> dict[str, Any]:  # fmt: skip
    door = {"daemon": at.frames, "bare": at.bare_in}
    shows = {"daemon": str(keys.folder / SCANNER) if keys else "", "bare": ""}
    control, costs = Control(at.control, key=load_client(keys.own) if keys else None), Costs()
    segments: dict[str, list[Segment]] = {name: [] for name in eyes}
    for name, eye in eyes.items():
        _segment(eye, sender, Job(door[name], options.fps, WARM_UP_S, options.streams, shows[name]))
    dropped: dict[str, int] = {}
    for turn in range(options.rounds):
        for name, eye in eyes.items():
            progress(f"{name}, round {turn + 1} of {options.rounds}", 0.1 + 0.9 * turn / options.rounds)
            before, cpu = _dropped(control), _cpu_s(daemon)
            started = time.monotonic()
            job = Job(door[name], options.fps, options.seconds / options.rounds, options.streams, shows[name])
            segments[name].append(_segment(eye, sender, job))
            if name == "daemon":
                wall = time.monotonic() - started
                costs.cpu_percent.append(100 * (_cpu_s(daemon) - cpu) / wall)
                for reason, count in _dropped(control).items():
                    dropped[reason] = dropped.get(reason, 0) + count - before.get(reason, 0)
    costs.rss_mb = daemon.memory_info().rss / 1e6
    progress("done", 1.0)
    return _report(options, segments, {k: v for k, v in dropped.items() if v}, costs)


def _segment(eye: Eye, sender: SenderProcess, job: Job) -> Segment:
    with watching(eye) as seen:
        sent = sender.send(job)
    return Segment(seen, sent["sent"], sent["refused"], sent["late_ns"])


def _dropped(control: Control) -> dict[str, int]:
    total: dict[str, int] = {}
    for stream in control.ask("status")["streams"].values():
        for reason, count in stream["frames"]["dropped"].items():
            total[reason] = total.get(reason, 0) + count
    return total


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


# ---------------------------------------------------------------- the sums


def _report(
    options: Options, segments: dict[str, list[Segment]], dropped: dict[str, int], costs: Costs
) -> dict[str, Any]:
    ours = segments["daemon"]
    original = _sum_reasons(ours)
    frames = {
        "sent": sum(s.sent for s in ours),
        "received": sum(len(s.seen.latency_ns) for s in ours),
        "enhanced": sum(s.seen.enhanced for s in ours),
        "original": sum(original.values()),
        "dropped": sum(dropped.values()),
        "not_taken": sum(s.refused for s in ours),
    }
    frames["unaccounted"] = frames["sent"] - frames["received"] - frames["dropped"]
    report: dict[str, Any] = {
        "size": f"{options.width}x{options.height}", "bits": options.bits, "fps": options.fps,
        "streams": options.streams, "seconds": options.seconds, "transport": options.transport, "keys": options.keys,
        "frames": frames, "original_by_reason": original, "dropped_by_reason": dropped,
        "latency_ms": percentiles(_all(ours, "enhanced_ns")),
        "engine_ms": percentiles(_all(ours, "engine_ns")),
        "overhead_ms": percentiles(_all(ours, "overhead_ns")),
        "stages_ms": {
            name: percentiles([ns for s in ours for ns in s.seen.stages_ns[name]]) for name in STAGES
        },
        "age_ms_max": round(max((s.seen.age_max_ns for s in ours), default=0) / 1e6, 3),
        "sender_late_ms": percentiles([ns for s in ours for ns in s.sender_late_ns]),
        "cpu_percent": round(statistics.mean(costs.cpu_percent), 1),
        "rss_mb": round(costs.rss_mb, 1),
        "engine": next((s.seen.engine for s in ours if s.seen.engine), {}),
        "latencies_us": [ns // 1000 for ns in _all(ours, "enhanced_ns")],
    }  # fmt: skip
    if "bare" in segments:
        report |= _against_bare(ours, segments["bare"])
    return report


def _against_bare(ours: list[Segment], bare: list[Segment]) -> dict[str, Any]:
    ratios = [
        statistics.median(a.seen.overhead_ns) / statistics.median(b.seen.overhead_ns)
        for a, b in zip(ours, bare, strict=True)
        if a.seen.overhead_ns and b.seen.overhead_ns
    ]
    return {
        "bare_script_ms": percentiles(_all(bare, "latency_ns")),
        "bare_engine_ms": percentiles(_all(bare, "engine_ns")),
        "bare_overhead_ms": percentiles(_all(bare, "overhead_ns")),
        "overhead_to_bare": {
            "median": round(statistics.median(ratios), 3),
            "least": round(min(ratios), 3),
            "most": round(max(ratios), 3),
        } if ratios else {},
        "bare_latencies_us": [ns // 1000 for ns in _all(bare, "latency_ns")],
    }  # fmt: skip


def _all(segments: list[Segment], what: str) -> list[int]:
    return [ns for segment in segments for ns in getattr(segment.seen, what)]


def _sum_reasons(segments: list[Segment]) -> dict[str, int]:
    total: dict[str, int] = {}
    for segment in segments:
        for reason, count in segment.seen.original.items():
            total[reason] = total.get(reason, 0) + count
    return total


# ---------------------------------------------------------------- the processes


class SenderProcess:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answer()  # ready

    def send(self, job: Job) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(job).decode() + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SourceUnavailable(f"the bench's sender ended with status {self._process.wait()}")
        return json.loads(line)


def _make_keys(home: Path) -> Home:
    """A server, a scanner and an operator who know each other, for this run alone."""
    keys, server, since = Home(home / "keys"), new_pair(), "1970-01-01"
    save(keys.server, server)
    for path, role in ((keys.folder / SCANNER, "scanner"), (keys.own, "operator")):
        pair = new_pair()
        save(path, ClientKey(pair.public, pair.secret, server.public))
        keys.register.enrol(f"bench-{role}", pair.public, role, since)
    return keys


@contextlib.contextmanager
def _sender(options: Options) -> Generator[SenderProcess]:
    command = [
        sys.executable,
        "-m",
        "edge.bench.sender",
        str(options.width),
        str(options.height),
        str(options.bits),
    ]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with ended(process):
        yield SenderProcess(process)


@contextlib.contextmanager
def _daemon(options: Options, at: Addresses, home: Path, keys: Home | None = None) -> Generator[psutil.Process]:
    text = f"""
[live]
deadline_ms = {options.deadline_ms}
max_age_ms = {max(100.0, options.deadline_ms)}
[engines]
{options.modality} = "{options.family}"
[sockets]
pictures = "{at.pictures}"
control = "{at.control}"
events = "{at.events}"
[source.zeromq]
bind = "{at.frames}"
[outbox]
folder = "{home}/outbox"
[keys]
folder = "{home}/keys"
loopback = {"true" if keys else "false"}
"""
    configs.parse(text)  # a mistake here is told before a process is started
    path = home / "bench.toml"
    path.write_text(text)
    log = (home / "daemon.log").open("w+")
    process = subprocess.Popen(own_command("live", "--config", str(path)), stdout=log, stderr=log)
    with log, ended(process):
        control = Control(at.control, key=load_client(keys.own) if keys else None)
        wait_for_daemon(control, process, home / "daemon.log")
        yield psutil.Process(process.pid)


def _largest(options: Options) -> Engine:
    """What the daemon begins with."""
    family = open_catalog([]).family(options.family, options.modality)
    sizes = [rung for rung in Engines().rungs if rung in family]
    if not sizes:
        raise ConfigError(f'no engine "{options.family}" to measure: all were refused, or there is none')
    return family[sizes[0]]


def _fits_bare(options: Options, engine: Engine) -> bool:
    """The bare script knows one stream, and a size its engine takes as it is."""
    multiple = engine.manifest.multiple
    return options.streams == 1 and options.width % multiple == options.height % multiple == 0


@contextlib.contextmanager
def _bare(options: Options, engine: Engine, at: Addresses) -> Generator[None]:
    size = [str(options.width), str(options.height), str(options.bits)]
    command = [sys.executable, "-m", "edge.bench.bare", at.bare_in, at.bare_out, str(engine.model_path), *size]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with ended(process):
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise SourceUnavailable("the bare script did not start")
        yield


@contextlib.contextmanager
def ended(process: subprocess.Popen[Any]) -> Generator[None]:
    """However the block is left, the process is gone afterwards."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def wait_for_daemon(control: Control, process: subprocess.Popen[Any], log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SourceUnavailable(f"the daemon ended with status {process.returncode}: {_tail(log)}")
        with contextlib.suppress(SourceUnavailable):
            control.ask("status")
            return
    raise SourceUnavailable(f"the daemon did not answer within {START_S:.0f} s: {_tail(log)}")


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
