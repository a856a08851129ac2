"""What a capture costs the live picture, and how soon it is acknowledged.

    python -m tools.bench_capture --json                      # 640x480 at 30 fps, 10 s backwards, 4 rounds
    python -m tools.bench_capture --folder /var/lib/limpid    # on the disk that counts

The bench's own sender and receiver, and a real daemon. Turns without and with a capture follow each other, each as long
as it takes to fill the last seconds, to press the button and to compress what was stored; ratios are of one round, so
that a machine that gets slower slows both. "Acknowledged" is from asking the control socket to its answer, which comes
when the capture is durable.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.bench.measure import DaemonEye, Seen, watching
from edge.bench.run import SenderProcess
from edge.bench.sender import Job
from edge.client import Control
from edge.errors import LimpidError, SourceUnavailable
from edge.health import percentiles
from edge.supervisor import own_command

WARM_UP_S = 5.0
AFTER_S = 8.0  # the darkroom compresses meanwhile
START_S = 30.0


@dataclass(frozen=True)
class Setting:
    width: int
    height: int
    fps: float
    back_s: float
    rounds: int
    folder: Path | None


@dataclass
class Turn:
    """One turn: what was seen, and what became of the capture, if there was one."""

    seen: Seen
    sent: int
    acknowledged_ms: float = 0.0
    answer: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def p99_ms(self) -> float:
        return percentiles(self.seen.latency_ns).get("p99", 0.0)


def measure(setting: Setting) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="limpid-bench-", dir=setting.folder) as home,
        contextlib.ExitStack() as down,
    ):
        at = Path(home)
        sender = down.enter_context(_sender(setting))
        down.enter_context(_daemon(at, setting.back_s))
        eye = DaemonEye(f"ipc://{at}/pictures")
        down.callback(eye.close)
        _turn(setting, at, sender, eye, WARM_UP_S, press=False)
        length = setting.back_s + 1 + AFTER_S
        rounds = [
            tuple(_turn(setting, at, sender, eye, length, press=press) for press in (False, True))
            for _ in range(setting.rounds)
        ]
    return _report(setting, rounds)


def _turn(setting: Setting, at: Path, sender: SenderProcess, eye: DaemonEye, seconds: float, *, press: bool) -> Turn:
    turn = Turn(Seen(), 0)
    button = threading.Timer(setting.back_s + 1, _press, (setting, at, turn))
    with watching(eye) as seen:
        if press:
            button.start()
        turn.sent = sender.send(Job(f"ipc://{at}/frames", setting.fps, seconds, 1))["sent"]
    if press:
        button.join()
    turn.seen = seen
    return turn


def _press(setting: Setting, at: Path, turn: Turn) -> None:
    started = time.monotonic()
    try:
        turn.answer = Control(f"ipc://{at}/control", timeout_s=60).ask("capture-back", seconds=setting.back_s)
    except LimpidError as error:
        turn.answer = {"refused": str(error)}
    turn.acknowledged_ms = 1000 * (time.monotonic() - started)


def _report(setting: Setting, rounds: list[tuple[Turn, ...]]) -> dict[str, Any]:
    without, with_ = [pair[0] for pair in rounds], [pair[1] for pair in rounds]
    ratios = [after.p99_ms / before.p99_ms for before, after in rounds if before.p99_ms]
    return {
        "size": f"{setting.width}x{setting.height}", "fps": setting.fps, "back_s": setting.back_s,
        "acknowledged_ms": [round(turn.acknowledged_ms, 1) for turn in with_],
        "frames_stored": [turn.answer.get("frames", 0) for turn in with_],
        "refused": [turn.answer["refused"] for turn in with_ if "refused" in turn.answer],
        "frames_sent": {"without": sum(turn.sent for turn in without), "with": sum(turn.sent for turn in with_)},
        "frames_seen": {
            "without": sum(len(turn.seen.latency_ns) for turn in without),
            "with": sum(len(turn.seen.latency_ns) for turn in with_),
        },
        "latency_ms": {
            "without": percentiles([ns for turn in without for ns in turn.seen.latency_ns]),
            "with": percentiles([ns for turn in with_ for ns in turn.seen.latency_ns]),
        },
        "p99_ratio": [round(ratio, 3) for ratio in ratios],
    }  # fmt: skip


@contextlib.contextmanager
def _sender(setting: Setting) -> Generator[SenderProcess]:
    words = [sys.executable, "-m", "edge.bench.sender", str(setting.width), str(setting.height), "8"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield SenderProcess(process)
        finally:
            process.kill()


@contextlib.contextmanager
def _daemon(at: Path, back_s: float) -> Generator[None]:
    sockets = "\n".join(f'{name} = "ipc://{at}/{name}"' for name in ("pictures", "control", "events"))
    config = at / "limpid.toml"
    config.write_text(
        f'[live]\nrecent_seconds = {back_s + 1}\nrecent_megabytes = 512\n[outbox]\nfolder = "{at}/outbox"\n'
        f'[sockets]\n{sockets}\n[source.zeromq]\nbind = "ipc://{at}/frames"\n'
    )
    with (
        (at / "log").open("wb") as log,
        subprocess.Popen(own_command("live", "--config", str(config)), stdout=log, stderr=log) as process,
    ):
        try:
            _wait_for(at)
            yield
        finally:
            process.terminate()


def _wait_for(at: Path) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            Control(f"ipc://{at}/control", timeout_s=1).ask("status")
        except SourceUnavailable:
            if time.monotonic() > until:
                raise
        else:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=10.0, help="how far back")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where the outbox is made; otherwise the system's temporary folder")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    width, _, height = asked.size.partition("x")
    report = measure(Setting(int(width), int(height), asked.fps, asked.seconds, asked.rounds, asked.folder))
    if asked.json:
        print(json.dumps(report))
    else:
        for key, value in report.items():
            print(f"{key:16} {value}")


if __name__ == "__main__":
    main()
