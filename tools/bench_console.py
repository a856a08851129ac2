"""What the console costs the live picture, and how current a slow client sees it. `python -m tools.bench_console`.

A daemon, a scanner and an eye as in `limpid bench`; in turn without and with clients that watch the live picture by
the console, each as a browser would: both halves of the split view, acknowledged as they arrive. One of them reads no
faster than a line of 200 kB/s. All on this one machine; the clients, which would be elsewhere, give way to the rest.

    p99_ratio        live p99 with the clients by that of the turn before without; median, least and most over the turns
    slow_age_ms      how old the slow client's picture is when it has arrived; the clients run on the same clock
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edge.bench import run as bench
from edge.bench.measure import DaemonEye, watching
from edge.bench.sender import Job
from edge.client import Control
from edge.health import percentiles
from edge.supervisor import own_command
from tools.console_client import Closed, Console, Live

STREAM = "bench0"
PIECE = 4096
SLOW_BUFFER = 16 << 10  # of the slow client's socket: what lies in buffers is age, too
SETTLES_S = 3.0  # the clients find their step; not counted


@dataclass(frozen=True)
class Setting:
    size: str = "640x480"
    fps: float = 30.0
    seconds: float = 20.0  # each turn
    rounds: int = 3
    clients: int = 10
    slow_bytes_per_s: float = 200e3
    engine: str = ""


# ------------------------------------------------ the clients, in a process of their own


class PacedSocket:
    """Reads no faster than a slow line."""

    def __init__(self, sock: Any, bytes_per_s: float) -> None:
        self._sock, self._rate = sock, bytes_per_s
        self._free_at = time.monotonic()

    def recv(self, _count: int) -> bytes:
        data = self._sock.recv(PIECE)
        self._free_at = max(self._free_at, time.monotonic() - 0.05) + len(data) / self._rate
        time.sleep(max(0.0, self._free_at - time.monotonic()))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@dataclass
class Watched:
    """One client's figures."""

    ages_ms: list[float]
    bytes: int = 0
    step: int = 0


def _watch(port: int, rate: float, stop: threading.Event, watched: Watched, from_s: float) -> None:
    live: Live = Console("127.0.0.1", port).live(STREAM, receive_buffer=SLOW_BUFFER if rate else 0, view="pair")
    if rate:
        live.socket.socket = PacedSocket(live.socket.socket, rate)  # type: ignore[assignment]
    with contextlib.suppress(Closed, OSError):
        while not stop.is_set():
            message = live.next()
            if message.images and time.monotonic() > from_s:
                # Sent at age_ms; what it took from there is the time since, on the clock that both sides share.
                way_ms = (time.monotonic_ns() - message.header["sent_ns"]) / 1e6
                watched.ages_ms.append(message.header["age_ms"] + way_ms)
                watched.bytes += message.size
                watched.step = message.header["step"]
    live.close()


def _clients(port: int, setting: Setting, pipe: Connection) -> None:
    """The process: watches from "go" to "stop"."""
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    while pipe.recv() == "go":
        stop, from_s = threading.Event(), time.monotonic() + SETTLES_S
        all_watched = [Watched([]) for _ in range(setting.clients)]
        threads = [
            threading.Thread(
                target=_watch, args=(port, setting.slow_bytes_per_s if n == 0 else 0.0, stop, watched, from_s)
            )
            for n, watched in enumerate(all_watched)
        ]
        for thread in threads:
            thread.start()
        pipe.recv()
        stop.set()
        for thread in threads:
            thread.join(30)
        pipe.send([(watched.ages_ms, watched.bytes, watched.step) for watched in all_watched])


@contextlib.contextmanager
def _client_process(port: int, setting: Setting) -> Generator[Connection, None, None]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_clients, args=(port, setting, there), daemon=True)
    process.start()
    try:
        yield here
        here.send("end")
        process.join(10)
    finally:
        process.kill()


# ------------------------------------------------ the measurement


