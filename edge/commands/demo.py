"""`limpid demo`: the whole appliance around a phantom scanner, and live figures of it.

The scanner (`limpid send phantom`), the house (`demo_house.py`: daemon, forwarder, archive, console, panel) and this
viewer, each a process. One capture is taken by itself and followed to the archive; more are taken on the console or
the panel. Leaves a before/after picture, a short clip and what the archive was sent behind.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import threading
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

from edge.bench.run import ended
from edge.client import Viewer
from edge.commands.demo_house import CAPTURE_PATIENCE_S, House, opened
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
MOST_LATENCIES = 200_000
NEW_PICTURES_S = 1.0
QUIET_S = 1.0  # after the last picture
CAPTURE_AFTER = 60  # pictures: the engine is open by then
PATIENT = {"name": "PHANTOM^DEMO", "id": "DEMO-1"}


@dataclass(frozen=True, slots=True)
class Options:
    modality: str
    seconds: float  # 0: until Ctrl-C
    out: Path
    quiet: bool


@dataclass(slots=True)
class Watched:
    """What the viewer has seen."""

    latency_ns: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_LATENCIES))
    received: int = 0
    enhanced: int = 0
    engine: dict[str, str] = field(default_factory=dict)  # of the last enhanced picture
    original: dict[str, int] = field(default_factory=dict)
    clip: deque[tuple[Pixels, Pixels, str]] = field(default_factory=lambda: deque(maxlen=int(CLIP_SECONDS * FPS)))
    bits: int = 8

    def add(self, report: Report, now_ns: int) -> None:
        if report.pixels is None or report.original is None:
            return
        self.received += 1
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


class Button:
    """Presses capture once, on a thread of its own: the answer comes when the pair is stored, and pictures go on."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._thread: threading.Thread | None = None
        self.said = ""

    def press(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._press, daemon=True)
            self._thread.start()

    def _press(self) -> None:
        try:
            self._house.control.ask("exam-open", patient=PATIENT)
            time.sleep(NEW_PICTURES_S)  # one from before the exam would not be taken
            self._house.control.ask("capture-still")
        except LimpidError as error:
            self.said = f"not stored: {error}"
        else:
            self.said = "stored"

    def wait(self, timeout_s: float) -> None:
        """Until what was captured is in the archive, or for so long."""
        if self._thread is None:
            return
        until = time.monotonic() + timeout_s
        self._thread.join(timeout_s)
        while self.said == "stored" and time.monotonic() < until:
            confirmed, objects = self._house.in_archive()
            if objects and confirmed == objects:
                return
            time.sleep(0.2)


def run(options: Options, *, as_json: bool) -> None:
    if options.modality not in SIZES:
        raise ConfigError(f'unknown modality "{options.modality}"; known: {", ".join(SIZES)}')
    _make_folder(options.out)
    for number in (signal.SIGTERM, signal.SIGHUP):  # a terminal that is closed ends all of it, as Ctrl-C does
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="limpid-demo-") as home, contextlib.ExitStack() as stack:
        house = stack.enter_context(opened(Path(home), options.out, faces=not options.quiet))
        viewer = Viewer(house.pictures, topic=Topic.PAIR, hwm=64)
        stack.callback(viewer.close)
        button = Button(house)
        sent = _sent_while_watching(options, house, viewer, watched := Watched(), button)
        button.wait(CAPTURE_PATIENCE_S)
        status = house.control.ask("status")
        report = _report(options, sent, watched, status) | {"captures": _captures(house, button)}
    if as_json:
        print(json.dumps(report))
    else:
        _print(report, status)


def _captures(house: House, button: Button) -> dict[str, Any]:
    confirmed, objects = house.in_archive()
    return {"said": button.said, "objects": objects, "in_archive": confirmed, "archive": str(house.archive)}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: {error.strerror}") from error


