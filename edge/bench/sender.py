"""The bench's scanner, a process of its own: `python -m edge.bench.sender`. One JSON command a line on stdin.

Pictures are rendered before the first command, so that sending costs the machine as little as a scanner would. Frame n
is sent at start + n / fps, whatever happens to the frames before it.
"""

from __future__ import annotations

import json
import secrets
import struct
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from edge import wire
from edge.access.curve import load_client
from edge.client import Pusher
from edge.clock import SECOND, MonotonicClock
from edge.frame import Frame
from edge.sources import open_source

PICTURES = 24


class Job(msgspec.Struct, frozen=True):
    address: str
    fps: float
    seconds: float
    streams: int = 1
    key_file: str = ""


@dataclass(slots=True)
class Sent:
    sent: int = 0
    refused: int = 0
    late_ns: list[int] = field(default_factory=list)


def render(width: int, height: int, bits: int) -> list[Frame]:
    modality = "ultrasound" if bits == 8 else "fluoroscopy"
    options = {"modality": modality, "width": width, "height": height, "bits": bits, "paced": False}
    source = open_source("phantom", {**options, "frames": PICTURES, "fps": 30.0}, MonotonicClock())
    frames: list[Frame] = []
    while not source.ended:
        frame = source.next(1.0)
        if frame is not None:
            frames.append(frame)
    return frames + frames[-2:0:-1]  # to and fro: the end joins the beginning


class Scan:
    """One stream's messages, made before they are due: at its time a frame only needs its number and its time."""

    def __init__(self, frames: list[Frame], stream: str, session: int, offset: int) -> None:
        named = [replace(frame, stream=stream, session=session) for frame in frames]
        encoded = [wire.encode_frame(frame, wire.SenderClock.MONOTONIC) for frame in named]
        self._headers = [bytearray(header) for header, _ in encoded]
        self._pixels = [pixels for _, pixels in encoded]
        self._offset = offset

    def message(self, n: int, now_ns: int) -> list[bytes | memoryview]:
        at = (n + self._offset) % len(self._pixels)
        struct.pack_into("<2Q", self._headers[at], 16, n + 1, now_ns)
        return [bytes(self._headers[at]), self._pixels[at]]


def send(frames: list[Frame], job: Job) -> Sent:
    pusher = Pusher(job.address, key=load_client(Path(job.key_file)) if job.key_file else None)
    pusher.wait_for_daemon(10)
    session, done = secrets.randbits(63) | 1, Sent()
    scans = [Scan(frames, f"bench{k}", session, 5 * k) for k in range(job.streams)]
    start = time.monotonic_ns() + SECOND // 10
    for n in range(round(job.fps * job.seconds)):
        for k in range(job.streams):
            # Streams are spread over the period, as scanners that know nothing of each other are.
            due = start + int((n + k / job.streams) * SECOND / job.fps)
            _sleep_until(due)
            now = time.monotonic_ns()
            done.late_ns.append(now - due)
            pusher.push_parts(scans[k].message(n, now))
    done.sent, done.refused = pusher.sent, pusher.refused
    pusher.close()
    return done


def _sleep_until(due_ns: int) -> None:
    while (left := due_ns - time.monotonic_ns()) > 0:
        time.sleep(left / SECOND)


def main() -> None:
    width, height, bits = (int(text) for text in sys.argv[1:4])
    frames = render(width, height, bits)
    print(json.dumps({"ready": len(frames)}), flush=True)
    for line in sys.stdin:
        sent = send(frames, msgspec.json.decode(line, type=Job))
        print(json.dumps({"sent": sent.sent, "refused": sent.refused, "late_ns": sent.late_ns}), flush=True)


if __name__ == "__main__":
    main()
