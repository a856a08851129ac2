"""How long the panel takes from a picture's arrival to its being on the screen, and where the time goes.

    python -m tools.bench_panel --json                    # ultrasound and fluoroscopy, 640x480, on 800x480 and larger
    python -m tools.bench_panel --screens 1920x1080       # another screen

The real daemon (hand-built engines), a phantom scanner, the real `limpid display`, without vsync, on a virtual X server
(Xvfb) or, with --here, on the screen at hand. "present" is from the message being received to `flip` having returned;
"waited" is until the main thread has it. Start is from the start of the process to the first flip.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.client import Control
from edge.errors import ConfigError, LimpidError, SourceUnavailable
from edge.supervisor import own_command

START_S = 60.0
MODALITIES = ("ultrasound", "fluoroscopy")


@dataclass(frozen=True)
class Setting:
    size: str
    fps: float
    seconds: float
    screens: tuple[str, ...]
    here: bool


def measure(setting: Setting) -> dict[str, Any]:
    runs = [_run(setting, modality, screen) for modality in MODALITIES for screen in setting.screens]
    return {"size": setting.size, "fps": setting.fps, "seconds": setting.seconds, "runs": runs}


def _run(setting: Setting, modality: str, screen: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="limpid-bench-") as home, contextlib.ExitStack() as down:
        at = Path(home)
        display = os.environ.get("DISPLAY", "") if setting.here else down.enter_context(_server(screen))
        down.enter_context(_daemon(at))
        down.enter_context(_scanner(at, setting, modality))
        _wait_for(at, pictures=True)
        line = own_command("display", "--config", str(at / "limpid.toml"), "--no-vsync", "--json")
        line += ["--window", "--size", screen, "--seconds", str(setting.seconds)]
        done = subprocess.run(line, env={**os.environ, "DISPLAY": display}, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LimpidError(f"the panel ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    figures = json.loads(done.stdout)
    keys = ("screen", "driver", "started_ms", "pictures", "not_live", "present_ms", "stages_ms", "rss_mb")
    return {"modality": modality, **{key: figures[key] for key in keys}}


@contextlib.contextmanager
def _server(screen: str) -> Generator[str]:
    hear, tell = os.pipe()
    line = ["Xvfb", "-displayfd", str(tell), "-screen", "0", f"{screen}x24", "-nolisten", "tcp"]
    try:
        process = subprocess.Popen(line, stderr=subprocess.DEVNULL, pass_fds=[tell])
    except FileNotFoundError as error:
        raise ConfigError("Xvfb is not installed (Debian: xvfb); --here measures on the screen at hand") from error
    os.close(tell)
    try:
        with os.fdopen(hear) as told:
            yield f":{told.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _daemon(at: Path) -> Generator[None]:
    sockets = "\n".join(f'{name} = "ipc://{at}/{name}"' for name in ("pictures", "control", "events"))
    (at / "limpid.toml").write_text(
        f'[engines]\nultrasound = "handbuilt"\nfluoroscopy = "handbuilt"\n[outbox]\nfolder = "{at}/outbox"\n'
        f'[sockets]\n{sockets}\n[source.zeromq]\nbind = "ipc://{at}/frames"\n'
    )
    with (at / "log").open("wb") as log:
        process = subprocess.Popen(own_command("live", "--config", str(at / "limpid.toml")), stdout=log, stderr=log)
    try:
        _wait_for(at, pictures=False)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _scanner(at: Path, setting: Setting, modality: str) -> Generator[None]:
    width, _, height = setting.size.partition("x")
    options = {"modality": modality, "width": width, "height": height, "fps": setting.fps, "loop_frames": 30}
    words = [word for key, value in options.items() for word in ("-s", f"{key}={value}")]
    line = own_command("send", "phantom", "--to", f"ipc://{at}/frames", *words)
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_for(at: Path, *, pictures: bool) -> None:
    """For the daemon, or for pictures that it has enhanced."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with contextlib.suppress(SourceUnavailable):
            streams = Control(f"ipc://{at}/control", timeout_s=1).ask("status")["streams"].values()
            if not pictures or any(stream["frames"]["enhanced"] for stream in streams):
                return
        time.sleep(0.1)
    raise LimpidError(f"the daemon was not ready within {START_S:g} s: {(at / 'log').read_text()[-500:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--size", default="640x480", help="of a frame")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each run")
    parser.add_argument("--screens", nargs="+", default=["800x480", "1280x800", "1920x1080"])
    parser.add_argument("--here", action="store_true", help="on the X screen at hand, in a window")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    try:
        report = measure(Setting(asked.size, asked.fps, asked.seconds, tuple(asked.screens), asked.here))
    except LimpidError as error:
        sys.exit(f"bench_panel: {error}")
    if asked.json:
        print(json.dumps(report))
        return
    for run in report["runs"]:
        stages = ", ".join(f"{stage} {at['p50']:.2f}/{at['p99']:.2f}" for stage, at in run["stages_ms"].items() if at)
        present = run["present_ms"]
        print(f"{run['modality']:12} {run['screen']:>9}  present {present['p50']:.2f}/{present['p99']:.2f}  {stages}")


if __name__ == "__main__":
    main()