def _sent_while_watching(
    options: Options, house: House, viewer: Viewer, watched: Watched, button: Button
) -> dict[str, Any]:
    width, height = SIZES[options.modality]
    command = own_command(
        "send", "phantom", "--to", house.frames, "--json", "-s", f"modality={options.modality}",
        "-s", f"width={width}", "-s", f"height={height}", "-s", f"fps={FPS}", "-s", "tell_region=false",
    )  # fmt: skip
    if options.seconds:
        command += ["-s", f"frames={int(FPS * options.seconds)}"]
    scanner = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    with ended(scanner):
        with _figures(options, house, button) as show, contextlib.suppress(KeyboardInterrupt):
            while scanner.poll() is None:
                _look(viewer, watched, time.monotonic() + 0.25)
                if watched.received >= CAPTURE_AFTER:
                    button.press()
                show(house.control.ask("status"))
        if scanner.poll() is None:  # Ctrl-C: it says what it sent, and ends
            scanner.send_signal(signal.SIGINT)
        _look_to_the_end(viewer, watched)
        answer, _ = scanner.communicate(timeout=10)
    if scanner.returncode == -signal.SIGINT:
        raise LimpidError("stopped before the phantom scanner had begun")
    if scanner.returncode != 0:
        raise LimpidError(f"the phantom scanner ended with status {scanner.returncode}")
    return json.loads(answer)


def _look(viewer: Viewer, watched: Watched, until: float) -> None:
    while (left := until - time.monotonic()) > 0:
        report = viewer.next(left)
        if report is not None:
            watched.add(report, time.monotonic_ns())


def _look_to_the_end(viewer: Viewer, watched: Watched) -> None:
    """A busy machine may still owe pictures of what was sent; notices that none come any more are no pictures."""
    before = -1
    while watched.received > before:
        before = watched.received
        _look(viewer, watched, time.monotonic() + QUIET_S)


@contextlib.contextmanager
def _figures(options: Options, house: House, button: Button) -> Generator[Any]:
    if options.quiet:
        yield lambda _status: None
        return
    note = Text("\n".join(_welcome(options, house)))
    with Live(note, console=Console(), refresh_per_second=4) as view:
        yield lambda status: view.update(Group(note, table(status), Text(_capture_line(house, button))))


def _welcome(options: Options, house: House) -> list[str]:
    until = f"for {options.seconds:g} s" if options.seconds else "until Ctrl-C"
    lines = [f"phantom {options.modality}, {FPS:g} frames a second, {until}"]
    if house.console:
        lines.append(f"console: {house.console}   (picture, capture, and where captures are)")
    else:
        lines.append("no console: its libraries are not installed (pip install 'limpid-edge[console]')")
    lines.append("panel: in a window of its own" if house.panel else "panel: none, as there is no screen")
    return lines


def _capture_line(house: House, button: Button) -> str:
    confirmed, objects = house.in_archive()
    return f"captures: {button.said or 'none yet'}; {confirmed} of {objects} objects confirmed by the archive"


# ---------------------------------------------------------------- what it leaves behind


def _report(options: Options, sent: dict[str, Any], watched: Watched, status: dict[str, Any]) -> dict[str, Any]:
    stream = next(iter(status["streams"].values()), None)
    dropped = sum(stream["frames"]["dropped"].values()) if stream else 0
    received = watched.received
    return {
        "frames": {
            "sent": sent["sent"], "received": received, "enhanced": watched.enhanced,
            "original": sum(watched.original.values()), "dropped": dropped, "not_taken": sent["refused"],
            "unaccounted": sent["sent"] - received - dropped,
        },
        "original_by_reason": watched.original,
        "latency_ms": percentiles(list(watched.latency_ns)),
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
    captures = report["captures"]
    console.print(
        f"captured: {captures['objects']} objects, {captures['in_archive']} confirmed by the archive "
        f"(files in {captures['archive']})", soft_wrap=True, markup=False,
    )  # fmt: skip
    for path in report["wrote"]:
        console.print(f"wrote {path}", soft_wrap=True, markup=False)
