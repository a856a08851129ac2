"""`limpid record`: the original frames of a running daemon, into a file that `replay` plays."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from edge.client import Viewer
from edge.commands.here import key_to
from edge.errors import SourceUnavailable
from edge.frame import Frame
from edge.recording import Recorder
from edge.wire import Report, Topic

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    path: Path
    pictures: str
    stream: str
    seconds: float


@dataclass(slots=True)
class Recorded:
    stream: str = ""
    frames: int = 0
    missing: int = 0  # gaps in the sequence: in the daemon, or on the way here


def run(options: Options, *, as_json: bool) -> None:
    viewer = Viewer(options.pictures, options.stream, Topic.PAIR, hwm=64, key=key_to(options.pictures))
    done = Recorded(options.stream)
    try:
        first = _first_picture(viewer, options)
        with Recorder(options.path) as recorder:
            _record(viewer, recorder, first, done, options.seconds)
    except KeyboardInterrupt:
        pass  # the recorder has closed its file; what was recorded is told below
    finally:
        viewer.close()
    facts = {"path": str(options.path), "stream": done.stream, "frames": done.frames, "missing": done.missing}
    if as_json:
        print(json.dumps(facts))
    else:
        print(f"{options.path}: {done.frames} frames of {done.stream}, {done.missing} missing")


def _first_picture(viewer: Viewer, options: Options) -> Report:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        report = viewer.next(0.2)
        if report is not None and report.original is not None:
            return report
    raise SourceUnavailable(f"no picture came from {options.pictures} within {PATIENCE_S:.0f} s")


def _record(viewer: Viewer, recorder: Recorder, first: Report, done: Recorded, seconds: float) -> None:
    until = time.monotonic() + seconds if seconds else float("inf")
    done.stream = first.stream
    report: Report | None = first
    last_seq: int | None = None
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    with console.status("recording") as status:
        while time.monotonic() < until:
            if report is not None and report.stream == done.stream and report.original is not None:
                recorder.add(frame_of(report))
                done.frames += 1
                if last_seq is not None and report.seq > last_seq:
                    done.missing += report.seq - last_seq - 1
                last_seq = report.seq
                status.update(escape(f"recorded {done.frames} frames of {done.stream}"))
            report = viewer.next(0.2)


def frame_of(report: Report) -> Frame:
    """The frame that the scanner sent, as the daemon passed it on."""
    assert report.original is not None
    return Frame(
        pixels=report.original,
        stream=report.stream,
        seq=report.seq,
        captured_ns=report.published_ns - report.age_ns,
        received_ns=report.received_ns,
        format=report.format,
        bits=report.bits,
        modality=report.modality,
        session=report.session,
        stamped_ns=report.stamped_ns,
        spacing_mm=report.spacing_mm,
    )
