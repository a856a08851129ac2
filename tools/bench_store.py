"""How fast objects go out, beside `/usr/bin/storescu`, in one run and against the same archives.

    python -m tools.bench_store --json            # 200 stills of 1 MB, 10 clips of 50 MB, 3 rounds
    python -m tools.bench_store --stills 20 --clips 2 --rounds 1

Every figure is wall clock from starting the sending process to its end. The senders take turns within a round; ratios
are of the same round, so that a machine that gets slower slows both. Receivers: storescp, storescp with TCP_NODELAY=1
(dcmtk's switch for the receiver's side), and Orthanc. Sending is `edge.sinks.dimse` on files, without the outbox.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from edge.dicom import uids
from edge.sinks import Parcel, Sink, open_sink

STORESCU, STORESCP, ORTHANC = "/usr/bin/storescu", "/usr/bin/storescp", "/usr/sbin/Orthanc"
US, US_CLIP = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"
ROOT = Path(__file__).parents[1]
MB = 1_000_000


@dataclass(frozen=True)
class Load:
    """What is sent: how many objects, and how large."""

    name: str
    count: int
    megabytes: float


# The sending process


def send_files(port: int, lanes: int, files: list[Path]) -> int:
    """What a measured process of ours does, from start to end. Gives its largest memory in MB."""
    options = {"host": "127.0.0.1", "port": port, "called": "ORTHANC", "commitment": False, "associations": lanes}
    sink = open_sink("bench", "dimse", options)
    with ThreadPoolExecutor(sink.lanes) as pool:
        for _ in pool.map(lambda path: _send(sink, path), files):
            pass
    sink.close()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _send(sink: Sink, path: Path) -> None:
    sop_class, sop_uid = (US_CLIP if "clip" in path.name else US), path.stem.split("_")[1]
    syntax, size = str(ExplicitVRLittleEndian), path.stat().st_size
    parcel = Parcel("bench", path.name, sop_class, sop_uid, syntax, size, lambda: cast(BinaryIO, path.open("rb")))
    sink.send(parcel)


# Objects


def make_files(folder: Path, load: Load) -> list[Path]:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    grain = rng.integers(0, 256, 1 << 20, dtype=np.uint8).tobytes()
    return [_make_file(folder, load, grain) for _ in range(load.count)]


def _make_file(folder: Path, load: Load, grain: bytes) -> Path:
    uid, is_clip = uids.fresh(), load.name != "stills"
    frame = 1 << 20 if is_clip else round(load.megabytes * MB) // 1000 * 1000
    frames = max(2, round(load.megabytes * MB / frame)) if is_clip else 1
    data = _header(uid, is_clip, (1024, 1024) if is_clip else (frame // 1000, 1000), frames)
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    path = folder / f"{load.name.rstrip('s')}_{uid}.dcm"
    with path.open("wb") as out:
        out.write(file.getvalue())
        out.write(b"\xe0\x7f\x10\x00OB\x00\x00" + (frame * frames).to_bytes(4, "little"))
        for _ in range(frames):
            out.write(grain[:frame])
    return path


def _header(uid: str, is_clip: bool, shape: tuple[int, int], frames: int) -> Dataset:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = UID(US_CLIP if is_clip else US)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = UID(uid)
    data.StudyInstanceUID, data.SeriesInstanceUID = uids.derived("2.25", "bench"), uids.derived("2.25", "series")
    data.PatientID, data.PatientName, data.Modality = "BENCH", "PHANTOM^BENCH", "US"
    data.Rows, data.Columns = shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    if is_clip:
        data.NumberOfFrames = frames
    return data


# Receivers


@contextlib.contextmanager
def storescp(home: Path, *, nodelay: bool) -> Generator[int, None, None]:
    stored, port = home / "stored", _free_port()
    stored.mkdir(parents=True)
    environment = {**os.environ, **({"TCP_NODELAY": "1"} if nodelay else {})}
    with _running([STORESCP, "-od", str(stored), str(port)], home / "log", environment):
        _wait_for(port)
        yield port


@contextlib.contextmanager
def orthanc(home: Path) -> Generator[int, None, None]:
    home.mkdir(parents=True)
    port, http = _free_port(), _free_port()
    config = {
        "StorageDirectory": str(home / "db"), "IndexDirectory": str(home / "db"), "DicomPort": port, "HttpPort": http,
        "DicomModalities": {}, "Plugins": [], "OverwriteInstances": True,
    }  # fmt: skip
    (home / "orthanc.json").write_text(json.dumps(config))
    with _running([ORTHANC, str(home / "orthanc.json")], home / "log", dict(os.environ)):
        _wait_for(port)
        yield port


RECEIVERS: dict[str, Callable[[Path], Any]] = {
    "storescp": lambda home: storescp(home, nodelay=False),
    "storescp, TCP_NODELAY=1": lambda home: storescp(home, nodelay=True),
    "orthanc": orthanc,
}


@contextlib.contextmanager
def _running(line: list[str], log: Path, environment: dict[str, str]) -> Generator[None, None, None]:
    with log.open("wb") as out:
        process = subprocess.Popen(line, stdout=out, stderr=out, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nobody listens on {port}")


# Measuring


def ours(port: int, lanes: int, files: list[Path]) -> tuple[float, int]:
    """Seconds, and MB of memory."""
    code = "import sys; from pathlib import Path; from tools.bench_store import send_files; "
    code += "print(send_files(int(sys.argv[1]), int(sys.argv[2]), [Path(p) for p in sys.stdin.read().splitlines()]))"
    names = "\n".join(map(str, files))
    start = time.monotonic()
    line = [sys.executable, "-c", code, str(port), str(lanes)]
    done = subprocess.run(line, input=names, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"the sender failed: {done.stderr}")
    return time.monotonic() - start, int(done.stdout)


def theirs(port: int, files: list[Path]) -> float:
    line = [STORESCU, "-aec", "ORTHANC", "127.0.0.1", str(port), *map(str, files)]
    start = time.monotonic()
    subprocess.run(line, check=True, capture_output=True)
    return time.monotonic() - start


def compare(home: Path, receiver: Callable[[Path], Any], load: Load, rounds: int, lanes: int) -> dict[str, Any]:
    """One receiver and one load: rounds of ours and theirs, each on objects that the receiver has not seen."""
    mine, other, memory = list[float](), list[float](), 0
    for number in range(rounds):
        place = home / f"round{number}"
        with receiver(place / "receiver") as port:
            first, second = (make_files(place / name, load) for name in ("a", "b"))
            size = sum(path.stat().st_size for path in first) / MB
            before = theirs(port, first) if number % 2 == 0 else None  # who goes first takes turns as well
            seconds, used = ours(port, lanes, second)
            reference = before if before is not None else theirs(port, first)
        mine.append(size / seconds)
        other.append(size / reference)
        memory = max(memory, used)
        shutil.rmtree(place)
    ratios = [a / b for a, b in zip(mine, other, strict=True)]
    return {"ours_mb_s": _spread(mine), "storescu_mb_s": _spread(other), "ratio": _spread(ratios), "memory_mb": memory}


def _spread(values: list[float]) -> dict[str, float]:
    middle = statistics.median(values)
    return {"median": round(middle, 2), "least": round(min(values), 2), "most": round(max(values), 2)}


def memory_of_a_large_clip(home: Path, megabytes: float) -> int:
    with storescp(home / "large", nodelay=False) as port:
        (path,) = make_files(home / "large" / "clip", Load("clips", 1, megabytes))
        return ours(port, 1, [path])[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stills", type=int, default=200, help="of 1 MB; 0: none")
    parser.add_argument("--clips", type=int, default=10, help="of 50 MB; 0: none")
    parser.add_argument("--to", action="append", choices=list(RECEIVERS), help="one receiver, or several; else all")
    parser.add_argument("--large", type=float, default=500, help="MB of the clip for the memory figure; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--lanes", type=int, default=2, help="associations of ours at once")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, nothing else")
    asked = parser.parse_args()
    for program in (STORESCU, STORESCP, ORTHANC):
        if not Path(program).exists():
            raise SystemExit(f"{program} is not installed")
    loads = [load for load in (Load("stills", asked.stills, 1.0), Load("clips", asked.clips, 50.0)) if load.count]
    report: dict[str, Any] = {name: getattr(asked, name) for name in ("lanes", "rounds", "stills", "clips")}
    with tempfile.TemporaryDirectory(prefix="bench_store_") as folder:
        for name in asked.to or RECEIVERS:
            receiver = RECEIVERS[name]
            for load in loads:
                lanes = asked.lanes if receiver is orthanc else 1  # storescp serves one association at a time
                found = compare(Path(folder) / f"{name}-{load.name}", receiver, load, asked.rounds, lanes)
                report.setdefault(name, {})[load.name] = found
                if not asked.json:
                    _print(name, load, found)
        if asked.large:
            report["memory_mb_of_a_large_clip"] = memory_of_a_large_clip(Path(folder), asked.large)
    if asked.json:
        print(json.dumps(report))
    elif asked.large:
        print(f"memory while a clip of {asked.large:g} MB goes: {report['memory_mb_of_a_large_clip']} MB")


def _print(name: str, load: Load, found: dict[str, Any]) -> None:
    ours_, theirs_, ratio = found["ours_mb_s"], found["storescu_mb_s"], found["ratio"]
    print(
        f"{name:24} {load.count:4} {load.name:6} ours {ours_['median']:7.1f} MB/s"
        f"  storescu {theirs_['median']:7.1f} MB/s"
        f"  ratio {ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})"
    )


if __name__ == "__main__":
    main()