def measure(setting: Setting) -> dict[str, Any]:
    width, _, height = setting.size.partition("x")
    options = bench.Options(width=int(width), height=int(height), fps=setting.fps, engine=setting.engine)
    with tempfile.TemporaryDirectory(prefix="limpid-bench-") as home, contextlib.ExitStack() as stack:
        at = bench.addresses("ipc", Path(home))
        sender = stack.enter_context(bench._sender(options))  # pyright: ignore[reportPrivateUsage]
        stack.enter_context(bench._daemon(options, at, Path(home)))  # pyright: ignore[reportPrivateUsage]
        port = stack.enter_context(_console(Path(home), at))
        pipe = stack.enter_context(_client_process(port, setting))
        eye = DaemonEye(at.pictures)
        stack.callback(eye.close)

        def turn(seconds: float) -> list[int]:
            with watching(eye) as seen:
                sender.send(Job(at.frames, setting.fps, seconds, 1))
            return seen.enhanced_ns or seen.latency_ns

        turn(bench.WARM_UP_S)
        rows: list[dict[str, Any]] = []
        for _ in range(setting.rounds):
            alone = turn(setting.seconds)
            pipe.send("go")
            turn(SETTLES_S)
            watched = turn(setting.seconds)
            pipe.send("stop")
            rows.append({"alone": alone, "watched": watched, "clients": pipe.recv()})
        return _report(setting, rows, Control(at.control).ask("status"))


@contextlib.contextmanager
def _console(home: Path, at: bench.Addresses) -> Generator[int, None, None]:
    port = bench.free_ports(1)[0]
    config = home / "console.toml"
    config.write_text(
        f'[sockets]\npictures = "{at.pictures}"\ncontrol = "{at.control}"\nevents = "{at.events}"\n'
        f'[outbox]\nfolder = "{home}/outbox"\n[console]\nport = {port}\n'
    )
    with (home / "console.log").open("wb") as log:
        process = subprocess.Popen(own_command("console", "--config", str(config)), stdout=log, stderr=log)
    with bench.ended(process):
        until = time.monotonic() + bench.START_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if Console("127.0.0.1", port).request("GET", "/readyz").status == 200:
                    break
            time.sleep(0.1)
        yield port


def _report(setting: Setting, rows: list[dict[str, Any]], status: dict[str, Any]) -> dict[str, Any]:
    ratios = [_p99(row["watched"]) / _p99(row["alone"]) for row in rows]
    slow = [age for row in rows for age in row["clients"][0][0]]
    others = [age for row in rows for ages, _, _ in row["clients"][1:] for age in ages]
    seconds = setting.seconds * setting.rounds
    return {
        "size": setting.size, "fps": setting.fps, "seconds": seconds, "clients": setting.clients,
        "alone_ms": percentiles([ns for row in rows for ns in row["alone"]]),
        "with_clients_ms": percentiles([ns for row in rows for ns in row["watched"]]),
        "p99_ratio": {
            "median": round(statistics.median(ratios), 3), "least": round(min(ratios), 3),
            "most": round(max(ratios), 3),
        },
        "slow_kb_per_s": setting.slow_bytes_per_s / 1e3,
        "slow_age_ms": percentiles([int(age * 1e6) for age in slow]),
        "slow_fps": round(len(slow) / seconds, 1), "slow_step": rows[-1]["clients"][0][2],
        "others_age_ms": percentiles([int(age * 1e6) for age in others]),
        "others_fps": round(len(others) / seconds / max(1, setting.clients - 1), 1),
        "others_step": statistics.median([step for _, _, step in rows[-1]["clients"][1:]] or [0]),
        "frames": {name: stream["frames"] for name, stream in status["streams"].items()},
    }  # fmt: skip


def _p99(values: list[int]) -> float:
    return percentiles(values)["p99"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--engine", default="", help="engine family; the shipped one otherwise")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    report = measure(
        Setting(asked.size, asked.fps, asked.seconds, asked.rounds, asked.clients, engine=asked.engine)
    )  # fmt: skip
    if asked.json:
        print(json.dumps(report))
    else:
        for key, value in report.items():
            print(f"{key:16} {value}")


if __name__ == "__main__":
    main()
