"""`limpid demo`: phantom scanner -> daemon -> live figures; leaves a before/after picture and a short clip behind.

Three processes, as on the appliance: the scanner (`limpid send phantom`), the daemon (`limpid live`), and this viewer.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from edge.bench.run import ended, wait_for_daemon
from edge.client import Control, Viewer
from edge.commands.watch import table
from edge.errors import ConfigError, LimpidError
from edge.frame import Pixels, Treatment
from edge.health import percentiles
from edge.supervisor import own_command
from edge.wire import Report, Topic

FPS = 30.0
CLIP_SECONDS = 4.0
SIZES = {"ultrasound": (640, 480), "fluoroscopy": (640, 480)}
LABEL_HEIGHT = 28


@dataclass(frozen=True, slots=True)
class Options:
    modality: str
    seconds: float
    out: Path
    quiet: bool


@dataclass(slots=True)
class Watched:
    """What the viewer has seen."""

    latency_ns: list[int] = field(default_factory=list)
    enhanced: int = 0
    engine: dict[str, str] = field(default_factory=dict)  # of the last enhanced picture
    original: dict[str, int] = field(default_factory=dict)
    clip: deque[tuple[Pixels, Pixels, str]] = field(default_factory=lambda: deque(maxlen=int(CLIP_SECONDS * FPS)))
    bits: int = 8

    def add(self, report: Report, now_ns: int) -> None:
        if report.pixels is None or report.original is None:
            return
        self.latency_ns.append(now_ns - report.stamped_ns)
        self.bits = report.bits
        if report.treatment is Treatment.ENHANCED:
            self.enhanced += 1
            self.engine = asdict(report.engine)
        else:
            self.original[report.why.words] = self.original.get(report.why.words, 0) + 1
        self.clip.append((report.original, report.pixels, badge(report)))


def badge(report: Report) -> str:
    if report.treatment is Treatment.ENHANCED:
        return f"ENHANCED {report.engine.name} {report.strength * 100:.0f} %"
    return f"ORIGINAL ({report.why.words})"


def run(options: Options, *, as_json: bool) -> None:
    if options.modality not in SIZES:
        raise ConfigError(f'unknown modality "{options.modality}"; known: {", ".join(SIZES)}')
    _make_folder(options.out)
    with tempfile.TemporaryDirectory(prefix="limpid-demo-") as home, contextlib.ExitStack() as stack:
        folder = Path(home)
        control = stack.enter_context(_daemon(folder))
        viewer = Viewer(f"ipc://{folder}/pictures", topic=Topic.PAIR, hwm=64)
        stack.callback(viewer.close)
        sent = _sent_while_watching(options, folder, control, viewer, watched := Watched())
        status = control.ask("status")
    report = _report(options, sent, watched, status)
    if as_json:
        print(json.dumps(report))
    else:
        _print(report, status)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error


def _sent_while_watching(
    options: Options, folder: Path, control: Control, viewer: Viewer, watched: Watched
) -> dict[str, Any]:
    width, height = SIZES[options.modality]
    command = own_command(
        "send", "phantom", "--to", f"ipc://{folder}/frames", "--json", "-s", f"modality={options.modality}",
        "-s", f"width={width}", "-s", f"height={height}", "-s", f"fps={FPS}", "-s", "tell_region=false",
        "-s", f"frames={int(FPS * options.seconds)}",
    )  # fmt: skip
    scanner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with ended(scanner), _figures(options) as show:
        while scanner.poll() is None:
            _look(viewer, watched, time.monotonic() + 0.25)
            show(control.ask("status"))
        _look(viewer, watched, time.monotonic() + 0.25)
        assert scanner.stdout is not None
        answer = scanner.stdout.read()
    if scanner.returncode != 0:
        raise LimpidError(f"the phantom scanner ended with status {scanner.returncode}")
    return json.loads(answer)


def _look(viewer: Viewer, watched: Watched, until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        report = viewer.next(left)
        if report is not None:
            watched.add(report, time.monotonic_ns())


@contextlib.contextmanager
def _figures(options: Options) -> Generator[Any]:
    if options.quiet:
        yield lambda _status: None
        return
    note = Text(f"phantom {options.modality}, {FPS:g} frames a second, for {options.seconds:g} s")
    with Live(note, console=Console(), refresh_per_second=4) as view:
        yield lambda status: view.update(Group(note, table(status)))


@contextlib.contextmanager
def _daemon(folder: Path) -> Generator[Control]:
    sockets = "\n".join(f'{name} = "ipc://{folder}/{name}"' for name in ("pictures", "control", "events"))
    path = folder / "demo.toml"
    path.write_text(f'[sockets]\n{sockets}\n[source.zeromq]\nbind = "ipc://{folder}/frames"\n')
    log = folder / "daemon.log"
    with log.open("w") as out:
        process = subprocess.Popen(own_command("live", "--config", str(path)), stdout=out, stderr=out)
    control = Control(f"ipc://{folder}/control")
    with ended(process):
        wait_for_daemon(control, process, log)
        yield control


# ---------------------------------------------------------------- what it leaves behind


def _report(options: Options, sent: dict[str, Any], watched: Watched, status: dict[str, Any]) -> dict[str, Any]:
    stream = next(iter(status["streams"].values()), None)
    dropped = sum(stream["frames"]["dropped"].values()) if stream else 0
    received = len(watched.latency_ns)
    return {
        "frames": {
            "sent": sent["sent"], "received": received, "enhanced": watched.enhanced,
            "original": sum(watched.original.values()), "dropped": dropped, "not_taken": sent["refused"],
            "unaccounted": sent["sent"] - received - dropped,
        },
        "original_by_reason": watched.original,
        "latency_ms": percentiles(watched.latency_ns),
        "engine": watched.engine,
        "wrote": _write(options, watched),
    }  # fmt: skip


def _write(options: Options, watched: Watched) -> list[str]:
    if not watched.clip:
        return []
    pairs = [_side_by_side(before, after, text, watched.bits) for before, after, text in watched.clip]
    enhanced = [pair for pair, (_, _, text) in zip(pairs, watched.clip, strict=True) if text.startswith("ENHANCED")]
    picture = options.out / f"{options.modality}-before-after.png"
    clip = options.out / f"{options.modality}-clip.mp4"
    if not cv2.imwrite(str(picture), (enhanced or pairs)[-1]):
        raise LimpidError(f"{picture} could not be written")
    height, width = pairs[0].shape[:2]
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (width, height))
    if not writer.isOpened():
        raise LimpidError(f"{clip} could not be written")
    for pair in pairs:
        writer.write(cv2.cvtColor(pair, cv2.COLOR_GRAY2BGR))
    writer.release()
    return [str(picture), str(clip)]


def _side_by_side(before: Pixels, after: Pixels, text: str, bits: int) -> np.ndarray:
    return np.hstack([_labelled(before, "ORIGINAL", bits), _labelled(after, text, bits)])


def _labelled(pixels: Pixels, text: str, bits: int) -> np.ndarray:
    grey = (pixels >> (bits - 8)).astype(np.uint8) if bits > 8 else pixels
    grey = cv2.cvtColor(grey, cv2.COLOR_BGR2GRAY) if grey.ndim == 3 else grey
    strip = np.full((LABEL_HEIGHT, grey.shape[1]), 24, np.uint8)
    cv2.putText(strip, text, (8, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 230, 1, cv2.LINE_AA)
    return np.vstack([strip, grey])


def _print(report: dict[str, Any], status: dict[str, Any]) -> None:
    console = Console()
    console.print(table(status))
    frames = ", ".join(f"{name} {count}" for name, count in report["frames"].items())
    latency = report["latency_ms"]
    console.print(f"frames: {frames}")
    if latency:
        console.print(f"sent to seen: {latency['p50']} ms median, {latency['p99']} ms p99, {latency['max']} ms at most")
    for path in report["wrote"]:
        console.print(f"wrote {path}", soft_wrap=True)
